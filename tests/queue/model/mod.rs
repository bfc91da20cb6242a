//! The life cycle of a job against a model of it. Random interleavings of everything that workers,
//! handlers, operators and time can do to a handful of jobs are run through the queue's real
//! statements on real tables; after each step the tables must say what the model says. No job is
//! lost, none is in two places, none is completed twice, none is begun more often than it may be.
//!
//! `PROPTEST_CASES` sets how many interleavings are tried,
//! `PROPTEST_RNG_SEED` repeats the ones of a failed run.

mod bench;
mod claims;
mod endings;
mod life;
mod operators;
mod steps;
mod tables;

use crate::harness::Database;
use bench::Bench;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{RngSeed, TestCaseResult, TestRunner},
};
use sqlx::{Connection, PgConnection};
use std::{cell::RefCell, time::Duration};
use steps::{Op, op};
use uuid::Uuid;

/// Interleavings that are tried, unless the environment says otherwise.
const CASES: u32 = 128;
/// Steps of one interleaving at most.
const STEPS: usize = 60;

/// Time passes in whole hours, and only by [`Op::Jump`]: the moments that pass in truth never matter.
type Hours = i64;
/// How long a lease lasts.
const LEASE: Hours = 2;

const TAGS: [&str; 2] = ["letter", "parcel"];
const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const CONCURRENCY_KEYS: [&str; 2] = ["north", "south"];
const WORKERS: usize = 3;

#[test]
fn the_tables_say_what_the_model_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let db = runtime.block_on(Database::fresh());
    let conn = RefCell::new(runtime.block_on(PgConnection::connect(&db.url)).unwrap());
    let outcome = TestRunner::new(config()).run(&vec(op(), 1..=STEPS), |ops| {
        let mut conn = conn.borrow_mut();
        runtime.block_on(interleaving(&mut conn, ops))
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The seed is drawn here so that a failed run tells it.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(rand::random());
    }
    if let RngSeed::Fixed(seed) = config.rng_seed {
        println!("PROPTEST_RNG_SEED={seed}");
    }
    config
}

async fn interleaving(conn: &mut PgConnection, ops: Vec<Op>) -> TestCaseResult {
    let mut bench = Bench::new(conn).await;
    for op in ops {
        bench.run(op).await?;
        bench.compare().await?;
    }
    Ok(())
}

fn hours(hours: Hours) -> Duration {
    Duration::from_secs(3_600 * hours.unsigned_abs())
}

fn sorted(ids: &[Uuid]) -> Vec<Uuid> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}
