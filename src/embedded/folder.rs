//! The folders of the cluster and of its socket.

use super::{
    error::{Context, EmbeddedError, Result},
    supervise::{self, Account},
};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

/// A socket's path may have 103 bytes on macOS and 107 on Linux; this leaves space for
/// `/.s.PGSQL.5432`.
const SOCKET_DIR_MAX: usize = 85;

/// The folder of the cluster and its files, and the user that the server runs as if this process is
/// root's.
pub(super) fn home(data: &Path) -> Result<(PathBuf, Option<Account>)> {
    if !data.exists() {
        // The server's user must be able to pass it, whatever the umask is; the folder below is
        // private.
        let made = fs::create_dir_all(data)
            .and_then(|()| fs::set_permissions(data, PermissionsExt::from_mode(0o755)));
        made.context(|| format!("making the data folder {}", data.display()))?;
    }
    // The same name for all processes, whatever their working folder is.
    let data = data.canonicalize().context(|| format!("looking for {}", data.display()))?;
    let home = data.join("postgres");
    if !supervise::is_root() {
        return Ok((private_dir(home, None)?, None));
    }
    let owner = fs::symlink_metadata(&home).ok().filter(|folder| folder.is_dir() && folder.uid() != 0);
    let account = match owner {
        // An ordinary user's own server stays theirs when root joins in.
        Some(folder) => Account { uid: folder.uid(), gid: folder.gid() },
        None => Account::named(c"postgres")
            .or_else(|| Account::named(c"nobody"))
            .ok_or(EmbeddedError::NoAccount)?,
    };
    if account.reaches(&data) {
        return Ok((private_dir(home, Some(&account))?, Some(account)));
    }
    let elsewhere = private_dir(elsewhere(&data), Some(&account))?;
    // On stderr, whatever the log filter is: the data is not in the folder that the user named.
    eprintln!(
        "farebox: {} cannot reach the data folder {}: the data is in {}",
        supervise::describe(Some(&account)),
        data.display(),
        elsewhere.display()
    );
    Ok((elsewhere, Some(account)))
}

/// The folder of the data if the server's user cannot reach `data`.
pub(super) fn elsewhere(data: &Path) -> PathBuf {
    PathBuf::from(format!("/var/tmp/farebox-{}", short_hash(data)))
}

/// The folder of the socket if its path in `home` would be too long.
pub(super) fn elsewhere_socket(home: &Path) -> PathBuf {
    PathBuf::from(format!("/tmp/farebox-{}", short_hash(home)))
}

/// The folder of the socket: beside the data, unless the path is too long.
pub(super) fn socket_dir(home: &Path, account: Option<&Account>) -> Result<PathBuf> {
    if home.as_os_str().len() <= SOCKET_DIR_MAX {
        return Ok(home.to_owned());
    }
    private_dir(elsewhere_socket(home), account)
}

/// A folder of the server's user, closed to others. Its name can be guessed, so its owner is
/// checked.
fn private_dir(path: PathBuf, account: Option<&Account>) -> Result<PathBuf> {
    let checked = || -> io::Result<bool> {
        DirBuilder::new().mode(0o700).create(&path).or_else(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(e),
        })?;
        let found = fs::symlink_metadata(&path)?;
        let ours = account.map_or_else(supervise::effective_uid, |account| account.uid);
        if !found.is_dir() || (found.uid() != ours && found.uid() != supervise::effective_uid()) {
            return Ok(false);
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(0o700))?;
        if let Some(account) = account {
            chown(&path, Some(account.uid), Some(account.gid))?;
        }
        Ok(true)
    };
    if checked().context(|| format!("making {}", path.display()))? {
        Ok(path)
    } else {
        Err(EmbeddedError::NotOurs { path, user: supervise::describe(account) })
    }
}

/// A short name for a path, the same in every build.
fn short_hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
