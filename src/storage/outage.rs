//! Classes of database errors, and when the last outage was.

use super::waiting::POOL_TIMEOUTS;
use sqlx::postgres::PgDatabaseError;
use std::{
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

/// When this process met an outage, or a stale plan, last. Pools compare their connections with it.
static LAST_OUTAGE: RwLock<Option<Instant>> = RwLock::new(None);

/// Whether a connection of this age was made before the last outage, and so may be broken.
pub(crate) fn predates_outage(age: Duration) -> bool {
    let last = LAST_OUTAGE.read().unwrap_or_else(PoisonError::into_inner);
    last.is_some_and(|last| last.elapsed() < age)
}

/// Whether the database could not be reached or could not write: a 503, not a 500. Only classifies
/// the error; [`note_outage`] also records it.
pub fn is_outage(error: &sqlx::Error) -> bool {
    if breaks_connections(error) {
        return true;
    }
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        // 53: out of resources, such as connections or disk space.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("53")),
        _ => false,
    }
}

/// Classifies an error of a statement as [`is_outage`] does, and renews the connections if it is
/// one that breaks connections. What broke one connection has mostly broken the others. Background
/// tasks call this too, so that a rider's request is not the first to find out. Counts an exhausted
/// pool ([`POOL_TIMEOUTS`]).
pub fn note_outage(error: &sqlx::Error) -> bool {
    if breaks_connections(error) {
        renew_connections();
    }
    if matches!(error, sqlx::Error::PoolTimedOut) {
        POOL_TIMEOUTS.inc();
    }
    is_outage(error)
}

/// SQLSTATEs of values that PostgreSQL cannot store: too long, out of range, not a date or time,
/// not a character, not a text of the type, a violated check constraint.
const UNFIT: [&str; 8] = ["22001", "22003", "22007", "22008", "22021", "22P02", "22P05", "23514"];

/// Whether a value of a request cannot be stored. The domain types refuse such values first, so one
/// that gets here shows a gap in them.
pub fn is_unfit(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| UNFIT.contains(&&*code))
}

/// Whether the database aborted the statement because of concurrent ones: a lock timeout, a
/// deadlock or a serialization failure. The statement had no effect, and a retry may succeed.
pub fn is_contended(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["55P03", "40P01", "40001"].contains(&&*code))
}

/// Whether the database stopped the statement because it took too long.
pub fn is_stopped(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "57014")
}

/// The kind of an error without its text, which may quote a value: the SQLSTATE, or what is at fault
/// on this side.
pub fn error_type(error: &sqlx::Error) -> String {
    let kind = match error {
        sqlx::Error::Database(refused) => {
            return refused.code().map_or_else(|| "database".to_owned(), |code| format!("sqlstate {code}"));
        }
        sqlx::Error::PoolTimedOut => "pool timed out",
        sqlx::Error::PoolClosed => "pool closed",
        sqlx::Error::RowNotFound => "row not found",
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => "decode",
        error if breaks_connections(error) => "connection",
        _ => "database",
    };
    kind.to_owned()
}

/// Makes every pool of this process discard the connections that exist now.
pub(super) fn renew_connections() {
    *LAST_OUTAGE.write().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

fn breaks_connections(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            true
        }
        // 08 connection, 57P0x shutting down or starting up, 25006 read-only after a failover.
        sqlx::Error::Database(refused) => {
            let code = refused.code();
            code.is_some_and(|code| code.starts_with("08") || code.starts_with("57P0") || code == "25006")
                || is_stale_plan(error)
        }
        _ => false,
    }
}

/// Whether a statement's plan, or the prepared statement itself, is no longer valid on its
/// connection, because the schema changed or a pooler discarded it. PostgreSQL finds out when it
/// looks the plan up, before the statement has any effect. A missing column or table is not a stale
/// plan: a retry does not help.
pub fn is_stale_plan(error: &sqlx::Error) -> bool {
    let refused = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    refused.is_some_and(|refused| match refused.code() {
        // "cached plan must not change result type". The text is translated, the name of the
        // function is not.
        "0A000" => refused.routine() == Some("RevalidateCachedQuery"),
        // A prepared statement does not exist, or exists already: DISCARD, or a pooler between us.
        "26000" | "42P05" => true,
        // "cache lookup failed for type 16999": dropped and made anew. Internal errors are not
        // translated.
        "XX000" => refused.message().starts_with("cache lookup failed"),
        _ => false,
    })
}
