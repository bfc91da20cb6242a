//! What an attack leaves behind: log lines with keyed digests, counts, and rows of the audit log; and
//! that none of them names anybody.

use crate::{
    console::ConsoleSession,
    harness::{Answer, Client, PASSWORD, PAY_PASSWORD, World, count, new_rider, production},
};
use farebox::{
    accounts::{self, Role},
    security,
};
use serde_json::{Value, json};

/// The security events in the API's log, in order.
async fn events(world: &World) -> Vec<Value> {
    let log = world.log().await;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let security = lines.filter(|line| line["target"] == "farebox::security");
    security.map(|line| line["fields"].clone()).collect()
}

async fn of(world: &World, event: &str) -> Vec<Value> {
    events(world).await.into_iter().filter(|fields| fields["event"] == event).collect()
}

/// The lines of these events, which are of this number.
async fn lines(world: &World, event: &str, number: usize) -> Vec<Value> {
    let lines = of(world, event).await;
    assert_eq!((lines.len(), of_event(world, event).await), (number, number as u64), "{lines:?}");
    lines
}

/// A counter of `/metrics`, by the start of its line.
async fn counted(world: &World, series: &str) -> u64 {
    let page = reqwest::get(format!("{}/metrics", world.api.base())).await.unwrap().text().await.unwrap();
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    value.unwrap_or(0)
}

async fn of_event(world: &World, event: &str) -> u64 {
    counted(world, &format!("farebox_security_events_total{{event=\"{event}\"}}")).await
}

async fn wrong_sign_in(stranger: &Client, name: &str) -> Answer {
    stranger.post("/v1/sessions", &json!({ "user_name": name, "password": "wrong horse" })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_leaves_a_trace_of_account_and_network() {
    let world = World::with(&production(&[])).await;
    let rider = world.rider("0").await;
    let stranger = Client::stranger(&world.api.base());
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(wrong_sign_in(&stranger, "Rider0").await.status.as_u16());
    }
    wrong_sign_in(&stranger, "nobody").await.problem(401, "003001");
    let failed = statuses.iter().filter(|status| **status == 401).count();
    assert!(failed >= 5 && statuses.contains(&429), "{statuses:?}");
    let lines = of(&world, "sign_in_failed").await;
    assert_eq!(lines.len(), failed + 1);
    assert!(lines[..failed].iter().all(|line| line == &lines[0]), "one account, one network: {lines:?}");
    assert_ne!(lines[0]["account"], lines[failed]["account"], "another name");
    assert_eq!(lines[0]["network"], lines[failed]["network"]);
    // With the key of the tokens an operator finds the name; without it nobody does.
    security::set_key(security::digest_key(crate::harness::TOKEN_KEY.as_bytes()));
    assert_eq!(lines[0]["account"], security::name("rider0"));
    assert_eq!(lines[0]["network"], security::network([127, 0, 0, 1].into()));
    let barred = statuses.len() - failed;
    assert_eq!(of(&world, "sign_in_barred").await.len(), barred);
    assert_eq!(of_event(&world, "sign_in_failed").await, failed as u64 + 1);
    assert_eq!(of_event(&world, "sign_in_barred").await, barred as u64);
    assert_eq!(counted(&world, "farebox_http_refused_total{why=\"guessing\"}").await, barred as u64);

    // Pay passwords: wrong, locked, changed.
    let change = json!({ "current": PAY_PASSWORD, "new": "804713" });
    rider.put("/v1/riders/me/pay-password", &change).await.expect(204);
    let guess = json!({ "current": "000000", "new": "804713" });
    for _ in 0..5 {
        rider.put("/v1/riders/me/pay-password", &guess).await.problem(403, "004001");
    }
    rider.put("/v1/riders/me/pay-password", &guess).await.problem(423, "006007");
    for (event, times) in [("pay_password_changed", 1), ("pay_password_wrong", 5), ("pay_password_locked", 1)]
    {
        let lines = of(&world, event).await;
        assert_eq!((lines.len(), of_event(&world, event).await), (times, times as u64), "{event}");
        assert!(lines.iter().all(|line| line["account"] == security::account(rider.id)), "{lines:?}");
    }
    let log = world.log().await;
    for secret in ["rider0", "wrong horse", "127.0.0.1", "804713"] {
        let lines = log.lines().filter(|line| line.contains("farebox::security") && line.contains(secret));
        assert_eq!(lines.count(), 0, "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_forms_and_own_money_leave_a_trace() {
    let world = World::with(&production(&[])).await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let path = format!("/console/riders/{}/top-up", world.ops.id);
    let body = "csrf=forged&reason=x&amount=1.00&reference=r";
    assert_eq!(ops.status("POST", &path, Some(body)).await, 403);
    let evil = ops.http.post(format!("{}{path}", ops.base)).header("cookie", &ops.cookie);
    let evil = evil
        .header("origin", "https://evil.example")
        .header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(evil.body(body).send().await.unwrap().status().as_u16(), 403);
    assert_eq!(of(&world, "form_forged").await.len(), 2);
    let own = json!({ "amount": "1.00", "reference": "mine" });
    world.ops.post(&format!("/v1/ops/wallets/{}/top-ups", world.ops.id), &own).await.problem(403, "006061");
    assert_eq!(of(&world, "own_money").await.len(), 1);
    assert_eq!((of_event(&world, "form_forged").await, of_event(&world, "own_money").await), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_and_reads_of_operators_are_in_the_audit_log() {
    let world = World::with(&production(&[])).await;
    let (trip, rider) = (world.trip(4).await, world.rider("20.00").await);
    rider.patch("/v1/riders/me", &json!({ "email": "mei.lin@example.org" })).await.expect(200);
    let order = rider.booked(&trip, &["1"]).await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let mine = rider.id.to_string();
    // Each of them twice: one row stands for ten minutes of reading.
    for _ in 0..2 {
        ops.page(&format!("/console/riders/{mine}")).await;
        ops.page(&format!("/console/riders/{mine}/top-up")).await;
        ops.page("/console/search?q=Mei.Lin%40example.org").await;
        ops.page("/console/riders?who=mei.lin%40example.org").await;
        ops.page(&format!("/console/orders/{order}")).await;
        ops.page(&format!("/console/trips/{trip}/manifest")).await;
        world.ops.get(&format!("/v1/ops/orders/{order}/timeline")).await.expect(200);
        world.ops.get(&format!("/v1/ops/trips/{trip}/manifest")).await.expect(200);
    }
    let sql =
        "select act, through, subject from audit where act not in ('trip_add', 'wallet_top_up') order by id";
    let rows: Vec<(String, String, String)> = sqlx::query_as(sql).fetch_all(&world.pool).await.unwrap();
    let short: Vec<(&str, &str)> =
        rows.iter().map(|(act, through, _)| (act.as_str(), through.as_str())).collect();
    let expected = [
        ("operator_sign_in", "api"),
        ("operator_sign_in", "console"),
        ("rider_read", "console"),
        ("riders_search", "console"),
        ("order_read", "console"),
        ("manifest_read", "console"),
    ];
    assert_eq!(short, expected);
    assert_eq!((&rows[2].2, &rows[4].2, &rows[5].2), (&mine, &order, &trip));
    // Ten minutes later it is another read.
    sqlx::query("alter table audit disable trigger user").execute(&world.pool).await.unwrap();
    sqlx::query("update audit set id = '01900000-0000-7000-8000-000000000001' where act = 'rider_read'")
        .execute(&world.pool)
        .await
        .unwrap();
    sqlx::query("alter table audit enable trigger user").execute(&world.pool).await.unwrap();
    ops.page(&format!("/console/riders/{mine}")).await;
    assert_eq!(count(&world.pool, "select count(*) from audit where act = 'rider_read'").await, 2);
    assert_eq!(of_event(&world, "personal_data_read").await, 5);
    assert_eq!(of_event(&world, "operator_sign_in").await, 2);
    // A rider's sign-in and own reads are no rows of it, and no row has a name or an address.
    rider.get("/v1/riders/me").await.expect(200);
    let sql = "select count(*) from audit where actor_id = (select id from rider where user_name = 'rider0')";
    assert_eq!(count(&world.pool, sql).await, 0);
    let named = "select count(*) from audit where audit::text ~* 'rider0|mei.lin|''ops''|,ops,'";
    assert_eq!(count(&world.pool, named).await, 0);
    // Shown, and found, by name all the same.
    let shown = world.ops.get("/v1/ops/audit?actor=OPS&act=rider_read").await;
    assert_eq!(shown.expect(200)["items"][0]["actor"], "ops");
    // The reads of an order are no acts upon it.
    assert!(ops.page(&format!("/console/orders/{order}")).await.contains("No operator has touched it."));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_on_the_pages_of_forms_are_reads_too() {
    let world = World::with(&production(&[])).await;
    let rider = world.rider("20.00").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let read = async |act: &str, subject: &str| -> i64 {
        let sql = "select count(*) from audit where act = $1 and subject = $2";
        sqlx::query_scalar(sql).bind(act).bind(subject).fetch_one(&world.pool).await.unwrap()
    };
    for act in ["block", "release", "cancel"] {
        let trip = world.trip(4).await;
        rider.booked(&trip, &["1"]).await;
        assert_eq!(read("manifest_read", &trip).await, 0);
        let page = ops.page(&format!("/console/trips/{trip}/{act}")).await;
        assert!(page.contains("rider0"), "the seat's owner is shown");
        assert_eq!(read("manifest_read", &trip).await, 1, "{act}");
    }
    let mine = rider.id.to_string();
    assert_eq!(read("rider_read", &mine).await, 0);
    assert!(ops.page(&format!("/console/accounts/{mine}/disable")).await.contains("rider0"));
    assert_eq!(read("rider_read", &mine).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_refused_is_no_read() {
    let world = World::with(&production(&[])).await;
    let rider = world.rider("20.00").await;
    let trip = world.trip(4).await;
    rider.booked(&trip, &["1"]).await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let change = format!("/console/trips/{trip}/change");
    let correct = format!("/console/riders/{}/correct", rider.id);
    let unknown = "0190b5a0-0000-7000-8000-000000000000";
    for (page, status) in [
        (format!("{change}?bus=999999999999"), 422),
        (format!("{change}?bus=2147483647"), 422),
        (format!("{change}?price=dear"), 422),
        (format!("{correct}/{unknown}"), 404),
    ] {
        assert_eq!(ops.status("GET", &page, None).await, status, "{page}");
    }
    let reads = "select count(*) from audit where act in ('manifest_read', 'rider_read')";
    assert_eq!(count(&world.pool, reads).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_may_not_do_leaves_a_trace() {
    let world = World::with(&production(&[])).await;
    let rider = world.rider("0").await;
    accounts::register(&world.pool, &world.saga.passwords, &new_rider("eye"), Role::Viewer).await.unwrap();
    let eye = Client::sign_in(&world.api.base(), "eye").await;
    security::set_key(security::digest_key(crate::harness::TOKEN_KEY.as_bytes()));
    let denied = async |who: &Client, number: usize| -> usize {
        let lines = lines(&world, "access_denied", number).await;
        lines.iter().filter(|line| line["account"] == security::account(who.id)).count()
    };
    rider.get("/v1/ops/jobs").await.problem(403, "003091");
    assert_eq!(denied(&rider, 1).await, 1, "a read");
    let reason = json!({ "reason": "x" });
    rider.post("/v1/ops/queues/pay_money_cancle/pause", &reason).await.problem(403, "003091");
    let top_up = json!({ "amount": "1.00", "reference": "r" });
    rider.post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &top_up).await.problem(403, "003091");
    let form = format!("user_name=rider0&password={}&next=%2Fconsole", PASSWORD.replace(' ', "+"));
    let stranger = ConsoleSession::stranger(&world);
    assert_eq!(stranger.status("POST", "/console/sign-in", Some(&form)).await, 401);
    assert_eq!(denied(&rider, 4).await, 4, "changes, and the console");
    // A viewer may not change; an operator may not manage an operator.
    eye.patch("/v1/riders/me", &json!({ "nick_name": "Eye" })).await.problem(403, "003091");
    let console = ConsoleSession::enter(&world, "eye").await;
    let page = format!("/console/riders/{}/top-up", rider.id);
    let form = format!("csrf={}&reason=x&amount=1.00&reference=r", console.hidden(&page, "csrf").await);
    assert_eq!(console.status("POST", &page, Some(&form)).await, 403);
    assert_eq!(denied(&eye, 6).await, 2);
    world
        .ops
        .post(&format!("/v1/ops/riders/{}/password-reset", eye.id), &reason)
        .await
        .problem(403, "003091");
    let operators = ConsoleSession::enter(&world, "ops").await;
    assert_eq!(operators.status("GET", "/console/accounts", None).await, 403);
    assert_eq!(denied(&world.ops, 8).await, 2);
    // What is not there, or not the rider's, is no matter of a role.
    rider.get(&format!("/v1/orders/{}", rider.id)).await.problem(404, "003070");
    assert_eq!(of_event(&world, "access_denied").await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_in_after_the_wrong_ones_is_seen() {
    let world = World::with(&production(&[])).await;
    world.rider("0").await;
    let stranger = Client::stranger(&world.api.base());
    for name in ["rider0", "nobody"] {
        wrong_sign_in(&stranger, name).await.problem(401, "003001");
    }
    let right = json!({ "user_name": "RIDER0", "password": PASSWORD });
    let session = stranger.post("/v1/sessions", &right).await;
    let rider = stranger.with_token(session.expect(201)["token"].as_str().unwrap());
    // The fixture's sign-in, and this one.
    let came_in = lines(&world, "signed_in", 2).await;
    let failed = lines(&world, "sign_in_failed", 2).await;
    for field in ["account", "network"] {
        assert_eq!(came_in[1][field], failed[0][field], "{field}");
    }
    assert_ne!(came_in[1]["account"], failed[1]["account"], "another name");
    // An operator's is another event.
    lines(&world, "operator_sign_in", 1).await;
    rider.delete("/v1/sessions/current").await.expect(204);
    let console = ConsoleSession::enter(&world, "ops").await;
    assert_eq!(console.status("POST", "/console/sign-out", Some("")).await, 303);
    let out = lines(&world, "signed_out", 2).await;
    assert_ne!(out[0]["account"], out[1]["account"]);
    assert!(out.iter().chain(&came_in).all(|line| !line.to_string().contains("rider0")), "{out:?}");
}
