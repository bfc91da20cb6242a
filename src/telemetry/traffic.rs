//! How many bookings and payments there were in each minute: counted in memory, and added to the
//! database every few seconds. The counts are for the console's charts: a killed process loses
//! those that it has not written.

use crate::storage::note_outage;
use sqlx::PgPool;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// How often the counts are written.
const FLUSH_INTERVAL: Duration = Duration::from_secs(2);
/// How long minutes are kept, days.
const RETENTION_DAYS: i32 = 14;

/// The counts of one process. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct TrafficCounters(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    booked: AtomicI64,
    paid: AtomicI64,
    refused: AtomicI64,
    failed: AtomicI64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficKind {
    /// A booking.
    Book,
    /// A payment.
    Pay,
}

impl TrafficCounters {
    /// Counts a response by its status.
    pub fn count(&self, kind: TrafficKind, status: u16) {
        let counter = match (kind, status) {
            (TrafficKind::Book, 200..300) => &self.0.booked,
            (TrafficKind::Pay, 200..300) => &self.0.paid,
            (_, 500..) => &self.0.failed,
            _ => &self.0.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the counts for as long as the process lives.
    pub async fn run_flush_loop(self, pool: PgPool) {
        loop {
            tokio::time::sleep(FLUSH_INTERVAL).await;
            if let Err(error) = self.write(&pool).await {
                let outage = note_outage(&error);
                tracing::warn!(%error, outage, "request counters not saved");
            }
        }
    }

    /// If it fails or is dropped, these counts are lost: whether they were added is unknown, and
    /// they are never added twice.
    async fn write(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let take = |counter: &AtomicI64| counter.swap(0, Ordering::Relaxed);
        let Counters { booked, paid, refused, failed } = &*self.0;
        let [booked, paid, refused, failed] = [take(booked), take(paid), take(refused), take(failed)];
        if booked + paid + refused + failed == 0 {
            return Ok(());
        }
        sqlx::query!(
            "with old as (delete from minute_tally where minute < now() - make_interval(days => $5))
             insert into minute_tally as t (minute, booked, paid, refused, failed)
             values (date_trunc('minute', now()), $1, $2, $3, $4)
             on conflict (minute) do update
                 set booked = t.booked + excluded.booked, paid = t.paid + excluded.paid,
                     refused = t.refused + excluded.refused, failed = t.failed + excluded.failed",
            booked,
            paid,
            refused,
            failed,
            RETENTION_DAYS
        )
        .execute(pool)
        .await
        .map(drop)
    }
}
