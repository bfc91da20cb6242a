//! The fixture of the scenarios: a durable server, an API, a worker, riders with their tokens; wrk
//! and pgbench.

use super::{baseline_service::BaselineService, flames::drawn};
use crate::harness::{Client, PASSWORD, Process, count, folder, new_rider, settings};
use farebox::{
    accounts::{self, Role},
    app as parts, embedded,
    saga::SagaContext,
    storage,
    verify::{self, Scope},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;

const RIDERS: usize = 20_000;
/// Enough that hardly a booking is refused, as the baseline's never are.
const TRIPS: i32 = 50_000;
/// Seats of each of them.
const SEATS: i32 = 40;
/// Sign-ins under way at once, while the riders get their tokens.
const AT_ONCE: usize = 32;
/// Clients who book before anything is measured, and for how long, seconds.
const WARM_UP: (u32, u32) = (64, 1);
/// Hashes that one of two at once makes to measure them.
const HASHES: u32 = 20;
/// Memory and passes of a hash in production (config/default.toml), KiB.
const REAL_COST: (u32, u32) = (19_456, 2);
const PAY_PASSWORD: &str = "271828";
/// The baseline service's connections: as many as the API's pool has here.
const CONNECTIONS: u32 = 16;
/// Makes the kernel forget the most memory that a process had, proc(5).
const RESET_PEAK: &str = "5";
/// By then an API process has written down what it answered.
const COUNTED: Duration = Duration::from_secs(3);
/// A clock tick of the kernel's accounts, microseconds.
const TICK_MICROS: f64 = 10_000.0;
/// The limits of a production are lifted: this measures the path, and has few riders for it.
const SETTINGS: [(&str, &str); 6] = [
    ("FAREBOX__LOG__FILTER", "warn,farebox_api=info"),
    ("FAREBOX__BOOKING__MAX_OPEN_HOLDS", "100"),
    ("FAREBOX__BOOKING__HOLD_SECS", "3600"),
    ("FAREBOX__ADMISSION__SIGN_INS", "1000"),
    ("FAREBOX__ADMISSION__CHANGES", "2000"),
    ("FAREBOX__LOCKOUT__ADDRESS_TRIES", "1000000"),
];

/// What an operator gives a server of this size: the tables fit, and no checkpoint comes because of
/// the log's length.
const SERVER: [&str; 2] = ["shared_buffers=4GB", "max_wal_size=16GB"];

/// A load: its name, and what wrk runs.
type Load = (&'static str, &'static str);

const BOOK: Load = ("book", include_str!("book.lua"));
const BOOK_AND_PAY: Load = ("book_and_pay", include_str!("book_and_pay.lua"));
const SEAT_MAPS: Load = ("seat_maps", include_str!("seat_map.lua"));

/// What settles unpaid orders.
pub struct Settling {
    load: Load,
    /// The same writes by pgbench.
    pub baseline: &'static str,
    /// Counts what is settled.
    done: &'static str,
}

pub const PAYING: Settling = Settling {
    load: ("pay", include_str!("settle.lua")),
    baseline: include_str!("baseline_payment.sql"),
    done: "select count(*) from payment where state = 'settled'",
};
pub const CANCELLING: Settling = Settling {
    load: ("cancel", include_str!("settle.lua")),
    baseline: include_str!("baseline_cancel.sql"),
    done: "select count(*) from orders where status = 'closed'",
};

/// What a run brought.
pub struct Run {
    /// What was done, a second.
    pub rate: f64,
    /// What was answered, a second, be it done, refused or failed.
    pub answered: f64,
    /// Latencies of requests, milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// For one that was done: processor time of the API, the worker and the server, microseconds;
    /// commits; bytes of the server's log.
    pub api_cpu: f64,
    pub worker_cpu: f64,
    pub server_cpu: f64,
    pub commits: f64,
    pub wal: f64,
}

/// Which bookings are made.
pub struct Bookings {
    /// Of these trips; of all if there are none here.
    pub trips: Vec<Uuid>,
    /// Seats of each trip.
    pub seats: i32,
    /// Seats of a booking, one or two.
    pub wanted: i32,
    /// Percentage that fails in its last step.
    pub faulty: u32,
    /// Seat after seat, so that no booking is refused; else seats at random.
    pub in_order: bool,
}

impl Default for Bookings {
    fn default() -> Self {
        Self { trips: Vec::new(), seats: SEATS, wanted: 2, faulty: 0, in_order: false }
    }
}

pub struct Fixture {
    url: String,
    name: String,
    pool: PgPool,
    folder: PathBuf,
    server: Arc<embedded::Server>,
    api: Process,
    worker: Process,
    /// Each rider's token.
    tokens: HashMap<Uuid, String>,
}

/// The file of the results.
fn results() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("speed/results.json")
}

impl Fixture {
    pub async fn new() -> Self {
        let folder = folder("speed");
        let options = embedded::Options {
            data: folder.clone(),
            durable: true,
            max_connections: 200,
            settings: &SERVER,
        };
        let server = Arc::new(embedded::start(&options).await.unwrap());
        Self::on(server, folder, format!("speed_{}", std::process::id())).await
    }

    /// The same once more on the same server: another database, API and worker.
    pub async fn second(&self) -> Self {
        let folder = self.folder.join("second");
        fs::create_dir_all(&folder).unwrap();
        Self::on(Arc::clone(&self.server), folder, format!("{}_another", self.name)).await
    }

    async fn on(server: Arc<embedded::Server>, folder: PathBuf, name: String) -> Self {
        embedded::ensure_database(&server, &name).await.unwrap();
        let url = server.url(&name);
        let pool = storage::pool(&url, &settings().database, "speed").unwrap();
        crate::harness::migrate(&pool).await;
        people(&pool).await;
        let trips: Vec<Uuid> = sqlx::query_scalar("select id from trip").fetch_all(&pool).await.unwrap();
        write_lines(&folder.join("trips"), &trips);
        let api = Process::api(&url, &SETTINGS);
        let worker = Process::worker(&url, &SETTINGS[..1], &[]);
        let tokens = sign_in(&api.base()).await;
        write_lines(&folder.join("tokens"), tokens.values());
        Self { url, name, pool, folder, server, api, worker, tokens }
    }

    pub async fn end(self) {
        self.pool.close().await;
        let Self { api, worker, server, name, .. } = self;
        drop((api, worker));
        embedded::drop_database(&server, &name).await.unwrap();
    }

    pub fn save(&self, results: &[Value]) {
        let file = self::results();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, json!(results).to_string()).unwrap();
    }

    /// Nothing is booked or paid, and every rider can pay for everything.
    pub async fn reset(&self) {
        self.run_sql(include_str!("reset.sql")).await;
        self.run_sql(include_str!("baseline.sql")).await;
        for table in ["seat", "wallet", "baseline.seat", "baseline.trip"] {
            self.run_sql(&format!("vacuum analyze {table}")).await;
        }
        self.warm_up().await;
        self.run_sql("checkpoint").await;
    }

    /// A system that runs has plans, and tables that are not empty: what is planned on empty ones
    /// reads them whole.
    pub async fn warm_up(&self) {
        self.book(&Bookings::default(), WARM_UP.0, WARM_UP.1).await;
        for table in ["orders", "order_event", "barrier", "idempotency", "open_hold", "queue.job"] {
            self.run_sql(&format!("analyze {table}")).await;
        }
    }

    /// What the baselines of payments and cancels settle.
    pub async fn add_unpaid_orders(&self) {
        self.run_sql(include_str!("baseline_unpaid_orders.sql")).await;
    }

    /// A month's orders and ended jobs.
    pub async fn add_history(&self) {
        self.run_sql(include_str!("history.sql")).await;
        for table in ["orders", "order_event", "barrier", "queue.finished"] {
            self.run_sql(&format!("vacuum analyze {table}")).await;
        }
        self.warm_up().await;
        self.run_sql("checkpoint").await;
    }

    async fn run_sql(&self, sql: &str) {
        let mut db = PgConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut db).await.unwrap();
    }

    /// One more trip, with this number of seats.
    pub async fn trip(&self, seats: i32) -> Uuid {
        let sql = "with made as (
                       insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity, shares_bus)
                       values (gen_random_uuid(), 1, 0, now() + interval '2 days', now() + interval '3 days', 4.00, $1, true)
                       returning id),
                   seats as (insert into seat (trip_id, seat) select id, s from made, generate_series(1, $1) s)
                   select id from made";
        sqlx::query_scalar(sql).bind(seats).fetch_one(&self.pool).await.unwrap()
    }

    pub async fn check_invariants(&self) {
        for verdict in verify::verify(&self.pool, Scope::Whole).await.unwrap() {
            assert!(verdict.holds, "{}: {:?}", verdict.sentence, verdict.samples);
        }
    }

    /// pgbench's transactions a second.
    pub fn baseline(&self, script: &str, clients: u32, secs: u32) -> f64 {
        let file = self.folder.join("script.sql");
        fs::write(&file, script).unwrap();
        let (clients, secs) = (clients.to_string(), secs.to_string());
        let mut pgbench = Command::new("pgbench");
        pgbench.args(["-n", "-M", "prepared", "-j", "2", "-c", &clients, "-T", &secs, "-f"]);
        let output = pgbench.arg(&file).arg(&self.url).output().expect("pgbench");
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.split("tps = ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        rate.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    pub async fn book(&self, bookings: &Bookings, clients: u32, secs: u32) -> Run {
        let trips = if bookings.trips.is_empty() { "trips" } else { "few-trips" };
        write_lines(&self.folder.join("few-trips"), &bookings.trips);
        let env = [
            ("TRIPS", self.folder.join(trips).display().to_string()),
            ("TOKENS", self.folder.join("tokens").display().to_string()),
            ("SEATS", bookings.seats.to_string()),
            ("WANTED", bookings.wanted.to_string()),
            ("FAULTY", bookings.faulty.to_string()),
            ("IN_ORDER", bookings.in_order.to_string()),
            ("THREADS", threads(clients).to_string()),
        ];
        let done = Some("select count(*) from orders");
        self.measured(done, || self.wrk(BOOK, &env, clients, secs)).await
    }

    /// What the baseline service books a second, and its median latency, milliseconds.
    pub async fn service_rate(&self, clients: u32, secs: u32) -> (f64, f64) {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(&self.url).await.unwrap();
        let service_rate = BaselineService::start(pool).await;
        let summary = tokio::task::block_in_place(|| {
            wrk(&self.folder, &service_rate.base, include_str!("baseline_service.lua"), &[], clients, secs)
        });
        let figure = |key: &str| summary[key].as_f64().unwrap();
        ((figure("requests") - figure("refused")) / (figure("micros") / 1e6), figure("p50") / 1e3)
    }

    /// Pays or cancels what [`authorize`](Self::authorize) has listed.
    pub async fn settle(&self, settling: &Settling, clients: u32, secs: u32) -> Run {
        let env = [
            ("ORDERS", self.folder.join("unpaid").display().to_string()),
            ("VERB", settling.load.0.to_owned()),
            ("THREADS", threads(clients).to_string()),
        ];
        self.measured(Some(settling.done), || self.wrk(settling.load, &env, clients, secs)).await
    }

    /// Tests hash cheaply, this not: what a hash costs to check is written in it.
    fn with_real_hashes(&self) -> SagaContext {
        let mut settings = settings();
        (settings.passwords.memory_kib, settings.passwords.passes) = REAL_COST;
        parts::saga_context(&settings, self.pool.clone()).unwrap()
    }

    /// How many hashes a second this machine makes with nothing beside them, as many at once as a
    /// process may make.
    pub async fn hashes(&self) -> f64 {
        let saga = self.with_real_hashes();
        let began = Instant::now();
        let one = async || {
            for _ in 0..HASHES {
                saga.passwords.hash(PAY_PASSWORD).await.unwrap();
            }
        };
        tokio::join!(one(), one());
        f64::from(2 * HASHES) / began.elapsed().as_secs_f64()
    }

    pub async fn set_pay_passwords(&self) {
        let saga = self.with_real_hashes();
        let hash = saga.passwords.hash(PAY_PASSWORD).await.unwrap();
        sqlx::query(
            "insert into pay_password (rider_id, hash) select id, $1 from rider
             on conflict (rider_id) do update set hash = excluded.hash, wrong = 0, checking = 0",
        )
        .bind(hash)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// Each client books, and pays what it has booked.
    pub async fn book_and_pay(&self, clients: u32, secs: u32) -> Run {
        let env = [
            ("TRIPS", self.folder.join("trips").display().to_string()),
            ("TOKENS", self.folder.join("tokens").display().to_string()),
            ("PAY_PASSWORD", PAY_PASSWORD.to_owned()),
        ];
        self.measured(Some(PAYING.done), || self.wrk(BOOK_AND_PAY, &env, clients, secs)).await
    }

    /// Lets this number of unpaid orders fall due within the next seconds.
    pub async fn fall_due(&self, orders: u32, secs: u32) {
        sqlx::query(
            "with due as (
                 update orders o set created_at = created_at - interval '1 hour', expires_at = now() + random() * $2 * interval '1 s'
                 from (select id from orders where status = 'unpaid' order by id limit $1) as few where o.id = few.id
                 returning o.id, o.expires_at
             ), held as (
                 update seat s set held_until = due.expires_at from due where s.order_id = due.id
             )
             update queue.job j set run_at = due.expires_at from due where j.tag = 'order_unpaid' and j.key = due.id::text",
        )
        .bind(i64::from(orders))
        .bind(f64::from(secs))
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// From a deadline to the end of the job that closed its order, p99, milliseconds; waits until
    /// none is due.
    pub async fn lateness_ms(&self) -> f64 {
        self.p99_ms(
            "select count(*) from queue.job where tag = 'order_unpaid' and run_at <= now()",
            "run_at",
            "order_unpaid",
        )
        .await
    }

    /// From this time of a tag's jobs to their end, p99, milliseconds; waits until none of these are left.
    async fn p99_ms(&self, left: &'static str, since: &str, tag: &str) -> f64 {
        crate::harness::until("they are done", || async { count(&self.pool, left).await == 0 }).await;
        let sql = format!(
            "select percentile_cont(0.99) within group (order by extract(epoch from ended_at - {since}) * 1000)
             from queue.finished where tag = $1"
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(tag).fetch_one(&self.pool).await.unwrap()
    }

    pub async fn seat_maps(&self, clients: u32, secs: u32) -> Run {
        let env = [("TRIPS", self.folder.join("trips").display().to_string())];
        self.measured(None, || self.wrk(SEAT_MAPS, &env, clients, secs)).await
    }

    /// Runs wrk. What was done is what the database counts, or else what was answered well.
    async fn measured(&self, counted: Option<&'static str>, wrk: impl FnOnce() -> Value) -> Run {
        let wal = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint";
        let commits = "select xact_commit from pg_stat_database where datname = current_database()";
        let sums = async || {
            let done = count(&self.pool, counted.unwrap_or("select 0::bigint")).await;
            let cpu = [cpu_micros(self.api.pid()), cpu_micros(self.worker.pid())];
            (
                cpu,
                [done, count(&self.pool, wal).await, count(&self.pool, commits).await],
                self.server_micros(),
            )
        };
        let before = sums().await;
        let summary = wrk();
        let after = sums().await;
        let [done, wal, commits] = std::array::from_fn(|n| (after.1[n] - before.1[n]) as f64);
        let figure = |key: &str| summary[key].as_f64().unwrap();
        let done = if counted.is_some() { done } else { figure("requests") - figure("refused") };
        let [api_cpu, worker_cpu] = std::array::from_fn(|n| (after.0[n] - before.0[n]) / done);
        // Of the processes that have ended meanwhile nothing is known.
        let server = after.2.iter().map(|(pid, micros)| micros - before.2.get(pid).unwrap_or(&0.0));
        let server_cpu = server.sum::<f64>() / done;
        Run {
            rate: done / (figure("micros") / 1e6),
            answered: figure("requests") / (figure("micros") / 1e6),
            p50: figure("p50") / 1e3,
            p99: figure("p99") / 1e3,
            api_cpu,
            worker_cpu,
            server_cpu,
            commits: commits / done,
            wal: wal / done,
        }
    }

    /// Processor time that each of the server's processes has had, microseconds.
    fn server_micros(&self) -> HashMap<i32, f64> {
        let pid_file = fs::read_to_string(self.server.folder().join("pg/postmaster.pid")).unwrap();
        let postmaster: i32 = pid_file.lines().next().unwrap().parse().unwrap();
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap();
        let pids = children.split_whitespace().map(|pid| pid.parse().unwrap());
        pids.map(|pid| (pid, cpu_micros(pid))).collect()
    }

    fn wrk(&self, (load, script): Load, env: &[(&str, String)], clients: u32, secs: u32) -> Value {
        let whose = [("api", format!("--pid={}", self.api.pid())), ("server", "--comm=postgres".to_owned())];
        drawn(&self.folder, &format!("{load}-{clients}"), &whose, || {
            wrk(&self.folder, &self.api.base(), script, env, clients, secs)
        })
    }

    /// Leave to pay every unpaid order, all of them by one rider's wallet if asked for.
    pub async fn authorize(&self, by_one: bool) {
        if by_one {
            let one = self.tokens.keys().next().unwrap();
            sqlx::query("update orders set rider_id = $1").bind(one).execute(&self.pool).await.unwrap();
        }
        let orders: Vec<(Uuid, Uuid)> =
            sqlx::query_as("select id, rider_id from orders where status = 'unpaid'")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        let authorizations: Vec<String> =
            orders.iter().map(|(order, _)| order.simple().to_string()).collect();
        let hashes: Vec<Vec<u8>> = authorizations.iter().map(|text| Sha256::digest(text).to_vec()).collect();
        sqlx::query(
            "insert into payment_authorization (order_id, rider_id, token_hash, expires_at)
             select o, r, h, now() + interval '1 hour' from unnest($1::uuid[], $2::uuid[], $3::bytea[]) u (o, r, h)",
        )
        .bind(orders.iter().map(|(order, _)| *order).collect::<Vec<_>>())
        .bind(orders.iter().map(|(_, rider)| *rider).collect::<Vec<_>>())
        .bind(hashes)
        .execute(&self.pool)
        .await
        .unwrap();
        let lines = orders.iter().zip(&authorizations);
        let lines = lines.map(|((order, rider), leave)| format!("{order} {} {leave}", self.tokens[rider]));
        write_lines(&self.folder.join("unpaid"), lines);
    }

    /// From the first claim of this trip to the last; it has this number of seats, and none left.
    pub async fn sold_out_ms(&self, trip: Uuid, seats: i32) -> f64 {
        let sql = "select count(*), extract(epoch from max(created_at) - min(created_at))::float8 * 1000
                   from orders where trip_id = $1";
        let (sold, took): (i64, f64) = sqlx::query_as(sql).bind(trip).fetch_one(&self.pool).await.unwrap();
        assert_eq!(sold, i64::from(seats), "sold out");
        took
    }

    /// Bookings and payments that their handlers have answered with a 5xx so far. That is written
    /// down every two seconds.
    pub async fn failed(&self) -> i64 {
        tokio::time::sleep(COUNTED).await;
        count(&self.pool, "select coalesce(sum(failed), 0)::bigint from minute_tally").await
    }

    /// How long rollbacks took from the failure, p99, milliseconds; waits until all are done.
    pub async fn rollback_ms(&self) -> f64 {
        self.p99_ms(
            "select count(*) from queue.job where tag <> 'order_unpaid'",
            "created_at",
            "order_add_cancle",
        )
        .await
    }

    /// The API's resident memory while this number of connections send requests, KiB.
    pub fn memory_of(&self, connections: u32) -> u64 {
        let env = [("TRIPS", self.folder.join("trips").display().to_string())];
        // From here on: a hash that was checked before took more.
        fs::write(format!("/proc/{}/clear_refs", self.api.pid()), RESET_PEAK).unwrap();
        self.wrk(SEAT_MAPS, &env, connections, 3);
        let status = fs::read_to_string(format!("/proc/{}/status", self.api.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

/// Runs this script of wrk's against this address; what it found.
fn wrk(folder: &Path, base: &str, script: &str, env: &[(&str, String)], clients: u32, secs: u32) -> Value {
    let file = folder.join("script.lua");
    let parts = [include_str!("common.lua"), script, include_str!("summary.lua")];
    fs::write(&file, parts.join("\n")).unwrap();
    let (threads, clients) = (threads(clients).to_string(), clients.to_string());
    let mut wrk = Command::new("wrk");
    wrk.args(["-t", &threads, "-c", &clients, "-d", &format!("{secs}s"), "-s"]);
    let env = env.iter().map(|(name, value)| (*name, value.as_str()));
    let output = wrk.arg(&file).arg(base).envs(env).output().expect("Debian's package wrk");
    let text = String::from_utf8_lossy(&output.stdout);
    let summary: Value =
        text.lines().rev().find_map(|line| serde_json::from_str(line).ok()).expect("wrk's summary");
    assert_eq!(summary["wrong"], 0, "{text}");
    summary
}

/// Threads of a load generator for this number of clients: the machine has two cores.
fn threads(clients: u32) -> u32 {
    clients.min(2)
}

fn write_lines(file: &Path, lines: impl IntoIterator<Item = impl ToString>) {
    let lines: Vec<String> = lines.into_iter().map(|line| line.to_string()).collect();
    fs::write(file, lines.join("\n")).unwrap();
}

/// Processor time that a process has had, microseconds.
fn cpu_micros(pid: i32) -> f64 {
    // A process that has ended counts no more.
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time, fields 14 and 15 of proc(5); the first two are cut off here.
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() * TICK_MICROS).sum()
}

/// Riders who all have the password of one, and trips.
async fn people(pool: &PgPool) {
    let saga = parts::saga_context(&settings(), pool.clone()).unwrap();
    accounts::register(pool, &saga.passwords, &new_rider("model"), Role::Rider).await.unwrap();
    sqlx::query(
        "insert into rider (id, user_name, password_hash, created_at)
         select gen_random_uuid(), 'load' || n, m.password_hash, now()
         from generate_series(0, $1 - 1) n, rider m where m.user_name = 'model'",
    )
    .bind(i32::try_from(RIDERS).unwrap())
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity, shares_bus)
         select gen_random_uuid(), 1, 0, now() + interval '2 days', now() + interval '3 days', 4.00, $2, true
         from generate_series(1, $1)",
    )
    .bind(TRIPS)
    .bind(SEATS)
    .execute(pool)
    .await
    .unwrap();
}

async fn sign_in(base: &str) -> HashMap<Uuid, String> {
    let (base, next) = (Arc::new(base.to_owned()), Arc::new(AtomicUsize::new(0)));
    let mut signing = Vec::new();
    for _ in 0..AT_ONCE {
        let (base, next) = (Arc::clone(&base), Arc::clone(&next));
        signing.push(tokio::spawn(async move {
            let stranger = Client::stranger(&base);
            let mut tokens = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= RIDERS {
                    return tokens;
                }
                let who = json!({"user_name": format!("load{n}"), "password": PASSWORD});
                let answer = stranger.post("/v1/sessions", &who).await;
                let session = answer.expect(201);
                let id = session["rider"]["id"].as_str().unwrap().parse().unwrap();
                tokens.push((id, session["token"].as_str().unwrap().to_owned()));
            }
        }));
    }
    let mut tokens = HashMap::new();
    for one in signing {
        tokens.extend(one.await.unwrap());
    }
    tokens
}
