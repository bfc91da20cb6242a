//! The directory of a zip, bounded and checked before anything of it is held.
//!
//! A zip's end says in several fields how many files there are and where they are listed. The
//! library `zip` believes one of the fields, takes memory for each entry, and keeps the last of the
//! entries with one name. If that fails, it goes on with what looks like another end. So the
//! directory is read here first. The library then sees this directory, a new end that names it, and
//! zeros instead of all else until it is open.

use super::{
    bounds::{MAX_DIRECTORY_BYTES, MAX_FILES},
    fault::shown,
};
use std::{
    collections::HashSet,
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use zip::{
    ZipArchive,
    read::{ArchiveOffset, Config},
};

/// How the record at a zip's end begins, and its bytes without the comment.
const END: (&[u8; 4], usize) = (b"PK\x05\x06", 22);
/// How the record begins that says where the record with numbers of 64 bits is, and its bytes.
const LOCATOR: (&[u8; 4], usize) = (b"PK\x06\x07", 20);
/// How the record with numbers of 64 bits begins, and its bytes.
const END_64: (&[u8; 4], usize) = (b"PK\x06\x06", 56);
/// How an entry of the directory begins, and its bytes without name, extra field and comment.
const ENTRY: (&[u8; 4], usize) = (b"PK\x01\x02", 46);
/// Where an entry has the lengths of name, extra field and comment.
const ENTRY_LENGTHS: [usize; 3] = [28, 30, 32];
/// Bytes at a zip's end in which its records are looked for: the longest comment and both records.
const TAIL_BYTES: u64 = (1 << 16) + 42;

const BROKEN: &str = "a zip: its directory of files cannot be read";

/// Opens a zip.
///
/// # Errors
/// It is none; too many files; a name twice; a directory that is not what its end says.
pub(super) fn open<R: Read + Seek>(mut input: R) -> Result<ZipArchive<View<R>>, String> {
    let text = |error: io::Error| error.to_string();
    let Place { said, start } = place(&mut input).map_err(text)?.ok_or(BROKEN)?;
    let [here, all] = said.files;
    if here.max(all) > MAX_FILES as u64 {
        return Err(format!("at most {MAX_FILES} files, this has {}", here.max(all)));
    }
    if said.bytes > MAX_DIRECTORY_BYTES {
        return Err(format!("a zip whose directory of files has at most {MAX_DIRECTORY_BYTES} bytes"));
    }
    let mut tail = bytes_at(&mut input, start, said.bytes).map_err(text)?;
    let files = files_of(&tail)?;
    if said.files != [files; 2] {
        return Err(format!("a zip whose end says how many files it has: {files}, not {here} and {all}"));
    }
    tail.extend(new_end(&said, files).ok_or(BROKEN)?);
    let is_open = Arc::new(AtomicBool::new(false));
    let config = Config { archive_offset: ArchiveOffset::Known(start - said.offset) };
    let view = View { input, input_at: None, position: 0, start, tail, is_open: Arc::clone(&is_open) };
    let zip = ZipArchive::with_config(config, view).map_err(|error| error.to_string())?;
    is_open.store(true, Ordering::Relaxed);
    // The extra field of an entry may hold another name than the entry.
    if zip.len() as u64 != files {
        return Err("a name stands in it twice".to_owned());
    }
    Ok(zip)
}

/// What a zip's end says.
struct Said {
    /// The number of files on this disk, and of all.
    files: [u64; 2],
    /// Bytes of the directory.
    bytes: u64,
    /// Where the directory begins, from the zip's first byte on.
    offset: u64,
    /// Where the record begins that says so.
    end: u64,
}

/// Where a directory is.
struct Place {
    said: Said,
    /// Where it begins in the input.
    start: u64,
}

/// The last record that can be a zip's end, and the directory that it names; `None` if there is
/// none.
fn place<R: Read + Seek>(input: &mut R) -> io::Result<Option<Place>> {
    let length = input.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(TAIL_BYTES);
    let tail = bytes_at(input, from, TAIL_BYTES)?;
    for at in (0..tail.len()).rev().filter(|at| tail[*at..].starts_with(END.0)) {
        let Some(said) = said_at(&tail[at..], from + at as u64) else { continue };
        let locator = at.checked_sub(LOCATOR.1).map(|at| &tail[at..]);
        let said = match locator.filter(|record| record.starts_with(LOCATOR.0)) {
            Some(locator) => said_in_64(input, locator, said.end)?.unwrap_or(said),
            None => said,
        };
        for start in [Some(said.offset), said.end.checked_sub(said.bytes)].into_iter().flatten() {
            let fits = start >= said.offset && said.end.checked_sub(start) >= Some(said.bytes);
            if fits && (said.bytes == 0 || bytes_at(input, start, 4)? == ENTRY.0) {
                return Ok(Some(Place { said, start }));
            }
        }
    }
    Ok(None)
}

/// What the record says with which `record` begins, if it is whole.
fn said_at(record: &[u8], end: u64) -> Option<Said> {
    let comment = usize::try_from(number(record, 20, 2)?).ok()?;
    (record.len() >= END.1 + comment).then_some(())?;
    let files = [number(record, 8, 2)?, number(record, 10, 2)?];
    Some(Said { files, bytes: number(record, 12, 4)?, offset: number(record, 16, 4)?, end })
}

/// The same of the record with numbers of 64 bits that a locator names.
fn said_in_64<R: Read + Seek>(input: &mut R, locator: &[u8], end: u64) -> io::Result<Option<Said>> {
    let before = end.checked_sub((LOCATOR.1 + END_64.1) as u64);
    for at in [number(locator, 8, 8), before].into_iter().flatten().filter(|at| *at < end) {
        let record = bytes_at(input, at, END_64.1 as u64)?;
        let numbers = [24, 32, 40, 48].map(|place| number(&record, place, 8));
        if let (true, [Some(here), Some(all), Some(bytes), Some(offset)]) =
            (record.starts_with(END_64.0), numbers)
        {
            return Ok(Some(Said { files: [here, all], bytes, offset, end: at }));
        }
    }
    Ok(None)
}

/// At most this many bytes from a place on.
fn bytes_at<R: Read + Seek>(input: &mut R, at: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.seek(SeekFrom::Start(at))?;
    input.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The number at a place, its lowest byte first.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + length)?;
    Some(bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

/// The number of files that a directory lists.
fn files_of(directory: &[u8]) -> Result<u64, String> {
    let ends = [END.0, LOCATOR.0, END_64.0];
    if directory.windows(4).any(|bytes| ends.iter().any(|end| *end == bytes)) {
        return Err("a zip whose directory of files holds no other end".to_owned());
    }
    let mut names = HashSet::new();
    let mut rest = directory;
    while !rest.is_empty() {
        let lengths = ENTRY_LENGTHS.map(|at| number(rest, at, 2).and_then(|n| usize::try_from(n).ok()));
        let (true, [Some(name), Some(extra), Some(comment)]) = (rest.starts_with(ENTRY.0), lengths) else {
            return Err(BROKEN.to_owned());
        };
        let name_bytes = rest.get(ENTRY.1..ENTRY.1 + name).ok_or(BROKEN)?;
        rest = rest.get(ENTRY.1 + name + extra + comment..).ok_or(BROKEN)?;
        if !names.insert(name_bytes) {
            return Err(format!("{} stands in it twice", shown(&String::from_utf8_lossy(name_bytes))));
        }
        if names.len() > MAX_FILES {
            return Err(format!("at most {MAX_FILES} files, this has more"));
        }
    }
    Ok(names.len() as u64)
}

/// A zip's end that names this directory; `None` if it is too far behind for its numbers.
fn new_end(said: &Said, files: u64) -> Option<Vec<u8>> {
    let files = u16::try_from(files).ok()?.to_le_bytes();
    let [bytes, offset] = [said.bytes, said.offset].map(|number| u32::try_from(number).ok());
    let (bytes, offset) = (bytes?.to_le_bytes(), offset?.to_le_bytes());
    Some([END.0.as_slice(), &[0; 4], &files, &files, &bytes, &offset, &[0; 2]].concat())
}

/// A zip as the library sees it.
pub(super) struct View<R> {
    input: R,
    /// Where `input` is, if it is known.
    input_at: Option<u64>,
    position: u64,
    /// Where the directory begins.
    start: u64,
    /// The directory and the new end.
    tail: Vec<u8>,
    /// Whether the bytes before the directory may be read.
    is_open: Arc<AtomicBool>,
}

impl<R: Read + Seek> Read for View<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.position.checked_sub(self.start) {
            Some(at) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                self.tail.get(at..).unwrap_or_default().read(buffer)?
            }
            None => {
                let left = usize::try_from(self.start - self.position).unwrap_or(usize::MAX);
                let most = buffer.len().min(left);
                self.read_before(&mut buffer[..most])?
            }
        };
        self.position += read as u64;
        Ok(read)
    }
}

impl<R: Read + Seek> View<R> {
    /// Reads before the directory.
    fn read_before(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_open.load(Ordering::Relaxed) {
            buffer.fill(0);
            return Ok(buffer.len());
        }
        // Seeking throws away what is buffered.
        if self.input_at != Some(self.position) {
            self.input_at = None;
            self.input.seek(SeekFrom::Start(self.position))?;
        }
        let read = self.input.read(buffer)?;
        self.input_at = Some(self.position + read as u64);
        Ok(read)
    }
}

impl<R> Seek for View<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length = self.start + self.tail.len() as u64;
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
