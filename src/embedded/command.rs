//! Running a program to its end, with its output in a log.

use super::{
    POLL,
    error::{Context, EmbeddedError, Result},
    file::tail,
};
use std::{
    fs::File,
    io,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Runs a program with its output in `log`; returns whether it succeeded.
pub(super) fn run(command: &mut Command, log: &File, limit: Duration, what: &'static str) -> Result<bool> {
    let mut wait = || -> io::Result<Option<bool>> {
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        let mut child = command.spawn()?;
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status.success()));
            }
            if began.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            #[expect(clippy::disallowed_methods, reason = "the caller runs on a thread for blocking work")]
            std::thread::sleep(POLL);
        }
    };
    wait().context(|| format!("running {what}"))?.ok_or(EmbeddedError::TimedOut { what, limit })
}

/// An error with the last lines of a log.
pub(super) fn failed(what: &'static str, log: &Path) -> EmbeddedError {
    const LINES: usize = 12;
    let text = tail(log);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
    EmbeddedError::Failed { what, log: log.to_owned(), tail }
}
