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

mod check;
mod failover;
mod mutants;
mod nemesis;
mod riders;

use crate::harness::{Client, Clock, Process, Proxy, RedisServer, count, folder, new_rider, settings, until};
use check::Mark;
use chrono::Utc;
use farebox::{accounts::Role, app as parts, embedded, saga::SagaContext, storage};
use nemesis::Act;
use rand::{Rng, SeedableRng, rngs::StdRng};
use riders::{Bases, Book, Rider, SEATS};
use serde_json::json;
use sqlx::PgPool;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::RwLock, task::JoinHandle, time::sleep};

const APIS: usize = 2;
const WORKERS: usize = 3;
/// As many as in CI; `SOAK_RIDERS` may ask for more.
const RIDERS: usize = 8;
/// Of more riders than [`RIDERS`], this number makes requests under faults. Every fourth fault ends
/// an API, and with it what all others ask for, and its connections, which then have to plan all
/// their statements again.
const RECKLESS: usize = 3;
/// This number keeps two cores busy.
const RIDERS_OF_A_LONG_RUN: usize = 48;
/// Riders for each trip, so that they compete.
const RIDERS_OF_A_TRIP: usize = 2;
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
/// As [`HASTE`] says.
const MOST_HOLDS: i64 = 5;
/// What the processes run with: holds, undos and leases that end during the run.
const HASTE: [(&str, &str); 9] = [
    ("FAREBOX__DATABASE__MAX_CONNECTIONS", "8"),
    ("FAREBOX__BOOKING__MAX_OPEN_HOLDS", "5"),
    ("FAREBOX__BOOKING__HOLD_SECS", "3"),
    ("FAREBOX__BOOKING__UNDO_AFTER_MS", "1500"),
    ("FAREBOX__WORKER__LEASE_MS", "2000"),
    ("FAREBOX__WORKER__ATTEMPT_MS", "5000"),
    ("FAREBOX__DATABASE__ACQUIRE_TIMEOUT_MS", "1000"),
    ("FAREBOX__DATABASE__STATEMENT_TIMEOUT_MS", "4000"),
    ("FAREBOX__LOG__FILTER", "warn,farebox_api=info"),
];
/// Undos that take a while, so that a worker can be caught in the middle of one, and a step can overtake it.
pub const SLOW_UNDOS: &str =
    "undo.order_calc_money_cancle.before=sleep:400,undo.order_add_seats_cancle.before=sleep:250";
/// Lines of the processes' logs that are counted.
const MARKS: [&str; 4] = ["barrier_pkey", "lease was lost", "lease ran out", "deadlock"];

#[derive(Clone, Copy)]
pub enum Kind {
    Api,
    Worker,
}

/// The processes, and what they stand on.
pub struct Fleet {
    apis: Vec<Process>,
    workers: Vec<Process>,
    bases: Bases,
    asleep: Option<(Vec<usize>, Instant)>,
    /// By which the first API and the first worker go.
    clock: Clock,
    proxy: Proxy,
    redis: RedisServer,
    trips: Arc<Vec<String>>,
    /// A trip that only the accomplice books.
    quiet_trip: String,
    url: String,
    options: embedded::Options,
    server: Option<embedded::Server>,
    marks: HashMap<&'static str, u64>,
    /// A rider who clicks when the nemesis says so.
    accomplice: Option<Rider>,
    /// Another, who takes the accomplice's seat.
    rival: Option<Rider>,
}

impl Fleet {
    fn api(&self, at: usize) -> Process {
        let (redis, clock) = (self.redis.url(), self.clock.env());
        let mut env = [&HASTE[..], &[("FAREBOX__REDIS__URL", redis.as_str())]].concat();
        env.extend(clock.iter().filter(|_| at == 0).map(|(name, value)| (*name, value.as_str())));
        Process::api(&self.proxy.url, &env)
    }

    fn worker(&self, at: usize) -> Process {
        let clock = self.clock.env();
        let mut env = [&HASTE[..], &[("FAREBOX_FAULTS", SLOW_UNDOS)]].concat();
        env.extend(clock.iter().filter(|_| at == 0).map(|(name, value)| (*name, value.as_str())));
        Process::worker(&self.proxy.url, &env, &[])
    }

    /// Ends one, in this way, and starts another in its place.
    fn replace(&mut self, kind: Kind, random: &mut StdRng, end: fn(&mut Process)) {
        match kind {
            Kind::Api => {
                let at = random.random_range(0..self.apis.len());
                end(&mut self.apis[at]);
                self.renew_api(at);
            }
            Kind::Worker => {
                self.wake();
                let at = random.random_range(0..self.workers.len());
                end(&mut self.workers[at]);
                self.renew_worker(at);
            }
        }
    }

    fn renew_api(&mut self, at: usize) {
        let fresh = self.api(at);
        self.bases.write().unwrap()[at] = fresh.base();
        let old = std::mem::replace(&mut self.apis[at], fresh);
        self.count_marks(&old);
    }

    fn renew_worker(&mut self, at: usize) {
        let fresh = self.worker(at);
        let old = std::mem::replace(&mut self.workers[at], fresh);
        self.count_marks(&old);
    }

    fn count_marks(&mut self, process: &Process) {
        let log = process.log();
        for mark in MARKS {
            *self.marks.entry(mark).or_default() += log.matches(mark).count() as u64;
        }
    }

    /// How often the processes have said this so far.
    fn said(&self, mark: &str) -> u64 {
        let alive =
            self.apis.iter().chain(&self.workers).map(|process| process.log().matches(mark).count() as u64);
        self.marks.get(mark).copied().unwrap_or(0) + alive.sum::<u64>()
    }

    /// Starts again who died under a fault.
    fn restart_dead(&mut self) {
        self.wake_if_due();
        for at in 0..self.apis.len() {
            if !self.apis[at].is_alive() {
                self.renew_api(at);
            }
        }
        for at in 0..self.workers.len() {
            if !self.workers[at].is_alive() {
                self.renew_worker(at);
            }
        }
    }

    /// PostgreSQL ends at once, as in a power cut, and recovers.
    async fn restart_the_server(&mut self) {
        let folder = self.server.as_ref().unwrap().folder().to_owned();
        let file = std::fs::read_to_string(folder.join("pg/postmaster.pid")).unwrap();
        let pid = file.lines().next().unwrap().parse().unwrap();
        assert!(crate::harness::signal::send(pid, libc::SIGQUIT));
        self.server = None;
        self.server = Some(embedded::start(&self.options).await.unwrap());
    }
}

/// A run.
pub struct Soak {
    seed: u64,
    /// The checker's own way to the database, past the proxy.
    pool: PgPool,
    book: Arc<Book>,
}

/// What became of it.
#[derive(Default)]
struct Ran {
    rounds: usize,
    kills: usize,
    /// From each kill that left something to undo to its last undo, milliseconds, ascending.
    rollback_times: Vec<f64>,
}

/// The load, which can be made to pause.
struct Load {
    /// Riders share it while they click; a checker has it alone.
    gate: Arc<RwLock<()>>,
    over: Arc<AtomicBool>,
    riders: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(riders: Vec<Rider>) -> Self {
        let (gate, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let riders = riders
            .into_iter()
            .map(|rider| tokio::spawn(ride(rider, Arc::clone(&gate), Arc::clone(&over))))
            .collect();
        Self { gate, over, riders }
    }

    /// A rider that stops early has found a breach.
    async fn still_there(&mut self) {
        if let Some(at) = self.riders.iter().position(JoinHandle::is_finished) {
            self.riders.swap_remove(at).await.unwrap();
        }
    }

    async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        for rider in self.riders {
            rider.await.unwrap();
        }
    }
}

async fn ride(mut rider: Rider, gate: Arc<RwLock<()>>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        let _open = gate.read().await;
        rider.click().await;
    }
}

/// Trips in two days.
async fn trips(ops: &Client, many: usize) -> Vec<String> {
    let departs = Utc::now() + chrono::Duration::days(2);
    let mut trips = Vec::new();
    for n in 0..many {
        // A bus makes its trips one after the other.
        let departs = departs + chrono::Duration::hours((n / 8) as i64);
        let trip = json!({"bus_id": 1 + n % 8, "direction": 0, "departs_at": departs, "price": "4.00",
            "arrives_at": departs + chrono::Duration::hours(1), "capacity": SEATS});
        trips.push(ops.post("/v1/ops/trips", &trip).await.expect(201)["id"].as_str().unwrap().to_owned());
    }
    trips
}

/// Riders who can pay for everything, signed in at `base`.
async fn people(saga: &SagaContext, ops: &Client, base: &str, many: usize) -> Vec<Client> {
    let mut people = Vec::new();
    for n in 0..many {
        let name = format!("rider{n}");
        farebox::accounts::register(&saga.pool, &saga.passwords, &new_rider(&name), Role::Rider)
            .await
            .unwrap();
        let client = Client::sign_in(base, &name).await;
        let top_up = json!({"amount": "100000.00", "reference": format!("first {}", client.id)});
        ops.post(&format!("/v1/ops/wallets/{}/top-ups", client.id), &top_up).await;
        people.push(client);
    }
    people
}

/// Connections past the proxy, for queries that read everything there is.
fn checkers(url: &str) -> PgPool {
    let mut database = settings().database;
    database.statement_timeout_ms = LONGEST_CHECK_MS;
    storage::pool(url, &database, "soak").unwrap()
}

/// What each rider decides by.
fn randoms(seed: u64) -> impl Iterator<Item = StdRng> {
    (1..).map(move |n| StdRng::seed_from_u64(seed.wrapping_add(n)))
}

/// Waits until all undos are done, those too that were armed and fall due by themselves.
async fn nothing_is_pending(pool: &PgPool) {
    until("every undo is done", || async {
        let sql = "select count(*) from queue.job where tag <> 'order_unpaid' or run_at <= now()";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.is_ok_and(|open| open == 0)
    })
    .await;
}

impl Soak {
    async fn start(seed: u64, many: usize) -> (Self, Fleet, Load) {
        let data = folder(&format!("soak-{seed}"));
        let options = embedded::Options { data, durable: true, max_connections: 200, settings: &[] };
        let server = embedded::start(&options).await.unwrap();
        embedded::ensure_database(&server, "soak").await.unwrap();
        let url = server.url("soak");
        let pool = checkers(&url);
        crate::harness::migrate(&pool).await;
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
    async fn run(&self, fleet: &mut Fleet, load: &mut Load, rounds: usize, requests: u64) -> Ran {
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
    async fn unseen(&self, fleet: &Fleet) -> Vec<&'static str> {
        self.sightings(fleet)
            .await
            .into_iter()
            .filter(|(_, times)| *times == 0)
            .map(|(what, _)| what)
            .collect()
    }

    fn requests(&self) -> u64 {
        self.book.seen.lock().unwrap().requests
    }

    fn none_of(&self, breaches: &[check::Breach]) {
        let first = breaches.first().map_or("", |(name, _)| name);
        assert!(breaches.is_empty(), "BREACH {first}: {breaches:?} (SOAK_SEED={})", self.seed);
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
    async fn settle(&self, fleet: &mut Fleet, load: Load) {
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

impl Drop for Fleet {
    fn drop(&mut self) {
        self.wake();
        self.apis.clear();
        self.workers.clear();
        self.server = None;
        let _ = std::fs::remove_dir_all(&self.options.data);
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
