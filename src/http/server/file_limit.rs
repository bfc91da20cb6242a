//! The process's limit on open files, which each connection counts against.

use crate::{domain::BoxError, settings::Settings, storage::PROBE_CONNECTIONS};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files besides connections: the listener, logs, Redis, resolvers, the runtime's own.
const OTHER_FILES: u64 = 64;

/// Makes sure that every connection of the settings can be opened. A process without file
/// descriptors accepts nobody, not even its health checks, and says nothing.
///
/// # Errors
/// Both numbers, if the limit cannot be raised so far.
pub fn require_files(settings: &Settings, connections: usize) -> Result<(), BoxError> {
    let database =
        settings.database.max_connections + settings.database.reserved_connections + PROBE_CONNECTIONS;
    let needed = connections as u64 + u64::from(database) + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if maximum.is_none_or(|maximum| maximum >= needed) {
        let raised = Rlimit { current: Some(needed), maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            tracing::info!(from = current, to = needed, "raised the limit on open files");
            return Ok(());
        }
    }
    let least = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    Err(format!(
        "{needed} open files are needed ({connections} connections, {database} of the database, {OTHER_FILES} others), \
         but the process may have {} (hard limit {}): raise the limit (ulimit -n, LimitNOFILE) or lower \
         http.max_connections",
        least(current),
        least(maximum)
    )
    .into())
}
