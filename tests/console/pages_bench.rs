//! How fast the console answers on a large database beside a running load, and what the load loses by it:
//!
//! ```console
//! $ cargo test --profile fast --test farebox-tests pages_beside_a_load -- --ignored --nocapture
//! ```
//!
//! It fills a database of its own with a million orders and ten million finished jobs (big.sql; a
//! quarter of an hour and about 12 GB, with fsync on), in `target/tmp/console-bench`, and uses it
//! again the next time; delete that folder when done.
//! `BENCH_ORDERS`, `BENCH_JOBS`, `BENCH_DEAD` and `BENCH_ROUNDS` make it smaller. With `BENCH_PAGES`
//! only the pages whose addresses contain this text are looked at, and without a load.

use super::bench_pages::{pages, some_pages};
use crate::harness::{Client, PASSWORD, Process, Wire, lasting_folder, new_rider, settings};
use farebox::{
    accounts::{self, Role},
    app as parts, embedded, storage,
    verify::{self, Scope},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Unpaid orders, and jobs that are ready and paused, each.
const SOME: u64 = 20_000;
/// Dead letters: as many as one bulk operation may cover.
const DEAD: u64 = 100_000;
/// Accounts that never booked.
const ACCOUNTS: u64 = 100_000;
/// Acts in the audit log.
const ACTS: u64 = 100_000;
/// Riders who book and cancel as fast as they are answered.
const BOOKERS: usize = 8;
/// How often each page is asked for its figures.
const ASKED: usize = 40;
/// How long the load is counted with and without readers, in turns.
const WINDOW: Duration = Duration::from_secs(6);
/// A reader opens a page this often.
const PACE: Duration = Duration::from_secs(1);
/// What a page may take, at its 95th percentile.
const LIMIT: Duration = Duration::from_millis(100);
/// Tables that are too large to be read as a whole for a page.
const LARGE: [&str; 12] = [
    "idempotency",
    "orders",
    "order_event",
    "seat",
    "ledger_entry",
    "payment",
    "barrier",
    "wallet",
    "trip",
    "job",
    "dead_letter",
    "finished",
];

fn scale(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark of half an hour"]
async fn pages_beside_a_load() {
    let data = lasting_folder("console-bench");
    let options = embedded::Options { data, durable: true, max_connections: 100, settings: &[] };
    let server = embedded::start(&options).await.unwrap();
    embedded::ensure_database(&server, "bench").await.unwrap();
    let url = server.url("bench");
    let pool = storage::pool(&url, &settings().database, "bench").unwrap();
    crate::harness::migrate(&pool).await;
    fill(&url, &pool).await;
    let pages = pages(&pool).await;

    let seen = look_at_plans(&server, &url, &pages).await;
    let api = Process::api(&url, &[("FAREBOX__LOG__FILTER", "warn,farebox_api=info")]);
    let _worker = Process::worker(&url, &[("FAREBOX__LOG__FILTER", "warn")], &[]);
    let cookie = sign_in(&api.base()).await;
    let (slow, lost) = if some_pages().is_some() {
        (time_pages(&api.base(), &cookie, &pages).await, 0.0)
    } else {
        let load = Load::start(&pool, &api.base()).await;
        let slow = time_pages(&api.base(), &cookie, &pages).await;
        let lost = alternate(&load, &api.base(), &cookie, &pages).await;
        println!("the load loses {lost:.1} % while a page is opened every {} ms", PACE.as_millis());
        load.stop().await;
        (slow, lost)
    };
    assert_eq!(seen, BTreeSet::new(), "whole tables are read for a page");
    assert_eq!(slow, Vec::<String>::new(), "pages over {} ms", LIMIT.as_millis());
    assert!(lost < 3.0, "the load loses {lost:.1} %");
}

/// Fills an empty database, part by part.
async fn fill(url: &str, pool: &PgPool) {
    if sqlx::query_scalar("select exists(select from orders)").fetch_one(pool).await.unwrap() {
        return;
    }
    let saga = parts::saga_context(&settings(), pool.clone()).unwrap();
    for (name, role) in [("model", Role::Rider), ("ops", Role::Operator)] {
        let known = accounts::register(pool, &saga.passwords, &new_rider(name), role).await;
        drop(known); // a fill that was broken off has them already
    }
    let text = include_str!("big.sql")
        .replace(":orders", &scale("BENCH_ORDERS", 1_000_000).to_string())
        .replace(":jobs", &scale("BENCH_JOBS", 10_000_000).to_string())
        .replace(":live", &SOME.to_string())
        .replace(":accounts", &ACCOUNTS.to_string())
        .replace(":acts", &ACTS.to_string())
        .replace(":dead", &scale("BENCH_DEAD", DEAD).to_string());
    let mut db = PgConnection::connect(url).await.unwrap();
    let began = Instant::now();
    for part in text.split("-- part: ").skip(1) {
        let (what, sql) = part.split_once('\n').unwrap();
        let began = Instant::now();
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut db)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        println!("{:7.1} s  {what}", began.elapsed().as_secs_f64());
    }
    // As autovacuum would have done by then. It runs in no transaction.
    sqlx::raw_sql("vacuum (analyze)").execute(&mut db).await.unwrap();
    println!("filled in {:.0} s; checking", began.elapsed().as_secs_f64());
    for verdict in verify::verify(pool, Scope::Whole).await.unwrap() {
        let expected = verdict.holds || verdict.name == "nothing_is_dead";
        assert!(expected, "{}: {:?}", verdict.sentence, verdict.samples);
    }
}

/// The session's cookie, from the form that people fill in.
async fn sign_in(base: &str) -> String {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let form = format!("user_name=ops&password={}&next=", PASSWORD.replace(' ', "+"));
    let request = http.post(format!("{base}/console/sign-in")).body(form);
    let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    let cookie = answer.headers().get("set-cookie").expect("signed in").to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

async fn open(wire: &mut Wire, cookie: &str, page: &str) -> u16 {
    wire.ask(&format!("GET {page}"), &format!("cookie: {cookie}\r\n")).await.status
}

/// Opens each page with generic plans, and reports which large tables were read as a whole for which page.
async fn look_at_plans(server: &embedded::Server, url: &str, pages: &[String]) -> BTreeSet<String> {
    let mut db = PgConnection::connect(url).await.unwrap();
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_analyze = on",
        "auto_explain.log_buffers = on",
        "plan_cache_mode = force_generic_plan",
    ] {
        let set = format!("alter database bench set {setting}");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut db).await.unwrap();
    }
    let log: PathBuf = server.folder().join("log");
    let mut seen = BTreeSet::new();
    {
        let api = Process::api(url, &[]);
        let cookie = sign_in(&api.base()).await;
        for page in pages {
            let before = fs::metadata(&log).unwrap().len();
            let mut wire = Wire::to(&api.base()).await;
            let status = open(&mut wire, &cookie, page).await;
            let plans = fs::read(&log).unwrap();
            let plans = String::from_utf8_lossy(&plans[usize::try_from(before).unwrap()..]).into_owned();
            let scans = whole_tables(&plans);
            println!(
                "{status} {page}: {} statements, {}",
                plans.matches("Query Text").count(),
                pages_read(&plans)
            );
            seen.extend(
                scans
                    .into_iter()
                    .map(|table| format!("{} reads all of {table}", page.split('?').next().unwrap_or(page))),
            );
        }
    }
    for setting in ["session_preload_libraries", "plan_cache_mode"] {
        let reset = format!("alter database bench reset {setting}");
        sqlx::raw_sql(AssertSqlSafe(reset)).execute(&mut db).await.unwrap();
    }
    seen
}

/// The large tables under a sequential scan that was carried out.
fn whole_tables(plans: &str) -> BTreeSet<String> {
    let scans = plans.lines().filter(|line| !line.contains("never executed"));
    let tables = scans.filter_map(|line| line.split("Seq Scan on ").nth(1)?.split(' ').next());
    let large = |table: &&str| {
        LARGE.contains(table) || (table.starts_with("finished_") && *table != "finished_stray")
    };
    tables.filter(large).map(str::to_owned).collect()
}

/// How many pages of the database the largest statement touched.
fn pages_read(plans: &str) -> String {
    let number = |text: &str, key: &str| -> u64 {
        let digits = text.split(key).nth(1).unwrap_or_default();
        digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or_default()
    };
    let buffers = plans.lines().filter(|line| line.contains("Buffers: shared"));
    let most = buffers.map(|line| number(line, "hit=") + number(line, "read=")).max().unwrap_or_default();
    format!("the largest touches {most} pages of 8 KiB")
}

/// Riders who book a seat and cancel, again and again.
struct Load {
    done: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    bookers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn start(pool: &PgPool, base: &str) -> Self {
        let ops = Client::sign_in(base, "ops").await;
        let (done, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut bookers = Vec::new();
        for n in 0..BOOKERS {
            let departs =
                chrono::Utc::now() + chrono::Duration::days(9) + chrono::Duration::hours((n / 8) as i64);
            let trip = json!({"bus_id": 1 + n % 8, "direction": 0, "departs_at": departs, "price": "4.00", "capacity": 40,
                "arrives_at": departs + chrono::Duration::hours(1)});
            let trip = ops.post("/v1/ops/trips", &trip).await.expect(201)["id"].as_str().unwrap().to_owned();
            let name: String = sqlx::query_scalar("select user_name from rider where user_name = $1")
                .bind(format!("load{n}"))
                .fetch_one(pool)
                .await
                .unwrap();
            let rider = Client::sign_in(base, &name).await;
            let (done, over) = (Arc::clone(&done), Arc::clone(&over));
            let mut wire = Wire::to(base).await;
            bookers.push(tokio::spawn(async move {
                let say = |line: &str, body: &str| {
                    format!(
                        "{line} HTTP/1.1\r\nhost: farebox\r\nauthorization: {}\r\ncontent-type: application/json\r\n\
                         content-length: {}\r\n\r\n{body}",
                        rider.authorization(),
                        body.len()
                    )
                };
                for seat in (1..=40).cycle() {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let body = json!({"trip_id": trip, "seats": [seat.to_string()]}).to_string();
                    wire.send(&say("POST /v1/orders", &body)).await;
                    let booked = wire.reply().await.unwrap();
                    assert_eq!(booked.status, 201, "{}", booked.body);
                    let order: serde_json::Value = serde_json::from_str(&booked.body).unwrap();
                    wire.send(&say(&format!("POST /v1/orders/{}/cancel", order["id"].as_str().unwrap()), "{}")).await;
                    assert_eq!(wire.reply().await.unwrap().status, 200);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { done, over, bookers }
    }

    /// Bookings a second over a window.
    async fn rate(&self) -> f64 {
        let (before, began) = (self.done.load(Ordering::Relaxed), Instant::now());
        tokio::time::sleep(WINDOW).await;
        (self.done.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64()
    }

    async fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        for booker in self.bookers {
            booker.await.unwrap();
        }
    }
}

/// Asks for each page [`ASKED`] times, one request at a time, and reports those over the limit.
async fn time_pages(base: &str, cookie: &str, pages: &[String]) -> Vec<String> {
    let mut slow = Vec::new();
    let mut took: Vec<Vec<Duration>> = vec![Vec::new(); pages.len()];
    for _ in 0..ASKED {
        for (page, took) in pages.iter().zip(&mut took) {
            let mut wire = Wire::to(base).await;
            let began = Instant::now();
            let status = open(&mut wire, cookie, page).await;
            took.push(began.elapsed());
            assert!(status < 400, "{page} is answered {status}");
        }
    }
    for (page, mut took) in pages.iter().zip(took) {
        took.sort_unstable();
        let (p50, p95) = (took[took.len() / 2], took[took.len() * 95 / 100]);
        println!("p50 {:6.1} ms  p95 {:6.1} ms  {page}", p50.as_secs_f64() * 1e3, p95.as_secs_f64() * 1e3);
        if p95 > LIMIT {
            slow.push(page.clone());
        }
    }
    slow
}

/// The load alone and beside a reader, in turns; what it loses, in percent.
async fn alternate(load: &Load, base: &str, cookie: &str, pages: &[String]) -> f64 {
    let (mut alone, mut beside) = (0.0, 0.0);
    for round in 0..scale("BENCH_ROUNDS", 20) {
        // First the one, then the other: the database grows meanwhile.
        let first = if round % 2 == 0 { load.rate().await } else { 0.0 };
        let reader = tokio::spawn(read(base.to_owned(), cookie.to_owned(), pages.to_vec()));
        let with = load.rate().await;
        reader.abort();
        let without = if round % 2 == 0 { first } else { load.rate().await };
        println!("round {round}: {without:.0} bookings/s alone, {with:.0} beside a reader");
        alone += without;
        beside += with;
    }
    (1.0 - beside / alone) * 100.0
}

async fn read(base: String, cookie: String, pages: Vec<String>) {
    let mut pace = tokio::time::interval(PACE);
    for page in pages.iter().cycle() {
        pace.tick().await;
        let mut wire = Wire::to(&base).await;
        open(&mut wire, &cookie, page).await;
    }
}
