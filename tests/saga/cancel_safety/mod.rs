//! Clients that hang up and attempts that are aborted, at bad moments: nothing is half done,
//! nothing that was answered is lost, and no connection goes back to the pool inside a transaction.

mod random_drops;
mod requests;

use crate::harness::{Client, Frozen, PASSWORD, PAY_PASSWORD, Process, World, count, until};
use requests::{Forms, evaluation, request, send, top_up};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;
use tokio::{task::JoinSet, time::sleep};
use uuid::Uuid;

/// How long the database's backends are stopped.
const STALL: Duration = Duration::from_millis(500);
/// How often they are.
const ROUNDS: usize = 20;
/// Longer than a test waits: a connection that is inside a transaction stays so.
const NO_TIMEOUT: (&str, &str) = ("FAREBOX__DATABASE__STATEMENT_TIMEOUT_MS", "600000");
/// The attempts' deadline: shorter than a stall.
const DEADLINE: (&str, &str) = ("FAREBOX__WORKER__ATTEMPT_MS", "250");
/// Connections of API and worker inside a transaction that does nothing.
const INSIDE: &str =
    "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                      and application_name like 'farebox%' and state like 'idle in transaction%'";
/// The API's connections, and those of a worker's pool (its driver never commits by a statement of its own).
const STOPPED: &str = "application_name = 'farebox-api'
                       or application_name = 'farebox-worker' and state = 'idle' and query ilike 'commit%'";

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_while_begin_stalls_leaves_no_transaction_open_in_a_small_pool() {
    hang_up_while_begin_stalls("3", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_while_begin_stalls_leaves_no_transaction_open_in_a_large_pool() {
    hang_up_while_begin_stalls("24", 24).await;
}

async fn hang_up_while_begin_stalls(connections: &str, clients: usize) {
    let pool = ("FAREBOX__DATABASE__MAX_CONNECTIONS", connections);
    let world = World::with(&[pool, NO_TIMEOUT]).await;
    let _worker = Process::worker(&world.db.url, &[pool, NO_TIMEOUT, DEADLINE], &[]);
    let rider = world.rider("0").await;
    let forms = Forms::of(&world, &rider).await;
    fill_pool(&world, &rider, clients).await;
    let mut stopped = 0;
    for round in 0..ROUNDS {
        let trip = world.trip(40).await;
        let frozen = Frozen::backends(&world.pool, STOPPED).await;
        stopped += frozen.count();
        put_undo(&world.pool).await;
        let mut lines = Vec::new();
        for _ in 0..clients.min(8) {
            lines.push(send(&world, &evaluation(&rider, Uuid::now_v7())).await);
        }
        for n in 0..3 {
            lines.push(send(&world, &top_up(&world.ops, &rider, &format!("api {round} {n}"))).await);
            lines.push(send(&world, &forms.top_up(&format!("form {round} {n}"))).await);
        }
        sleep(STALL / 2).await;
        drop(lines);
        sleep(STALL / 2).await;
        drop(frozen);
        // The next riders, on as many connections as there are.
        let mut bookings = JoinSet::new();
        for seat in 1..=clients {
            let (rider, trip) = (rider.clone(), trip.clone());
            bookings.spawn(async move { rider.booked(&trip, &[&seat.to_string()]).await });
        }
        for order in bookings.join_all().await {
            assert_ne!(world.order(&order).await, Value::Null, "round {round}: nobody else sees {order}");
        }
        nobody_is_inside(&world.pool).await;
    }
    assert!(stopped >= ROUNDS * clients.min(4), "only {stopped} backends were ever stopped");
    until("the aborted attempts are made again", || async {
        world.pass_undo_delay().await;
        count(&world.pool, "select count(*) from queue.job where tag = 'order_seats_cancel'").await == 0
    })
    .await;
    let aborted = "select count(*) from queue.finished where failures::text like '%stopped at its deadline%'";
    assert!(count(&world.pool, aborted).await > 0, "no attempt was aborted");
    nobody_is_inside(&world.pool).await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_no_try_at_a_password_behind() {
    const TRIES: i64 = 5;
    let world = World::new().await;
    let (rider, trip) = (world.rider("0").await, world.trip(10).await);
    let order = rider.booked(&trip, &["1"]).await;
    let name = json!({ "user_name": "rider0", "password": "wrong" });
    rider.post("/v1/sessions", &name).await.expect(401);

    let sign_in = json!({ "user_name": "rider0", "password": PASSWORD });
    let authorize = json!({ "order_id": order, "pay_password": PAY_PASSWORD });
    let change = json!({ "current": PAY_PASSWORD, "new": PAY_PASSWORD });
    let cases = [
        ("POST", "/v1/sessions", sign_in, 201, "select * from sign_in_tries for update"),
        ("POST", "/v1/payment-authorizations", authorize, 201, "select * from pay_password for update"),
        ("PUT", "/v1/riders/me/pay-password", change, 204, "select * from pay_password for update"),
    ];
    for (method, path, body, status, lock) in cases {
        // The tries are let through while no client waits for them any more.
        let mut held = world.pool.begin().await.unwrap();
        sqlx::query(lock).execute(&mut *held).await.unwrap();
        let mut lines = Vec::new();
        for _ in 0..TRIES {
            lines.push(send(&world, &request(method, path, &rider, &body)).await);
        }
        until("they wait", || async { world.waiting_for_locks().await >= TRIES }).await;
        drop(lines);
        // Long enough for the server to see the ends of the lines.
        sleep(Duration::from_millis(100)).await;
        held.rollback().await.unwrap();
        until("they are done", || async { world.waiting_for_locks().await == 0 }).await;
        until("none is being checked", || async {
            count(&world.pool, "select count(*) from pay_password where checking > 0").await == 0
        })
        .await;
        // A sign-in that is still hashed counts as an attempt. The wrong one left two rows: its account's
        // and its address's.
        until("no sign-in is being checked", || async {
            count(&world.pool, "select count(*) from sign_in_tries").await == 2
        })
        .await;
        let again = rider.call(method, path, Some(&body)).await;
        assert_eq!(again.status.as_u16(), status, "{path}: {}", again.text);
    }
}

/// Waits until no connection is inside a transaction: one whose BEGIN was forgotten would stay.
async fn nobody_is_inside(pool: &PgPool) {
    until("no connection is inside a transaction", || async { count(pool, INSIDE).await == 0 }).await;
}

/// Reads that wait for one another make the API open as many connections as it may.
async fn fill_pool(world: &World, rider: &Client, connections: usize) {
    let mut lock = world.pool.begin().await.unwrap();
    sqlx::query("lock table wallet").execute(&mut *lock).await.unwrap();
    let mut reads = JoinSet::new();
    for _ in 0..connections {
        let rider = rider.clone();
        reads.spawn(async move { rider.get("/v1/wallet").await.expect(200).clone() });
    }
    let connections = i64::try_from(connections).unwrap();
    until("all of them wait", || async { world.waiting_for_locks().await == connections }).await;
    lock.rollback().await.unwrap();
    reads.join_all().await;
}

/// An undo that finds nothing to undo, in a transaction of its own.
async fn put_undo(pool: &PgPool) {
    let id = Uuid::now_v7();
    let payload = json!({"v": 1, "booking": {"order_id": id, "rider_id": id, "trip_id": id, "seats": [1]}});
    sqlx::query("insert into queue.job (id, tag, key, payload, max_attempts) values (gen_random_uuid(), 'order_seats_cancel', $1, $2, 25)")
        .bind(id.to_string()).bind(payload).execute(pool).await.unwrap();
}
