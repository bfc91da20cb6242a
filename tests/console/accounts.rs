//! Managing accounts, and giving the password again, as a browser shows it.

use super::session::ConsoleSession;
use crate::{
    api::account_state::{PRODUCTION, add},
    harness::{Browser, Client, PASSWORD, Process, Screen, World, until},
};
use farebox::accounts::Role;

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_manages_operators() {
    let world = World::with(&PRODUCTION).await;
    add(&world, "root", Role::Admin).await;
    add(&world, "mallory", Role::Operator).await;
    let mallory = Client::sign_in(&world.api.base(), "mallory").await;
    let browser = Browser::signed_in(&world, "root").await;
    browser.goto("/console").await;
    browser.click("Operators").await;
    browser.sees("mallory").await;
    for screen in [Screen::Desktop, Screen::Phone] {
        browser.screen(screen).await;
        assert_eq!(browser.barriers().await, Vec::<String>::new(), "{screen:?}");
    }
    browser.screen(Screen::Desktop).await;

    browser.goto(&format!("/console/accounts/{}/disable", mallory.id)).await;
    assert_eq!(browser.barriers().await, Vec::<String>::new());
    browser.fill("Reason (kept in the audit log)", "the laptop is gone").await;
    browser.click("Disable").await;
    browser.sees("mallory: Disable ✓").await;
    until("the account is out", || async { mallory.get("/v1/riders/me").await.status == 401 }).await;

    browser.goto(&format!("/console/accounts/{}/enable", mallory.id)).await;
    browser.fill("Reason (kept in the audit log)", "it was found").await;
    browser.click("Enable").await;
    browser.sees("mallory: Enable ✓").await;
    browser.goto(&format!("/console/accounts/{}/reset", mallory.id)).await;
    browser.fill("Reason (kept in the audit log)", "to be sure").await;
    browser.click("Reset the password").await;
    browser.sees("It is not shown again").await;
    let script = "return document.querySelector('#reset_code').innerText";
    let code = browser.run(script).await.as_str().unwrap().to_owned();

    // Its owner sets a new password, without a session.
    let owner = Browser::at(&world.api.base()).await;
    owner.goto("/console/sign-in").await;
    owner.click("I have a code for a new password").await;
    assert_eq!(owner.barriers().await, Vec::<String>::new());
    for (new, sees) in [("mallory1", "too easy to guess"), ("seven green lamps 9", "Sign in")] {
        owner.fill("User name", "mallory").await;
        owner.fill("One-time code", &code).await;
        owner.fill("New password", new).await;
        owner.click("Set a new password").await;
        owner.sees(sees).await;
    }
    Client::with_password(&world.api.base(), "mallory", "seven green lamps 9").await;
    let acts = world.ops.get("/v1/ops/audit?subject_kind=account").await;
    let acts = acts.expect(200)["items"].as_array().unwrap();
    // Sign-ins of operators are there too.
    let acts: Vec<_> = acts.iter().map(|act| act["act"].as_str().unwrap()).collect();
    let acts: Vec<_> = acts.into_iter().filter(|act| act.starts_with("account_")).collect();
    assert_eq!(acts, ["account_reset", "account_enable", "account_disable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_do_not_manage_operators_and_the_last_admin_stays() {
    let world = World::with(&PRODUCTION).await;
    add(&world, "root", Role::Admin).await;
    let admin = Client::sign_in(&world.api.base(), "root").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    assert!(!ops.page("/console").await.contains("/console/accounts"), "the entry is for admins");
    assert_eq!(ops.status("GET", "/console/accounts", None).await, 403);
    let csrf = ops.hidden(&format!("/console/riders/{}/top-up", world.rider("0").await.id), "csrf").await;
    for (act, more) in [("disable", ""), ("reset", ""), ("sessions", ""), ("role", "&role=rider")] {
        let path = format!("/console/accounts/{}/{act}", admin.id);
        assert_eq!(ops.status("GET", &path, None).await, 403, "{act}");
        let form = format!("csrf={csrf}&reason=because{more}");
        assert_eq!(ops.status("POST", &path, Some(&form)).await, 403, "{act}");
    }
    let own = format!("/console/accounts/{}/role", world.ops.id);
    let form = format!("csrf={csrf}&reason=because&role=admin");
    assert_eq!(ops.status("POST", &own, Some(&form)).await, 403, "nobody raises itself");

    let root = ConsoleSession::enter(&world, "root").await;
    let path = format!("/console/accounts/{}/role", admin.id);
    let csrf = root.hidden(&path, "csrf").await;
    for (act, more) in [("role", "&role=operator"), ("disable", "")] {
        let form = format!("csrf={csrf}&reason=because{more}");
        let path = format!("/console/accounts/{}/{act}", admin.id);
        assert_eq!(root.status("POST", &path, Some(&form)).await, 422, "{act}");
    }
    let form = format!("csrf={csrf}&reason=because&role=admin");
    assert_eq!(root.status("POST", &own, Some(&form)).await, 303);
    until("the role is there", || async { ops.status("GET", "/console/accounts", None).await == 200 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_asked_for_before_a_top_up_and_leads_back() {
    let env = [PRODUCTION[0], PRODUCTION[1], ("FAREBOX__ACCOUNTS__CONFIRM_SECS", "300")];
    let world = World::with(&env).await;
    let rider = world.rider("0").await;
    let browser = Browser::signed_in(&world, "ops").await;
    let form = format!("/console/riders/{}/top-up", rider.id);
    browser.goto(&form).await;
    browser.fill("Amount", "5.00").await;
    browser.fill("Reason (kept in the audit log)", "paid at the till").await;
    // The password was given too long ago by the time the form is sent.
    let late = "update session set confirmed_at = now() - interval '301 seconds'";
    sqlx::query(late).execute(&world.pool).await.unwrap();
    browser.click("Top up").await;
    browser.sees("Your password, once more").await;
    assert_eq!(browser.barriers().await, Vec::<String>::new());
    assert_eq!(rider.balance().await, "0.00");
    browser.fill("Password", "wrong wrong wrong").await;
    browser.click("Confirm").await;
    browser.sees("Password wrong").await;
    browser.fill("Password", PASSWORD).await;
    browser.click("Confirm").await;
    browser.until("the form is back", &format!("location.pathname === '{form}'")).await;
    browser.fill("Amount", "5.00").await;
    browser.fill("Reason (kept in the audit log)", "paid at the till").await;
    browser.click("Top up").await;
    browser.sees("Topped up").await;
    assert_eq!(rider.balance().await, "5.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_of_the_console_ends_and_an_open_page_keeps_none_alive() {
    let world = World::with(&PRODUCTION).await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let idle = "update session set seen_at = now() - interval '901 seconds'";
    sqlx::query(idle).execute(&world.pool).await.unwrap();
    // A process that does not know the session asks the database.
    let other = Process::api(&world.db.url, &PRODUCTION);
    let there = ConsoleSession { base: other.base(), cookie: ops.cookie.clone(), http: ops.http.clone() };
    let answer = there.send("GET", "/console?live=1", None).await;
    assert_eq!(answer.status().as_u16(), 303, "an open page is no use of the session");
    assert_eq!(there.status("GET", "/console", None).await, 303);
    until("it ended everywhere", || async { ops.status("GET", "/console", None).await == 303 }).await;
}
