//! The schema changes under a running API and worker, whose connections have prepared everything:
//! reads are answered as before at once, bookings and payments go on, and no process has to be
//! restarted.

use crate::{
    console::ConsoleSession,
    harness::{Client, PASSWORD, PAY_PASSWORD, Process, World, until},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// As long as answers other than the right one may be given.
const GRACE: Duration = Duration::from_secs(1);
/// How long traffic goes on after a change.
const AFTER: Duration = Duration::from_millis(1_500);
/// Connections of the API.
const CONNECTIONS: &str = "6";

struct Fixture {
    world: World,
    worker: Process,
    rider: Client,
    trip: String,
    session: ConsoleSession,
}

impl Fixture {
    async fn new() -> Self {
        let world = World::with(&[("FAREBOX__DATABASE__MAX_CONNECTIONS", CONNECTIONS)]).await;
        let worker = Process::worker(
            &world.db.url,
            &[
                ("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0"),
                ("FAREBOX__DATABASE__MAX_CONNECTIONS", "4"),
            ],
            &[],
        );
        let rider = world.rider("1000.00").await;
        let trip = world.trip(1_000).await;
        let session = ConsoleSession::enter(&world, "ops").await;
        Self { world, worker, rider, trip, session }
    }

    /// Everything that reads, so often that each connection has prepared it; and every flow. All
    /// answers are right.
    async fn everything(&self, seats: &AtomicUsize) {
        let mut asking = JoinSet::new();
        for _ in 0..12 {
            let (rider, trip) = (self.rider.clone(), self.trip.clone());
            asking.spawn(async move {
                for path in ["/v1/riders/me", "/v1/wallet", "/v1/wallet/entries", "/v1/orders", "/v1/trips"] {
                    let answer = rider.get(path).await;
                    assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text);
                }
                let answer = rider.get(&format!("/v1/trips/{trip}")).await;
                assert_eq!(answer.status.as_u16(), 200, "the trip: {}", answer.text);
            });
        }
        asking.join_all().await;
        for _ in 0..4 {
            let credentials = json!({ "user_name": "rider0", "password": PASSWORD });
            self.rider.post("/v1/sessions", &credentials).await.expect(201);
            for path in ["/console", "/console/riders", "/console/orders", "/console/jobs", "/console/trips"]
            {
                self.session.page(path).await;
            }
            self.session.page(&format!("/console/riders/{}", self.rider.id)).await;
        }
        let seat = next(seats).to_string();
        let order = self.rider.booked(&self.trip, &[&seat]).await;
        self.session.page(&format!("/console/orders/{order}")).await;
        self.rider.get(&format!("/v1/orders/{order}")).await.expect(200);
        let authorize = json!({ "order_id": order, "pay_password": PAY_PASSWORD });
        let leave = self.rider.post("/v1/payment-authorizations", &authorize).await;
        let pay = json!({ "authorization": leave.expect(201)["authorization"] });
        self.rider.post(&format!("/v1/orders/{order}/pay"), &pay).await.expect(200);
        self.rider.refund(&order).await.expect(200);
        let reference = format!("seat {seat}");
        self.world.top_up(self.rider.id, "4.00", &reference).await.expect(201);
        let path = format!("/console/riders/{}/top-up", self.rider.id);
        let form = [
            ("csrf", self.session.hidden(&path, "csrf").await),
            ("reason", "a schema that changes".to_owned()),
            ("amount", "1.00".to_owned()),
            ("reference", format!("form {seat}")),
        ];
        let form = serde_urlencoded::to_string(form).unwrap();
        assert_eq!(self.session.status("POST", &path, Some(&form)).await, 303, "the form");
    }

    /// A booking that fails, and is undone by the worker.
    async fn an_undo(&self, seats: &AtomicUsize) {
        let seat = next(seats).to_string();
        let failing = self.rider.fault("order_add_cancle.after=error");
        failing.book(&self.trip, &[&seat]).await.problem(500, "003099");
        until("it is undone", || async {
            let sql =
                "select count(*) from seat where trip_id = $1::uuid and seat = $2 and order_id is not null";
            let taken = sqlx::query_scalar::<_, i64>(sql).bind(&self.trip).bind(seat.parse::<i32>().unwrap());
            taken.fetch_one(&self.world.pool).await.unwrap() == 0
        })
        .await;
        let failed = "select count(*) from queue.finished where failures <> '[]'";
        assert_eq!(crate::harness::count(&self.world.pool, failed).await, 0, "an attempt failed");
    }

    async fn stale_plans(&self, base: &str) -> f64 {
        let text = reqwest::get(format!("{base}/metrics")).await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with("farebox_stale_plans_total "));
        line.unwrap_or_else(|| panic!("no counter in {text}")).split(' ').nth(1).unwrap().parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_changes_its_type_changes_no_answer() {
    let (fixture, seats) = (Fixture::new().await, AtomicUsize::new(0));
    fixture.everything(&seats).await;
    change(&fixture.world.pool, "alter table rider alter column phone type varchar(400)").await;
    for _ in 0..16 {
        fixture.rider.get("/v1/riders/me").await.expect(200);
    }
    change(&fixture.world.pool, "alter table rider alter column password_hash type varchar(400)").await;
    let credentials = json!({ "user_name": "rider0", "password": PASSWORD });
    for _ in 0..8 {
        fixture.rider.post("/v1/sessions", &credentials).await.expect(201);
    }
    change(&fixture.world.pool, "alter table rider alter column user_name type varchar(400)").await;
    for _ in 0..8 {
        fixture.session.page("/console").await;
    }
    assert!(fixture.stale_plans(&fixture.world.api.base()).await > 0.0, "nobody noticed");
    fixture.rider.get("/health/ready").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_indexes_and_types_change_beside_bookings_and_payments() {
    let changes: [&[&str]; 9] = [
        &["alter table rider alter column phone type varchar(400)"],
        &["alter table wallet alter column balance type numeric(16, 2)"],
        &["alter table trip alter column price type numeric(14, 2)"],
        &["alter table ledger_entry alter column reference type varchar(300)"],
        &["alter table pay_password alter column hash type varchar(500)"],
        &[REBUILT_VIEWS],
        &["alter table seat add column note text"],
        &["alter table orders add column note text not null default ''"],
        &["create index seat_by_hold on seat (held_until)"],
    ];
    let fixture = Arc::new(Fixture::new().await);
    let seats = Arc::new(AtomicUsize::new(0));
    fixture.everything(&seats).await;
    fixture.an_undo(&seats).await;
    let (stop, mut traffic) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for _ in 0..3 {
        traffic.spawn(book_and_pay(Arc::clone(&fixture), Arc::clone(&seats), Arc::clone(&stop)));
    }
    let mut changed = Vec::new();
    for statements in changes {
        changed.push(change_all(&fixture.world.pool, statements).await);
        fixture.everything(&seats).await;
        tokio::time::sleep(AFTER).await;
        fixture.an_undo(&seats).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut right = 0;
    for (at, what, status, text) in traffic.join_all().await.into_iter().flatten() {
        if matches!(status, 200 | 201) {
            right += 1;
            continue;
        }
        // A request that waited for the change's lock, or met it half way, may be answered 503.
        let just_now = changed.iter().any(|(began, ended)| *began <= at && at <= *ended + GRACE);
        assert!(just_now, "{what} was answered {status} when nothing had changed for a while: {text}");
    }
    assert!(right > 100, "only {right} requests beside the changes");
    assert!(fixture.stale_plans(&fixture.world.api.base()).await > 0.0, "the API noticed nothing");
    fixture.stale_plans(&fixture.worker.metrics()).await;
    for base in [fixture.world.api.base(), fixture.worker.metrics()] {
        let ready = reqwest::get(format!("{base}/health/ready")).await.unwrap();
        assert_eq!(ready.status().as_u16(), 200, "{base}");
    }
    fixture.world.drained().await;
    fixture.world.verify().await;
}

/// Each error that means a lost plan, from a trigger that raises it again and again.
#[tokio::test(flavor = "multi_thread")]
async fn plans_that_stay_stale_are_answered_503_and_fail_health_until_they_pass() {
    let world = World::new().await;
    let credentials = json!({ "user_name": "ops", "password": PASSWORD });
    for (state, text) in [
        ("26000", "prepared statement does not exist"),
        ("42P05", "prepared statement exists already"),
        ("XX000", "cache lookup failed for type 16999"),
    ] {
        let raises = AssertSqlSafe(format!(
            "create or replace function raise_it() returns trigger language plpgsql as $$
             begin raise exception using errcode = '{state}', message = '{text}'; end $$;
             drop trigger if exists stale on session;
             create trigger stale before insert on session for each row execute function raise_it()"
        ));
        sqlx::raw_sql(raises).execute(&world.pool).await.unwrap();
        let refused = world.ops.post("/v1/sessions", &credentials).await;
        refused.problem(503, "003097");
        assert!(refused.headers.contains_key("retry-after"), "{state}: {:?}", refused.headers);
    }
    until("health tells that it does not pass", || async {
        world.ops.post("/v1/sessions", &credentials).await.problem(503, "003097");
        world.ops.get("/health/ready").await.status == 503
    })
    .await;
    change(&world.pool, "drop trigger stale on session").await;
    world.ops.post("/v1/sessions", &credentials).await.expect(201);
    until("health tells that it has passed", || async { world.ops.get("/health/ready").await.status == 200 })
        .await;
}

type Answered = (Instant, &'static str, u16, String);

/// A seat that no order has: all are freed.
fn next(seats: &AtomicUsize) -> usize {
    seats.fetch_add(1, Ordering::Relaxed) % 1_000 + 1
}

/// Books, pays and refunds until stopped; when each request was answered, and how.
async fn book_and_pay(
    fixture: Arc<Fixture>,
    seats: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> Vec<Answered> {
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let seat = next(&seats);
        let booked = fixture.rider.book(&fixture.trip, &[&seat.to_string()]).await;
        answers.push((Instant::now(), "a booking", booked.status.as_u16(), booked.text));
        let Some(order) = booked.body["id"].as_str() else { continue };
        let paid = fixture.rider.pay(order).await;
        answers.push((Instant::now(), "a payment", paid.status.as_u16(), paid.text));
        if paid.status == 200 {
            let back = fixture.rider.refund(order).await;
            answers.push((Instant::now(), "a refund", back.status.as_u16(), back.text));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    answers
}

async fn change(pool: &PgPool, statement: &'static str) {
    change_all(pool, &[statement]).await;
}

/// One transaction; a deadlock with what runs beside makes it begin anew. When it began last, and
/// when it ended.
async fn change_all(pool: &PgPool, statements: &[&'static str]) -> (Instant, Instant) {
    let all = format!("begin; {}; commit", statements.join("; "));
    loop {
        let (began, mut conn) = (Instant::now(), pool.acquire().await.unwrap().detach());
        match sqlx::raw_sql(AssertSqlSafe(all.clone())).execute(&mut conn).await {
            Ok(_) => return (began, Instant::now()),
            Err(error) => {
                let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
                assert!(code == "40P01" || code == "55P03", "{all}: {error}");
            }
        }
    }
}

const REBUILT_VIEWS: &str = "do $$
declare
    shown text := pg_get_viewdef('order_shown');
    listed text := pg_get_viewdef('order_listed');
begin
    drop view order_listed;
    drop view order_shown;
    alter table orders alter column closed_reason type varchar(100);
    execute 'create view order_shown as ' || shown;
    execute 'create view order_listed as ' || listed;
    grant select on order_shown, order_listed to farebox_api, farebox_worker;
end $$";
