//! Dead letters are discarded once they owe nothing, never before: through the API, the console and the
//! command line.

use super::{
    actions::acts,
    dead_letters::{dead_bookings, many_dead},
};
use crate::{
    console::session::ConsoleSession,
    harness::{World, command, count, until},
};
use serde_json::json;

const DEAD: &str = "select count(*) from queue.dead_letter";

async fn dead(world: &World) -> Vec<String> {
    sqlx::query_scalar("select id::text from queue.dead_letter order by id")
        .fetch_all(&world.pool)
        .await
        .unwrap()
}

fn farebox(world: &World, args: &[&str]) -> (bool, String) {
    let output = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &[]).args(args).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Sends the console's form of this job; returns the status.
async fn discard(console: &ConsoleSession, page: &str, reason: &str) -> u16 {
    let act = format!("{page}/discard");
    let csrf = console.hidden(&act, "csrf").await;
    console.status("POST", &act, Some(&format!("csrf={csrf}&reason={reason}"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_owes_nothing_is_discarded_by_every_way() {
    let world = World::new().await;
    many_dead(&world, 3).await;
    let ids = dead(&world).await;
    let path = format!("/v1/ops/jobs/{}/discard", ids[0]);
    let job = world.ops.key("once").post(&path, &json!({"reason": "its seat was never taken"})).await;
    assert_eq!(job.expect(200)["state"], "cancelled");
    let note = job.expect(200)["note"].as_str().unwrap().to_owned();
    assert!(note.contains("its seat was never taken"), "{note}");
    // The same request again is answered the same; another one finds no dead letter.
    assert_eq!(
        world.ops.key("once").post(&path, &json!({"reason": "its seat was never taken"})).await.text,
        job.text
    );
    world.ops.post(&path, &json!({})).await.problem(404, "003070");
    world.ops.post(&format!("/v1/ops/jobs/{}/redrive", ids[0]), &json!({})).await.problem(404, "003070");

    let (done, said) = farebox(&world, &["jobs", "discard", &ids[1], "--reason", "by the shell"]);
    assert!(done, "{said}");

    let console = ConsoleSession::enter(&world, "ops").await;
    let page = format!("/console/jobs/{}", ids[2]);
    assert!(console.page(&page).await.contains("Discard"), "the page offers it");
    assert_eq!(discard(&console, &page, "by+the+console").await, 303);
    assert!(!console.page(&page).await.contains("Discard"), "what has ended is not discarded again");

    assert_eq!(count(&world.pool, DEAD).await, 0);
    let ended = "select count(*) from queue.finished where outcome = 'cancelled' and jsonb_array_length(failures) = 1";
    assert_eq!(count(&world.pool, ended).await, 3, "its failures are kept");
    let logged: Vec<_> = acts(&world).await.into_iter().filter(|act| act.0 == "job_discard").collect();
    let of = |through: &str, why: &str| ("job_discard".to_owned(), through.to_owned(), why.to_owned());
    assert_eq!(
        logged,
        [of("api", "its seat was never taken"), of("cli", "by the shell"), of("console", "by the console")]
    );
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_owed_is_never_discarded() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("10.00").await;
    // An undo that owes a seat, and the timer of an order whose deadline is still to come.
    dead_bookings(&world, &rider, &trip, &["1"]).await;
    let unpaid = rider.booked(&trip, &["2"]).await;
    sqlx::query(
        "with gone as (delete from queue.job where tag = 'order_unpaid' and key = $1 returning *)
         insert into queue.dead_letter
             (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at)
         select id, tag, key, payload, max_attempts, 1, 'exhausted', '[]', run_at, created_at from gone",
    )
    .bind(&unpaid)
    .execute(&world.pool)
    .await
    .unwrap();
    let ids = dead(&world).await;
    assert_eq!(ids.len(), 2);
    let console = ConsoleSession::enter(&world, "ops").await;
    for id in &ids {
        let path = format!("/v1/ops/jobs/{id}/discard");
        world.ops.post(&path, &json!({"reason": "away with it"})).await.problem(409, "006012");
        let (done, said) = farebox(&world, &["jobs", "discard", id, "--reason", "away with it"]);
        assert!(!done && said.contains("redrive it"), "{said}");
        let page = format!("/console/jobs/{id}");
        assert!(!console.page(&page).await.contains("Discard"), "it is not offered");
        assert_eq!(discard(&console, &page, "away+with+it").await, 409);
    }
    assert_eq!(count(&world.pool, DEAD).await, 2);
    assert!(acts(&world).await.iter().all(|act| act.0 != "job_discard"), "what is refused is not logged");

    // Redriven and done, nothing is left.
    world.ops.post("/v1/ops/dead-letters/redrive", &json!({"reason": "again"})).await.expect(200);
    world.pass_deadline(&unpaid).await;
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(world.free_seats(&trip).await, 4);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_discard_leaves_alone_what_is_owed() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(4).await, world.rider("0").await);
    dead_bookings(&world, &rider, &trip, &["1", "2"]).await;
    many_dead(&world, 3).await;
    let filter = json!({"state": "dead"});
    let start = json!({"act": "discard", "filter": filter, "expected": 5, "reason": "of the old bank"});
    let id = world.ops.post("/v1/ops/bulk", &start).await.expect(202)["id"].as_str().unwrap().to_owned();
    let _worker = world.worker();
    let path = format!("/v1/ops/bulk/{id}");
    until("it has ended", || async { world.ops.get(&path).await.body["state"] == "done" }).await;
    let ended = world.ops.get(&path).await;
    assert_eq!(["done", "owes", "busy", "gone"].map(|f| ended.body[f].as_i64().unwrap()), [3, 2, 0, 0]);
    let owing = world.ops.get(&format!("{path}/items?outcome=owes")).await;
    assert_eq!(owing.expect(200)["items"].as_array().unwrap().len(), 2, "{}", owing.text);
    assert_eq!(count(&world.pool, DEAD).await, 2, "those that owe are still there");
    let notes =
        "select count(*) from queue.finished where outcome = 'cancelled' and note like 'of the old bank%'";
    assert_eq!(count(&world.pool, notes).await, 3);
    let console = ConsoleSession::enter(&world, "ops").await;
    let page = console.page(&format!("/console/bulk/{id}")).await;
    for part in ["it still owes seats or money", "cancelled", "left alone"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let preview = console.page("/console/bulk/new?act=discard&state=dead").await;
    assert!(preview.contains("Those that still owe seats or money are left alone."), "{preview}");
    assert_eq!(world.free_seats(&trip).await, 2, "no seat was given away");
}
