//! The folder of this run of the tests: what they need on the disk while they run, and nothing of
//! it afterwards.
//!
//! Servers run as another user where the tests run as root, so the folder is where that user can
//! reach it: in the build's own folder, or, if that is closed to that user or too deep for a
//! socket's path, in the system's folder for temporary files that are on a disk. It goes when this
//! process ends, however it ends: a shell that waits for the end of a pipe takes it away. If that
//! was killed too, the next run does: each run holds a lock in its folder, and a folder whose lock
//! is free is abandoned.

use farebox::embedded;
use std::{
    fs::{self, File},
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
};

/// The folder's name begins with it.
const NAME: &str = "farebox-run-";
/// The folder's lock.
const LOCK: &str = "lock";
/// A longer path of the folder around leaves too little room for a socket's, bytes.
const LONGEST_AROUND: usize = 40;
/// Where temporary files outlive a restart, so on a disk: durable servers are to feel one.
const ON_DISK: &str = "/var/tmp";
/// Waits until the run has ended, then for the servers of the run, which stop by themselves (within
/// a minute), and takes the folder away with what is mounted in it.
const REAPER: &str = r#"
read -r end
for i in $(seq 120); do
    running=
    for file in $(find "$1" -name postmaster.pid 2>/dev/null); do
        read -r pid < "$file" && kill -0 "$pid" 2>/dev/null && running=1
    done
    [ -z "$running" ] && break
    sleep 0.5
done
for i in $(seq 20); do
    grep -F " $1/" /proc/mounts 2>/dev/null | cut -d ' ' -f 2 | while read -r at; do umount -l "$at"; done
    rm -rf "$1" 2>/dev/null
    [ -e "$1" ] || break
    sleep 0.5
done
"#;

/// This run's folder.
struct Run {
    path: PathBuf,
    _lock: File,
    /// Its input is open until this process ends.
    _reaper: Child,
}

static RUN: LazyLock<Run> = LazyLock::new(|| {
    let around = around();
    sweep(&around);
    Run::begin(&around)
});

/// A path in the run's folder; nothing is there yet, unless the same name was asked for before.
pub fn folder(name: &str) -> PathBuf {
    super::tools::check();
    RUN.path.join(name)
}

/// A path that stays from run to run, in the build's folder, if a server can be there; else in the
/// run's folder.
pub fn lasting_folder(name: &str) -> PathBuf {
    super::tools::check();
    let built = Path::new(env!("CARGO_TARGET_TMPDIR"));
    if around() == built { built.join(name) } else { folder(name) }
}

fn around() -> PathBuf {
    let built = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let fits = built.as_os_str().len() <= LONGEST_AROUND && embedded::reaches(built);
    let on_disk = Path::new(ON_DISK);
    match (fits, on_disk.is_dir()) {
        (true, _) => built.to_owned(),
        (false, true) => on_disk.to_owned(),
        (false, false) => std::env::temp_dir(),
    }
}

impl Run {
    /// The folder gets its name once it is locked, so that no sweep takes it for abandoned.
    fn begin(around: &Path) -> Self {
        let id = &uuid::Uuid::new_v4().simple().to_string()[..8];
        let (path, fresh) = (around.join(format!("{NAME}{id}")), around.join(format!("farebox-new-{id}")));
        fs::create_dir(&fresh).unwrap();
        fs::set_permissions(&fresh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let lock = File::create(fresh.join(LOCK)).unwrap();
        lock.lock().unwrap();
        fs::rename(&fresh, &path).unwrap();
        let mut reaper = Command::new("sh");
        reaper.args(["-c", REAPER, "sh"]).arg(&path).current_dir("/").process_group(0);
        reaper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { path, _lock: lock, _reaper: reaper.spawn().unwrap() }
    }
}

/// Takes away the folders of runs that have ended, with the sockets of their servers.
fn sweep(around: &Path) {
    let ours =
        fs::metadata("/proc/self").or_else(|_| fs::metadata(env!("CARGO_TARGET_TMPDIR"))).unwrap().uid();
    for entry in fs::read_dir(around).unwrap().flatten() {
        let path = entry.path();
        let is_run = entry.file_name().to_str().is_some_and(|name| name.starts_with(NAME));
        let is_ours = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir() && found.uid() == ours);
        if !is_run || !is_ours {
            continue;
        }
        // Without a lock it is half taken away already.
        let lock = File::open(path.join(LOCK)).ok();
        if lock.as_ref().is_some_and(|lock| lock.try_lock().is_err()) {
            continue;
        }
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let inside = format!("{}/", path.display());
        for mounted in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
            if mounted.starts_with(&inside) {
                let _ = super::mount::detach(Path::new(mounted));
            }
        }
        for data in fs::read_dir(&path).into_iter().flatten().flatten() {
            let _ = embedded::remove(&data.path());
        }
        let _ = fs::remove_dir_all(&path);
    }
}
