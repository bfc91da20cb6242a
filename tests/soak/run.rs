//! A run: acts of the nemesis under load, with checks whenever it is quiet.

use super::{
    RIDERS, Soak,
    book::Book,
    check::{self, Mark},
    fleet::{APIS, Fleet, WORKERS},
    load::{Load, RIDERS_OF_A_TRIP, people, randoms, trips},
    nemesis::Act,
    riders::{Bases, Rider},
};
use crate::harness::{Client, Clock, Process, Proxy, RedisServer, count, folder, new_rider, settings, until};
use chrono::Utc;
use farebox::{accounts::Role, app as parts, embedded, storage};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sqlx::PgPool;
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Of more riders than [`RIDERS`], this number makes requests under faults. Every fourth fault ends
/// an API, and with it what all others ask for, and its connections, which then have to plan all
/// their statements again.
const RECKLESS: usize = 3;
/// Rounds between two checks, in a run of ordinary length.
const CHECK_EVERY: usize = 25;
/// Checks of a long run: each reads all that has happened, and all riders wait for it.
const CHECKS: usize = 20;
/// The longest query of a check, milliseconds.
const LONGEST_CHECK_MS: u64 = 300_000;
/// A run in which some hard case was not seen goes on, up to this number of times as long.
const PATIENT_ROUNDS: usize = 3;
/// Between two acts, milliseconds.
const PAUSE: std::ops::Range<u64> = 150..600;
/// How often processes that died under a fault are started again, and sleepers looked at.
const TICK: Duration = Duration::from_millis(20);

/// What became of a run.
#[derive(Default)]
pub struct Ran {
    pub rounds: usize,
    pub kills: usize,
    /// From each kill that left something to undo to its last undo, milliseconds, ascending.
    pub rollback_times: Vec<f64>,
}

impl Soak {
    pub async fn start(seed: u64, many: usize) -> (Self, Fleet, Load) {
        let data = folder(&format!("soak-{seed}"));
        let options = embedded::Options { data, durable: true, max_connections: 200, settings: &[] };
        let server = embedded::start(&options).await.unwrap();
        embedded::ensure_database(&server, "soak").await.unwrap();
        let url = server.url("soak");
        let pool = checkers(&url);
        crate::harness::migrate(&pool).await;
        crate::harness::put_under_trial(&url).await;
        sqlx::raw_sql(check::RECORDER).execute(&pool).await.unwrap();
        let saga = parts::saga_context(&settings(), pool.clone()).unwrap();
        farebox::accounts::register(&pool, &saga.passwords, &new_rider("ops"), Role::Operator).await.unwrap();
        let mut fleet = Fleet {
            apis: Vec::new(),
            workers: Vec::new(),
            bases: Bases::default(),
            asleep: None,
            clock: Clock::ahead(0),
            proxy: Proxy::before(&url),
            redis: RedisServer::start(),
            trips: Arc::default(),
            quiet_trip: String::new(),
            url,
            options,
            server: Some(server),
            marks: HashMap::new(),
            accomplice: None,
            rival: None,
        };
        fleet.apis = (0..APIS).map(|at| fleet.api(at)).collect();
        fleet.workers = (0..WORKERS).map(|at| fleet.worker(at)).collect();
        *fleet.bases.write().unwrap() = fleet.apis.iter().map(Process::base).collect();
        let base = fleet.apis[0].base();
        let ops = Client::sign_in(&base, "ops").await;
        let mut trips = trips(&ops, many.div_ceil(RIDERS_OF_A_TRIP) + 1).await;
        fleet.quiet_trip = trips.pop().unwrap();
        fleet.trips = Arc::new(trips);
        let book = Arc::new(Book::default());
        let (bases, trips) = (Arc::clone(&fleet.bases), Arc::clone(&fleet.trips));
        let reckless = if many > RIDERS { RECKLESS } else { many };
        let mut riders: Vec<Rider> = people(&saga, &ops, &base, many + 2)
            .await
            .into_iter()
            .zip(randoms(seed))
            .enumerate()
            .map(|(n, (client, random))| {
                let rider =
                    Rider::new(client, random, Arc::clone(&bases), Arc::clone(&trips), Arc::clone(&book));
                if n < reckless { rider } else { rider.careful() }
            })
            .collect();
        fleet.accomplice = riders.pop();
        fleet.rival = riders.pop();
        (Self { seed, pool, book }, fleet, Load::start(riders))
    }

    /// All processes run, and nothing is pending.
    async fn quiet(&self, fleet: &mut Fleet) {
        fleet.proxy.slow(Duration::ZERO);
        fleet.wake();
        fleet.restart_dead();
        nothing_is_pending(&self.pool).await;
    }

    /// `rounds` acts, and more until there were `requests` requests and every hard case was seen.
    pub async fn run(&self, fleet: &mut Fleet, load: &mut Load, rounds: usize, requests: u64) -> Ran {
        let mut random = StdRng::seed_from_u64(self.seed);
        let (mut deck, mut kills, mut mark) = (Vec::new(), Vec::new(), Mark::default());
        let (mut ran, began, check_every) =
            (Ran::default(), Instant::now(), CHECK_EVERY.max(rounds / CHECKS));
        for round in 1.. {
            let act = deck.pop().unwrap_or_else(|| {
                deck = Act::deck(&mut random);
                deck.pop().unwrap()
            });
            let pause = Duration::from_millis(random.random_range(PAUSE));
            kills.extend(act.kills().then(Utc::now));
            fleet.commit(act, &mut random).await;
            let next = Instant::now() + pause;
            while Instant::now() < next {
                tokio::task::block_in_place(|| fleet.restart_dead());
                sleep(TICK).await;
            }
            load.still_there().await;
            if round % check_every != 0 {
                continue;
            }
            let _alone = self.pause(load, fleet).await;
            self.quiet(fleet).await;
            let checking = Instant::now();
            let breaches = self.breaches(&mut mark).await;
            println!(
                "round {round}, {:.0} s, {} requests: {} breaches, found in {:.1} s",
                began.elapsed().as_secs_f64(),
                self.requests(),
                breaches.len(),
                checking.elapsed().as_secs_f64()
            );
            self.none_of(&breaches);
            ran.rounds = round;
            ran.kills += kills.len();
            ran.rollback_times.extend(self.rollback_times(&std::mem::take(&mut kills)).await);
            let due = round >= rounds && self.requests() >= requests;
            if due && (round >= rounds * PATIENT_ROUNDS || self.unseen(fleet).await.is_empty()) {
                break;
            }
        }
        ran.rollback_times.sort_by(f64::total_cmp);
        ran
    }

    /// The hard cases that have not been seen.
    pub async fn unseen(&self, fleet: &Fleet) -> Vec<&'static str> {
        self.sightings(fleet)
            .await
            .into_iter()
            .filter(|(_, times)| *times == 0)
            .map(|(what, _)| what)
            .collect()
    }

    /// Closes the gate. Requests under way must get their answers, so processes that die meanwhile
    /// are restarted.
    async fn pause<'a>(&self, load: &'a Load, fleet: &mut Fleet) -> tokio::sync::RwLockWriteGuard<'a, ()> {
        let closing = load.gate.write();
        tokio::pin!(closing);
        loop {
            tokio::select! {
                alone = &mut closing => return alone,
                () = sleep(TICK) => tokio::task::block_in_place(|| fleet.restart_dead()),
            }
        }
    }

    /// The riders go and all deadlines pass: what is held then is what was paid for.
    pub async fn settle(&self, fleet: &mut Fleet, load: Load) {
        {
            let _alone = self.pause(&load, fleet).await;
            load.over.store(true, Ordering::Relaxed);
        }
        load.end().await;
        self.quiet(fleet).await;
        until("every deadline has passed", || async {
            count(&self.pool, "select count(*) from queue.job").await == 0
        })
        .await;
        let held = count(&self.pool, "select count(*) from seat where order_id is not null").await;
        let paid = "select coalesce(sum(cardinality(seats)), 0)::bigint from orders where status = 'paid'";
        assert_eq!(held, count(&self.pool, paid).await, "what is left is what was paid for");
        self.none_of(&self.breaches(&mut Mark::default()).await);
    }
}

/// Connections past the proxy, for queries that read everything there is.
fn checkers(url: &str) -> PgPool {
    let mut database = settings().database;
    database.statement_timeout_ms = LONGEST_CHECK_MS;
    storage::pool(url, &database, "soak").unwrap()
}

/// Waits until all undos are done, those too that were armed and fall due by themselves.
pub async fn nothing_is_pending(pool: &PgPool) {
    until("every undo is done", || async {
        let sql = "select count(*) from queue.job where tag <> 'order_unpaid' or run_at <= now()";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.is_ok_and(|open| open == 0)
    })
    .await;
}
