//! Crashes, hanging steps, and the barrier.

use crate::harness::{World, count, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_two_commits_is_undone_within_the_bound() {
    let world = World::new().await;
    let mut api = crate::harness::Process::api(&world.db.url, &[("FAREBOX__BOOKING__UNDO_AFTER_MS", "1000")]);
    let _worker = world.worker();
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let dying = rider.at(&api.base()).fault("order_calc_money_cancle.before=abort");
    assert!(dying.try_post("/v1/orders", &json!({"trip_id": trip, "seats": ["1", "2"]})).await.is_err());
    api.wait();
    // No rollback was scheduled and no job is moved by the test: the armed undo falls due by itself.
    until("the seats are back", || async { world.free_seats(&trip).await == 20 }).await;
    world.drained().await;
    assert_eq!(count(&world.pool, "select count(*) from orders").await, 0);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_arrives_after_its_undo_fails_for_good() {
    let world = World::new().await;
    let _worker = world.worker();
    let trip = world.trip(20).await;
    let (a, b) = (world.rider("0").await, world.rider("0").await);
    // The booking hangs between claim and add; its armed undo falls due meanwhile, and another
    // rider gets the seats.
    let hanging = a.fault("order_calc_money_cancle.after=sleep:2500");
    let late = {
        let trip = trip.clone();
        tokio::spawn(async move { hanging.book(&trip, &["1"]).await })
    };
    until("the seat is claimed", || async { world.free_seats(&trip).await == 19 }).await;
    world.pass_undo_delay().await;
    until("the seat is back", || async { world.free_seats(&trip).await == 20 }).await;
    b.booked(&trip, &["1"]).await;
    late.await.unwrap().problem(500, "003099");
    world.drained().await;
    assert_eq!(count(&world.pool, "select count(*) from orders").await, 1);
    assert_eq!(world.free_seats(&trip).await, 19);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debit_that_hangs_past_its_undo_is_not_marked_paid() {
    let world = World::new().await;
    let _worker = world.worker();
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let hanging = rider.fault("pay_cancle.before=sleep:2500");
    let late = {
        let order = order.clone();
        tokio::spawn(async move { hanging.pay(&order).await })
    };
    until("the wallet is debited", || async { rider.balance().await == "96.00" }).await;
    world.pass_undo_delay().await;
    until("the money is back", || async { rider.balance().await == "100.00" }).await;
    late.await.unwrap().problem(500, "003099");
    world.drained().await;
    assert_eq!(world.order(&order).await["status"], "unpaid");
    rider.pay(&order).await.expect(200);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_waits_for_a_step_whose_transaction_is_open() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let failed = rider.fault("order_seats_cancel.after=error").book(&trip, &["1"]).await;
    let order = failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned();
    // The claim of that very order, still uncommitted, as if its request lived on elsewhere.
    let mut step = world.pool.begin().await.unwrap();
    sqlx::query(
        "insert into barrier (subject, step, done_at) values ($1::uuid, 'order_add_seats_cancle', now())",
    )
    .bind(&order)
    .execute(&mut *step)
    .await
    .unwrap();
    sqlx::query("update seat set order_id = $1::uuid, held_until = now() + interval '5 min' where trip_id = $2::uuid and seat = 1")
        .bind(&order).bind(&trip).execute(&mut *step).await.unwrap();
    sqlx::query("update queue.job set tag = 'order_add_seats_cancle'").execute(&world.pool).await.unwrap();
    let _worker = world.worker();
    until("the undo waits", || async {
        count(&world.pool, "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%barrier%' and datname = current_database()").await > 0
    })
    .await;
    step.commit().await.unwrap();
    world.drained().await;
    assert_eq!(world.free_seats(&trip).await, 20, "the undo saw what it waited for");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_a_whole_booking() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let slow = rider.fault("order_calc_money_cancle.before=sleep:700").key("hung-up");
    let hung_up = tokio::spawn({
        let (slow, trip) = (slow.clone(), trip.clone());
        async move { slow.book(&trip, &["1"]).await }
    });
    until("the seat is claimed", || async { world.free_seats(&trip).await == 19 }).await;
    hung_up.abort();
    until("the booking is whole", || async { count(&world.pool, "select count(*) from orders").await == 1 })
        .await;
    let again = rider.key("hung-up").book(&trip, &["1"]).await;
    assert_eq!(again.expect(201)["status"], "unpaid");
    assert_eq!(again.headers["idempotent-replayed"], "true");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_between_commit_and_answer_the_key_gives_the_answer() {
    let world = World::new().await;
    let mut api = world.another_api();
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let dying = rider.at(&api.base()).fault("order_add_cancle.after=abort").key("once");
    assert!(dying.try_post("/v1/orders", &json!({"trip_id": trip, "seats": ["1"]})).await.is_err());
    api.wait();
    let answer = rider.key("once").book(&trip, &["1"]).await;
    let order = answer.expect(201)["id"].as_str().unwrap();
    let mut api = world.another_api();
    let dying = rider.at(&api.base()).fault("pay_cancle.after=abort").key("pay-once");
    assert!(
        dying
            .try_post(
                &format!("/v1/orders/{order}/pay"),
                &json!({"pay_password": crate::harness::PAY_PASSWORD})
            )
            .await
            .is_err()
    );
    api.wait();
    let answer = rider.key("pay-once").pay(order).await;
    assert_eq!(answer.expect(200)["status"], "paid");
    assert!(answer.body["paid_at"].is_string(), "{}", answer.text);
    assert_eq!(rider.balance().await, "96.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_last_step_fails_is_answered_under_its_key() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("100.00").await);
    // Carried out, though the request failed.
    let order = rider.booked(&trip, &["1"]).await;
    rider.fault("pay_cancle.after=error").key("done").pay(&order).await.problem(500, "003099");
    assert_eq!(rider.key("done").pay(&order).await.expect(200)["status"], "paid");
    // Not carried out yet, and then by the undo; or too late for it.
    let (order, late) = (rider.booked(&trip, &["2"]).await, rider.booked(&trip, &["3"]).await);
    rider.fault("pay_cancle.before=error").key("open").pay(&order).await.problem(500, "003099");
    rider.key("open").pay(&order).await.problem(409, "006006");
    rider.fault("pay_cancle.before=error").key("late").pay(&late).await.problem(500, "003099");
    world.pass_deadline(&late).await;
    let _worker = world.worker();
    world.drained().await;
    let paid = rider.key("open").pay(&order).await;
    assert_eq!(paid.expect(200)["status"], "paid");
    assert_eq!(paid.headers["idempotent-replayed"], "true");
    // The money is back, and the key is free once its request is too old to run.
    let old = "update idempotency set started_at = now() - interval '2 minutes' where key = 'late'";
    sqlx::query(old).execute(&world.pool).await.unwrap();
    rider.key("late").pay(&late).await.problem(409, "006001");
    assert_eq!(world.ledger(&late).await, ["payment", "payment_reversed"]);
    assert_eq!(rider.balance().await, "92.00");
    world.verify().await;
}

/// Undos fail too: at their start and after their commit, by an error, a panic, and the death of the worker.
#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_fails_is_done_in_the_end_and_once() {
    let world = World::new().await;
    let rider = world.rider("100.00").await;
    let tags = ["order_add_seats_cancle", "order_calc_money_cancle", "order_add_cancle", "pay_money_cancle"];
    for when in ["before", "after"] {
        for action in ["error", "panic", "abort"] {
            let trip = world.trip(8).await;
            let mut orders = Vec::new();
            for tag in &tags[..3] {
                rider.fault(&format!("{tag}.after=error")).book(&trip, &["1"]).await.problem(500, "003099");
                rider.book(&trip, &["1"]).await.problem(409, "004000");
                undo(&world, tag, when, action).await;
                assert_eq!(world.free_seats(&trip).await, 8, "{tag} {when} {action}");
            }
            orders.push(rider.booked(&trip, &["2"]).await);
            rider.fault("pay_money_cancle.after=error").pay(&orders[0]).await.problem(500, "003099");
            undo(&world, tags[3], when, action).await;
            assert_eq!(world.ledger(&orders[0]).await, ["payment", "payment_reversed"], "{when} {action}");
            world.verify().await;
        }
    }
    assert_eq!(rider.balance().await, "100.00");
}

/// What an undo did and the end of its job are one commit: without the one there is not the other.
#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_cannot_commit_keeps_its_job() {
    let world = World::new().await;
    let rider = world.rider("100.00").await;
    let trip = world.trip(8).await;
    for tag in ["order_add_seats_cancle", "order_calc_money_cancle", "order_add_cancle"] {
        rider.fault(&format!("{tag}.after=error")).book(&trip, &["1"]).await.problem(500, "003099");
        fail_in_the_commit_then_undo(&world).await;
        assert_eq!(world.free_seats(&trip).await, 8, "{tag}");
    }
    let order = rider.booked(&trip, &["2"]).await;
    rider.fault("pay_money_cancle.after=error").pay(&order).await.problem(500, "003099");
    fail_in_the_commit_then_undo(&world).await;
    assert_eq!(world.ledger(&order).await, ["payment", "payment_reversed"]);
    world.verify().await;
}

/// Has the database refuse the commit of each undo that is queued, until it has failed; then lets it be done.
async fn fail_in_the_commit_then_undo(world: &World) {
    let refuse = "create or replace function refuse_undos() returns trigger language plpgsql as
                      $$ begin raise exception 'no commit'; end $$;
                  create constraint trigger refuse_undos after insert or update on barrier
                      deferrable initially deferred for each row when (new.undone_at is not null)
                      execute function refuse_undos()";
    sqlx::raw_sql(refuse).execute(&world.pool).await.unwrap();
    let undos = count(&world.pool, "select count(*) from queue.job where tag <> 'order_unpaid'").await;
    assert!(undos > 0);
    // Once, or one of them could spend all its attempts before another has had its first.
    world.pass_undo_delay().await;
    let worker = world.worker();
    let failed = "select count(*) from queue.job where tag <> 'order_unpaid' and failures <> '[]'";
    until("each undo has failed", || async { count(&world.pool, failed).await == undos }).await;
    drop(worker);
    sqlx::raw_sql("drop trigger refuse_undos on barrier").execute(&world.pool).await.unwrap();
    do_the_undos(world).await;
}

/// A worker with the fault tries first, then one without it, for what the first has left.
async fn undo(world: &World, tag: &str, when: &str, action: &str) {
    let fault = format!("undo.{tag}.{when}={action}");
    let mut failing = crate::harness::Process::worker(
        &world.db.url,
        &[("FAREBOX_FAULTS", &fault), ("FAREBOX__WORKER__LEASE_MS", "300")],
        &[],
    );
    if action == "abort" {
        assert!(!failing.wait().success(), "{fault}: the worker was to die");
    } else {
        let tried = "select count(*) from queue.job where tag <> 'order_unpaid' and attempt = 0";
        until("the failing worker has tried", || async { count(&world.pool, tried).await == 0 }).await;
    }
    drop(failing);
    do_the_undos(world).await;
}

/// A worker does every undo that is queued, without waiting for the retries' delays.
async fn do_the_undos(world: &World) {
    let _worker = world.worker();
    until("the undos are done", || async {
        sqlx::query(
            "update queue.job set run_at = now() where tag <> 'order_unpaid' and lease_token is null",
        )
        .execute(&world.pool)
        .await
        .unwrap();
        count(&world.pool, "select count(*) from queue.job where tag <> 'order_unpaid'").await == 0
    })
    .await;
}

/// The undos of several steps of one booking, in every order: the outcome is the same.
#[tokio::test(flavor = "multi_thread")]
async fn undos_may_come_in_any_order() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let trip = world.trip(8).await;
    let mut tags = ["order_add_seats_cancle", "order_calc_money_cancle", "order_add_cancle"];
    for round in 0..6 {
        let failed = rider.fault("order_add_cancle.after=error").book(&trip, &["1", "2"]).await;
        let order = failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned();
        let payload: serde_json::Value =
            sqlx::query_scalar("select payload from queue.job where tag = 'order_add_cancle'")
                .fetch_one(&world.pool)
                .await
                .unwrap();
        sqlx::query("delete from queue.job where tag = 'order_add_cancle'")
            .execute(&world.pool)
            .await
            .unwrap();
        for tag in tags {
            sqlx::query("insert into queue.job (id, tag, key, payload, max_attempts) values (gen_random_uuid(), $1, $2, $3, 5)")
                .bind(tag)
                .bind(&order)
                .bind(&payload)
                .execute(&world.pool)
                .await
                .unwrap();
            let worker = world.worker();
            world.drained().await;
            drop(worker);
        }
        assert_eq!(world.order(&order).await["status"], "closed");
        assert_eq!(world.free_seats(&trip).await, 8);
        let undone = count(&world.pool, "select count(*) from barrier where undone_at is not null").await;
        assert_eq!(undone, 2 * (round + 1), "each step is undone once");
        if round % 2 == 0 { tags.swap(0, 1) } else { tags.rotate_left(1) }
    }
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_comes_before_its_order_is_added_waits() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let rider = world.rider("0").await;
    let slow = rider.fault("order_calc_money_cancle.before=sleep:1500");
    let booking = tokio::spawn({
        let trip = trip.clone();
        async move { slow.book(&trip, &["1"]).await }
    });
    until("the seat is claimed", || async { world.free_seats(&trip).await == 7 }).await;
    sqlx::query("update queue.job set run_at = now() where tag = 'order_unpaid'")
        .execute(&world.pool)
        .await
        .unwrap();
    let _worker = world.worker();
    let waits =
        "select count(*) from queue.job where tag = 'order_unpaid' and run_at > now() and attempt = 0";
    until("the timer waits on", || async { count(&world.pool, waits).await == 1 }).await;
    booking.await.unwrap().expect(201);
    world.verify().await;
}
