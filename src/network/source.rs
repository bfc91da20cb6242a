//! A folder of files, or a zip of one. What is read is counted, so that no file and no zip takes
//! more memory or time than the bounds allow, whatever its directory says.

use super::{
    bounds::{FREE_UNZIPPED_BYTES, MAX_FILES, MAX_ZIP_RATIO},
    fault::{Fault, shown},
    zip_directory::{self, View},
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};
use zip::ZipArchive;

/// What faults call a zip that has no path.
const UPLOADED: &str = "the zip";

/// How much may be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of one file, bytes.
    pub(super) file: u64,
    /// Of all files, bytes.
    pub(super) total: u64,
}

/// Files that are built in: their names and their texts.
pub type Embedded = &'static [(&'static str, &'static str)];

/// What a zip is read from.
trait Input: Read + Seek + Send {}

impl<T: Read + Seek + Send> Input for T {}

/// An open folder or zip.
pub(super) struct Source {
    kind: Kind,
    /// The files by name, with their places in a zip.
    files: BTreeMap<String, usize>,
    limits: Limits,
    left: u64,
}

enum Kind {
    Folder(PathBuf),
    Embedded(Embedded),
    Zip(Box<ZipArchive<View<Box<dyn Input>>>>),
}

impl Source {
    /// Opens a folder or a zip. In a zip, the files may stand in one folder.
    ///
    /// # Errors
    /// It does not exist, or is neither; too many files; a name twice; files in several folders.
    pub(super) fn open(path: &Path, limits: Limits) -> Result<Self, Fault> {
        let named = path.display().to_string();
        let fault = |error: &dyn std::fmt::Display| Fault::of_file(&named, error.to_string());
        let about = fs::metadata(path).map_err(|error| fault(&error))?;
        let (kind, names) = if about.is_dir() {
            (Kind::Folder(path.to_owned()), names_in(path).map_err(|error| fault(&error))?)
        } else if about.is_file() {
            let file = File::open(path).map_err(|error| fault(&error))?;
            zip(Box::new(BufReader::new(file))).map_err(|error| fault(&error))?
        } else {
            return Err(fault(&"a folder or a zip file"));
        };
        Self::of(kind, &names, limits).map_err(|rule| fault(&rule))
    }

    /// A zip in memory.
    ///
    /// # Errors
    /// It is none; too many files; a name twice; files in several folders.
    pub(super) fn of_zip(bytes: Arc<[u8]>, limits: Limits) -> Result<Self, Fault> {
        let opened = zip(Box::new(io::Cursor::new(bytes)));
        let opened = opened.and_then(|(kind, names)| Self::of(kind, &names, limits));
        opened.map_err(|rule| Fault::of_file(UPLOADED, rule))
    }

    fn of(kind: Kind, names: &[String], limits: Limits) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        let mut folder = None;
        for (at, name) in names.iter().enumerate() {
            let (path, base) = name.rsplit_once(['/', '\\']).unwrap_or(("", name));
            // What systems leave behind in zips is no file of the folder.
            if base.is_empty() || base.starts_with('.') || name.starts_with("__MACOSX/") {
                continue;
            }
            let (first, of_first) = *folder.get_or_insert((name, path));
            if of_first != path {
                return Err(format!(
                    "all files stand in one folder, but not {} and {}",
                    shown(first),
                    shown(name)
                ));
            }
            if files.insert(base.to_owned(), at).is_some() {
                return Err(format!("{} stands in it twice", shown(base)));
            }
        }
        Ok(Self { kind, files, limits, left: limits.total })
    }

    /// Files that are built in.
    pub(super) fn embedded(files: Embedded, limits: Limits) -> Self {
        let places = files.iter().enumerate().map(|(at, (name, _))| ((*name).to_owned(), at));
        Self { kind: Kind::Embedded(files), files: places.collect(), limits, left: limits.total }
    }

    /// The names of its files.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Reads a file by `read`; `None` if there is none of the name. A read beyond a bound fails.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut dyn BufRead) -> T,
    ) -> Option<Result<T, Fault>> {
        let at = *self.files.get(name)?;
        let most = self.limits.file.min(self.left);
        let (value, taken) = match &mut self.kind {
            Kind::Folder(folder) => match open_file(&folder.join(name)) {
                Err(error) => return Some(Err(Fault::of_file(name, error.to_string()))),
                Ok(file) => bounded(file, most, "this file is larger than may be read", read),
            },
            Kind::Embedded(files) => {
                let text = files.get(at).map_or("", |(_, text)| text);
                bounded(text.as_bytes(), most, "this file is larger than may be read", read)
            }
            Kind::Zip(zip) => match zip.by_index(at) {
                Err(error) => return Some(Err(Fault::of_file(name, error.to_string()))),
                Ok(file) => {
                    let by_ratio =
                        file.compressed_size().saturating_mul(MAX_ZIP_RATIO).max(FREE_UNZIPPED_BYTES);
                    let rule = if by_ratio < most {
                        "it unzips to more than 200 times its size, as no table does"
                    } else {
                        "this file is larger than may be read"
                    };
                    bounded(file, most.min(by_ratio), rule, read)
                }
            },
        };
        self.left -= taken;
        Some(Ok(value))
    }
}

/// Opens a zip, and returns the names of its files.
fn zip(input: Box<dyn Input>) -> Result<(Kind, Vec<String>), String> {
    let zip = zip_directory::open(input)?;
    let names: Vec<String> = zip.file_names().map(str::to_owned).collect();
    Ok((Kind::Zip(Box::new(zip)), names))
}

fn open_file(path: &Path) -> io::Result<File> {
    // A pipe or a device would block, or never end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    File::open(path)
}

fn names_in(folder: &Path) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let name = entry.map_err(|error| error.to_string())?.file_name();
        names.push(name.to_string_lossy().into_owned());
        if names.len() > MAX_FILES {
            return Err(format!("at most {MAX_FILES} files, this has more"));
        }
    }
    Ok(names)
}

/// Calls `read` with at most `most` bytes, and returns how many it took.
fn bounded<T>(
    file: impl Read,
    most: u64,
    rule: &'static str,
    read: impl FnOnce(&mut dyn BufRead) -> T,
) -> (T, u64) {
    let mut input = BufReader::with_capacity(1 << 16, Bounded { file, left: most, rule });
    let value = read(&mut input);
    (value, most - input.get_ref().left)
}

struct Bounded<R> {
    file: R,
    left: u64,
    rule: &'static str,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            return match self.file.read(&mut buffer[..1])? {
                0 => Ok(0),
                _ => Err(io::Error::other(self.rule)),
            };
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}
