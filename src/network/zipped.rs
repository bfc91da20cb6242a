//! Writing files into a zip. The same files are the same bytes.

use super::write::File;
use std::io::{self, Seek, Write};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

/// A zip of these files, in memory.
///
/// # Errors
/// More than a zip holds.
pub fn zipped(files: &[File]) -> io::Result<Vec<u8>> {
    Ok(into(files, io::Cursor::new(Vec::new()))?.into_inner())
}

/// Writes a zip of these files.
pub(super) fn into<W: Write + Seek>(files: &[File], to: W) -> io::Result<W> {
    let mut zip = ZipWriter::new(to);
    // The time is a constant, so that the same files are the same bytes.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    for (name, bytes) in files {
        zip.start_file(*name, options)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?)
}
