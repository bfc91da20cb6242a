//! Bookings over HTTP beside the database's own limit, in one run on one durable server: wrk against an API process, in
//! turns with pgbench, which books in two steps without HTTP (floor.sql, two_steps.sql).
//!
//! ```console
//! $ cargo test --profile fast --test farebox-tests bookings_over_http -- --ignored --nocapture
//! ```
//!
//! Needs Debian's packages wrk and postgresql-contrib (pgbench). `SPEED_CLIENTS`, `SPEED_SECS` and `SPEED_RUNS` change what
//! is run; the medians count, and after each run every invariant holds.

use crate::harness::{Client, Process, count, new_rider, settings};
use farebox::{
    embedded, process as parts,
    riders::{self, Role},
    schema,
    verify::{self, Scope},
};
use serde_json::Value;
use sqlx::{Connection, PgConnection, PgPool};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

const RIDERS: usize = 20_000;
const TRIPS: i32 = 10_000;
/// Sign-ins under way at once, while the riders get their tokens.
const AT_ONCE: usize = 32;
/// The limits of a production are lifted: this measures the path, and has few riders for it.
const SETTINGS: [(&str, &str); 4] = [
    ("FAREBOX__LOG__FILTER", "warn,farebox_api=info"),
    ("FAREBOX__BOOKING__MAX_OPEN_HOLDS", "100"),
    ("FAREBOX__ADMISSION__SIGN_INS", "1000"),
    ("FAREBOX__LOCKOUT__ADDRESS_TRIES", "1000000"),
];

fn scale(name: &str, usual: &str) -> Vec<u32> {
    let text = std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    text.split(',')
        .map(|part| part.parse().unwrap_or_else(|_| panic!("{name} has a part that is no number")))
        .collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What a run brought: bookings a second, and the latencies of requests, milliseconds.
struct Run {
    rate: f64,
    p50: f64,
    p99: f64,
}

struct Ground {
    url: String,
    pool: PgPool,
    folder: PathBuf,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark"]
async fn bookings_over_http_beside_the_floor() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("speed");
    let options = embedded::Options { data: folder.clone(), durable: true, max_connections: 200 };
    let server = embedded::start(&options).await.unwrap();
    let name = format!("speed_{}", std::process::id());
    embedded::ensure_database(&server, &name).await.unwrap();
    let url = server.url(&name);
    let pool = schema::pool(&url, &settings().database, "speed").unwrap();
    schema::migrate(&pool).await.unwrap();
    let ground = Ground { url, pool, folder };
    ground.people().await;
    let api = Process::api(&ground.url, &SETTINGS);
    let worker = Process::worker(&ground.url, &SETTINGS[..1], &[]);
    ground.tokens(&api.base()).await;
    let (secs, runs) = (scale("SPEED_SECS", "8")[0], scale("SPEED_RUNS", "5")[0]);
    println!("| clients | floor/s | bookings/s | × floor | p50 ms | p99 ms |\n|---|---|---|---|---|---|");
    for clients in scale("SPEED_CLIENTS", "1,8,64") {
        let (mut floor, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            ground.empty().await;
            floor.push(ground.floor(clients, secs));
            ours.push(ground.book(&api.base(), clients, secs).await);
            for verdict in verify::verify(&ground.pool, Scope::Whole).await.unwrap() {
                assert!(verdict.holds, "{}: {:?}", verdict.sentence, verdict.samples);
            }
        }
        let ratio = median(floor.iter().zip(&ours).map(|(floor, run)| run.rate / floor));
        println!(
            "| {clients} | {:.0} | {:.0} | {ratio:.2} | {:.2} | {:.2} |",
            median(floor.into_iter()),
            median(ours.iter().map(|run| run.rate)),
            median(ours.iter().map(|run| run.p50)),
            median(ours.iter().map(|run| run.p99))
        );
    }
    ground.pool.close().await;
    drop((api, worker));
    embedded::drop_database(&server, &name).await.unwrap();
}

impl Ground {
    /// Riders who all have the passwords of one.
    async fn people(&self) {
        let flow = parts::flow(&settings(), self.pool.clone()).unwrap();
        riders::register(&self.pool, &flow.passwords, &new_rider("model"), Role::Rider).await.unwrap();
        sqlx::query(
            "insert into rider (id, user_name, password_hash, created_at)
             select gen_random_uuid(), 'load' || n, m.password_hash, now()
             from generate_series(0, $1 - 1) n, rider m where m.user_name = 'model'",
        )
        .bind(i32::try_from(RIDERS).unwrap())
        .execute(&self.pool)
        .await
        .unwrap();
        sqlx::query(
            "insert into wallet (rider_id, balance) select id, 0 from rider where user_name like 'load%'",
        )
        .execute(&self.pool)
        .await
        .unwrap();
        sqlx::query(
            "insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity)
             select gen_random_uuid(), 1, 0, now() + interval '2 days', now() + interval '3 days', 4.00, 40
             from generate_series(1, $1)",
        )
        .bind(TRIPS)
        .execute(&self.pool)
        .await
        .unwrap();
        let trips: Vec<String> =
            sqlx::query_scalar("select id::text from trip").fetch_all(&self.pool).await.unwrap();
        fs::write(self.folder.join("trips"), trips.join("\n")).unwrap();
    }

    async fn tokens(&self, base: &str) {
        let (base, next) = (Arc::new(base.to_owned()), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
        let mut signing = Vec::new();
        for _ in 0..AT_ONCE {
            let (base, next) = (Arc::clone(&base), Arc::clone(&next));
            signing.push(tokio::spawn(async move {
                let stranger = Client::stranger(&base);
                let mut tokens = Vec::new();
                loop {
                    let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if n >= RIDERS {
                        return tokens;
                    }
                    let who = serde_json::json!({"user_name": format!("load{n}"), "password": crate::harness::PASSWORD});
                    let answer = stranger.post("/v1/sessions", &who).await;
                    tokens.push(answer.expect(201)["token"].as_str().unwrap().to_owned());
                }
            }));
        }
        let mut tokens = Vec::new();
        for one in signing {
            tokens.extend(one.await.unwrap());
        }
        fs::write(self.folder.join("tokens"), tokens.join("\n")).unwrap();
    }

    /// Nothing is booked.
    async fn empty(&self) {
        let sql = "set statement_timeout = 0; set session_replication_role = replica;
                   truncate orders, order_event, barrier, idempotency, open_hold, queue.job, queue.finished, seat cascade;
                   insert into seat (trip_id, seat) select t.id, s from trip t, generate_series(1, 40) s;";
        let mut db = PgConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
        sqlx::raw_sql(include_str!("floor.sql")).execute(&mut db).await.unwrap();
        for table in ["seat", "floor.seat", "floor.trip"] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("vacuum analyze {table}")))
                .execute(&mut db)
                .await
                .unwrap();
        }
        sqlx::raw_sql("checkpoint").execute(&mut db).await.unwrap();
    }

    fn floor(&self, clients: u32, secs: u32) -> f64 {
        let script = self.folder.join("two_steps.sql");
        fs::write(&script, include_str!("two_steps.sql")).unwrap();
        let mut pgbench = Command::new("pgbench");
        pgbench.args([
            "-n",
            "-M",
            "prepared",
            "-j",
            "2",
            "-c",
            &clients.to_string(),
            "-T",
            &secs.to_string(),
            "-f",
        ]);
        let output = pgbench.arg(&script).arg(&self.url).output().expect("pgbench");
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.split("tps = ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        rate.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    async fn book(&self, base: &str, clients: u32, secs: u32) -> Run {
        let script = self.folder.join("book.lua");
        fs::write(&script, include_str!("book.lua")).unwrap();
        let before = count(&self.pool, "select count(*) from orders").await;
        let mut wrk = Command::new("wrk");
        wrk.args([
            "-t",
            &clients.min(2).to_string(),
            "-c",
            &clients.to_string(),
            "-d",
            &format!("{secs}s"),
            "-s",
        ]);
        wrk.arg(&script)
            .arg(base)
            .env("TOKENS", self.folder.join("tokens"))
            .env("TRIPS", self.folder.join("trips"));
        let output = wrk.output().expect("Debian's package wrk");
        let text = String::from_utf8_lossy(&output.stdout);
        let told: Value =
            text.lines().rev().find_map(|line| serde_json::from_str(line).ok()).expect("wrk's summary");
        assert_eq!(told["wrong"], 0, "{text}");
        let booked = count(&self.pool, "select count(*) from orders").await - before;
        let millis = |key: &str| told[key].as_f64().unwrap() / 1e3;
        Run {
            rate: booked as f64 / (told["micros"].as_f64().unwrap() / 1e6),
            p50: millis("p50"),
            p99: millis("p99"),
        }
    }
}
