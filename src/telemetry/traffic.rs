//! How many bookings and payments there were in each minute: counted in memory, added up in the database every few
//! seconds. For people: what a killed process had not yet written is lost.

use crate::storage::is_outage;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// How often the counts are written.
const EVERY: Duration = Duration::from_secs(2);
/// How long minutes are kept, days.
const KEPT_DAYS: i32 = 14;

/// The counts of one process. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    booked: AtomicI64,
    paid: AtomicI64,
    refused: AtomicI64,
    failed: AtomicI64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A booking.
    Book,
    /// A payment.
    Pay,
}

/// One minute.
#[derive(Clone, Debug)]
pub struct Minute {
    /// Its beginning.
    pub minute: DateTime<Utc>,
    /// Orders booked.
    pub booked: i64,
    /// Orders paid.
    pub paid: i64,
    /// Bookings and payments that were refused (4xx).
    pub refused: i64,
    /// Bookings and payments that failed (5xx).
    pub failed: i64,
}

impl Tally {
    /// Counts an answer by its status.
    pub fn count(&self, asked: Asked, status: u16) {
        let counter = match (asked, status) {
            (Asked::Book, 200..300) => &self.0.booked,
            (Asked::Pay, 200..300) => &self.0.paid,
            (_, 500..) => &self.0.failed,
            _ => &self.0.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the counts for as long as the process lives.
    pub async fn keep(self, pool: PgPool) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.write(&pool).await {
                let outage = is_outage(&error);
                tracing::warn!(%error, outage, "counts of a few seconds are lost");
            }
        }
    }

    /// Safe to drop, at the price of these counts: whether they were added is then unknown, and they are not added twice.
    async fn write(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let take = |counter: &AtomicI64| counter.swap(0, Ordering::Relaxed);
        let Counts { booked, paid, refused, failed } = &*self.0;
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
            KEPT_DAYS
        )
        .execute(pool)
        .await
        .map(drop)
    }
}

/// The minutes of the last hour in which anything was asked, oldest first.
///
/// # Errors
/// The database's.
pub async fn hour(pool: &PgPool) -> Result<Vec<Minute>, sqlx::Error> {
    sqlx::query_as!(
        Minute,
        "select minute, booked, paid, refused, failed from minute_tally
         where minute > now() - interval '1 hour' order by minute"
    )
    .fetch_all(pool)
    .await
}
