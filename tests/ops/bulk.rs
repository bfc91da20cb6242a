//! Operations on many jobs: previewed, started once, stopped, and not lost when processes are killed.

use super::{
    actions::acts,
    dead_letters::{count_redriven, dead_bookings, hold_redriving, many_dead, take_key},
};
use crate::harness::{Process, World, count, until};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_are_redriven_once_though_api_and_worker_are_killed_in_the_middle() {
    let mut world = World::new().await;
    many_dead(&world, 1_000).await;
    let filter = json!({"tag": "order_add_seats_cancle", "state": "dead"});
    let preview =
        world.ops.post("/v1/ops/bulk", &json!({"act": "redrive", "filter": filter, "preview": true})).await;
    let reported = preview.expect(200);
    assert_eq!(
        (&reported["covers"], &reported["orders"], &reported["seats"]),
        (&json!(1_000), &json!(1_000), &json!(0))
    );
    assert_eq!(reported["order_ids"].as_array().unwrap().len(), 100);
    let wrong = json!({"act": "redrive", "filter": filter, "expected": 999, "reason": "the bank is back"});
    assert_eq!(world.ops.post("/v1/ops/bulk", &wrong).await.problem(409, "006045")["covers"], 1_000);
    count_redriven(&world).await;
    let start = json!({"act": "redrive", "filter": filter, "expected": 1_000, "reason": "the bank is back"});
    let begun = world.ops.key("once").post("/v1/ops/bulk", &start).await;
    let id = begun.expect(202)["id"].as_str().unwrap().to_owned();
    let again = world.ops.key("once").post("/v1/ops/bulk", &start).await;
    assert_eq!(again.expect(202)["id"], json!(id), "the same key starts nothing more");
    world.api.kill();

    // The worker dies with half of it done.
    let holder = hold_redriving(&world, 450).await;
    let short = [("FAREBOX__WORKER__LEASE_MS", "300")];
    let mut first = Process::worker(&world.db.url, &short, &["--tags", "bulk"]);
    until("it waits in its fifth chunk", || async {
        count(&world.pool, "select reached::bigint from bulk").await == 400
            && world.waiting_for_locks().await > 0
    })
    .await;
    first.kill();
    holder.rollback().await.unwrap();
    assert_eq!(count(&world.pool, "select count(*) from queue.dead_letter").await, 600);

    let _second = Process::worker(&world.db.url, &short, &[]);
    world.api = world.api.again();
    world.ops = world.ops.at(&world.api.base());
    let path = format!("/v1/ops/bulk/{id}");
    until("it has ended", || async { world.ops.get(&path).await.body["state"] == "done" }).await;
    let ended = world.ops.get(&path).await;
    let ended = ended.expect(200);
    assert_eq!(["reached", "done", "busy", "gone"].map(|f| ended[f].as_i64().unwrap()), [1_000, 1_000, 0, 0]);
    world.drained().await;
    assert_eq!(
        count(&world.pool, "select count(*) from redriven").await,
        1_000,
        "each once: the key would refuse two"
    );
    assert_eq!(
        count(&world.pool, "select count(*) from queue.finished where tag = 'order_add_seats_cancle'").await,
        1_000
    );
    assert_eq!(count(&world.pool, "select count(*) from audit where act = 'bulk_start'").await, 1);
    world.ops.post(&format!("{path}/stop"), &json!({})).await.problem(409, "006044");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_operation_reports_what_it_left_alone() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let orders = dead_bookings(&world, &rider, &trip, &["1", "2", "3"]).await;
    let dead = world.ops.get("/v1/ops/jobs?state=dead").await;
    let ids: Vec<Value> =
        dead.expect(200)["items"].as_array().unwrap().iter().map(|j| j["id"].clone()).collect();
    let preview = json!({"act": "redrive", "ids": ids, "preview": true});
    let reported = world.ops.post("/v1/ops/bulk", &preview).await;
    assert_eq!(
        (&reported.expect(200)["seats"], &reported.body["riders"]),
        (&json!(3), &json!(1)),
        "{}",
        reported.text
    );
    for (body, field) in [
        (json!({"act": "redrive", "reason": "x"}), "/filter"),
        (json!({"act": "redrive", "filter": {}, "reason": "x"}), "/filter"),
        (json!({"act": "redrive", "filter": {"state": "done"}, "reason": "x"}), "/filter"),
        (json!({"act": "redrive", "ids": [], "reason": "x"}), "/ids"),
        (json!({"act": "redrive", "ids": ids}), "/reason"),
    ] {
        let refused = world.ops.post("/v1/ops/bulk", &body).await;
        assert_eq!(refused.problem(422, "003074")["field"], field, "{body}");
    }
    let start = json!({"act": "redrive", "ids": ids, "reason": "mended"});
    let stopped = world.ops.post("/v1/ops/bulk", &start).await.expect(202)["id"].as_str().unwrap().to_owned();
    let stop = world.ops.post(&format!("/v1/ops/bulk/{stopped}/stop"), &json!({"reason": "wait"})).await;
    assert_eq!((&stop.expect(200)["state"], &stop.body["reached"]), (&json!("stopped"), &json!(0)));
    let second = world.ops.post("/v1/ops/bulk", &start).await.expect(202)["id"].as_str().unwrap().to_owned();
    // One ends meanwhile, and the key of another is taken.
    sqlx::query("delete from queue.dead_letter where key = $1")
        .bind(&orders[0])
        .execute(&world.pool)
        .await
        .unwrap();
    take_key(&world, &orders[1]).await;
    let _worker = world.worker();
    let path = format!("/v1/ops/bulk/{second}");
    until("it has ended", || async { world.ops.get(&path).await.body["state"] == "done" }).await;
    let ended = world.ops.get(&path).await;
    assert_eq!(
        ["done", "busy", "gone"].map(|f| ended.body[f].as_i64().unwrap()),
        [1, 1, 1],
        "{}",
        ended.text
    );
    let busy = world.ops.get(&format!("{path}/items?outcome=busy")).await;
    let item = &busy.expect(200)["items"][0];
    assert_eq!(
        (&item["key"], &item["order_id"], &item["now"]),
        (&json!(orders[1]), &json!(orders[1]), &json!("dead"))
    );
    until("the third seat is free", || async { world.free_seats(&trip).await == 18 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_previews_starts_once_shows_and_stops_an_operation() {
    let world = World::new().await;
    many_dead(&world, 120).await;
    let base = world.api.base();
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let cookie = format!("farebox_console={}", world.ops.token());
    let get = async |path: &str| {
        let answer = http.get(format!("{base}{path}")).header("cookie", &cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let post = async |path: &str, body: String| {
        let request = http.post(format!("{base}{path}")).header("cookie", &cookie);
        let form = "application/x-www-form-urlencoded";
        let answer = request.header("content-type", form).body(body).send().await.unwrap();
        let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        (answer.status().as_u16(), to.unwrap_or_default())
    };
    let field = |page: &str, name: &str| {
        let begins = format!("name=\"{name}\" value=\"");
        page.split(&begins).nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
    };
    let (status, preview) = get("/console/bulk/new?act=redrive&tag=order_add_seats_cancle&state=&key=").await;
    assert_eq!((status, field(&preview, "expected").as_str()), (200, "120"), "{preview}");
    let (csrf, id) = (field(&preview, "csrf"), field(&preview, "id"));
    let form =
        format!("csrf={csrf}&id={id}&expected=120&act=redrive&tag=order_add_seats_cancle&reason=the+bank");
    assert_eq!(post("/console/bulk", form.replace(&csrf, "forged")).await.0, 403);
    assert_eq!(post("/console/bulk", form.replace("the+bank", "")).await.0, 422);
    assert_eq!(count(&world.pool, "select count(*) from bulk").await, 0, "what is refused starts nothing");
    let page = format!("/console/bulk/{id}");
    assert_eq!(post("/console/bulk", form.clone()).await, (303, page.clone()));
    assert_eq!(post("/console/bulk", form).await, (303, page.clone()), "sent twice, it is one operation");
    assert_eq!(count(&world.pool, "select count(*) from bulk").await, 1);
    let _worker = world.worker();
    until("it has ended", || async { get(&page).await.1.contains("120 / 120") }).await;
    assert!(get("/console/bulk").await.1.contains("the bank"));
    let healed = format!("{page}?outcome=healed");
    until("some have healed", || async { get(&healed).await.1.contains("order_add_seats_cancle") }).await;
    assert_eq!(get(&format!("{page}/stop")).await.0, 200);
    assert_eq!(
        post(&format!("{page}/stop"), format!("csrf={csrf}&reason=enough")).await.0,
        409,
        "it has ended"
    );
    let log = acts(&world).await;
    let expected = [("operator_sign_in", "api", ""), ("bulk_start", "console", "the bank")];
    assert_eq!(log, expected.map(|(act, way, why)| (act.to_owned(), way.to_owned(), why.to_owned())));
}
