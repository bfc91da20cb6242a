//! The age of pending undos: from the first due time, whatever operators did to the job since.

use super::reports::{SAFE, invariant, of_tag, says, says_none};
use crate::{
    console::session::ConsoleSession,
    harness::{Client, World, count},
};
use farebox::{ops::undos, settings::DEFAULT_OVERDUE_BOUND};
use serde_json::{Value, json};
use std::time::Duration;

const TAG: &str = "order_add_seats_cancle";

#[tokio::test(flavor = "multi_thread")]
async fn pending_work_is_as_old_as_its_first_due_time_whatever_was_done_to_its_job() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(8).await, world.rider("0").await);
    let id = an_undo_is_overdue(&world, &rider, &trip).await;
    a_paused_one_is_pending(&world).await;
    a_snoozed_one_is_pending(&world, &id).await;
    a_redriven_one_is_as_old_as_before(&world, &id).await;
    one_that_put_itself_off_is_not_failing(&world).await;
    pages_read_it_once(&world).await;

    // An armed undo that was never due is no debt, however long it waits; nor is a timer.
    set(&world, "update queue.job set run_at = now() + interval '1 hour', first_due_at = null where tag = 'order_add_seats_cancle'")
        .await;
    rider.booked(&trip, &["5"]).await;
    let waiting = "select count(*) from queue.job where run_at > now()";
    assert_eq!(count(&world.pool, waiting).await, 3, "the undo, and two timers");
    assert_eq!(overdue(&world).await["holds"], true);
}

async fn overdue(world: &World) -> Value {
    invariant(&world.ops, "debts_are_paid_in_time").await
}

async fn set(world: &World, sql: &'static str) {
    sqlx::query(sql).execute(&world.pool).await.unwrap();
}

/// Returns the job of the undo.
async fn an_undo_is_overdue(world: &World, rider: &Client, trip: &str) -> String {
    let failed = rider.fault("order_add_seats_cancle.after=error").book(trip, &["1", "2"]).await;
    failed.problem(500, "003099");
    assert_eq!(overdue(world).await["holds"], true, "it has just fallen due");
    set(world, "update queue.job set run_at = now() - interval '61 s' where tag = 'order_add_seats_cancle'")
        .await;
    let debt = overdue(world).await["debts"][0].clone();
    let fields = (&debt["rider"], &debt["frees"], &debt["failures"]);
    assert_eq!(fields, (&json!("rider0"), &json!([1, 2]), &json!(0)), "{debt}");
    assert!(debt.get("amount").is_none(), "{debt}");
    says(debt["why"]["en"].as_str().unwrap(), &["no living worker takes its tag"]);
    let home = ConsoleSession::enter(world, "ops").await.page("/console").await;
    says(&home, &["Needs you", "0.00\u{a0}CNY of 1 rider and 2 seats are owed."]);
    says_none(&home, &SAFE);
    debt["job_id"].as_str().unwrap().to_owned()
}

/// And the pausing operator is named.
async fn a_paused_one_is_pending(world: &World) {
    let pause = format!("/v1/ops/queues/{TAG}/pause");
    world.ops.post(&pause, &json!({ "reason": "looking into it" })).await.expect(200);
    let paused = overdue(world).await;
    says(paused["debts"][0]["why"]["en"].as_str().unwrap(), &["its tag is paused by ops", "looking into it"]);
}

/// It is not due before, but it is pending.
async fn a_snoozed_one_is_pending(world: &World, id: &str) {
    let until = chrono::Utc::now() + chrono::Duration::hours(1);
    let put_off = world.ops.post(&format!("/v1/ops/jobs/{id}/snooze"), &json!({ "until": until })).await;
    assert_eq!(put_off.expect(200)["state"], "delayed", "it never failed");
    assert_eq!(overdue(world).await["count"], 1);
    let queue = of_tag(&world.ops, TAG).await;
    assert!(queue["oldest_debt_secs"].as_f64().is_some_and(|secs| secs > 60.0), "{queue}");
    let metrics = world.ops.get("/metrics").await.text;
    let age = metrics.split("farebox_queue_oldest_debt_seconds{tag=\"order_add_seats_cancle\"} ").nth(1);
    let age = age.and_then(|rest| rest.split('\n').next()?.parse::<f64>().ok());
    assert!(age.is_some_and(|age| age > 60.0), "the alert sees it: {age:?}");
}

/// Dead, and then ready.
async fn a_redriven_one_is_as_old_as_before(world: &World, id: &str) {
    set(world, "with gone as (delete from queue.job where tag = 'order_add_seats_cancle' returning *)
         insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at,
                                        first_due_at)
         select id, tag, key, payload, max_attempts, 25, 'exhausted', '[{\"attempt\": 25, \"error\": \"no\"}]', run_at,
                created_at, first_due_at from gone")
        .await;
    assert_eq!(overdue(world).await["holds"], true, "nothing_is_dead has it now");
    let back = world.ops.post(&format!("/v1/ops/jobs/{id}/retry"), &json!({})).await;
    assert_eq!(back.expect(200)["state"], "ready", "of its new attempts none has failed");
    assert_eq!(overdue(world).await["count"], 1);
}

/// Once its own handler has put it off it is not failing, but pending all the same.
async fn one_that_put_itself_off_is_not_failing(world: &World) {
    let failing = async || {
        let owed = undos::backlog(&world.pool, DEFAULT_OVERDUE_BOUND).await.unwrap();
        (owed.due, owed.overdue, owed.failing, owed.failures)
    };
    set(
        world,
        "update queue.job set attempt = 3, failures = '[{\"attempt\": 3, \"error\": \"no\"}]',
                first_due_at = coalesce(first_due_at, run_at)
         where tag = 'order_add_seats_cancle'",
    )
    .await;
    assert_eq!(failing().await, (1, 1, 1, 3));
    set(world, "update queue.job set snoozed_attempt = 3 where tag = 'order_add_seats_cancle'").await;
    assert_eq!(failing().await, (1, 1, 0, 0));
}

/// For all who look at the same time.
async fn pages_read_it_once(world: &World) {
    let (kept, fresh) = (
        undos::CachedUndoBacklog::with_max_age(Duration::from_secs(3_600)),
        undos::CachedUndoBacklog::with_max_age(Duration::ZERO),
    );
    let again = kept.clone();
    assert_eq!(kept.read(&world.pool, DEFAULT_OVERDUE_BOUND).await.unwrap().due, 1);
    set(world, "update queue.job set attempt = 0, snoozed_attempt = 0, failures = '[]', run_at = now() + interval '1 hour',
                first_due_at = null
         where tag = 'order_add_seats_cancle'")
        .await;
    assert_eq!(fresh.read(&world.pool, DEFAULT_OVERDUE_BOUND).await.unwrap().due, 0);
    assert_eq!(again.read(&world.pool, DEFAULT_OVERDUE_BOUND).await.unwrap().due, 1, "read within the hour");
}
