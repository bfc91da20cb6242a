//! What the pending migrations would lock in this database, without locking anything.

use super::{
    locks::RelationLock,
    migrate::{SchemaError, require_server},
    migrations::{MIGRATIONS, Phase, longest_hold, phase, relations},
};
use sqlx::{AssertSqlSafe, PgPool};
use std::time::Duration;

/// The pending migrations, in their order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The newest migration of the database; 0 for none.
    pub found: i64,
    /// What is to be applied.
    pub pending: Vec<Pending>,
}

/// One pending migration.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// What it means for older builds.
    pub phase: Phase,
    /// Whether it is one transaction; otherwise an index is built beside writers.
    pub in_transaction: bool,
    /// How long it may hold its locks, if that is bounded.
    pub hold: Option<Duration>,
    /// The relations that it locks, the strongest lock first.
    pub locks: Vec<PlannedLock>,
}

/// One relation of this database that a migration locks.
#[derive(Clone, Debug)]
pub struct PlannedLock {
    /// The lock, and what is done under it.
    pub lock: RelationLock,
    /// Its size; none if a pending migration makes it.
    pub size: Option<RelationSize>,
}

/// How large a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelationSize {
    /// As the server estimates them; none if the table was never analyzed.
    pub rows: Option<i64>,
    /// With indexes, when it was last vacuumed or analyzed, bytes.
    pub bytes: i64,
}

/// Reads which migrations are pending, and how large is what they lock. Reads catalogues
/// alone, and waits for no lock.
///
/// # Errors
/// An unsupported server; the database's errors.
pub async fn plan(pool: &PgPool) -> Result<Plan, SchemaError> {
    require_server(pool).await?;
    let there = "select to_regclass($1) is not null";
    let table = &*MIGRATIONS.table_name;
    let mut applied: Vec<i64> = Vec::new();
    if sqlx::query_scalar(there).bind(table).fetch_one(pool).await? {
        let all = AssertSqlSafe(format!("select version from {table} order by version"));
        applied = sqlx::query_scalar(all).fetch_all(pool).await?;
    }
    let mut pending = Vec::new();
    for migration in MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)) {
        let mut locks = Vec::new();
        for lock in relations(migration) {
            locks.push(PlannedLock { lock, size: size(pool, lock.relation).await? });
        }
        locks.sort_by_key(|planned| std::cmp::Reverse(planned.lock.mode));
        pending.push(Pending {
            version: migration.version,
            name: migration.description.clone().into_owned(),
            phase: phase(migration),
            in_transaction: !migration.no_tx,
            hold: longest_hold(migration),
            locks,
        });
    }
    Ok(Plan { found: applied.last().copied().unwrap_or(0), pending })
}

/// The size of a relation, of a partitioned table with its partitions, as the catalogue has it: the
/// functions that measure would wait for a change of the table.
async fn size(pool: &PgPool, relation: &str) -> Result<Option<RelationSize>, sqlx::Error> {
    let row: Option<(i64, i64, bool)> = sqlx::query_as(
        "with part as (
             select c.oid, c.reltoastrelid, c.reltuples from pg_class c
             where c.oid = to_regclass($1)
                or c.oid in (select inhrelid from pg_inherits where inhparent = to_regclass($1))),
         file as (
             select oid from part union select reltoastrelid from part
             union select indexrelid from pg_index where indrelid in (select oid from part))
         select sum(greatest(reltuples, 0))::bigint,
                (select sum(relpages) from pg_class where oid in (select oid from file))
                    * current_setting('block_size')::bigint,
                bool_and(reltuples < 0)
         from part having count(*) > 0",
    )
    .bind(relation)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(rows, bytes, unknown)| RelationSize { rows: (!unknown).then_some(rows), bytes }))
}
