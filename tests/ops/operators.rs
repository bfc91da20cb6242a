//! Operators change the queue.

use super::dead_letters::take_key;
use crate::harness::{Process, World, count, until};
use serde_json::json;

const NOTHING: &str = "{}";

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_found_and_redriven() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let failed = rider.fault("order_add_seats_cancle.after=error").book(&trip, &["1"]).await;
    let order = failed.problem(500, "003099")["order_id"].clone();
    sqlx::query("update queue.job set max_attempts = 1 where tag <> 'order_unpaid'")
        .execute(&world.pool)
        .await
        .unwrap();
    let fault = [("FAREBOX_FAULTS", "undo.order_add_seats_cancle.before=error")];
    let failing = Process::worker(&world.db.url, &fault, &[]);
    until("it is a dead letter", || async {
        count(&world.pool, "select count(*) from queue.dead_letter").await == 1
    })
    .await;
    drop(failing);
    let dead = world.ops.get("/v1/ops/jobs?state=dead").await;
    let job = &dead.expect(200)["items"][0];
    assert_eq!((&job["state"], &job["order_id"], &job["attempt"]), (&json!("dead"), &order, &json!(1)));
    assert!(job["last_error"].as_str().unwrap().contains("simulated"), "{}", dead.text);
    let path = format!("/v1/ops/jobs/{}", job["id"].as_str().unwrap());
    rider.get(&path).await.problem(403, "003091");
    rider.post_text(&format!("{path}/retry"), NOTHING).await.problem(403, "003091");
    let back = world.ops.post(&format!("{path}/retry"), &json!({"reason": "the fault is gone"})).await;
    assert_eq!(back.expect(200)["state"], "ready");
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(world.free_seats(&trip).await, 20);
    let done = world.ops.get(&path).await;
    assert_eq!(done.expect(200)["state"], "done");
    assert_eq!(done.body["attempts"].as_array().unwrap().len(), 1, "the history stays: {}", done.text);
    world.ops.post_text(&format!("{path}/retry"), NOTHING).await.problem(404, "003070");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_tag_waits_and_goes_on_at_once() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let _worker = Process::worker(&world.db.url, &[("FAREBOX__WORKER__POLL_MS", "30000")], &[]);
    let tag = "/v1/ops/queues/order_add_seats_cancle";
    let paused = world.ops.post(&format!("{tag}/pause"), &json!({"reason": "looking into it"})).await;
    assert_eq!(paused.expect(200)["paused"], true);
    rider.fault("order_add_seats_cancle.after=error").book(&trip, &["1"]).await.problem(500, "003099");
    rider.fault("order_calc_money_cancle.after=error").book(&trip, &["2"]).await.problem(500, "003099");
    until("the other tag is done", || async { world.free_seats(&trip).await == 19 }).await;
    let queues = world.ops.get("/v1/ops/queues").await;
    let waiting =
        queues.expect(200)["items"].as_array().unwrap().iter().find(|q| q["paused"] == true).unwrap();
    assert_eq!((&waiting["tag"], &waiting["ready"]), (&json!("order_add_seats_cancle"), &json!(1)));
    world.ops.post_text(&format!("{tag}/resume"), NOTHING).await.expect(200);
    until("it went on", || async { world.free_seats(&trip).await == 20 }).await;
    world.ops.post_text("/v1/ops/queues/nonsense/pause", NOTHING).await.problem(404, "003070");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_is_cancelled_and_a_running_one_is_asked_to_end() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    rider.fault("order_add_seats_cancle.after=error").book(&trip, &["1"]).await.problem(500, "003099");
    let jobs = world.ops.get("/v1/ops/jobs?tag=order_add_seats_cancle").await;
    let id = jobs.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let key = jobs.body["items"][0]["key"].clone();
    let slow = Process::worker(
        &world.db.url,
        &[("FAREBOX_FAULTS", "undo.order_add_seats_cancle.before=sleep:800")],
        &[],
    );
    until("it runs", || async {
        world.ops.get(&format!("/v1/ops/jobs/{id}")).await.body["state"] == "running"
    })
    .await;
    world.ops.post_text(&format!("/v1/ops/jobs/{id}/retry"), NOTHING).await.problem(409, "006011");
    let asked = world
        .ops
        .post("/v1/ops/queues/order_add_seats_cancle/cancel", &json!({"key": key, "reason": "by its key"}))
        .await;
    assert_eq!(asked.expect(202)["state"], "running", "it is asked, not torn down");
    world.drained().await;
    drop(slow);
    let ended = world.ops.get(&format!("/v1/ops/jobs/{id}")).await;
    assert_eq!(ended.expect(200)["state"], "cancelled");
    assert!(ended.body["note"].as_str().unwrap().starts_with("by its key"), "{}", ended.text);
    assert_eq!(world.free_seats(&trip).await, 19, "the attempt changed nothing");
    world.ops.post_text(&format!("/v1/ops/jobs/{id}/cancel"), NOTHING).await.problem(404, "003070");

    let order = rider.booked(&trip, &["2"]).await;
    let timer = world.ops.get(&format!("/v1/ops/jobs?key={order}&state=delayed")).await;
    let id = timer.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let off = world.ops.post(&format!("/v1/ops/jobs/{id}/cancel"), &json!({"reason": "held by hand"})).await;
    assert_eq!(off.expect(200)["state"], "cancelled");
    assert!(off.body["note"].as_str().unwrap().starts_with("held by hand"), "{}", off.text);
    // What an operator breaks is reported by the next check.
    let report = world.ops.get("/v1/ops/verify").await;
    assert_eq!(report.expect(200)["holds"], false, "an unpaid order without its timer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tags_dead_letters_are_redriven_together_and_none_lives_twice() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let mut keys = Vec::new();
    for seat in ["1", "2", "3"] {
        let failed = rider.fault("order_add_seats_cancle.after=error").book(&trip, &[seat]).await;
        keys.push(failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned());
    }
    sqlx::query(
        "with gone as (delete from queue.job where tag = 'order_add_seats_cancle' returning *)
         insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at)
         select id, tag, key, payload, max_attempts, 1, case when key = $1 then 'crashed' else 'exhausted' end, failures,
                run_at, created_at from gone",
    )
    .bind(&keys[0])
    .execute(&world.pool)
    .await
    .unwrap();
    // The key of one is taken by a live job: that letter stays.
    take_key(&world, &keys[1]).await;
    let path = "/v1/ops/queues/order_add_seats_cancle/redrive";
    let some = world.ops.post(path, &json!({"given_up": "exhausted"})).await;
    assert_eq!(some.expect(200)["redriven"], 1);
    let rest = world.ops.post_text(path, NOTHING).await;
    assert_eq!(rest.expect(200)["redriven"], 1);
    assert_eq!(count(&world.pool, "select count(*) from queue.dead_letter").await, 1);
    let _worker = world.worker();
    until("both are done", || async { world.free_seats(&trip).await == 19 }).await;
}
