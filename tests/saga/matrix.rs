//! The failure matrix: every tag × before and after its step × error, panic, process abort × its
//! undo run once, twice and by two workers at once. Aborts kill a real API process; the undos are
//! done by real worker processes.
//!
//! All requests of a matrix are made while no worker runs, then the workers come and clear up.

use crate::harness::{Client, Process, World};
use farebox_jobs::MqTag;
use serde_json::Value;

/// How often the undos of a matrix are run.
#[derive(Clone, Copy, PartialEq)]
enum Undo {
    Once,
    Twice,
    AtOnce,
}

/// One cell: what was done, and what must be there afterwards.
struct Cell {
    name: String,
    order: String,
    trip: String,
    expected: Expected,
}

/// What an order has become.
#[derive(Debug, PartialEq)]
struct Expected {
    status: &'static str,
    ledger: &'static [&'static str],
}

const GONE: Expected = Expected { status: "gone", ledger: &[] };
const CLOSED: Expected = Expected { status: "closed", ledger: &[] };
const UNPAID: Expected = Expected { status: "unpaid", ledger: &[] };
const GIVEN_BACK: Expected = Expected { status: "unpaid", ledger: &["payment", "payment_reversed"] };
const PAID: Expected = Expected { status: "paid", ledger: &["payment"] };
const REFUNDED: Expected = Expected { status: "refunded", ledger: &["payment", "refund"] };

/// The expected state after a failure in the tag's step.
fn expected(tag: MqTag, after: bool, aborts: bool) -> Expected {
    match (tag, after, aborts) {
        // The last step had committed when the process died: the booking is whole, only its answer was lost.
        (MqTag::OrderAdd, true, true) => UNPAID,
        (MqTag::OrderAdd, true, false) => CLOSED,
        (MqTag::OrderSeats | MqTag::OrderAddSeats | MqTag::OrderCalcMoney | MqTag::OrderAdd, ..) => GONE,
        (MqTag::OrderCancel, false, true) => UNPAID,
        (MqTag::OrderCancel, ..) => CLOSED,
        (MqTag::PayCheck, ..) | (MqTag::PayMoney, false, _) => UNPAID,
        (MqTag::PayMoney, true, _) | (MqTag::Pay, false, true) => GIVEN_BACK,
        (MqTag::Pay, ..) => PAID,
        (MqTag::PayBack, false, _) => PAID,
        (MqTag::PayBack, true, _) => REFUNDED,
        (
            MqTag::OrderUnpaid
            | MqTag::Timetable
            | MqTag::TripCancel
            | MqTag::Bulk
            | MqTag::NetworkImport
            | MqTag::WebhookEvent
            | MqTag::WebhookDelivery,
            ..,
        ) => {
            unreachable!("no step")
        }
    }
}

/// What operators are shown as pending after a failure in the tag's step, before its undo runs.
fn pending(tag: MqTag, after: bool) -> Option<&'static str> {
    match (tag, after) {
        (MqTag::OrderSeats, _) | (MqTag::OrderAddSeats, false) => None,
        (MqTag::OrderAddSeats, true) | (MqTag::OrderCalcMoney, _) | (MqTag::OrderAdd, false) => Some("seats"),
        (MqTag::OrderAdd, true) | (MqTag::OrderCancel, false) => Some("close"),
        (MqTag::PayCheck, _) | (MqTag::PayMoney, false) => Some("hold"),
        (MqTag::PayMoney, true) | (MqTag::Pay, false) => Some("debit"),
        (MqTag::OrderCancel | MqTag::Pay, true) | (MqTag::PayBack, _) => None,
        (
            MqTag::OrderUnpaid
            | MqTag::Timetable
            | MqTag::TripCancel
            | MqTag::Bulk
            | MqTag::NetworkImport
            | MqTag::WebhookEvent
            | MqTag::WebhookDelivery,
            _,
        ) => {
            unreachable!("no step")
        }
    }
}

/// The order's page says what is pending, and names a live job that will process it.
async fn check_pending(world: &World, name: &str, order: &str, expected: Option<&str>) {
    let timeline = world.ops.get(&format!("/v1/ops/orders/{order}/timeline")).await;
    let first = &timeline.expect(200)["owed"][0];
    assert_eq!(first["what"].as_str(), expected, "{name}: {first}");
    if expected.is_some() {
        let live = ["ready", "delayed", "retrying", "running"];
        assert!(live.contains(&first["job_state"].as_str().unwrap_or_default()), "{name}: {first}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_leaves_a_clean_slate() {
    run(Undo::Once).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_leaves_a_clean_slate_when_undone_twice() {
    run(Undo::Twice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_leaves_a_clean_slate_when_undone_by_two_at_once() {
    run(Undo::AtOnce).await;
}

/// Freed seats are sold again at once, and an undo may come again long after.
#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_comes_again_leaves_the_next_owner_its_seats() {
    let world = World::new().await;
    let mut api = world.another_api();
    let (rider, next) = (world.rider("100.00").await, world.rider("100.00").await);
    let mut cells = Vec::new();
    for tag in [MqTag::OrderAddSeats, MqTag::OrderCalcMoney] {
        cells.push(fail(&world, &mut api, &rider, tag, true, "error").await);
    }
    world.pass_undo_delay().await;
    let _worker = world.worker();
    world.drained().await;
    check(&world, &cells).await;
    for cell in &cells {
        next.booked(&cell.trip, &["1", "2", "3", "4"]).await;
    }
    assert!(copy_jobs(&world, "queue.finished", 1).await > 0);
    world.drained().await;
    for cell in &cells {
        assert_eq!(world.free_seats(&cell.trip).await, 0, "{}", cell.name);
    }
    world.verify().await;
}

/// A timer that a worker holds while its order is paid is not removed by the payment.
#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_comes_after_the_payment_closes_nothing() {
    let world = World::new().await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(4).await);
    let order = rider.booked(&trip, &["1", "2"]).await;
    let timer = "select payload from queue.job where tag = 'order_unpaid' and key = $1";
    let timer: Value = sqlx::query_scalar(timer).bind(&order).fetch_one(&world.pool).await.unwrap();
    rider.pay(&order).await.expect(200);
    world.pass_deadline(&order).await;
    let again = "insert into queue.job (id, tag, key, payload, max_attempts)
                 values (gen_random_uuid(), 'order_unpaid', $1, $2, 25)";
    sqlx::query(again).bind(&order).bind(timer).execute(&world.pool).await.unwrap();
    let _worker = world.worker();
    crate::harness::until("the timer is done", || async {
        crate::harness::count(&world.pool, "select count(*) from queue.finished where tag = 'order_unpaid'")
            .await
            == 1
    })
    .await;
    assert_eq!(world.order(&order).await["status"], "paid");
    assert_eq!((world.free_seats(&trip).await, rider.balance().await.as_str()), (2, "92.00"));
}

async fn run(undo: Undo) {
    let world = World::new().await;
    let mut api = world.another_api();
    let rider = world.rider("1000.00").await;
    let mut cells = Vec::new();
    for tag in MqTag::STEPS {
        for after in [false, true] {
            for action in ["error", "panic", "abort"] {
                cells.push(fail(&world, &mut api, &rider, tag, after, action).await);
            }
        }
    }
    if undo == Undo::AtOnce {
        assert!(copy_jobs(&world, "queue.job", 3).await > 0);
    }
    world.pass_undo_delay().await;
    let _workers = [world.worker(), world.worker()];
    world.drained().await;
    check(&world, &cells).await;
    if undo == Undo::Twice {
        assert!(copy_jobs(&world, "queue.finished", 1).await > 0);
        world.drained().await;
        check(&world, &cells).await;
    }
    let balance = rider.balance().await;
    let paid = cells.iter().filter(|cell| cell.expected == PAID).count();
    assert_eq!(balance, format!("{}.00", 1000 - 8 * paid));
}

/// Arms the fault, makes the request, and checks that it failed there and nowhere else.
async fn fail(
    world: &World,
    api: &mut Process,
    rider: &Client,
    tag: MqTag,
    after: bool,
    action: &str,
) -> Cell {
    let name = format!("{tag}.{}={action}", if after { "after" } else { "before" });
    let trip = world.trip(4).await;
    let prepared = prepare(rider, tag, &trip).await;
    let armed = rider.at(&api.base()).fault(&name);
    let path = match tag {
        MqTag::OrderCancel => format!("/v1/orders/{prepared}/cancel"),
        MqTag::PayBack => format!("/v1/orders/{prepared}/refund"),
        MqTag::PayCheck | MqTag::PayMoney | MqTag::Pay => format!("/v1/orders/{prepared}/pay"),
        _ => "/v1/orders".to_owned(),
    };
    let body = match tag {
        MqTag::OrderCancel | MqTag::PayBack => serde_json::json!({}),
        MqTag::PayCheck | MqTag::PayMoney | MqTag::Pay => {
            serde_json::json!({"pay_password": crate::harness::PAY_PASSWORD})
        }
        _ => serde_json::json!({"trip_id": trip, "seats": ["1", "2"]}),
    };
    let answer = armed.try_post(&path, &body).await;
    let order = if action == "abort" {
        assert!(answer.is_err(), "{name}: the process was to die");
        assert!(!api.wait().success(), "{name}");
        *api = world.another_api();
        if prepared.is_empty() { orphan(world, &trip).await } else { prepared }
    } else {
        let answer = answer.unwrap();
        answer.problem(500, "003099");
        assert_eq!(
            (&answer.body["rollback"], &answer.body["tag"]),
            (&"queued".into(), &tag.wire().into()),
            "{name}"
        );
        answer.body["order_id"].as_str().unwrap().to_owned()
    };
    if action == "error" {
        check_pending(world, &name, &order, pending(tag, after)).await;
    }
    Cell { name, order, trip, expected: expected(tag, after, action == "abort") }
}

/// The order that the step needs: none, an unpaid or a paid one.
async fn prepare(rider: &Client, tag: MqTag, trip: &str) -> String {
    match tag {
        MqTag::OrderSeats | MqTag::OrderAddSeats | MqTag::OrderCalcMoney | MqTag::OrderAdd => String::new(),
        MqTag::PayBack => {
            let order = rider.booked(trip, &["1", "2"]).await;
            rider.pay(&order).await.expect(200);
            order
        }
        _ => rider.booked(trip, &["1", "2"]).await,
    }
}

/// The order whose seats were claimed when the process died; a nil id if none were.
async fn orphan(world: &World, trip: &str) -> String {
    let sql = "select distinct order_id::text from seat where trip_id = $1::uuid and order_id is not null";
    let found: Option<String> = sqlx::query_scalar(sql).bind(trip).fetch_optional(&world.pool).await.unwrap();
    found.unwrap_or_else(|| uuid::Uuid::nil().to_string())
}

/// Puts undos into the queue again, as often as `copies` says, under keys of their own.
async fn copy_jobs(world: &World, from: &'static str, copies: i32) -> u64 {
    let sql = format!(
        "insert into queue.job (id, tag, key, payload, max_attempts)
         select gen_random_uuid(), tag, key || ' again ' || n, payload, 25 from {from}, generate_series(1, $1) n
         where tag <> 'order_unpaid'"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(copies).execute(&world.pool).await.unwrap().rows_affected()
}

async fn check(world: &World, cells: &[Cell]) {
    for cell in cells {
        let order = world.order(&cell.order).await;
        let status = if order == Value::Null { "gone" } else { order["status"].as_str().unwrap() };
        assert_eq!(status, cell.expected.status, "{}", cell.name);
        assert_eq!(world.ledger(&cell.order).await, cell.expected.ledger, "{}", cell.name);
        let holds = matches!(cell.expected.status, "unpaid" | "paid");
        assert_eq!(world.free_seats(&cell.trip).await, if holds { 2 } else { 4 }, "{}", cell.name);
    }
    // Undone exactly where it was done, and nowhere undone twice: the barrier has one row a step.
    let undone = "select count(*) from barrier b where step = 'pay_money_cancle' and done_at is not null
                  and (undone_at is not null) <> exists(
                      select from ledger_entry e where e.payment_id = b.subject and e.kind = 'payment_reversed')";
    assert_eq!(crate::harness::count(&world.pool, undone).await, 0);
    world.verify().await;
}
