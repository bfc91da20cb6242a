//! Adding a worker's sums to the roll-ups.

use crate::{QueueConnection, metrics::Rollup};
use chrono::{DateTime, Utc};

/// Adds these sums to the roll-ups of their tags and minutes.
pub(crate) async fn add(
    conn: &mut (impl QueueConnection + ?Sized),
    sums: &[(String, DateTime<Utc>, Rollup)],
) -> Result<(), sqlx::Error> {
    for (tag, minute, sum) in sums {
        let [done, failed, dead, cancelled, _] = sum.ended;
        sqlx::query!(
            "insert into queue.tally as t
                 (tag, minute, done, failed, dead, cancelled, rescued, lost, run_secs, pickup, lateness, run)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             on conflict (minute, tag) do update
                 set done = t.done + excluded.done, failed = t.failed + excluded.failed,
                     dead = t.dead + excluded.dead,
                     cancelled = t.cancelled + excluded.cancelled, rescued = t.rescued + excluded.rescued,
                     lost = t.lost + excluded.lost, run_secs = t.run_secs + excluded.run_secs,
                     pickup = queue.added(t.pickup, excluded.pickup),
                     lateness = queue.added(t.lateness, excluded.lateness),
                     run = queue.added(t.run, excluded.run)",
            tag,
            minute,
            done,
            failed,
            dead,
            cancelled,
            sum.rescued,
            sum.lost,
            sum.run_secs,
            &sum.pickup,
            &sum.lateness,
            &sum.run
        )
        .execute(conn.on_queue())
        .await?;
    }
    Ok(())
}
