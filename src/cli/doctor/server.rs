//! Checks of the database's server, which need no schema.

use super::finding::{CLOCK, CONNECTIONS, DATABASE, DURABILITY, ENCRYPTION, Finding};
use crate::{
    settings::{Settings, is_loopback},
    storage::PROBE_CONNECTIONS,
};
use chrono::{DateTime, TimeDelta, Utc};
use farebox_jobs::queue::admin::WorkerView;
use sqlx::{PgPool, postgres::PgSslMode};
use std::path::PathBuf;

/// How often the clocks are compared; the quickest answer counts.
const COMPARISONS: usize = 3;
/// Beyond this the clocks differ, milliseconds.
const DIFFERS_MS: i64 = 1_000;
/// Beyond this sessions end too early or too late, milliseconds.
const DIFFERS_MUCH_MS: i64 = 60_000;
/// Connections of commands that run beside the programs.
const COMMANDS: u32 = 2;

/// Whether the database answers, and accepts writes.
pub(super) async fn reached(pool: &PgPool) -> Finding {
    let row = sqlx::query_as("select pg_is_in_recovery(), current_setting('server_version')");
    match row.fetch_one(pool).await {
        Ok((false, version)) => {
            let version: String = version;
            DATABASE.ok(format!("PostgreSQL {version}"))
        }
        Ok((true, _)) => DATABASE.fail(
            "the server is a standby, and accepts no writes",
            "lead DATABASE_URL to the primary (docs/operators/backup-and-failover.md)",
        ),
        Err(error) => DATABASE.fail(error.to_string(), "start PostgreSQL, or correct DATABASE_URL"),
    }
}

/// Where the server keeps its data, if the role may know.
pub(super) async fn data_directory(pool: &PgPool) -> Option<PathBuf> {
    let shown = sqlx::query_scalar("select current_setting('data_directory')");
    // A role that is no member of pg_read_all_settings gets an error.
    let shown: Option<String> = shown.fetch_one(pool).await.ok();
    shown.map(PathBuf::from)
}

/// Whether this session is encrypted, or stays on this machine.
pub(super) async fn encryption(pool: &PgPool, settings: &Settings) -> Finding {
    let sql = "select coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)";
    let encrypted: Result<bool, _> = sqlx::query_scalar(sql).fetch_one(pool).await;
    let options = pool.connect_options();
    let host = options.get_host();
    let is_local = options.get_socket().is_some() || host.starts_with('/') || is_loopback(host);
    let is_verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    let found = encrypted.map(|encrypted| match (encrypted, is_verified, is_local) {
        (true, true, _) => ENCRYPTION.ok("encrypted, and the server's certificate is verified"),
        (true, false, false) => ENCRYPTION.warn(
            "encrypted, but any certificate is accepted",
            "set sslmode=verify-full and sslrootcert in DATABASE_URL",
        ),
        (true, false, true) => ENCRYPTION.ok("encrypted, on this machine"),
        (false, _, true) => ENCRYPTION.ok("in clear, on this machine"),
        (false, _, false) if settings.environment.is_production() => ENCRYPTION.warn(
            format!("in clear to {host}, as database.allow_plaintext allows"),
            "set sslmode=verify-full in DATABASE_URL, and take database.allow_plaintext away",
        ),
        (false, _, false) => ENCRYPTION.ok(format!("in clear to {host}, which production refuses")),
    });
    ENCRYPTION.or_unknown(found)
}

/// What the server promises of a commit.
pub(super) async fn durability(pool: &PgPool) -> Finding {
    let sql = "select name || ' is off' from pg_settings
               where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off'
               order by name";
    let off: Result<Vec<String>, _> = sqlx::query_scalar(sql).fetch_all(pool).await;
    DURABILITY.or_unknown(off.map(|off| match off.as_slice() {
        [] => DURABILITY.ok("fsync, full_page_writes and synchronous_commit are on"),
        off => {
            DURABILITY.fail(
                off.join(", "),
                "switch it on: without it, a crash loses bookings that were acknowledged",
            )
        }
    }))
}

/// How far this machine's clock is ahead of the database's.
pub(super) async fn clock(pool: &PgPool) -> Finding {
    let mut best: Option<(TimeDelta, TimeDelta)> = None;
    for _ in 0..COMPARISONS {
        let before = Utc::now();
        let there: Result<DateTime<Utc>, _> =
            sqlx::query_scalar("select clock_timestamp()").fetch_one(pool).await;
        let there = match there {
            Ok(there) => there,
            Err(error) => return CLOCK.or_unknown(Err(error)),
        };
        let took = Utc::now() - before;
        let ahead = before + took / 2 - there;
        if best.is_none_or(|(_, quickest)| took < quickest) {
            best = Some((ahead, took));
        }
    }
    let (ahead, took) = best.unwrap_or_default();
    // The answer says no more than this.
    let sure = (ahead.abs() - took / 2).max(TimeDelta::zero()).num_milliseconds();
    let side = if ahead < TimeDelta::zero() { "behind" } else { "ahead of" };
    let found = format!("{} ms {side} the database's", ahead.abs().num_milliseconds());
    let remedy = "synchronize both clocks (systemd-timesyncd, chrony)";
    match sure {
        sure if sure > DIFFERS_MUCH_MS => CLOCK.fail(found, remedy),
        sure if sure > DIFFERS_MS => CLOCK.warn(found, remedy),
        _ => CLOCK.ok(found),
    }
}

/// Whether the server has a connection for each that the settings allow.
pub(super) async fn connections(
    pool: &PgPool,
    settings: &Settings,
    apis: u16,
    workers: Option<u16>,
    live: &[WorkerView],
) -> Finding {
    let database = &settings.database;
    // A notifier; a worker also has two connections of its driver and one that listens.
    let api = database.max_connections + database.reserved_connections + PROBE_CONNECTIONS + 1;
    let worker = database.max_connections + 3 + u32::from(settings.worker.listen);
    let apis = u32::from(apis);
    let workers = workers.map_or_else(|| u32::try_from(live.len()).unwrap_or(u32::MAX).max(1), u32::from);
    let needed = apis.saturating_mul(api).saturating_add(workers.saturating_mul(worker)) + COMMANDS;
    let found = budget(pool).await.map(|(there, used)| {
        let text = format!(
            "{apis} APIs and {workers} workers take up to {needed}; {there} are there, others use {used} of them"
        );
        let remedy = "raise max_connections, or lower database.max_connections (docs/operators/capacity.md)";
        let needed = i64::from(needed);
        match () {
            () if needed > there => CONNECTIONS.fail(text, remedy),
            () if needed + used > there => CONNECTIONS.warn(text, remedy),
            () => CONNECTIONS.ok(text),
        }
    });
    CONNECTIONS.or_unknown(found)
}

/// Connections that roles without privileges may have, and how many of them others use now: those who
/// may not enqueue a job, or are superusers.
async fn budget(pool: &PgPool) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(
        "select least(
             current_setting('max_connections')::bigint
                 - current_setting('superuser_reserved_connections')::bigint
                 - coalesce(current_setting('reserved_connections', true), '0')::bigint,
             (select nullif(datconnlimit, -1) from pg_database where datname = current_database()),
             (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user)),
             (select count(*) from pg_stat_activity a join pg_roles r on r.oid = a.usesysid
              where r.rolsuper or not has_schema_privilege(r.oid, 'queue', 'usage')
                 or not has_table_privilege(r.oid, 'queue.job', 'insert'))",
    )
    .fetch_one(pool)
    .await
}
