//! Disks of a test's own, in memory: what mount(8) and umount(8) do, which a small machine may lack.

use std::{ffi::CString, io, os::unix::ffi::OsStrExt, path::Path};

/// Mounts a tmpfs; root alone may. `options` are those of tmpfs(5), for example `size=320m`.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the system call has no safe form in the standard library")]
pub fn tmpfs(at: &Path, options: &str) -> io::Result<()> {
    let (at, options) = (c_string(at.as_os_str().as_bytes())?, c_string(options.as_bytes())?);
    let kind = c"tmpfs".as_ptr();
    // SAFETY: all four are strings that end in a zero byte and outlive the call.
    let done = unsafe { libc::mount(kind, at.as_ptr(), kind, 0, options.as_ptr().cast()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes the mounted disk away, at once for new users and for its present ones when they end.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the system call has no safe form in the standard library")]
pub fn detach(at: &Path) -> io::Result<()> {
    let at = c_string(at.as_os_str().as_bytes())?;
    // SAFETY: it is a string that ends in a zero byte and outlives the call.
    let done = unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
pub fn tmpfs(_: &Path, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub fn detach(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}
