//! Standbys, and what the server keeps for those that do not come.

use super::finding::{Finding, REPLICATION};
use sqlx::{FromRow, PgPool};

/// How much of the log a slot that nobody reads may keep, bytes.
const MAX_KEPT_BYTES: i64 = 10 << 30;
/// How late a standby may be, seconds.
const MAX_LAG_SECS: f64 = 60.0;

/// What the server knows of its standbys.
#[derive(FromRow)]
struct Standbys {
    /// Those that are connected.
    connected: i64,
    /// The greatest lag of one, seconds; unknown if the role may not see it.
    lag_secs: Option<f64>,
    /// Whether the role may see lags.
    is_visible: bool,
    /// Those that commits wait for, as set.
    synchronous: String,
}

/// A slot that nobody reads.
#[derive(FromRow)]
struct Slot {
    name: String,
    kept_bytes: i64,
    /// Whether the server has thrown away, or soon will, what the slot was to keep.
    is_lost: bool,
}

/// Standbys and slots.
pub(super) async fn check(pool: &PgPool) -> Finding {
    REPLICATION.or_unknown(examine(pool).await)
}

async fn examine(pool: &PgPool) -> Result<Finding, sqlx::Error> {
    let slots: Vec<Slot> = sqlx::query_as(
        "select slot_name::text as name,
                coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint as kept_bytes,
                wal_status in ('unreserved', 'lost') as is_lost
         from pg_replication_slots where not active order by 2 desc, 1",
    )
    .fetch_all(pool)
    .await?;
    let standbys: Standbys = sqlx::query_as(
        "select count(*) as connected, max(extract(epoch from replay_lag))::float8 as lag_secs,
                pg_has_role('pg_read_all_stats', 'usage') as is_visible,
                current_setting('synchronous_standby_names') as synchronous
         from pg_stat_replication",
    )
    .fetch_one(pool)
    .await?;
    Ok(judge(&slots, &standbys))
}

fn judge(slots: &[Slot], standbys: &Standbys) -> Finding {
    let drop = "bring its standby back, or drop it: select pg_drop_replication_slot('…')";
    if let Some(slot) = slots.iter().find(|slot| slot.is_lost) {
        let found = format!("the slot {} has lost what it was to keep", slot.name);
        return REPLICATION.fail(found, "make its standby anew, from a base backup");
    }
    if standbys.connected == 0 && !standbys.synchronous.is_empty() {
        let found = format!("no standby is connected, and commits wait for {}", standbys.synchronous);
        return REPLICATION
            .fail(found, "bring a standby back; to go on without one, empty synchronous_standby_names");
    }
    if let Some(slot) = slots.first() {
        let found = format!("nobody reads the slot {}, which keeps {} MiB", slot.name, slot.kept_bytes >> 20);
        return if slot.kept_bytes > MAX_KEPT_BYTES {
            REPLICATION.fail(found, drop)
        } else {
            REPLICATION.warn(found, drop)
        };
    }
    let connected = standbys.connected;
    match standbys.lag_secs {
        Some(lag) if lag > MAX_LAG_SECS => REPLICATION.warn(
            format!("{connected} standbys, the slowest is {lag:.0} s late"),
            "look at its load, its disk and the network between",
        ),
        Some(lag) => REPLICATION.ok(format!("{connected} standbys, the slowest is {lag:.1} s late")),
        None if connected > 0 && !standbys.is_visible => {
            REPLICATION.ok(format!("{connected} standbys; how late they are, pg_read_all_stats may see"))
        }
        None => REPLICATION.ok(format!("{connected} standbys, no slot without a reader")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn standbys(connected: i64, lag_secs: Option<f64>) -> Standbys {
        Standbys { connected, lag_secs, is_visible: true, synchronous: String::new() }
    }

    #[test]
    fn a_late_standby_and_a_large_slot_are_noticed() {
        assert_eq!(judge(&[], &standbys(0, None)).status, Status::Ok);
        assert_eq!(judge(&[], &standbys(2, Some(1.0))).status, Status::Ok);
        assert_eq!(judge(&[], &standbys(2, Some(61.0))).status, Status::Warn);
        let slot = |kept_bytes| Slot { name: "dead".to_owned(), kept_bytes, is_lost: false };
        assert_eq!(judge(&[slot(1)], &standbys(1, None)).status, Status::Warn);
        assert_eq!(judge(&[slot(MAX_KEPT_BYTES + 1)], &standbys(1, None)).status, Status::Fail);
    }
}
