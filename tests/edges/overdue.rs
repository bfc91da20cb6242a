//! No worker for an hour: every order that fell due meanwhile is overdue.

use super::{Month, broken, riders_with_trips};
use crate::harness::{Client, OwnServer, Process, count, until};
use farebox_jobs::{
    OrderUnpaid,
    queue::{Job, admin},
};
use sqlx::{Connection, PgConnection, PgPool};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// Riders who book and cancel as fast as they are answered.
const BOOKERS: usize = 8;
/// How long their rate is counted, each time, without a drain beside it.
const WINDOW: Duration = Duration::from_secs(3);
const LONG_WINDOW: Duration = Duration::from_secs(15);
/// Of the bookings' rate, so much is left beside the drain.
const KEPT: f64 = 0.25;
/// How long 100,000 of them may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Whether some are left: to count them all again and again would take more of the machine than to
/// work them off, and to look every 50 ms took a sixteenth of a processor, for it goes over what
/// was deleted.
const ANY_LEFT: &str = "select count(*) from (select from queue.job where tag = 'order_unpaid' and run_at <= now() limit 1) as one";
const LOOKS_APART: Duration = Duration::from_millis(250);
const LEFT: &str = "select count(*) from queue.job where tag = 'order_unpaid' and run_at <= now()";

/// As the last worker left it an hour ago.
const AN_HOUR_LATER: [&str; 4] = [
    "update orders set created_at = created_at - interval '2 hours', expires_at = now() - interval '1 hour' + (random() * 3500) * interval '1 s'
     where status = 'unpaid'",
    "update seat s set held_until = o.expires_at from orders o where o.id = s.order_id and o.status = 'unpaid'",
    "update queue.job j set run_at = o.expires_at from orders o where j.tag = 'order_unpaid' and j.key = o.id::text",
    "analyze",
];

struct Bookings {
    over: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
    riders: Vec<JoinHandle<()>>,
}

impl Bookings {
    fn start(riders: Vec<(Client, String)>) -> Self {
        let (over, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let riders = riders
            .into_iter()
            .map(|(rider, trip)| {
                let (over, made) = (Arc::clone(&over), Arc::clone(&made));
                tokio::spawn(async move {
                    while !over.load(Ordering::Relaxed) {
                        let order = rider.booked(&trip, &["1"]).await;
                        rider.cancel(&order).await.expect(200);
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self { over, made, riders }
    }

    fn made(&self) -> f64 {
        self.made.load(Ordering::Relaxed) as f64
    }

    /// A second, in the window that begins now.
    async fn rate(&self, window: Duration) -> f64 {
        let made = self.made();
        tokio::time::sleep(window).await;
        (self.made() - made) / window.as_secs_f64()
    }

    async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        for rider in self.riders {
            rider.await.unwrap();
        }
    }
}

struct Drained {
    took: Duration,
    /// Bookings a second without a worker; beside one that has to leave what is overdue; and while
    /// it was done.
    alone: f64,
    before: f64,
    beside: f64,
}

/// Waits until nothing is overdue any more.
async fn drained(pool: &PgPool) {
    let began = Instant::now();
    while count(pool, ANY_LEFT).await > 0 {
        assert!(began.elapsed() < PATIENCE, "{} are left", count(pool, LEFT).await);
        tokio::time::sleep(LOOKS_APART).await;
    }
}

async fn an_hour_without_workers(overdue: u64, window: Duration) -> Drained {
    let own = OwnServer::start("overdue", &[("FAREBOX__LOG__FILTER", "warn,farebox_api=info")]).await;
    let pool = own.pool();
    Month { orders: overdue.max(1_000), unpaid: overdue }.fill(&own).await;
    let mut db = PgConnection::connect(&own.url).await.unwrap();
    for sql in AN_HOUR_LATER {
        sqlx::query(sql).execute(&mut db).await.unwrap();
    }
    assert_eq!(count(&pool, LEFT).await, i64::try_from(overdue).unwrap());
    let bookings = Bookings::start(riders_with_trips(&own, BOOKERS).await);
    let alone = bookings.rate(window).await;

    // The last one due: no worker will have come to it yet.
    let seats = "select trip_id::text, seats[1]::text from orders where status = 'unpaid' and trip_id in (
                     select trip_id from orders where expires_at < now() and status = 'unpaid')
                 order by expires_at desc limit 1";
    let (trip, seat): (String, String) = sqlx::query_as(seats).fetch_one(&pool).await.unwrap();
    own.rider.booked(&trip, &[&seat]).await;
    assert_eq!(
        count(&pool, LEFT).await,
        i64::try_from(overdue - 1).unwrap(),
        "only its own order was closed for it"
    );

    // What a worker takes of the machine that has nothing to drain is not the drain's.
    admin::pause(&pool, OrderUnpaid::TAG, "an operator", "to look at it first").await.unwrap();
    let _worker = Process::worker(&own.url, &[("FAREBOX__LOG__FILTER", "warn")], &[]);
    until("the worker works", async || count(&pool, "select count(*) from queue.worker").await == 1).await;
    let before = bookings.rate(window).await;

    let (began, made) = (Instant::now(), bookings.made());
    admin::resume(&pool, OrderUnpaid::TAG).await.unwrap();
    drained(&pool).await;
    let took = began.elapsed();
    let beside = (bookings.made() - made) / took.as_secs_f64();
    bookings.end().await;
    let closed = "select count(*) from orders where closed_reason = 'expired' and closed_at > expires_at + interval '1 min'
                  and id in (select key::uuid from queue.finished where tag = 'order_unpaid' and outcome = 'done'
                             and note = 'closed: not paid in time')";
    let closed: i64 = sqlx::query_scalar(closed).fetch_one(&mut db).await.unwrap();
    assert_eq!(closed, i64::try_from(overdue - 1).unwrap());
    until("the last undos are done", async || {
        count(&pool, "select count(*) from queue.job where tag not in ('order_unpaid', 'order_seats_cancel')")
            .await
            == 0
    })
    .await;
    assert_eq!(broken(&pool).await, [""; 0]);
    Drained { took, alone, before, beside }
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_orders_are_drained_beside_bookings() {
    an_hour_without_workers(2_000, WINDOW).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes"]
async fn a_hundred_thousand_overdue_orders_are_drained_beside_bookings() {
    let Drained { took, alone, before, beside } = an_hour_without_workers(100_000, LONG_WINDOW).await;
    println!(
        "100,000 overdue orders closed in {:.0} s; bookings (each with its cancelling) a second: {alone:.0} without a worker, \
         {before:.0} beside one that leaves them, {beside:.0} beside the drain",
        took.as_secs_f64()
    );
    assert!(beside > alone * KEPT, "bookings stall: {beside:.0} of {alone:.0} a second");
}
