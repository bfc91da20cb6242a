//! Zips whose directories lie: each is refused by rule before its entries take memory.

use super::{Files, check, small, written};
use crate::harness::folder;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};
use zip::{ZipWriter, write::SimpleFileOptions};

/// A zip of these files; what `change` makes of its bytes.
fn zip_of(name: &str, files: &[(String, Vec<u8>)], change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> PathBuf {
    let path = folder(&format!("{name}.zip"));
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    fs::write(&path, change(zip.finish().unwrap().into_inner())).unwrap();
    path
}

fn in_folder(folder: &str, files: Files) -> Vec<(String, Vec<u8>)> {
    files.into_iter().map(|(name, bytes)| (format!("{folder}{name}"), bytes)).collect()
}

/// A zip's bytes, its directory, and the record at its end.
fn parts(zip: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let end = zip.len() - 22;
    assert!(zip[end..].starts_with(b"PK\x05\x06"));
    let number = |at: usize| u32::from_le_bytes(zip[end + at..end + at + 4].try_into().unwrap()) as usize;
    let start = number(16);
    (&zip[..start], &zip[start..start + number(12)], &zip[end..])
}

/// The record at the end says these numbers: of files here, and of all.
fn saying(here: u16, all: u16) -> impl FnOnce(Vec<u8>) -> Vec<u8> {
    move |mut zip| {
        let end = zip.len() - 22;
        zip[end + 8..end + 10].copy_from_slice(&here.to_le_bytes());
        zip[end + 10..end + 12].copy_from_slice(&all.to_le_bytes());
        zip
    }
}

/// The same zip with an end of 64 bits that says this number of files, and zeros behind it.
fn in_64(files: u64, zeros: usize) -> impl FnOnce(Vec<u8>) -> Vec<u8> {
    move |zip| {
        let (data, directory, end) = parts(&zip);
        let numbers = |numbers: &[u64]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_le_bytes()).collect() };
        let at = (data.len() + directory.len()) as u64;
        let record = [
            b"PK\x06\x06".to_vec(),
            numbers(&[44]),
            vec![45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            numbers(&[files, files, directory.len() as u64, data.len() as u64]),
            vec![0; zeros],
        ];
        let locator = [b"PK\x06\x07\0\0\0\0".to_vec(), numbers(&[at]), vec![1, 0, 0, 0]];
        let end = [&end[..8], &[0xff; 12], &[0, 0]].concat();
        [data.to_vec(), directory.to_vec(), record.concat(), locator.concat(), end].concat()
    }
}

fn many(count: usize) -> Vec<(String, Vec<u8>)> {
    (0..count).map(|n| (format!("f{n}"), Vec::new())).collect()
}

#[test]
fn no_more_entries_are_held_than_there_may_be_files() {
    const TOO_MANY: &str = "at most 1000 files, this has";
    check(&zip_of("here-lies", &many(60_000), saying(60_000, 1))).refused(TOO_MANY);
    check(&zip_of("all-lies", &many(2_000), saying(1, 2_000))).refused(TOO_MANY);
    check(&zip_of("both-lie", &many(2_000), saying(1, 1))).refused(TOO_MANY);
    check(&zip_of("many-lie", &many(60_000), saying(1, 1))).refused("at most 1048576 bytes");
    check(&zip_of("too-few", &many(5), saying(6, 6))).refused("how many files it has: 5, not 6 and 6");
    check(&zip_of("in-64", &many(2_000), in_64(2_000, 0))).refused(TOO_MANY);
    check(&zip_of("huge-64", &many(1), in_64(1 << 40, 0))).refused(TOO_MANY);
    // The record stands farther before the end than the longest comment is.
    check(&zip_of("far-64", &many(2_000), in_64(2_000, 100_000))).refused(TOO_MANY);
    // A second end within the first file, to which a reader might go back.
    let inner = fs::read(zip_of("inner", &many(2_000), |zip| zip)).unwrap();
    let mut files = in_folder("", small());
    files.push(("inner.csv".to_owned(), inner));
    let broken = |mut zip: Vec<u8>| {
        let at = parts(&zip).0.len();
        zip[at..at + 4].copy_from_slice(b"PK\x01\x03");
        zip
    };
    check(&zip_of("fallback", &files, broken)).refused("its directory of files cannot be read");
    fs::write(folder("empty.zip"), b"").unwrap();
    check(&folder("empty.zip")).refused("its directory of files cannot be read");
}

#[test]
fn files_stand_in_one_folder_and_each_name_once() {
    let mut twice = in_folder("", small());
    twice.push(("stopz.csv".to_owned(), b"code,name\n".to_vec()));
    let renamed = |zip: Vec<u8>| -> Vec<u8> {
        let mut zip = zip;
        for at in 0..zip.len() - 9 {
            if &zip[at..at + 9] == b"stopz.csv" {
                zip[at..at + 9].copy_from_slice(b"stops.csv");
            }
        }
        zip
    };
    check(&zip_of("twice", &twice, renamed)).refused("\"stops.csv\" stands in it twice");
    let mut apart = in_folder("a/", small());
    let (name, _) = apart.last_mut().unwrap();
    *name = name.replace("a/", "b/");
    check(&zip_of("apart", &apart, |zip| zip)).refused("all files stand in one folder, but not \"a/");
    apart.last_mut().unwrap().0 = "a/b/stops.csv".to_owned();
    check(&zip_of("below", &apart, |zip| zip)).refused("all files stand in one folder, but not \"a/");
}

#[test]
fn zips_of_all_shapes_are_read() {
    let files = || in_folder("a network/", small());
    let mut left_behind = files();
    left_behind.push(("__MACOSX/a network/._stops.csv".to_owned(), b"\0".to_vec()));
    left_behind.push(("a network/.DS_Store".to_owned(), b"\0".to_vec()));
    check(&zip_of("left-behind", &left_behind, |zip| zip)).succeeded();
    check(&zip_of("as-64", &files(), in_64(small().len() as u64, 0))).succeeded();
    let before = |zip: Vec<u8>| [b"MZ".repeat(5_000), zip].concat();
    check(&zip_of("bytes-before", &files(), before)).succeeded();
    let comment = |mut zip: Vec<u8>| {
        let length = zip.len() - 2;
        zip.truncate(length);
        zip.extend(60_000_u16.to_le_bytes());
        zip.extend(b"PK\x05\x06".repeat(15_000));
        zip
    };
    check(&zip_of("comment", &files(), comment)).succeeded();
    check(&written("as-folder", &small())).succeeded();
    assert!(!check(Path::new("/dev/null")).is_ok);
}
