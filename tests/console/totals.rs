//! Totals over all jobs of an act, and outcomes of a large operation: counted in the background, exact.

use super::session::ConsoleSession;
use crate::{
    harness::{World, count, until},
    ops::dead_letters::{dead_bookings, many_dead},
};
use serde_json::json;

/// More than a page counts before it is sent, and no multiple of what one statement reads.
const MANY: i32 = 2_300;
/// More jobs than a page judges before it is sent.
const LARGE: i32 = 5_300;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_act_begins_when_all_of_it_is_counted_and_covers_what_was_counted() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("0").await);
    let owed = dead_bookings(&world, &rider, &trip, &["1", "2"]).await;
    again_under_another_tag(&world, &owed[0]).await;
    many_dead(&world, MANY).await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let page = "/console/bulk/new?act=redrive&state=dead";
    // Not before it is counted, however the form is sent.
    let begun = ops.page(page).await;
    let id = field(&begun, "id");
    let hasty = format!("csrf={}&id={id}&act=redrive&state=dead&reason=now", field(&begun, "csrf"));
    assert_eq!(ops.status("POST", "/console/bulk", Some(&hasty)).await, 422);
    until("it is counted", || async { ops.page(page).await.contains("name=\"digest\"") }).await;
    let counted = ops.page(page).await;
    for part in [
        "<strong>2,303</strong>",
        "<dt>Orders</dt><dd>2,302</dd>",
        // Two undos of one order free its seat once.
        "<dt>Seats that would be freed</dt><dd>2</dd>",
        "and 2,202 more",
        "It is counted again every",
    ] {
        assert!(counted.contains(part), "{part} in {counted}");
    }
    let form = |page: &str| {
        format!(
            "csrf={}&id={id}&act=redrive&state=dead&expected={}&digest={}&reason=now",
            field(page, "csrf"),
            field(page, "expected"),
            field(page, "digest")
        )
    };
    // As many jobs, but others.
    sqlx::query("update queue.dead_letter set id = gen_random_uuid() where id = (select id from queue.dead_letter order by id desc limit 1)")
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(
        ops.status("POST", "/console/bulk", Some(&form(&counted))).await,
        409,
        "others than previewed"
    );
    assert_eq!(count(&world.pool, "select count(*) from bulk").await, 0);
    until("it is counted again", || async {
        field(&ops.page(page).await, "digest") != field(&counted, "digest")
    })
    .await;
    assert_eq!(ops.status("POST", "/console/bulk", Some(&form(&ops.page(page).await))).await, 303);
    assert_eq!(count(&world.pool, "select covers::bigint from bulk").await, 2_303);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_interface_counts_all_of_it_and_starts_what_the_digest_names() {
    let world = World::new().await;
    many_dead(&world, MANY).await;
    let act = json!({"act": "redrive", "filter": {"state": "dead"}, "preview": true});
    let answer = world.ops.post("/v1/ops/bulk", &act).await;
    let preview = answer.expect(200);
    assert_eq!(
        (&preview["covers"], &preview["looked_at"], &preview["orders"]),
        (&json!(MANY), &json!(MANY), &json!(MANY))
    );
    let start = |digest: &str| json!({"act": "redrive", "filter": {"state": "dead"}, "digest": digest, "reason": "now"});
    world.ops.post("/v1/ops/bulk", &start("0123456789abcdef")).await.problem(409, "006045");
    world.ops.post("/v1/ops/bulk", &start(preview["digest"].as_str().unwrap())).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcomes_of_a_large_operation_are_counted_over_all_of_it() {
    let world = World::new().await;
    many_dead(&world, LARGE).await;
    sqlx::raw_sql(
        "insert into bulk (id, act, selection, actor, reason, covers, more, reached, done, started_at, finished_at)
         select gen_random_uuid(), 'redrive', '{\"filter\": {\"state\": \"dead\"}}', 'x', 'x', 5300, false, 5300, 5300, now(), now();
         insert into bulk_item (bulk_id, nr, job_id, tag, key, outcome)
         select b.id, row_number() over (order by d.id), d.id, d.tag, d.key, 'done' from bulk b, queue.dead_letter d;
         delete from queue.dead_letter where id in (select job_id from bulk_item where nr <= 5200)",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let id: String = sqlx::query_scalar("select id::text from bulk").fetch_one(&world.pool).await.unwrap();
    let ops = ConsoleSession::enter(&world, "ops").await;
    let page = format!("/console/bulk/{id}");
    until("it is counted", || async { ops.page(&page).await.contains("! Needs you: jobs failed again.") })
        .await;
    let shown = ops.page(&page).await;
    for part in ["healed 5,200", "failed again 100", "all 5,300", "It is counted again every"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let failed = ops.page(&format!("{page}?outcome=failed")).await;
    assert!(failed.contains(">5201</td>") && failed.contains(">5250</td>"), "{failed}");
    assert!(failed.contains(&format!("{page}?outcome=failed&amp;after=5250")), "{failed}");
    let last = ops.page(&format!("{page}?outcome=failed&after=5250")).await;
    assert!(last.contains(">5300</td>") && !last.contains("rel=\"next\""), "{last}");
    assert!(ops.page(&format!("{page}?outcome=trying")).await.contains("None."));
}

/// Another dead undo of this order.
async fn again_under_another_tag(world: &World, order: &str) {
    sqlx::query(
        "insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at)
         select gen_random_uuid(), 'order_add_cancle', key, payload, max_attempts, attempt, reason, failures, run_at, created_at
         from queue.dead_letter where key = $1",
    )
    .bind(order)
    .execute(&world.pool)
    .await
    .unwrap();
}

fn field(page: &str, name: &str) -> String {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1);
    rest.unwrap_or_else(|| panic!("{name} in {page}")).split('"').next().unwrap().to_owned()
}
