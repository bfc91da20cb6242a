//! Opening the server's files. They are in a folder of the server's user, who can replace each of
//! them at any time, and root opens them by name: so never through a link, and nothing that is not
//! a plain file of that user or of this process's.

use super::{
    error::{Context, EmbeddedError, Result},
    supervise::{self, Account},
};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::Path,
};

/// Most bytes of a log that are read for a message.
const MAX_TAIL_BYTES: u64 = 64 * 1024;

/// Opens a file for reading and writing, and makes it if it is missing. Its contents stay.
pub(super) fn open(path: &Path, account: Option<&Account>) -> Result<File> {
    let opened = || -> io::Result<Option<File>> {
        let mut options = File::options();
        // A pipe that somebody put here would block without O_NONBLOCK.
        options.read(true).write(true).create(true).mode(0o600);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = match options.open(path) {
            Err(error) if is_no_file(&error) => return Ok(None),
            opened => opened?,
        };
        if !is_plain(&file, account)? {
            return Ok(None);
        }
        if let Some(account) = account {
            fchown(&file, Some(account.uid), Some(account.gid))?;
        }
        Ok(Some(file))
    };
    let file = opened().context(|| format!("opening {}", path.display()))?;
    file.ok_or_else(|| EmbeddedError::NotAPlainFile {
        path: path.to_owned(),
        user: supervise::describe(account),
    })
}

/// Opens a log and empties it.
pub(super) fn open_log(path: &Path, account: Option<&Account>) -> Result<File> {
    let file = open(path, account)?;
    file.set_len(0).context(|| format!("emptying {}", path.display()))?;
    Ok(file)
}

/// The end of a log; nothing if it cannot be read safely.
pub(super) fn tail(path: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut file = File::options().read(true).custom_flags(flags).open(path)?;
        let found = file.metadata()?;
        if !found.is_file() || found.nlink() != 1 {
            return Ok(Vec::new());
        }
        file.seek(SeekFrom::Start(found.len().saturating_sub(MAX_TAIL_BYTES)))?;
        let mut end = Vec::new();
        file.take(MAX_TAIL_BYTES).read_to_end(&mut end)?;
        Ok(end)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// Whether opening failed because there is a link, a folder, or a socket or pipe without a reader.
fn is_no_file(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ELOOP | libc::EISDIR | libc::ENXIO | libc::EMLINK))
}

/// Another name of the file, in another folder, would be a way out of this one too.
fn is_plain(file: &File, account: Option<&Account>) -> io::Result<bool> {
    let found = file.metadata()?;
    let owners = [supervise::effective_uid(), account.map_or_else(supervise::effective_uid, |a| a.uid)];
    Ok(found.is_file() && found.nlink() == 1 && owners.contains(&found.uid()))
}
