//! The user that the server runs as, and the supervisor that stops it: the calls of the operating
//! system.
//!
//! The server outlives the process that started it as long as others hold a lease, so neither that
//! process nor a parent-death signal bound to it can stop it. A small **supervisor** does: a fork
//! of the starter that never executes another program, the parent of the postmaster, in a session
//! of its own. A fork and no helper program because a test binary cannot be run again as something
//! else and `flock(1)` is not everywhere. What it does after the fork is plain system calls, with
//! no allocation and no lock, as its memory is a snapshot of a process with many threads.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// How often the supervisor checks the lease and the postmaster, nanoseconds.
const POLL_NANOS: libc::c_long = 250_000_000;
/// For how many polls in a row no process may hold the lease before the server is stopped: a grace
/// of 2 s.
const GRACE_POLLS: u32 = 8;
/// How many polls a fast shutdown may take, and then an immediate one: 20 s each.
const STOP_POLLS: u32 = 80;

/// A user of this machine that the server runs as.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Looks a user up by name.
    #[allow(unsafe_code, reason = "calls of libc; each block says why it is sound")]
    pub(super) fn named(name: &CStr) -> Option<Self> {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        let mut text = [0; 4096];
        // SAFETY: all pointers are to live memory of the lengths given. `entry` is read only if the
        // call says, by a non-null `found`, that it filled it in, and only its numbers are, not the
        // pointers into `text`.
        unsafe {
            let code = libc::getpwnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                text.as_mut_ptr(),
                text.len(),
                &raw mut found,
            );
            if code != 0 || found.is_null() {
                return None;
            }
            let entry = entry.assume_init();
            Some(Self { uid: entry.pw_uid, gid: entry.pw_gid })
        }
    }

    /// Whether this user can enter `dir`: tried, since access lists and mounts have a say in it
    /// too.
    pub(super) fn reaches(&self, dir: &Path) -> bool {
        let status = command(Path::new("/bin/sh"), Some(self)).args(["-c", ":"]).current_dir(dir).status();
        !status.is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// The name of a user id, as the system's user database says.
#[must_use]
#[allow(unsafe_code, reason = "calls of libc; each block says why it is sound")]
pub fn user_name(uid: u32) -> Option<String> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found = std::ptr::null_mut();
    let mut text = [0; 4096];
    // SAFETY: all pointers are to live memory of the lengths given. `entry` is read only if the
    // call says, by a non-null `found`, that it filled it in. Its name is then a string that ends
    // within `text`, and is copied while `text` lives.
    unsafe {
        let code = libc::getpwuid_r(uid, entry.as_mut_ptr(), text.as_mut_ptr(), text.len(), &raw mut found);
        if code != 0 || found.is_null() {
            return None;
        }
        let name = CStr::from_ptr(entry.assume_init().pw_name);
        name.to_str().ok().filter(|name| !name.is_empty()).map(str::to_owned)
    }
}

/// For messages.
pub(super) fn describe(account: Option<&Account>) -> String {
    account.map_or_else(|| "this user".into(), |account| format!("the user with id {}", account.uid))
}

/// The user id that this process acts as.
#[allow(unsafe_code, reason = "calls of libc; each block says why it is sound")]
pub(super) fn effective_uid() -> u32 {
    // SAFETY: the call has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

pub(super) fn is_root() -> bool {
    effective_uid() == 0
}

/// A command that runs as `account`, if there is one, without the other groups of this process.
pub(super) fn command(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Lets the command hold `lock` as well, for as long as it or a child of it runs.
#[allow(unsafe_code, reason = "calls of libc; each block says why it is sound")]
pub(super) fn inherit(command: &mut Command, lock: &File) {
    let lock = lock.as_raw_fd();
    // SAFETY: the closure makes one system call and allocates nothing. A caller that closed `lock`
    // early would get an error from the spawn, and nothing worse.
    unsafe {
        command.pre_exec(move || keep_open(lock));
    }
}

/// Starts the postmaster under a supervisor. `lock` goes to the postmaster and all of its children.
/// `lease` has to be opened for this call: the supervisor locks it, and a lock belongs to the
/// opening, not to the process.
#[allow(unsafe_code, reason = "calls of libc; each block says why it is sound")]
pub(super) fn spawn(mut postgres: Command, lease: File, lock: File) -> io::Result<()> {
    let (lease_fd, lock_fd) = (lease.as_raw_fd(), lock.as_raw_fd());
    // SAFETY: the closure runs between fork and exec, after the user, the folder and the output are
    // set, and makes only system calls. `fork` is one of them here: of what the C libraries do
    // around it, the first fork has already put their locks in order for this process. The
    // supervisor never returns from its call, so no destructor of the starter's memory runs twice.
    unsafe {
        postgres.pre_exec(move || {
            libc::setsid();
            // The process that the starter waits for ends here, so that no zombie of it is left
            // later.
            if fork()? != 0 {
                libc::_exit(0);
            }
            let postmaster = fork()?;
            if postmaster != 0 {
                supervise(lease_fd, postmaster);
            }
            // A supervisor that is killed takes the server with it (fast shutdown). After the
            // change of the user, which would clear it.
            #[cfg(target_os = "linux")]
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGINT as libc::c_ulong);
            keep_open(lock_fd)
        });
    }
    // Returns when exec has succeeded, or with its error: the supervisor closes its end of that
    // pipe.
    postgres.spawn()?.wait()?;
    drop((lease, lock));
    Ok(())
}

#[allow(unsafe_code, reason = "calls of libc; each block says why it is sound")]
fn fork() -> io::Result<libc::pid_t> {
    // SAFETY: the callers do nothing in the child but system calls.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid),
    }
}

#[allow(unsafe_code, reason = "calls of libc; each block says why it is sound")]
fn keep_open(fd: RawFd) -> io::Result<()> {
    // SAFETY: sets a flag of a number; a wrong one is an error.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The supervisor: watches the lease until no process has held it for the grace time, then takes
/// it, so that new processes wait, and stops the server. Its end frees the lease. It ends early if
/// the postmaster ends.
#[allow(unsafe_code, reason = "calls of libc; each block says why it is sound")]
fn supervise(lease: RawFd, postmaster: libc::pid_t) -> ! {
    const LEASE: RawFd = 3;
    // SAFETY: system calls on numbers that this process owns. `postmaster` is its child and not
    // waited for before `ended` says so, hence the id of no other process.
    unsafe {
        // The starter's handlers would write into pipes that are closed here.
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            libc::signal(signal, libc::SIG_DFL);
        }
        // All of the starter's descriptors are closed: its lease, its sockets and its pipes.
        libc::dup2(lease, LEASE);
        close_from(LEASE + 1);
        let mut free = 0;
        while free < GRACE_POLLS {
            if ended(postmaster) {
                libc::_exit(0);
            }
            if libc::flock(LEASE, libc::LOCK_EX | libc::LOCK_NB) == 0 {
                free += 1;
                if free < GRACE_POLLS {
                    libc::flock(LEASE, libc::LOCK_UN);
                }
            } else {
                free = 0;
            }
        }
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGKILL] {
            libc::kill(postmaster, signal);
            for _ in 0..STOP_POLLS {
                if ended(postmaster) {
                    libc::_exit(0);
                }
            }
        }
        libc::_exit(1)
    }
}

/// Waits for one poll; returns whether the process has ended.
#[allow(unsafe_code, reason = "calls of libc; each block says why it is sound")]
fn ended(child: libc::pid_t) -> bool {
    let pause = libc::timespec { tv_sec: 0, tv_nsec: POLL_NANOS };
    // SAFETY: both pointers are to nothing or to `pause`, which lives; a signal cuts the pause
    // short, no more.
    unsafe {
        libc::nanosleep(&raw const pause, std::ptr::null_mut());
        libc::waitpid(child, std::ptr::null_mut(), libc::WNOHANG) != 0
    }
}

#[allow(unsafe_code, reason = "calls of libc; each block says why it is sound")]
fn close_from(first: RawFd) {
    /// How many descriptors are closed one by one where the system cannot close a range.
    const MAX_FD: RawFd = 65_536;
    // SAFETY: the supervisor uses none of the descriptors closed here.
    unsafe {
        #[cfg(target_os = "linux")]
        if libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) == 0 {
            return;
        }
        for fd in first..MAX_FD {
            libc::close(fd);
        }
    }
}
