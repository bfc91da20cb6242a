//! The password is asked for again before money moves or an account is handed over, idle operators are
//! signed out, and what permits a payment ends with the session, in production.

use super::account_state::{PRODUCTION, add};
use crate::console::ConsoleSession;
use crate::harness::{Answer, Client, PASSWORD, PAY_PASSWORD, Process, World, count, until};
use farebox::accounts::Role;
use serde_json::json;

const CONFIRM: &str = "/v1/sessions/current/confirmation";

/// Lets time pass for the sessions' last password, or for their last use.
async fn pass(world: &World, column: &str, secs: i32) {
    let sql = format!("update session set {column} = {column} - make_interval(secs => $1)");
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(f64::from(secs)).execute(&world.pool).await.unwrap();
}

fn production_with(more: &'static [(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    PRODUCTION.into_iter().chain(more.iter().copied()).collect()
}

/// Opens the page of a form, and sends the form: both lead to the page that asks for the password.
async fn both_lead_to_the_password(console: &ConsoleSession, page: &str, form: &str) {
    for (method, form) in [("GET", None), ("POST", Some(form.to_owned()))] {
        let answer = console.send(method, page, form).await;
        let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        assert!(to.is_some_and(|to| to.starts_with("/console/confirm?next=")), "{method} {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_gives_the_password_again_before_money_moves() {
    let env = production_with(&[("FAREBOX__ACCOUNTS__CONFIRM_SECS", "300")]);
    let world = World::with(&env).await;
    let rider = world.rider("0").await;
    let path = format!("/v1/ops/wallets/{}/top-ups", rider.id);
    let body = json!({ "amount": "5.00", "reference": "slip 1" });
    let ops = world.ops.key("top-up 1");
    pass(&world, "confirmed_at", 301).await;
    ops.post(&path, &body).await.problem(403, "003092");
    let trip = world.trip(4).await;
    let cancel = format!("/v1/ops/trips/{trip}/cancel");
    world.ops.post(&cancel, &json!({ "reason": "snow" })).await.problem(403, "003092");
    world.ops.post(CONFIRM, &json!({ "password": "wrong wrong wrong" })).await.problem(403, "003007");
    ops.post(&path, &body).await.problem(403, "003092");
    assert_eq!(rider.balance().await, "0.00");
    world.ops.post(CONFIRM, &json!({ "password": PASSWORD })).await.expect(204);
    ops.post(&path, &body).await.expect(201);
    assert_eq!(rider.balance().await, "5.00");
    // On another replica as well, and not for another session of the same account.
    let replica = Process::api(&world.db.url, &env);
    let other = Client::sign_in(&replica.base(), "ops").await;
    pass(&world, "confirmed_at", 301).await;
    world.ops.post(CONFIRM, &json!({ "password": PASSWORD })).await.expect(204);
    let again = json!({ "amount": "5.00", "reference": "slip 2" });
    world.ops.at(&replica.base()).post(&path, &again).await.expect(201);
    other.post(&path, &again).await.problem(403, "003092");
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_and_approvals_need_the_password_again_as_well() {
    let limit = ("FAREBOX__WALLETS__APPROVAL_ABOVE", "50.00");
    let env = [PRODUCTION[0], PRODUCTION[1], ("FAREBOX__ACCOUNTS__CONFIRM_SECS", "300"), limit];
    let world = World::with(&env).await;
    let rider = world.rider("20.00").await;
    let entries = rider.get("/v1/wallet/entries").await;
    let entry = entries.expect(200)["items"][0]["id"].clone();
    let (path, till) = (format!("/v1/ops/wallets/{}", rider.id), Client::operator(&world, "till").await);
    let large = json!({ "amount": "60.00", "reference": "slip 2" });
    let waits = till.post(&format!("{path}/top-ups"), &large).await;
    let approval = waits.expect(202)["id"].as_str().unwrap().to_owned();
    let approve = format!("/v1/ops/approvals/{approval}/approve");
    let correction =
        json!({ "amount": "-5.00", "entry_id": entry, "reference": "slip 3", "reason": "a slip" });
    pass(&world, "confirmed_at", 301).await;
    world.ops.post(&format!("{path}/corrections"), &correction).await.problem(403, "003092");
    world.ops.post(&approve, &json!({})).await.problem(403, "003092");
    assert_eq!(rider.balance().await, "20.00");
    // The console leads to the password, from the form's page and from the form.
    let console = ConsoleSession::enter(&world, "ops").await;
    let pages = [
        format!("/console/riders/{}/top-up", rider.id),
        format!("/console/riders/{}/correct/{}", rider.id, entry.as_str().unwrap()),
        format!("/console/approvals/{approval}/approve"),
        format!("/console/trips/{}/cancel", world.trip(4).await),
    ];
    let csrf = console.hidden(&pages[0], "csrf").await;
    pass(&world, "confirmed_at", 301).await;
    for page in &pages {
        let is_of_money = page.contains("/riders/");
        let money = if is_of_money { "&amount=1.00&reference=slip+4" } else { "" };
        let form = format!("csrf={csrf}&reason=a+slip{money}");
        both_lead_to_the_password(&console, page, &form).await;
    }
    assert_eq!(rider.balance().await, "20.00");
    // To refuse moves nothing, so it asks for nothing.
    assert_eq!(console.status("GET", &format!("/console/approvals/{approval}/refuse"), None).await, 200);
    world.ops.post(CONFIRM, &json!({ "password": PASSWORD })).await.expect(204);
    world.ops.post(&format!("{path}/corrections"), &correction).await.expect(201);
    world.ops.post(&approve, &json!({})).await.expect(200);
    assert_eq!(rider.balance().await, "75.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_handed_over_after_the_password_was_given_again() {
    let world = World::with(&production_with(&[("FAREBOX__ACCOUNTS__CONFIRM_SECS", "300")])).await;
    let rider = world.rider("0").await;
    add(&world, "root", Role::Admin).await;
    let console = ConsoleSession::enter(&world, "root").await;
    let account = format!("/console/accounts/{}", rider.id);
    let csrf = console.hidden(&format!("{account}/role"), "csrf").await;
    pass(&world, "confirmed_at", 301).await;
    let reset = format!("/v1/ops/riders/{}/password-reset", rider.id);
    let reason = json!({ "reason": "she came to the desk" });
    world.ops.post(&reset, &reason).await.problem(403, "003092");
    let (role, person) = ("&role=operator", format!("/console/riders/{}", rider.id));
    for (page, more) in [
        (format!("{account}/role"), role),
        (format!("{account}/reset"), ""),
        (format!("{person}/export"), ""),
        (format!("{person}/forget"), ""),
    ] {
        both_lead_to_the_password(&console, &page, &format!("csrf={csrf}&reason=a+theft{more}")).await;
    }
    let acts =
        "select count(*) from audit where subject = (select id::text from rider where user_name = 'rider0')
                and act <> 'rider_read'";
    assert_eq!(count(&world.pool, acts).await, 0, "nothing was done");
    rider.get("/v1/riders/me").await.expect(200);
    // What takes an account back asks for nothing.
    assert_eq!(console.status("GET", &format!("{account}/disable"), None).await, 200);
    world.ops.post(CONFIRM, &json!({ "password": PASSWORD })).await.expect(204);
    world.ops.post(&reset, &reason).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pay_password_needs_the_sign_in_password() {
    let world = World::with(&production_with(&[("FAREBOX__ACCOUNTS__CONFIRM_SECS", "300")])).await;
    let anybody = Client::stranger(&world.api.base());
    let new = json!({ "user_name": "mei", "password": PASSWORD });
    anybody.post("/v1/riders", &new).await.expect(201);
    let stolen = Client::sign_in(&world.api.base(), "mei").await;
    pass(&world, "confirmed_at", 301).await;
    let path = "/v1/riders/me/pay-password";
    for new in [
        json!({ "new": PAY_PASSWORD }),
        json!({ "current": "", "new": PAY_PASSWORD }),
        json!({ "current": "314159", "new": PAY_PASSWORD }),
    ] {
        stolen.put(path, &new).await.problem(403, "003092");
    }
    let guess = json!({ "new": PAY_PASSWORD, "password": "wrong wrong wrong" });
    stolen.put(path, &guess).await.problem(403, "003007");
    stolen.put(path, &json!({ "new": PAY_PASSWORD, "password": PASSWORD })).await.expect(204);
    // After a sign-in it need not be given again.
    anybody.post("/v1/riders", &json!({ "user_name": "lin", "password": PASSWORD })).await.expect(201);
    let lin = Client::sign_in(&world.api.base(), "lin").await;
    lin.put(path, &json!({ "new": PAY_PASSWORD })).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_ends_with_its_session_and_with_the_pay_password() {
    let world = World::with(&PRODUCTION).await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let authorized = async |rider: &Client, seat: &str| {
        let order = rider.booked(&trip, &[seat]).await;
        let body = json!({ "order_id": order, "pay_password": PAY_PASSWORD });
        let answer = rider.post("/v1/payment-authorizations", &body).await;
        let authorization = answer.expect(201)["authorization"].clone();
        (format!("/v1/orders/{order}/pay"), json!({ "authorization": authorization }))
    };
    let pay = async |rider: &Client, (path, body): &(String, serde_json::Value)| -> Answer {
        rider.post(path, body).await
    };

    let first = authorized(&rider, "1").await;
    rider.delete("/v1/sessions/current").await.expect(204);
    let again = Client::sign_in(&world.api.base(), "rider0").await;
    pay(&again, &first).await.problem(403, "006043");

    let second = authorized(&again, "2").await;
    let change = json!({ "current": PAY_PASSWORD, "new": "908172" });
    again.put("/v1/riders/me/pay-password", &change).await.expect(204);
    pay(&again, &second).await.problem(403, "006043");
    let back = json!({ "current": "908172", "new": PAY_PASSWORD });
    again.put("/v1/riders/me/pay-password", &back).await.expect(204);

    let third = authorized(&again, "3").await;
    pay(&again, &third).await.expect(200);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_idle_session_ends_on_every_replica() {
    let env = production_with(&[("FAREBOX__ACCOUNTS__OPERATOR_IDLE_SECS", "900")]);
    let world = World::with(&env).await;
    let rider = world.rider("0").await;
    let base = world.api.base();
    world.ops.get("/v1/ops/jobs").await.expect(200);
    // A replica that never saw the session asks the database.
    pass(&world, "seen_at", 899).await;
    let second = Process::api(&world.db.url, &env);
    world.ops.at(&second.base()).get("/v1/ops/jobs").await.expect(200);
    pass(&world, "seen_at", 901).await;
    let third = Process::api(&world.db.url, &env);
    world.ops.at(&third.base()).get("/v1/ops/jobs").await.problem(401, "003002");
    until("it ended everywhere", || async { world.ops.get("/v1/ops/jobs").await.status == 401 }).await;
    // A rider's session goes on.
    rider.at(&third.base()).get("/v1/riders/me").await.expect(200);
    Client::sign_in(&base, "ops").await.get("/v1/ops/jobs").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_use_of_a_session_is_not_written_at_every_request() {
    let world = World::with(&PRODUCTION).await;
    let seen = async || -> chrono::DateTime<chrono::Utc> {
        let sql = "select seen_at from session where rider_id = $1";
        sqlx::query_scalar(sql).bind(world.ops.id.0).fetch_one(&world.pool).await.unwrap()
    };
    world.ops.get("/v1/ops/jobs").await.expect(200);
    let first = seen().await;
    for _ in 0..20 {
        world.ops.get("/v1/ops/jobs").await.expect(200);
    }
    assert_eq!(seen().await, first);
}
