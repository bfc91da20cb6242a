//! The proof under fire: API replicas, workers, PostgreSQL and Redis as real processes under a
//! random load of riders, while everything that can break is broken. Whenever it is quiet the
//! invariants are checked, and replies to riders are compared with the database. A run counts only
//! if every hard case really happened in it.
//!
//! ```console
//! $ SOAK_ROUNDS=1000 SOAK_REQUESTS=1000000 cargo test --profile fast --test farebox-tests long_soak -- --ignored --nocapture
//! ```
//!
//! A round is an act of the nemesis and the load around it. `SOAK_SEED` replays a schedule: who
//! does what, and which act follows which; how the processes interleave is theirs.

mod book;
mod check;
mod failover;
mod fleet;
mod load;
mod mutant_table;
mod mutants;
mod nemesis;
mod requests;
mod riders;
mod run;

use book::Book;
use run::Ran;
use sqlx::PgPool;
use std::{sync::Arc, time::Instant};

/// As many as in CI; `SOAK_RIDERS` may ask for more.
const RIDERS: usize = 8;
/// This number keeps two cores busy.
const RIDERS_OF_A_LONG_RUN: usize = 48;

/// A run.
pub struct Soak {
    seed: u64,
    /// The checker's own way to the database, past the proxy.
    pool: PgPool,
    book: Arc<Book>,
}

impl Soak {
    fn requests(&self) -> u64 {
        self.book.seen.lock().unwrap().requests
    }

    fn none_of(&self, breaches: &[check::Breach]) {
        let first = breaches.first().map_or("", |(name, _)| name);
        assert!(breaches.is_empty(), "BREACH {first}: {breaches:?} (SOAK_SEED={})", self.seed);
    }
}

fn scale<T: std::str::FromStr>(name: &str, usual: T) -> T {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// A run of its own server, with its results as tables; every hard case must have happened in it.
async fn soak(rounds: usize, requests: u64, riders: usize) {
    let seed = scale("SOAK_SEED", rand::random());
    println!("SOAK_SEED={seed}");
    let began = Instant::now();
    let (soak, mut fleet, mut load) = Soak::start(seed, riders).await;
    let Ran { rounds, kills, rollback_times: times } =
        soak.run(&mut fleet, &mut load, rounds, requests).await;
    soak.settle(&mut fleet, load).await;
    let (took, requests, answered) =
        (began.elapsed().as_secs_f64(), soak.requests(), soak.book.seen.lock().unwrap().answered);
    println!(
        "\n{rounds} rounds, {riders} riders, {requests} requests ({answered} answered by a 2xx or a 4xx), {:.0} a second, \
         {kills} kills, {took:.0} s, 0 breaches; from a kill to the last rollback p50 {:.0} ms, p99 {:.0} ms ({} of them)\n",
        requests as f64 / took,
        percentile(&times, 50),
        percentile(&times, 99),
        times.len()
    );
    println!("| hard case | seen |\n|---|---|");
    let sightings = soak.sightings(&fleet).await;
    for (what, times) in &sightings {
        println!("| {what} | {times} |");
    }
    let unseen = soak.unseen(&fleet).await;
    assert!(unseen.is_empty(), "a run without these proves little: {unseen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_rounds_of_breaking_break_no_promise() {
    soak(scale("SOAK_ROUNDS", 50), 0, scale("SOAK_RIDERS", RIDERS)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half an hour of it"]
async fn long_soak() {
    soak(
        scale("SOAK_ROUNDS", 1_000),
        scale("SOAK_REQUESTS", 1_000_000),
        scale("SOAK_RIDERS", RIDERS_OF_A_LONG_RUN),
    )
    .await;
}
