//! Workers that nothing wakes: they poll.

use super::faults::put;
use crate::harness::{Pooler, Process, World, count, inside, until};
use farebox_jobs::queue::{Outcome, WorkerConfig};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::{str::FromStr, time::Duration};

const UNDO: &str = "order_add_seats_cancle";

#[tokio::test(flavor = "multi_thread")]
async fn polling_alone_works() {
    let world = World::new().await;
    let worker = Process::worker(&world.db.url, &[("FAREBOX__WORKER__LISTEN", "false")], &[]);
    for n in 0..50 {
        put(&world.pool, UNDO, &n.to_string(), 5).await;
    }
    all_fifty_are_done_and_nobody_listens(&world).await;
    assert!(!worker.log().contains("trouble"), "{}", worker.log());
}

/// For programs of others: Farebox refuses such a pooler.
#[tokio::test(flavor = "multi_thread")]
async fn a_driver_works_through_a_pooler_in_transaction_mode() {
    let world = World::new().await;
    let pooler = Pooler::before(&world.db.url, "transaction");
    let options = PgConnectOptions::from_str(&pooler.url).unwrap().extra_float_digits(None);
    let pool = PgPoolOptions::new().connect_lazy_with(options);
    let config =
        WorkerConfig { pooled: true, poll: Duration::from_millis(50), ..WorkerConfig::new("test", &[UNDO]) };
    let _stop = inside(&pool, config, |_| async { Ok(Outcome::Done(None)) });
    for n in 0..50 {
        put(&world.pool, UNDO, &n.to_string(), 5).await;
    }
    all_fifty_are_done_and_nobody_listens(&world).await;
}

async fn all_fifty_are_done_and_nobody_listens(world: &World) {
    until("all are done", || async {
        count(&world.pool, "select count(*) from queue.finished where attempt = 1").await == 50
    })
    .await;
    let listening = "select count(*) from pg_stat_activity
                     where datname = current_database() and query ilike 'listen%'";
    assert_eq!(count(&world.pool, listening).await, 0);
}
