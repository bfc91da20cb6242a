//! Acts upon an order in a real browser: offered where they are possible, few clicks away, and with a
//! reason.

use super::{a11y::Accessibility, session::ConsoleSession, short};
use crate::{
    harness::{Browser, Client, World, new_rider, until},
    ops::dead_letters::dead_bookings,
};
use farebox::accounts::{self, Role};
use serde_json::json;

/// The words of the acts that the page offers.
pub(super) async fn offered(browser: &Browser) -> serde_json::Value {
    browser.run("return [...document.querySelectorAll('.verdict .acts a')].map(a => a.innerText)").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_order_is_closed_in_three_clicks_from_the_list() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let order = rider.booked(&trip, &["2", "3"]).await;
    let browser = Browser::signed_in(&world, "ops").await;
    let mut accessibility = Accessibility::default();
    browser.goto("/console/orders").await;
    // Three clicks and a reason.
    browser.click(&short(&order)).await;
    assert_eq!(offered(&browser).await, json!(["Close the order", "Write a note"]));
    browser.click("Close the order").await;
    browser.sees("The order is closed and its seats are free. No money moves.").await;
    browser.sees("2, 3").await;
    browser.sees("8.00\u{a0}CNY").await;
    browser.sees("rider0").await;
    accessibility.on_every_screen(&browser, "closing an order").await;
    browser.fill("Reason", "booked twice").await;
    browser.click("Close the order").await;
    browser.sees("The order is closed ✓").await;
    assert_eq!(browser.path().await, format!("/console/orders/{order}"));
    browser.sees("booked twice").await;
    assert_eq!(offered(&browser).await, json!(["Write a note"]), "what is impossible is not offered");
    assert_eq!(world.order(&order).await["status"], "closed");

    browser.click("Write a note").await;
    browser.fill("Note", "the rider <b>called</b>").await;
    browser.click("Write a note").await;
    browser.sees("the rider <b>called</b>").await;
    browser.check().await;
    accessibility.found_nothing();
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_redriven_on_the_page_of_their_order() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let orders = dead_bookings(&world, &rider, &trip, &["4"]).await;
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto(&format!("/console/orders/{}", orders[0])).await;
    assert_eq!(offered(&browser).await, json!(["Redrive its jobs"]));
    browser.click("Redrive its jobs").await;
    browser.sees("frees seats 4").await;
    browser.sees("timed out").await;
    browser.fill("Reason", "the disk has room").await;
    browser.click("Redrive its jobs").await;
    browser.sees("Its jobs are redriven ✓").await;
    assert_eq!(offered(&browser).await, json!([]));
    browser.check().await;
    let _worker = world.worker();
    world.pass_undo_delay().await;
    world.drained().await;
    assert_eq!(world.free_seats(&trip).await, 4);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_form_keeps_what_was_entered() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto(&format!("/console/orders/{order}/close")).await;
    browser.fill("Reason", "a wordy reason").await;
    rider.pay(&order).await.expect(200);
    browser.click("Close the order").await;
    browser.sees("Order in a state that does not allow this").await;
    let kept = browser.run("return document.querySelector('input[name=reason]').value").await;
    assert_eq!(kept, "a wordy reason");
    browser.click("Back to the order").await;
    browser
        .until("the order's page is open", &format!("location.pathname === '/console/orders/{order}'"))
        .await;
    assert_eq!(world.order(&order).await["status"], "paid");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_acts_have_no_form_and_viewers_no_acts() {
    let world = World::new().await;
    let viewer = new_rider("watcher");
    accounts::register(&world.pool, &world.saga.passwords, &viewer, Role::Viewer).await.unwrap();
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let page = format!("/console/orders/{order}");
    let ops = ConsoleSession::enter(&world, "ops").await;
    let watcher = ConsoleSession::enter(&world, "watcher").await;
    let links = |text: &str| text.matches(&format!("{page}/")).count();
    assert_eq!(links(&ops.page(&page).await), 2, "close and note");
    assert_eq!(links(&watcher.page(&page).await), 0);
    for (act, status) in [("redrive", 404), ("close", 200), ("note", 200), ("nonsense", 404)] {
        assert_eq!(ops.status("GET", &format!("{page}/{act}"), None).await, status, "{act}");
    }
    rider.pay(&order).await.expect(200);
    assert_eq!(ops.status("GET", &format!("{page}/close"), None).await, 409);
    let csrf = watcher.hidden(&format!("{page}/note"), "csrf").await;
    let form = format!("csrf={csrf}&reason=mine&digest=");
    assert_eq!(watcher.status("POST", &format!("{page}/note"), Some(&form)).await, 403);
    let ops_csrf = ops.hidden(&format!("{page}/note"), "csrf").await;
    let zh = ops.http.get(format!("{}{page}/note", ops.base));
    let zh = zh.header("cookie", format!("{}; farebox_lang=zh", ops.cookie)).header("accept-language", "zh");
    assert!(zh.send().await.unwrap().text().await.unwrap().contains("添加备注"), "in Chinese, too");
    let stale = format!("csrf={ops_csrf}&reason=mine&digest=00");
    assert_eq!(ops.status("POST", &format!("{page}/redrive"), Some(&stale)).await, 409);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_order_is_refunded_in_three_clicks_from_the_list() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let order = rider.booked(&trip, &["2", "3"]).await;
    rider.pay(&order).await.expect(200);
    let sql = "update orders set refund_percent = 80 where id = $1::uuid";
    sqlx::query(sql).bind(&order).execute(&world.pool).await.unwrap();
    let browser = Browser::signed_in(&world, "ops").await;
    let mut accessibility = Accessibility::default();
    browser.goto("/console/orders").await;
    // Three clicks and a reason; the password was given at the sign-in.
    browser.click(&short(&order)).await;
    assert_eq!(offered(&browser).await, json!(["Refund", "Write a note"]));
    browser.click("Refund").await;
    for text in
        ["rider0", "2, 3", "By its rules: 6.40\u{a0}CNY, fee 1.60\u{a0}CNY", "without the fee: 8.00\u{a0}CNY"]
    {
        browser.sees(text).await;
    }
    accessibility.on_every_screen(&browser, "refunding an order").await;
    browser.fill("Reason", "the bus had no heating").await;
    browser.click("Refund").await;
    browser.sees("The refund has begun ✓").await;
    browser.sees("the bus had no heating").await;
    assert_eq!(offered(&browser).await, json!(["Write a note"]));
    browser.check().await;
    accessibility.found_nothing();
    let _worker = world.worker();
    browser.sees("Nothing is owed").await;
    until("the money is back", || async { rider.balance().await == "18.40" }).await;
    world.drained().await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_is_approved_by_a_second_operator_in_the_console() {
    let world = World::new().await;
    Client::operator(&world, "till").await;
    let trip = world.trip_in(chrono::Duration::minutes(8), 4).await;
    let rider = world.rider("20.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let page = format!("/console/orders/{order}");
    let first = Browser::signed_in(&world, "ops").await;
    first.goto(&page).await;
    first.click("Refund").await;
    first.sees("that time has passed").await;
    first.sees("A second operator has to approve.").await;
    first.fill("Reason", "the rider is ill").await;
    first.click("Refund").await;
    first.sees("The refund waits for a second operator").await;
    first.sees("A refund waits for a second operator.").await;
    assert_eq!(offered(&first).await, json!(["Write a note"]), "one waits already");
    assert_eq!(world.order(&order).await["status"], "paid");

    let second = Browser::signed_in(&world, "till").await;
    second.goto("/console/approvals").await;
    second.sees("the rider is ill").await;
    second.click("Approve").await;
    second.sees("after the time for refunds").await;
    second.fill("Reason", "the letter is here").await;
    second.click("Approve").await;
    second.sees("approved 4.00").await;
    let _worker = world.worker();
    first.sees("refunded").await;
    until("the money is back", || async { rider.balance().await == "20.00" }).await;
    first.check().await;
    second.check().await;
    world.drained().await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_order_is_not_offered_and_an_old_password_is_asked_for() {
    let world = World::with(&[("FAREBOX__ACCOUNTS__CONFIRM_SECS", "300")]).await;
    let till = Client::operator(&world, "till").await;
    let top_up = json!({ "amount": "10.00", "reference": "salary" });
    till.post(&format!("/v1/ops/wallets/{}/top-ups", world.ops.id), &top_up).await.expect(201);
    let trip = world.trip(4).await;
    let order = world.ops.booked(&trip, &["1"]).await;
    world.ops.pay(&order).await.expect(200);
    let page = format!("/console/orders/{order}");
    let ops = ConsoleSession::enter(&world, "ops").await;
    assert!(!ops.page(&page).await.contains("/refund"));
    assert_eq!(ops.status("GET", &format!("{page}/refund"), None).await, 403);
    let colleague = ConsoleSession::enter(&world, "till").await;
    let csrf = colleague.hidden(&format!("{page}/refund"), "csrf").await;
    let digest = colleague.hidden(&format!("{page}/refund"), "digest").await;
    let form = |how: &str| format!("csrf={csrf}&digest={digest}&reason=a+colleague&how={how}");
    assert_eq!(colleague.status("POST", &format!("{page}/refund"), Some(&form("gift"))).await, 422);
    sqlx::query("update session set confirmed_at = now() - interval '1 hour'")
        .execute(&world.pool)
        .await
        .unwrap();
    for form in [None, Some(form("rule"))] {
        let method = if form.is_some() { "POST" } else { "GET" };
        let asked = colleague.send(method, &format!("{page}/refund"), form).await;
        assert_eq!(asked.status().as_u16(), 303);
        assert!(asked.headers()["location"].to_str().unwrap().starts_with("/console/confirm?next="));
    }
    assert_eq!(world.order(&order).await["status"], "paid");
    world.verify().await;
}
