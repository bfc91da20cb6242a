//! No core dumps: the memory of a process holds keys, passwords and personal data.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Keeps the process from writing core dumps, and other processes of its user from reading its
/// memory.
///
/// # Errors
/// The operating system's.
pub fn forbid_core_dumps() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
