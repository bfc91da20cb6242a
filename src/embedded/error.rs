//! Errors of the embedded server.

use std::{io, path::PathBuf, time::Duration};

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No server binaries were found, and none could be downloaded.
    #[error(
        "no PostgreSQL server found: set DATABASE_URL to a running server, or PG_BIN to a folder with \
         PostgreSQL 15 to 19, or install the package `postgresql`"
    )]
    NotFound,
    /// `PG_BIN` does not name the binaries of a supported server.
    #[error("PG_BIN={}: no PostgreSQL 15 to 19 that {user} can run (`postgres` and `initdb`) in that folder", .path.display())]
    BadPgBin {
        /// The folder that `PG_BIN` names.
        path: PathBuf,
        /// The user that the server runs as.
        user: String,
    },
    /// The cluster was made by a major version that is not installed.
    #[error(
        "{} was made by PostgreSQL {wanted}, found here: {found}. Set PG_BIN to a PostgreSQL {wanted}, or use another data folder",
        .data.display()
    )]
    OtherMajor {
        /// The cluster's folder.
        data: PathBuf,
        /// The major version that made it.
        wanted: u32,
        /// The major versions found here.
        found: String,
    },
    /// Running as root, and there is no other user to run the server as.
    #[error("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")]
    NoAccount,
    /// A folder that must belong to this process is a link, or has another owner.
    #[error("{} must be a folder owned by {user}", .path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// The owner that it must have.
        user: String,
    },
    /// A file of the server was replaced by something that is not a plain file of its own.
    #[error("{} must be a plain file of {user}, and neither a link nor linked: remove it", .path.display())]
    NotAPlainFile {
        /// The file.
        path: PathBuf,
        /// The owner that it must have.
        user: String,
    },
    /// There is no cluster, and none is to be made.
    #[error(
        "there is no database in {}: set DATABASE_URL, name its folder with --data, or make one with \
         `farebox migrate`",
        .data.display()
    )]
    NoCluster {
        /// The data folder.
        data: PathBuf,
    },
    /// A program failed; the end of its output follows.
    #[error("{what} failed, see {}:\n{tail}", .log.display())]
    Failed {
        /// The program.
        what: &'static str,
        /// Where all of its output is.
        log: PathBuf,
        /// The output's last lines.
        tail: String,
    },
    /// An operation took longer than its limit.
    #[error("gave up waiting for {what} after {} s", .limit.as_secs())]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// A file or process operation failed.
    #[error("{context}: {source}")]
    Io {
        /// The operation.
        context: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The server answered with an error.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

pub(super) type Result<T> = std::result::Result<T, EmbeddedError>;

/// Adds the operation to an I/O error.
pub(super) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| EmbeddedError::Io { context: what(), source })
    }
}
