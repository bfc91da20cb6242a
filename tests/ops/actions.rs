//! What operators do: every action is in the audit log, and operations on many jobs survive crashes.
//! Jobs are found by the ids that people know, and the command line does the same.

use crate::harness::{Client, Process, World, command, count, until};
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use std::process::Output;

/// Makes the undos of failed bookings dead letters; returns the orders.
pub async fn dead_bookings(world: &World, rider: &Client, trip: &str, seats: &[&str]) -> Vec<String> {
    let mut orders = Vec::new();
    for seat in seats {
        let failed = rider.fault("order_add_seats_cancle.after=error").book(trip, &[seat]).await;
        orders.push(failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned());
    }
    bury(world, "order_add_seats_cancle").await;
    orders
}

async fn bury(world: &World, tag: &str) {
    sqlx::query(
        "with gone as (delete from queue.job where tag = $1 returning *)
         insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at)
         select id, tag, key, payload, max_attempts, 1, 'exhausted',
                jsonb_build_array(jsonb_build_object('attempt', 1, 'error',
                    'order ' || key || ' timed out after ' || (random() * 9)::int || ' s')), run_at, created_at from gone",
    )
    .bind(tag)
    .execute(&world.pool)
    .await
    .unwrap();
}

/// A thousand dead letters of bookings that hold no seat: their undos do nothing, once each.
pub async fn many_dead(world: &World, many: i32) {
    sqlx::query(
        "insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at)
         select o.id, 'order_add_seats_cancle', o.id::text,
                jsonb_build_object('v', 1, 'booking', jsonb_build_object('order_id', o.id, 'rider_id', o.id, 'trip_id', o.id,
                                                                         'seats', jsonb_build_array(1))),
                25, 25, 'exhausted', '[{\"attempt\": 25, \"error\": \"the bank did not answer within 30 s\"}]', now(), now()
         from (select gen_random_uuid() as id from generate_series(1, $1)) as o",
    )
    .bind(many)
    .execute(&world.pool)
    .await
    .unwrap();
}

/// Has every redriven job counted, in a table that refuses one that comes twice.
pub async fn count_redriven(world: &World) {
    sqlx::raw_sql(
        "create table redriven (id uuid primary key);
         create function count_redriven() returns trigger language plpgsql security definer as $$
         begin insert into redriven values (new.id); return new; end $$;
         create trigger count_redriven after insert on queue.job for each row
             when (new.tag = 'order_add_seats_cancle') execute function count_redriven();",
    )
    .execute(&world.pool)
    .await
    .unwrap();
}

/// The redrive of the operation's job of this number waits until this is rolled back.
pub async fn hold_redriving(world: &World, nr: i32) -> Transaction<'static, Postgres> {
    let mut holder = world.pool.begin().await.unwrap();
    let one = "insert into redriven select job_id from bulk_item where nr = $1";
    sqlx::query(one).bind(nr).execute(&mut *holder).await.unwrap();
    holder
}

async fn acts(world: &World) -> Vec<(String, String, String)> {
    let log = world.ops.get("/v1/ops/audit?limit=100").await;
    let items = log.expect(200)["items"].as_array().unwrap().clone();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    items.iter().rev().map(|e| (text(e, "act"), text(e, "through"), text(e, "reason"))).collect()
}

fn farebox(world: &World, args: &[&str]) -> Output {
    command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &[]).args(args).output().unwrap()
}

fn printed(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_is_in_the_audit_log_with_its_effect_or_not_at_all() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("10.00").await;
    let orders = dead_bookings(&world, &rider, &trip, &["1", "2"]).await;
    let job = world.ops.get(&format!("/v1/ops/jobs?order={}&state=dead", orders[0])).await;
    let id = job.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let post = async |path: &str, body: Value| world.ops.post(path, &body).await.status.as_u16();
    assert_eq!(post(&format!("/v1/ops/jobs/{id}/retry"), json!({"reason": "again"})).await, 200);
    assert_eq!(post(&format!("/v1/ops/jobs/{id}/retry"), json!({})).await, 200, "a reason may be left out");
    let noon = chrono::Utc::now() + chrono::Duration::hours(2);
    assert_eq!(
        post(&format!("/v1/ops/jobs/{id}/snooze"), json!({"until": noon, "reason": "later"})).await,
        200
    );
    assert_eq!(post(&format!("/v1/ops/jobs/{id}/cancel"), json!({"reason": "by hand"})).await, 200);
    assert_eq!(post("/v1/ops/queues/timetable/pause", json!({"reason": "quiet"})).await, 200);
    assert_eq!(post("/v1/ops/queues/timetable/resume", json!({})).await, 200);
    assert_eq!(post("/v1/ops/queues/timetable/drain", json!({})).await, 200);
    assert_eq!(post("/v1/ops/dead-letters/redrive", json!({"reason": "mended"})).await, 200);
    let seats = json!({"seats": ["9"], "reason": "broken"});
    assert_eq!(post(&format!("/v1/ops/trips/{trip}/seats/block"), seats.clone()).await, 200);
    assert_eq!(post(&format!("/v1/ops/trips/{trip}/seats/release"), seats).await, 200);
    assert_eq!(post(&format!("/v1/ops/trips/{trip}/cancel"), json!({"reason": "snow"})).await, 202);
    // What is refused changes nothing and is not logged.
    assert_eq!(post(&format!("/v1/ops/jobs/{id}/cancel"), json!({"reason": "twice"})).await, 404);
    assert_eq!(
        post(&format!("/v1/ops/jobs/{id}/snooze"), json!({"until": noon - chrono::Duration::hours(9)})).await,
        422
    );
    let reported = acts(&world).await;
    let expected = [
        ("trip_add", ""),
        ("wallet_top_up", ""),
        ("job_retry", "again"),
        ("job_retry", ""),
        ("job_snooze", "later"),
        ("job_cancel", "by hand"),
        ("queue_pause", "quiet"),
        ("queue_resume", ""),
        ("queue_drain", ""),
        ("dead_letters_redrive", "mended"),
        ("seats_block", "broken"),
        ("seats_release", "broken"),
        ("trip_cancel", "snow"),
    ];
    let expected = expected.map(|(act, reason)| (act.to_owned(), "api".to_owned(), reason.to_owned()));
    assert_eq!(reported, expected);
    let about = world.ops.get(&format!("/v1/ops/audit?order={}&act=job_cancel", orders[0])).await;
    let entry = &about.expect(200)["items"][0];
    assert_eq!(
        (&entry["actor"], &entry["role"], &entry["subject"]),
        (&json!("ops"), &json!("operator"), &json!(id))
    );
    let next = world.ops.get("/v1/ops/audit?limit=1").await.expect(200)["next"].as_str().unwrap().to_owned();
    let second = world.ops.get(&format!("/v1/ops/audit?limit=1&after={next}")).await;
    assert_eq!(second.expect(200)["items"][0]["act"], "seats_release");
    world.ops.get("/v1/ops/audit?act=nonsense").await.problem(422, "003074");
    for sql in ["update audit set reason = 'other'", "delete from audit", "truncate audit"] {
        let refused = sqlx::query(sql).execute(&world.pool).await.unwrap_err();
        assert_eq!(
            refused.as_database_error().and_then(|e| e.constraint()),
            Some("audit_is_append_only"),
            "{sql}"
        );
    }
}

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
    sqlx::query(
        "insert into queue.job (id, tag, key, payload, max_attempts, run_at)
         select gen_random_uuid(), tag, key, payload, 5, now() + interval '1 hour' from queue.dead_letter where key = $1",
    )
    .bind(&orders[1])
    .execute(&world.pool)
    .await
    .unwrap();
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
async fn jobs_are_found_by_the_ids_that_people_know() {
    let world = World::new().await;
    let (trip, other) = (world.trip(20).await, world.trip(20).await);
    let (rider, stranger) = (world.rider("100.00").await, world.rider("0").await);
    let dead = dead_bookings(&world, &rider, &trip, &["1", "2"]).await;
    let order = rider.booked(&trip, &["3"]).await;
    let failed = rider.fault("pay_check_cancle.after=error").pay(&order).await;
    failed.problem(500, "003099");
    stranger.booked(&other, &["1"]).await;
    let found = async |query: &str| {
        let page = world.ops.get(&format!("/v1/ops/jobs?{query}")).await;
        let items = page.expect(200)["items"].as_array().unwrap().clone();
        let mut tags: Vec<String> = items.iter().map(|job| job["tag"].as_str().unwrap().to_owned()).collect();
        tags.sort();
        tags.join(" ")
    };
    let (claim, check, timer) = ("order_add_seats_cancle", "pay_check_cancle", "order_unpaid");
    assert_eq!(found(&format!("order={}&state=dead", dead[0])).await, claim);
    assert_eq!(
        found(&format!("order={order}")).await,
        format!("{timer} {check}"),
        "a payment that was never written down"
    );
    let of_rider = found(&format!("rider={}&limit=100", rider.id)).await;
    assert!(of_rider.matches(claim).count() == 2 && of_rider.matches(timer).count() >= 1, "{of_rider}");
    assert!(found(&format!("trip={trip}&state=dead")).await.matches(claim).count() == 2);
    assert_eq!(found(&format!("trip={other}")).await, timer);
    assert_eq!(found("tag=order_add_seats_cancle").await, format!("{claim} {claim}"));
    assert_eq!(found("serial=none").await, "");
    let ahead = (chrono::Utc::now() + chrono::Duration::hours(1)).format("%Y-%m-%dT%H:%M:%SZ");
    assert_eq!(found(&format!("since={ahead}")).await, "");
    assert!(!found(&format!("before={ahead}")).await.is_empty());
    // One mistake has one fingerprint, whatever order and time it names.
    let errors = world.ops.get("/v1/ops/errors").await;
    let groups = errors.expect(200)["items"].as_array().unwrap().clone();
    let group = groups.iter().find(|g| g["dead"] == 2).unwrap_or_else(|| panic!("{}", errors.text));
    assert!(group["sample"].as_str().unwrap().contains("timed out"), "{group}");
    let fingerprint = group["fingerprint"].as_str().unwrap();
    assert_eq!(found(&format!("error={fingerprint}")).await, format!("{claim} {claim}"));
    world.ops.get("/v1/ops/jobs?order=nonsense").await.problem(422, "003074");

    // What would move: the seat that the dead letter would free.
    let job = world.ops.get(&format!("/v1/ops/jobs?order={}&state=dead", dead[0])).await;
    let id = job.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let impact = world.ops.get(&format!("/v1/ops/jobs/{id}/impact")).await;
    let reported = impact.expect(200);
    assert_eq!(
        (&reported["seats"], &reported["rider_id"], &reported["trip_id"]),
        (&json!([1]), &json!(rider.id), &json!(trip))
    );
    assert_eq!(reported["run"]["en"], "frees seats 1");
    assert!(reported.get("order_status").is_none(), "it was never added: {}", impact.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_does_the_same_and_is_in_the_log() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let orders = dead_bookings(&world, &rider, &trip, &["1"]).await;
    let list =
        printed(&farebox(&world, &["jobs", "list", "--order", &orders[0], "--state", "dead", "--json"]));
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    let shown = printed(&farebox(&world, &["jobs", "show", &id, "--json"]));
    assert_eq!((&shown["state"], &shown["impact"]["seats"]), (&json!("dead"), &json!([1])));
    let refused = farebox(&world, &["jobs", "redrive", &id]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--reason"));
    let why = ["--reason", "the bank is back", "--json"];
    let act = |args: &[&str]| printed(&farebox(&world, &[args, &why].concat()));
    assert_eq!(act(&["jobs", "redrive", &id])["state"], "ready");
    assert_eq!(act(&["jobs", "snooze", &id, "--for", "3600"])["state"], "delayed");
    assert_eq!(act(&["jobs", "retry", &id])["state"], "ready");
    assert_eq!(act(&["queues", "pause", "order_add_seats_cancle"])["items"][0]["paused"], true);
    assert_eq!(act(&["queues", "resume", "order_add_seats_cancle"])["items"][0]["paused"], false);
    assert_eq!(act(&["queues", "drain", "order_add_seats_cancle"])["items"][0]["running"], 0);
    assert_eq!(act(&["jobs", "cancel", &id])["state"], "cancelled");
    let gone = farebox(&world, &["jobs", "retry", &id, "--reason", "again"]);
    assert!(!gone.status.success() && String::from_utf8_lossy(&gone.stderr).contains("no such waiting job"));
    assert!(
        String::from_utf8_lossy(&farebox(&world, &["queues", "list"]).stdout)
            .contains("order_add_seats_cancle paused")
    );
    assert!(farebox(&world, &["trips", "--days", "1"]).status.success());
    let mut add = command(
        env!("CARGO_BIN_EXE_farebox"),
        &world.db.url,
        &[("FAREBOX_OPERATOR_PASSWORD", "long enough")],
    );
    assert!(add.args(["operators", "add", "nightshift"]).status().unwrap().success());
    let reported = acts(&world).await;
    let by_cli: Vec<&str> = reported.iter().filter(|act| act.1 == "cli").map(|act| act.0.as_str()).collect();
    let expected = [
        "job_redrive",
        "job_snooze",
        "job_retry",
        "queue_pause",
        "queue_resume",
        "queue_drain",
        "job_cancel",
        "trips_generate",
        "operator_add",
    ];
    assert_eq!(by_cli, expected);
    let entry = world.ops.get("/v1/ops/audit?act=job_redrive").await;
    let entry = &entry.expect(200)["items"][0];
    assert_eq!((&entry["reason"], &entry["role"]), (&json!("the bank is back"), &json!("shell")));
    assert!(!entry["actor"].as_str().unwrap().is_empty() && entry.get("actor_id").is_none(), "{entry}");
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
    assert!(get(&format!("{page}?outcome=done")).await.1.contains("order_add_seats_cancle"));
    assert_eq!(get(&format!("{page}/stop")).await.0, 200);
    assert_eq!(
        post(&format!("{page}/stop"), format!("csrf={csrf}&reason=enough")).await.0,
        409,
        "it has ended"
    );
    let log = acts(&world).await;
    assert_eq!(log, [("bulk_start".to_owned(), "console".to_owned(), "the bank".to_owned())]);
}
