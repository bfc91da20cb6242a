//! Checks of what is in the database: schema, role, secrets, workers, zone.

use super::finding::{Finding, ROLE, SCHEMA, SECRETS, TIME_ZONES, WORKERS};
use crate::{
    accounts::secret_check::{self, SecretMismatch},
    settings::Settings,
    storage::{self, Schema, roles},
    trips,
};
use chrono::{DateTime, Days, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use farebox_jobs::{
    MqTag,
    queue::admin::{self, WorkerView},
};
use sqlx::PgPool;

/// Workers that are looked at, the newest first.
const MAX_WORKERS: i64 = 1_000;
/// For how many days to come the rules of the zone are compared.
const ZONE_DAYS: u64 = 400;

/// Server, encoding and migrations.
pub(super) async fn fits(pool: &PgPool) -> Finding {
    match storage::require_schema(pool).await {
        Ok(Schema::Own) => SCHEMA.ok("as this build needs it"),
        Ok(Schema::Newer) => SCHEMA.ok("of a newer build, and this one runs on it"),
        Err(error) => SCHEMA.fail(
            error.to_string(),
            "docs/operators/upgrading.md has the order: farebox migrate, then farebox roles --apply",
        ),
    }
}

/// Whether strong secrets are those that the database was used with.
pub(super) async fn secrets(pool: &PgPool, settings: &Settings, is_worker: bool) -> Finding {
    if is_worker && settings.secrets.are_unset() {
        return SECRETS.ok("none is set, and a worker needs none");
    }
    match secret_check::would_accept(pool, &settings.secrets).await {
        Ok(()) => SECRETS.ok("strong, and those of the database"),
        Err(error @ SecretMismatch::Other { .. }) => SECRETS.fail(
            error.to_string(),
            "set the secrets that the other processes use, with the old ones beside",
        ),
        Err(SecretMismatch::Database(error)) => SECRETS.or_unknown(Err(error)),
    }
}

/// The role of this session.
pub(super) async fn role(pool: &PgPool, settings: &Settings, is_worker: bool) -> Finding {
    ROLE.or_unknown(examine_role(pool, settings, is_worker).await)
}

async fn examine_role(pool: &PgPool, settings: &Settings, is_worker: bool) -> Result<Finding, sqlx::Error> {
    let name: String = sqlx::query_scalar("select current_user::text").fetch_one(pool).await?;
    if let Some(excess) = roles::excess(pool).await? {
        let remedy = "connect as the role of the API or of the worker (docs/operators/roles.md)";
        let found = format!("{name} {excess}");
        let is_production = settings.environment.is_production();
        return Ok(if is_production { ROLE.fail(found, remedy) } else { ROLE.warn(found, remedy) });
    }
    let lacking = roles::lacking(pool, is_worker).await?;
    if lacking.is_empty() {
        return Ok(ROLE.ok(name));
    }
    let remedy =
        "run `farebox roles --apply` as the owner of the tables; a worker's role needs --worker here";
    Ok(ROLE.fail(format!("{name} lacks {}", lacking.join(", ")), remedy))
}

/// The workers whose heartbeats come.
pub(super) async fn live_workers(pool: &PgPool) -> Result<Vec<WorkerView>, sqlx::Error> {
    let workers = admin::workers(pool, None, MAX_WORKERS).await?;
    Ok(workers.into_iter().filter(|worker| worker.state == "working").collect())
}

/// Whether all tags are worked for, by this build.
pub(super) fn workers(live: Result<Vec<WorkerView>, sqlx::Error>) -> Finding {
    WORKERS.or_unknown(live.map(|live| {
        let works = |tag: &MqTag| live.iter().any(|worker| worker.tags.iter().any(|one| one == tag.wire()));
        let alone: Vec<&str> = MqTag::ALL.iter().filter(|tag| !works(tag)).map(|tag| tag.wire()).collect();
        if live.is_empty() {
            return WORKERS.fail("no worker lives", "start farebox-worker: nothing is undone until then");
        }
        if !alone.is_empty() {
            return WORKERS.fail(
                format!("no worker is there for {}", alone.join(", ")),
                "start a worker for these tags, or one without --tags",
            );
        }
        let others = live.iter().find(|worker| worker.build != env!("CARGO_PKG_VERSION"));
        match others {
            Some(other) => WORKERS.warn(
                format!("{} on {} runs build {}", other.name, other.host, other.build),
                "restart it with this build",
            ),
            None => WORKERS.ok(format!("{} live", live.len())),
        }
    }))
}

/// Whether the zone's rules are those of the database: one of the two may be of an old release of the
/// zone database.
pub(super) async fn time_zones(pool: &PgPool, settings: &Settings) -> Finding {
    TIME_ZONES.or_unknown(examine_zone(pool, settings).await)
}

async fn examine_zone(pool: &PgPool, settings: &Settings) -> Result<Finding, sqlx::Error> {
    let remedy = "renew the tzdata of the database's machine, or use a newer build";
    let zone = trips::zone_of_days(pool, settings.trips.zone).await?;
    let known = sqlx::query_scalar("select exists(select from pg_timezone_names where name = $1)");
    let is_known: bool = known.bind(zone.name()).fetch_one(pool).await?;
    if !is_known {
        return Ok(TIME_ZONES.warn(format!("the database does not know {zone}"), remedy));
    }
    let from = Utc::now();
    let there: Vec<(DateTime<Utc>, i32)> = sqlx::query_as(
        "select t, extract(epoch from (t at time zone $1) - (t at time zone 'UTC'))::integer
         from generate_series($2::timestamptz, $3::timestamptz, interval '6 hours') t order by t",
    )
    .bind(zone.name())
    .bind(from)
    .bind(from + Days::new(ZONE_DAYS))
    .fetch_all(pool)
    .await?;
    Ok(match first_difference(zone, &there) {
        None => TIME_ZONES.ok(format!("{zone}, by the release {}", chrono_tz::IANA_TZDB_VERSION)),
        Some(at) => TIME_ZONES.warn(format!("{zone} differs from {} on", at.date_naive()), remedy),
    })
}

/// The first moment at which the database's offset, in seconds, is another than the zone's here.
fn first_difference(zone: Tz, there: &[(DateTime<Utc>, i32)]) -> Option<DateTime<Utc>> {
    let here = |at: &DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc();
    there.iter().find(|(at, offset)| here(at) != *offset).map(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_rule_of_the_zone_is_found() {
        let zone = Tz::Europe__Berlin;
        let at = |day: u32| Utc.with_ymd_and_hms(2026, 3, day, 12, 0, 0).single().expect("a moment");
        // Summer time begins on 29 March 2026.
        let right = [(at(28), 3_600), (at(29), 7_200), (at(30), 7_200)];
        assert_eq!(first_difference(zone, &right), None);
        let old = [(at(28), 3_600), (at(29), 3_600), (at(30), 3_600)];
        assert_eq!(first_difference(zone, &old), Some(at(29)));
    }
}
