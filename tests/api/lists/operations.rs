//! The lists of operators: errors, workers, departures that could not be made, timelines.

use super::{field, walk};
use crate::{console::session::ConsoleSession, harness::World};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_workers_have_their_next_page() {
    let world = World::new().await;
    errors_have_their_next_page(&world).await;
    workers_have_their_next_page(&world).await;
    let queues = world.ops.get("/v1/ops/queues").await;
    let tags: BTreeSet<&str> = field(queues.expect(200), "tag").into_iter().collect();
    assert_eq!(
        (tags.len(), &queues.body["next"]),
        (farebox_jobs::MqTag::ALL.len(), &Value::Null),
        "all tags on the page"
    );
}

/// Kinds of errors that differ by letters alone, as digits do not count: the first has three dead
/// letters, the next two of the same moment two, all others one.
async fn add_errors(world: &World) {
    const KINDS: i32 = 130;
    sqlx::query(
        "insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at,
                                        died_at)
         select gen_random_uuid(), case when n % 2 = 0 then 'order_unpaid' else 'order_add_seats_cancle' end, 'k',
                '{}', 25, 25, 'exhausted',
                jsonb_build_array(jsonb_build_object('attempt', 25, 'error', 'kind ' || translate(n::text, '0123456789', 'ghijklmnop'))),
                now(), now(), '2026-01-01 00:00Z'::timestamptz + n / 3 * interval '1 us'
         from generate_series(1, $1) n, generate_series(1, case n when 100 then 3 when 51 then 2 when 52 then 2 else 1 end)",
    )
    .bind(KINDS)
    .execute(&world.pool)
    .await
    .unwrap();
}

async fn errors_have_their_next_page(world: &World) {
    add_errors(world).await;
    let first = world.ops.get("/v1/ops/errors").await;
    assert_eq!(first.expect(200)["items"].as_array().unwrap().len(), 100);
    let after = first.body["next"].as_str().unwrap();
    let second = world.ops.get(&format!("/v1/ops/errors?after={after}")).await;
    let whole = [&first, &second].map(|page| page.expect(200)["items"].as_array().unwrap().clone()).concat();
    assert_eq!((whole.len(), &second.body["next"]), (130, &Value::Null));
    let kinds: BTreeSet<&str> = whole.iter().map(|group| group["fingerprint"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 130, "each once");
    let dead: Vec<i64> = whole.iter().map(|group| group["dead"].as_i64().unwrap()).collect();
    assert_eq!(dead[..4], [3, 2, 2, 1], "most of it first");
    for limit in [1, 7, 100] {
        assert_eq!(walk(&world.ops, "/v1/ops/errors?", limit).await, whole, "{limit} a page");
    }
    let of_tag = walk(&world.ops, "/v1/ops/errors?tag=order_unpaid&", 9).await;
    assert_eq!(of_tag.len(), 65);
    // A cursor holds though its group is gone.
    let first = world.ops.get("/v1/ops/errors?limit=2").await;
    let after = first.expect(200)["next"].as_str().unwrap();
    let gone = first.body["items"][1]["fingerprint"].as_str().unwrap();
    sqlx::query("delete from queue.dead_letter where fingerprint = $1")
        .bind(gone)
        .execute(&world.pool)
        .await
        .unwrap();
    let second = world.ops.get(&format!("/v1/ops/errors?limit=1&after={after}")).await;
    assert_eq!(second.expect(200)["items"][0], whole[2]);
    for wrong in [gone, "1.2", "1.x.abc", "x.1.abc", "1.2.", "1.2.a%27b", "99999999999999999999.1.abc"] {
        let refused = world.ops.get(&format!("/v1/ops/errors?after={wrong}")).await;
        assert_eq!(refused.problem(422, "003074")["field"], "after", "{wrong}");
    }
}

/// More workers than the largest page holds, three of each moment.
async fn workers_have_their_next_page(world: &World) {
    sqlx::query(
        "insert into queue.worker (id, name, host, pid, build, tags, slots, held, state, lease_secs, started_at)
         select 'w.' || n, 'w', 'h', 1, 'b', '{order_unpaid}', 1, 0, 'working', 30, now() - n / 3 * interval '1 s'
         from generate_series(1, 1001) n",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let first = world.ops.get("/v1/ops/workers").await;
    let after = first.expect(200)["next"].as_str().unwrap();
    let second = world.ops.get(&format!("/v1/ops/workers?after={after}")).await;
    let ids = [field(&first.body, "id"), field(second.expect(200), "id")];
    assert_eq!((ids[0].len(), ids[1].len(), &second.body["next"]), (1_000, 1, &Value::Null));
    let all = walk(&world.ops, "/v1/ops/workers?", 400).await;
    let all: Vec<&str> = all.iter().map(|worker| worker["id"].as_str().unwrap()).collect();
    assert_eq!(all, ids.concat());
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 1_001, "each once");
    // A cursor holds though its worker is gone.
    let after =
        world.ops.get("/v1/ops/workers?limit=5").await.expect(200)["next"].as_str().unwrap().to_owned();
    sqlx::query("delete from queue.worker where id = $1").bind(all[4]).execute(&world.pool).await.unwrap();
    let second = world.ops.get(&format!("/v1/ops/workers?limit=1&after={after}")).await;
    assert_eq!(field(second.expect(200), "id"), all[5..6]);
    for wrong in ["w.1", "12", "12.", ".w"] {
        let refused = world.ops.get(&format!("/v1/ops/workers?after={wrong}")).await;
        assert_eq!(refused.problem(422, "003074")["field"], "after", "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn departures_that_could_not_be_made_are_a_list() {
    let world = World::new().await;
    sqlx::query(
        "insert into departure_not_made (timetable_id, service_date, error)
         select n % 17 + 1, current_date + n / 17, 'no driver ' || n from generate_series(0, 109) n",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let path = "/v1/ops/departures-not-made";
    let first = world.ops.get(path).await;
    assert_eq!(first.expect(200)["items"].as_array().unwrap().len(), 20);
    let one = &first.body["items"][3];
    let line: (i32, i16) = sqlx::query_as("select bus_id, direction from timetable where id = 4")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let fields = (&one["timetable_id"], &one["bus_id"], &one["direction"], &one["error"]);
    assert_eq!(fields, (&json!(4), &json!(line.0), &json!(line.1), &json!("no driver 3")), "{one}");
    assert!(one["at"].as_str().unwrap().ends_with('Z') && one["service_date"].is_string(), "{one}");
    for limit in [1, 20, 100] {
        let all = walk(&world.ops, &format!("{path}?"), limit).await;
        let order: Vec<String> = all.iter().map(|one| one["error"].as_str().unwrap().to_owned()).collect();
        let expected: Vec<String> = (0..110).map(|n| format!("no driver {n}")).collect();
        assert_eq!(order, expected, "the next ones first, each once");
    }
    // A cursor holds though its departure is made meanwhile.
    let after = first.body["next"].as_str().unwrap();
    sqlx::query("delete from departure_not_made where error = 'no driver 19'")
        .execute(&world.pool)
        .await
        .unwrap();
    let second = world.ops.get(&format!("{path}?limit=1&after={after}")).await;
    assert_eq!(field(second.expect(200), "error"), ["no driver 20"]);
    for wrong in ["2026-01-01", "2026-01-01.x", "2026-1-1.3", "10000-01-01.3", "3"] {
        let refused = world.ops.get(&format!("{path}?after={wrong}")).await;
        assert_eq!(refused.problem(422, "003074")["field"], "after", "{wrong}");
    }
    // The console shows the first 100 of them, and says that there are more.
    let page = ConsoleSession::enter(&world, "ops").await.page("/console/trips").await;
    assert!(page.contains("no driver 100") && !page.contains("no driver 101"), "{page}");
    assert!(page.contains("There are more"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_timeline_has_its_next_page() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let path = format!("/v1/ops/orders/{order}/timeline");
    let whole = world.ops.get(&path).await;
    assert_eq!(whole.expect(200)["next"], Value::Null);
    assert_eq!(json!(walk(&world.ops, &format!("{path}?"), 2).await), whole.body["items"]);
    for (asked, at_fault) in [("limit=1001", "limit"), ("after=x", "after"), ("after=4294967295", "after")] {
        let refused = world.ops.get(&format!("{path}?{asked}")).await;
        assert_eq!(refused.problem(422, "003074")["field"], at_fault);
    }
}
