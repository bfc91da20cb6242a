//! Two APIs and two workers on one database, with riders.

use super::{
    releases::Release,
    traffic::{Proxy, Seen, ride},
};
use crate::harness::{Client, Database, Process, count, until};
use serde_json::json;
use sqlx::PgPool;
use std::sync::{Arc, atomic::Ordering};
use tokio::task::{JoinSet, block_in_place};

/// Both are given over HTTP, where weak ones are refused.
const PASSWORD: &str = "seven buses beside the river";
pub const PAY: &str = "493817";

const RIDERS: usize = 4;
/// Seats of each rider: more than stay sold in the longest test.
const SEATS: usize = 300;
/// How long an API serves after it, if it knows the setting: many times as long as the proxy's interval.
const DRAIN: (&str, &str) = ("FAREBOX__HTTP__DRAIN_MS", "2000");

pub struct Fleet {
    db: Database,
    pool: PgPool,
    apis: [Process; 2],
    workers: [Process; 2],
    proxy: Arc<Proxy>,
    seen: Arc<Seen>,
    riding: JoinSet<()>,
    watching: JoinSet<()>,
}

impl Fleet {
    /// All of one release, on a database that it has migrated.
    pub async fn start(release: &Release) -> Self {
        let db = Database::empty().await;
        let url = db.url.clone();
        farebox(release, &url, &["migrate"]);
        farebox(release, &url, &["roles", "--apply"]);
        let apis = [api(release, &url), api(release, &url)];
        let workers = [worker(release, &url), worker(release, &url)];
        let proxy = Arc::new(Proxy::default());
        for (place, api) in apis.iter().enumerate() {
            proxy.set(place, block_in_place(|| api.base()));
        }
        let mut watching = JoinSet::new();
        watching.spawn(Arc::clone(&proxy).watch());
        let pool = PgPool::connect(&url).await.unwrap();
        let seen = Arc::new(Seen::default());
        let mut fleet = Self { db, pool, apis, workers, proxy, seen, riding: JoinSet::new(), watching };
        fleet.ride().await;
        fleet
    }

    /// Accounts, money, a trip for each rider, and their traffic.
    async fn ride(&mut self) {
        let base = block_in_place(|| self.apis[0].base());
        let anybody = Client::stranger(&base).of_another_release();
        let ops = json!({ "user_name": "ops", "password": PASSWORD });
        anybody.post("/v1/riders", &ops).await.expect(201);
        sqlx::query("update rider set role = 'operator'").execute(&self.pool).await.unwrap();
        let ops = Client::with_password(&base, "ops", PASSWORD).await.of_another_release();
        let capacity = SEATS.to_string();
        for nr in 0..RIDERS {
            let name = format!("rider{nr}");
            let new = json!({ "user_name": name, "password": PASSWORD, "pay_password": PAY });
            anybody.post("/v1/riders", &new).await.expect(201);
            let rider = Client::with_password(&base, &name, PASSWORD).await.of_another_release();
            let top_up = json!({ "amount": "9000.00", "reference": format!("first {name}") });
            ops.post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &top_up).await.expect(201);
            let bus = 900 + i32::try_from(nr).unwrap();
            let sql =
                "insert into bus (id, driver_name, driver_phone) values ($1, 'Zhao Lei', '028-5550-0101')";
            sqlx::query(sql).bind(bus).execute(&self.pool).await.unwrap();
            let departs = chrono::Utc::now() + chrono::Duration::days(1);
            let trip = json!({
                "bus_id": bus, "direction": 0, "departs_at": departs, "price": "4.00",
                "arrives_at": departs + chrono::Duration::hours(1), "capacity": capacity.parse::<i32>().unwrap(),
            });
            let trip = ops.post("/v1/ops/trips", &trip).await.expect(201)["id"].as_str().unwrap().to_owned();
            let seats = (1..=SEATS).map(|seat| seat.to_string()).collect();
            self.riding.spawn(ride(Arc::clone(&self.proxy), rider, trip, seats, Arc::clone(&self.seen)));
        }
    }

    /// Waits until this number of orders more was booked, paid and refunded; no request failed.
    pub async fn has_sold(&self, orders: usize) {
        let from = self.seen.refunded.load(Ordering::Relaxed);
        until("riders have booked, paid and refunded", || async {
            self.assert_unharmed();
            self.seen.refunded.load(Ordering::Relaxed) >= from + orders
        })
        .await;
    }

    fn assert_unharmed(&self) {
        let failures = self.seen.failures.lock().unwrap().clone();
        assert!(failures.is_empty(), "{} requests failed:\n{}", failures.len(), failures.join("\n"));
    }

    /// What a command of this release prints, as the owner of the tables.
    pub fn farebox(&self, release: &Release, arguments: &[&str]) -> String {
        farebox(release, &self.db.url, arguments)
    }

    /// What a process of this release says that does not start.
    pub fn refused(&self, release: &Release, program: &str) -> String {
        block_in_place(|| {
            let mut process = Process::start(release.command(program, &self.db.url, &[]));
            assert!(!process.wait().success(), "{}", process.log());
            process.wait_for_line("error: ")
        })
    }

    /// As a migration leaves it that was killed while it built the index of the next release.
    pub async fn half_build_the_index(&self) {
        let sql = "create index orders_by_payment on orders (paid_at);
                   update pg_index set indisvalid = false where indexrelid = 'orders_by_payment'::regclass";
        sqlx::raw_sql(sql).execute(&self.pool).await.unwrap();
    }

    pub async fn has_the_index(&self) -> bool {
        let sql =
            "select count(*) from pg_index where indexrelid = 'orders_by_payment'::regclass and indisvalid";
        count(&self.pool, sql).await == 1
    }

    /// The proxy's operator takes a process out.
    pub fn take_out(&self, place: usize) {
        self.proxy.take_out(place);
    }

    /// Stops the API of this place, and starts one of this release there.
    pub async fn replace_api(&mut self, place: usize, release: &Release) {
        let new = block_in_place(|| {
            stop(&mut self.apis[place]);
            api(release, &self.db.url)
        });
        self.proxy.set(place, block_in_place(|| new.base()));
        self.apis[place] = new;
        until("the new API is ready", || async { self.proxy.is_ready(place) }).await;
    }

    /// The same of a worker.
    pub fn replace_worker(&mut self, place: usize, release: &Release) {
        block_in_place(|| {
            stop(&mut self.workers[place]);
            self.workers[place] = worker(release, &self.db.url);
        });
    }

    /// The last riders come home, what failed is undone, and every invariant holds.
    pub async fn ends_well(mut self, release: &Release) {
        self.seen.stop.store(true, Ordering::Relaxed);
        while let Some(done) = self.riding.join_next().await {
            done.unwrap();
        }
        self.assert_unharmed();
        until("the undos are done", || async {
            let left = "select count(*) from queue.job where tag <> 'order_unpaid' or run_at <= now()";
            count(&self.pool, left).await == 0
        })
        .await;
        let said = self.farebox(release, &["verify"]);
        let count = |number: &std::sync::atomic::AtomicUsize| number.load(Ordering::Relaxed);
        let (booked, undone) = (count(&self.seen.booked), count(&self.seen.undone));
        println!(
            "{booked} orders booked and paid, {} refunded, {undone} undone by workers; {} requests sent again, 0 failed\n{said}",
            count(&self.seen.refunded),
            count(&self.proxy.repeated)
        );
        assert!(undone > 0, "no worker had anything to undo");
        self.watching.abort_all();
    }
}

fn api(release: &Release, url: &str) -> Process {
    Process::start(release.command("farebox-api", url, &[DRAIN]))
}

fn worker(release: &Release, url: &str) -> Process {
    Process::start(release.command("farebox-worker", url, &[]))
}

fn stop(process: &mut Process) {
    process.signal(libc::SIGTERM);
    let status = process.wait();
    assert!(status.success(), "{status}:\n{}", process.log());
}

fn farebox(release: &Release, url: &str, arguments: &[&str]) -> String {
    let mut command = release.command("farebox", url, &[]);
    let done = block_in_place(|| command.env("DATABASE_URL", url).args(arguments).output().unwrap());
    let (said, error) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "farebox {arguments:?}: {said}{error}");
    said.into_owned()
}
