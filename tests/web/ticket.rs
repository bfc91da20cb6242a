//! From the first page to a ticket, refunds, the offline ticket, and accessibility on the way.

use super::{phone, says, sign_in, tap_seat};
use crate::{
    console::a11y::Accessibility,
    harness::{Browser, PASSWORD, World, new_rider, until},
};
use farebox::accounts::{self, Role};
use serde_json::json;
use sqlx::Row;

/// Taps from the first page to the ticket of a new rider, at most.
const MOST_TAPS: u32 = 10;

/// A rider at a phone, whose taps are counted.
struct Rider {
    browser: Browser,
    taps: u32,
}

impl Rider {
    async fn taps(&mut self, words: &str) {
        self.taps += 1;
        self.browser.click(words).await;
    }

    async fn taps_seat(&mut self, seat: &str) {
        self.taps += 1;
        tap_seat(&self.browser, seat).await;
    }
}

/// The words of the link to the only trip of tomorrow.
async fn tomorrow(rider: &mut Rider) {
    let day = says(&rider.browser, "[...document.querySelectorAll('.chips a')][1].innerText").await;
    rider.taps(&day).await;
    rider.browser.until("the trip is listed", "document.querySelector('a.trip')").await;
    let row = says(&rider.browser, "document.querySelector('a.trip').innerText.trim()").await;
    rider.taps(&row).await;
    rider.browser.until("its bus is drawn", "document.querySelector('table.deck')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_rider_has_a_ticket_after_ten_taps() {
    let world = World::new().await;
    let _trip = world.trip(20).await;
    let mut accessibility = Accessibility::default();
    let mut rider = Rider { browser: phone(&world).await, taps: 0 };
    rider.browser.goto("/").await;
    rider.browser.until("the first page is the rider's", "location.pathname === '/ride'").await;
    accessibility.on_every_screen(&rider.browser, "days").await;
    rider.browser.screen(crate::harness::Screen::Phone).await;
    tomorrow(&mut rider).await;
    accessibility.on_every_screen(&rider.browser, "the bus").await;
    rider.browser.screen(crate::harness::Screen::Phone).await;
    rider.taps_seat("7").await;
    rider.taps_seat("8").await;
    rider.browser.sees("2 seats, 8.00").await;
    rider.taps("Hold these seats").await;
    rider.taps("Register").await;
    rider.browser.fill("User name", "newcomer").await;
    rider.browser.fill("Password", PASSWORD).await;
    rider.browser.fill("Pay password", "123456").await;
    accessibility.at(&rider.browser, "registering").await;
    rider.taps("Register").await;

    // The choice is still there.
    rider.browser.until("both are chosen", "document.querySelectorAll('.seat :checked').length === 2").await;
    let account: uuid::Uuid = sqlx::query("select id from rider where user_name = 'newcomer'")
        .fetch_one(&world.pool)
        .await
        .unwrap()
        .get(0);
    world.top_up(farebox::domain::RiderId(account), "20.00", "at the till").await.expect(201);
    rider.taps("Hold these seats").await;
    rider.browser.sees("left to pay").await;
    accessibility.on_every_screen(&rider.browser, "paying").await;
    rider.browser.screen(crate::harness::Screen::Phone).await;
    rider.browser.fill("Pay password", "123456").await;
    rider.taps("Pay 8.00\u{a0}CNY").await;
    rider.browser.until("there is a ticket", "document.querySelector('[data-ticket] svg.qr')").await;
    rider.browser.sees("Seats 7, 8").await;
    assert!(rider.taps <= MOST_TAPS, "{} taps", rider.taps);
    accessibility.on_every_screen(&rider.browser, "the ticket").await;
    accessibility.found_nothing();
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_riders_at_a_seat_one_gets_it_and_the_other_is_told() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    for name in ["first", "second"] {
        accounts::register(&world.pool, &world.saga.passwords, &new_rider(name), Role::Rider).await.unwrap();
    }
    let (one, other) = (phone(&world).await, phone(&world).await);
    sign_in(&one, "first").await;
    sign_in(&other, "second").await;
    for browser in [&one, &other] {
        browser.goto(&format!("/ride/trips/{trip}")).await;
        browser.until("the bus is drawn", "document.querySelector('table.deck')").await;
        tap_seat(browser, "5").await;
    }
    one.click("Hold these seats").await;
    one.sees("left to pay").await;
    // The stream takes the seat from under the finger, and says so.
    other.sees("Seat 5 was just taken by somebody else.").await;
    other.until("it cannot be chosen", "document.querySelector('input[value=\"5\"]').disabled").await;

    // The same without the stream: the answer of the API is shown, and the other seat stays chosen.
    other.goto(&format!("/ride/trips/{trip}?seats=5,6")).await;
    other.sees("Taken in the meantime: 5").await;
    other.until("the other one is chosen", "document.querySelectorAll('.seat :checked').length === 1").await;
    other.click("Hold these seats").await;
    other.sees("left to pay").await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_refunded_and_the_wallet_says_why() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let client = world.rider("10.00").await;
    let order = client.booked(&trip, &["3"]).await;
    client.pay(&order).await.expect(200);
    let name = client.get("/v1/riders/me").await.expect(200)["user_name"].as_str().unwrap().to_owned();
    let browser = phone(&world).await;
    sign_in(&browser, &name).await;
    browser.click("My tickets").await;
    browser.sees("Coming").await;
    browser.goto(&format!("/ride/orders/{order}")).await;
    browser.sees("Refundable until").await;
    browser.click("Refund").await;
    let _worker = world.worker();
    browser.until("it is refunded", "document.getElementById('order').dataset.status === 'refunded'").await;
    until("the money is back", || async { client.balance().await == "10.00" }).await;
    browser.click("Wallet").await;
    browser.sees("10.00\u{a0}CNY").await;
    browser.sees("Ticket paid").await;
    browser.sees("Refund").await;
    browser.click("中文").await;
    browser.sees("支付车票").await;
    browser.click("我的车票").await;
    browser.sees("已结束或已退款").await;
    browser.check().await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_without_a_network() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let client = world.rider("10.00").await;
    let order = client.booked(&trip, &["3"]).await;
    client.pay(&order).await.expect(200);
    let name = client.get("/v1/riders/me").await.expect(200)["user_name"].as_str().unwrap().to_owned();
    let browser = phone(&world).await;
    sign_in(&browser, &name).await;
    let page = format!("/ride/orders/{order}");
    browser.goto(&page).await;
    browser.until("the worker is there", "navigator.serviceWorker.controller").await;
    // The first page was opened before there was a worker.
    browser.goto(&page).await;
    let kept = format!("await caches.match({}) !== undefined", json!(page));
    browser.until_async("the ticket is kept", &kept).await;
    let offline = json!({"offline": true, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    browser.debug("Network.enable", &json!({})).await;
    browser.debug("Network.emulateNetworkConditions", &offline).await;
    browser.goto(&page).await;
    browser.until("the ticket is shown", "document.querySelector('[data-ticket] svg.qr')").await;
    browser.sees("Seats 3").await;
}
