//! The migrations of this build, and what each of them means for other builds that run beside it.
//!
//! An *expand* migration adds what a newer build uses, and takes nothing from an older one. A
//! *contract* migration takes away what only older builds use, a release later. It raises the row of
//! `schema_floor` in its own transaction, so that no older build starts afterwards.

use super::locks::{self, RelationLock};
use sqlx::migrate::{Migration, Migrator};
use std::time::Duration;

/// The migrations, built in.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The last migration of release 0.2.0, for which every process was stopped.
const LAST_STOPPED: i64 = 27;
/// The last migration without a phase in its head. From the next one on a database has a floor.
const LAST_UNMARKED: i64 = 51;
/// The comment at the head of a migration that names its phase.
const PHASE: &str = "-- phase: ";
/// The statement by which a contract migration raises the floor.
const RAISES: &str = "update schema_floor set lowest = ";

/// How long a transaction of a migration may hold locks that others wait for. Shorter than the
/// statement timeout of API and workers (10 s), so that a statement that waits is late, and does not
/// fail.
pub const LONGEST_HOLD: Duration = Duration::from_secs(4);

/// What a migration means for older builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Builds that ran on the schema before run on it afterwards.
    Expand,
    /// Only builds that know this migration, or a later one, run on the schema afterwards.
    Contract {
        /// The oldest newest migration of a build that still runs.
        lowest: i64,
    },
}

/// The phase of a migration. One that names none counts as one that only its own build survives.
pub fn phase(migration: &Migration) -> Phase {
    let sql = migration.sql.as_str();
    let named = head(sql).find_map(|line| line.strip_prefix(PHASE));
    match (migration.version, named.map(str::trim)) {
        (..=LAST_STOPPED, _) => Phase::Contract { lowest: migration.version },
        (..=LAST_UNMARKED, _) | (_, Some("expand")) => Phase::Expand,
        _ => Phase::Contract { lowest: raised_to(sql).unwrap_or(migration.version) },
    }
}

/// The comments that a file begins with.
fn head(sql: &str) -> impl Iterator<Item = &str> {
    sql.lines().take_while(|line| line.starts_with("--"))
}

fn raised_to(sql: &str) -> Option<i64> {
    let number = sql.split_once(RAISES)?.1;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// How long this migration may hold its locks: none if nothing waits for them, or if it is from
/// before the rule and works on whole tables.
pub(super) fn longest_hold(migration: &Migration) -> Option<Duration> {
    let mut taken = locks::of(migration.version).peekable();
    let known = taken.peek().is_some();
    let (mut blocks, mut works) = (false, false);
    for lock in taken {
        blocks |= lock.mode.blocks_writes();
        works |= lock.works_on_all();
    }
    let bounded = match migration.version {
        ..=LAST_UNMARKED => blocks && !works,
        _ => blocks || !known,
    };
    (bounded && !migration.no_tx).then_some(LONGEST_HOLD)
}

/// The relations that a migration locks, of those that were there before it.
pub(super) fn relations(migration: &Migration) -> impl Iterator<Item = RelationLock> {
    locks::of(migration.version)
}

/// The newest migration of this build, of either phase.
pub fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The newest expand migration of this build: it and all before it must be there for this build to
/// run.
pub fn lowest() -> i64 {
    let expands = MIGRATIONS.iter().filter(|migration| phase(migration) == Phase::Expand);
    expands.map(|migration| migration.version).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{AssertSqlSafe, SqlSafeStr, migrate::MigrationType};

    fn migration(version: i64, sql: &str) -> Migration {
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        Migration::new(version, "a".into(), MigrationType::Simple, sql, sql_is_alone(version))
    }

    fn sql_is_alone(version: i64) -> bool {
        version == 99
    }

    #[test]
    fn a_phase_stands_in_the_head_and_is_contract_if_none_does() {
        assert_eq!(phase(&migration(27, "")), Phase::Contract { lowest: 27 });
        assert_eq!(phase(&migration(28, "")), Phase::Expand);
        assert_eq!(phase(&migration(60, "-- phase: expand\nselect 1")), Phase::Expand);
        assert_eq!(phase(&migration(60, "-- no-transaction\n-- phase: expand\nselect 1")), Phase::Expand);
        let contract = "-- phase: contract\nupdate schema_floor set lowest = 58;\ndrop table a;";
        assert_eq!(phase(&migration(60, contract)), Phase::Contract { lowest: 58 });
        for unmarked in ["", "select 1;\n-- phase: expand", "-- phase: contract", "-- phase: expanded"] {
            assert_eq!(phase(&migration(60, unmarked)), Phase::Contract { lowest: 60 }, "{unmarked:?}");
        }
    }

    #[test]
    fn a_build_needs_its_expand_migrations_and_knows_all() {
        assert!(lowest() <= newest());
        let later = MIGRATIONS.iter().filter(|migration| migration.version > lowest());
        assert!(later.into_iter().all(|migration| matches!(phase(migration), Phase::Contract { .. })));
        for migration in MIGRATIONS.iter() {
            if let Phase::Contract { lowest } = phase(migration) {
                assert!(lowest <= migration.version, "{}", migration.version);
            }
        }
    }

    #[test]
    fn what_others_wait_for_is_held_for_a_bounded_time() {
        let held = |version| {
            let found = MIGRATIONS.iter().find(|migration| migration.version == version);
            longest_hold(found.expect("a migration of this build"))
        };
        assert_eq!(held(48), Some(LONGEST_HOLD), "columns, and constraints that are not valid yet");
        assert_eq!(held(49), None, "validates, and nothing waits");
        assert_eq!(held(20), None, "rewrites the ledger; from before the rule");
        assert_eq!(longest_hold(&migration(98, "-- phase: expand")), Some(LONGEST_HOLD), "nothing is known");
        assert_eq!(longest_hold(&migration(99, "-- no-transaction")), None, "a concurrent index");
    }
}
