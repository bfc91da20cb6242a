//! Query strings, forms and options: what they may hold, and what the database refuses of it.

use super::{ME, NOBODY, csrf, form, page, refused};
use crate::harness::{Client, Process, World, command, count};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_string_or_a_form_holds_is_known_and_there_once() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let slip = rider.get("/v1/trips?data=2026-11-30").await;
    refused(&slip, "data");
    assert!(slip.text.contains("did you mean `date`"), "{}", slip.text);
    refused(&world.ops.get("/v1/ops/audit?unknown=1").await, "unknown");
    refused(&rider.get("/v1/trips?date=2026-11-30&date=2026-12-01").await, "date");
    refused(&rider.get("/v1/orders?limit=1&limit=1").await, "limit");
    let older = page(&world, &format!("/console/approvals?after={NOBODY}")).await;
    assert_eq!(older.0, 200, "{}", older.1);
    // Every address of the description, those without parameters as well.
    let description = rider.get("/openapi.json").await;
    for (path, methods) in description.expect(200)["paths"].as_object().unwrap() {
        let address =
            path.replace("{id}", NOBODY).replace("{rider_id}", NOBODY).replace("{tag}", "pay_money_cancle");
        for method in methods.as_object().unwrap().keys() {
            let body = (method != "get").then(|| json!({}));
            let method = method.to_uppercase();
            refused(&world.ops.call(&method, &format!("{address}?odd=1"), body.as_ref()).await, "odd");
        }
    }
    // A worker's own addresses.
    let worker = Process::worker(&world.db.url, &[("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0")], &[]);
    let of_worker = Client::stranger(&worker.metrics());
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(of_worker.get(path).await.status, 200, "{path}");
        refused(&of_worker.get(&format!("{path}?odd=1")).await, "odd");
    }
    drop(worker);
    for path in [
        "",
        "/jobs",
        "/queues",
        "/bulk",
        "/bulk/new",
        "/orders",
        "/trips",
        "/riders",
        "/audit",
        "/search",
        "/sign-in",
    ] {
        let (status, text) = page(&world, &format!("/console{path}?odd=1")).await;
        let is_named = ["odd: ", "odd</strong>: "].iter().any(|name| text.contains(name));
        assert!(status == 422 && is_named, "{path}: {status} {text}");
        assert_eq!(page(&world, &format!("/console{path}?live=2&live=3")).await.0, 422, "{path}");
    }
    let token = csrf(&world).await;
    let path = format!("/console/riders/{}/top-up", world.rider("0").await.id);
    let good = format!("csrf={token}&reason=x&amount=1&reference=r");
    for odd in ["odd=1", "amount=2", "csrf=x", "reason=y"] {
        let (status, text) = form(&world, &path, format!("{good}&{odd}")).await;
        let name = odd.split('=').next().unwrap();
        assert!(status == 422 && text.contains(&format!("{name}: ")), "{odd}: {status} {text}");
    }
    assert_eq!(form(&world, &format!("{path}?odd=1"), good.clone()).await.0, 422);
    assert_eq!(form(&world, "/console/bulk", format!("csrf={token}&reason=x&act=retry&odd=1")).await.0, 422);
    assert_eq!(form(&world, "/console/preferences", "lang=zh&odd=1".to_owned()).await.0, 422);
    assert_eq!(count(&world.pool, "select count(*) from ledger_entry").await, 0);
    assert_eq!(form(&world, &path, good).await.0, 303);
}

/// What no type refuses must not be the database's to answer with a 500: an unknown constraint stands for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_is_bad_input_and_logged_as_an_error() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    for sql in [
        "alter table rider add constraint nick_name_is_not_x check (nick_name <> 'x')",
        "alter table ledger_entry add constraint entry_is_not_4711 check (amount <> 47.11)",
    ] {
        sqlx::query(sql).execute(&world.pool).await.unwrap();
    }
    let answer = rider.patch(ME, &json!({"nick_name": "x"})).await;
    assert_eq!(answer.problem(422, "003074")["rule"], "nick_name_is_not_x");
    let answer = world
        .ops
        .key("once")
        .post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &json!({"amount": "47.11", "reference": "r"}))
        .await;
    assert_eq!(answer.problem(422, "003074")["rule"], "entry_is_not_4711");
    let body = format!("csrf={}&reason=x&amount=47.11&reference=r", csrf(&world).await);
    let (status, text) = form(&world, &format!("/console/riders/{}/top-up", rider.id), body).await;
    assert!(status == 422 && text.contains("entry_is_not_4711"), "{status} {text}");
    assert_eq!(rider.balance().await, "0.00");
    let log = world.log().await;
    let holes: Vec<&str> = log.lines().filter(|line| line.contains("a type should have refused")).collect();
    assert_eq!(holes.len(), 3, "{log}");
    assert!(
        holes[0].contains("ERROR") && holes[0].contains("nick_name_is_not_x") && holes[0].contains(ME),
        "{}",
        holes[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_read_by_the_same_rules() {
    let world = World::new().await;
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let done = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, env).args(args).output().unwrap();
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!text.contains("panicked"), "{args:?}: {text}");
        (done.status.code(), text)
    };
    let braces = format!("{{{NOBODY}}}");
    for args in [
        &["dev", "--hold", "NaN"][..],
        &["dev", "--hold=-1"],
        &["dev", "--hold", "inf"],
        &["dev", "--hold", "1e300"],
        &["jobs", "show", &braces],
        &["jobs", "list", "--order", "0190b5a0000070008000000000000000"],
        &["jobs", "list", "--since", "+262142-01-01T00:00:00Z"],
        &["jobs", "list", "--limit", "0"],
        &["jobs", "snooze", NOBODY, "--until", "yesterday", "--reason", "x"],
        &["trips", "--days", "0"],
        &["queues", "pause", "nonsense", "--reason", "x"],
    ] {
        let (code, text) = run(args, &[]);
        assert_eq!(code, Some(2), "{args:?}: {text}");
        assert!(text.contains("invalid value"), "{args:?}: {text}");
    }
    for reason in ["", " ", "a\nb", "\u{202e}x"] {
        let (code, text) = run(&["jobs", "retry", NOBODY, "--reason", reason], &[]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("reason"), "{reason:?}: {text}");
    }
    for value in ["nan", "inf", "-1", "0", "1e300"] {
        let (code, text) = run(&["verify"], &[("FAREBOX__BOOKING__HOLD_SECS", value)]);
        assert_eq!(code, Some(1), "{value}: {text}");
        assert!(text.contains("hold_secs"), "{value}: {text}");
    }
}
