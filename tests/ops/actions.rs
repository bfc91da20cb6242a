//! What operators do: every action is in the audit log. Jobs are found by the ids that people know,
//! and the command line does the same.

use super::dead_letters::dead_bookings;
use crate::harness::{World, command};
use serde_json::{Value, json};
use std::process::Output;

pub async fn acts(world: &World) -> Vec<(String, String, String)> {
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
        ("operator_sign_in", ""),
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
        &[("FAREBOX_OPERATOR_PASSWORD", crate::harness::PASSWORD)],
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
