//! From the first page to a ticket, two riders at one seat, a refund, and the ticket without a network.

use super::{at_390, chosen, named, phone, says, sign_in, tap_seat, with_ticket};
use crate::{
    console::a11y::Accessibility,
    harness::{Browser, PASSWORD, World, until},
};
use serde_json::json;
use sqlx::Row;

/// Taps from the first page to the ticket of a new rider, at most. Going to a field to type counts as a
/// tap, unless the page has put the rider there.
const MOST_TAPS: u32 = 10;
const NEW_PAY_PASSWORD: &str = "271829";

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

    async fn types(&mut self, label: &str, text: &str) {
        let is_there = format!("document.activeElement?.labels?.[0]?.innerText.startsWith({})", json!(label));
        self.taps += u32::from(self.browser.run(&format!("return Boolean({is_there})")).await != true);
        self.browser.fill(label, text).await;
    }

    /// The words of the link to the only trip.
    async fn taps_trip(&mut self) {
        self.browser.until("the trip is listed", "document.querySelector('a.trip')").await;
        let row = says(&self.browser, "document.querySelector('a.trip').innerText.trim()").await;
        self.taps(&row).await;
        self.browser.until("its bus is drawn", "document.querySelector('table.deck')").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_rider_has_a_ticket_after_ten_taps() {
    let world = World::new().await;
    world.trip(20).await;
    let mut accessibility = Accessibility::default();
    let mut rider = Rider { browser: phone(&world).await, taps: 0 };
    rider.browser.goto("/").await;
    rider.browser.until("the first page is the rider's", "location.pathname === '/ride'").await;
    accessibility.on_every_screen(&rider.browser, "days").await;
    at_390(&rider.browser).await;
    rider.taps_trip().await;
    accessibility.on_every_screen(&rider.browser, "the bus").await;
    at_390(&rider.browser).await;
    rider.taps_seat("7").await;
    rider.taps_seat("8").await;
    rider.browser.sees("2 seats, 8.00").await;
    rider.taps("Hold these seats").await;
    rider.browser.sees("Then these seats are held for you: 7, 8").await;
    rider.taps("Register").await;
    rider.browser.until("the form is there", "location.pathname === '/ride/register'").await;
    rider.types("User name", "newcomer").await;
    rider.types("Password", PASSWORD).await;
    rider.types("Pay password", NEW_PAY_PASSWORD).await;
    accessibility.at(&rider.browser, "registering").await;
    rider.taps("Register").await;

    // The seats are held at once. The money is put in at the till.
    rider.browser.sees("left to pay").await;
    rider.browser.sees("That is too little").await;
    let account: uuid::Uuid = sqlx::query("select id from rider where user_name = 'newcomer'")
        .fetch_one(&world.pool)
        .await
        .unwrap()
        .get(0);
    world.top_up(farebox::domain::RiderId(account), "20.00", "at the till").await.expect(201);
    accessibility.on_every_screen(&rider.browser, "paying").await;
    at_390(&rider.browser).await;
    rider.types("Pay password", NEW_PAY_PASSWORD).await;
    rider.taps("Pay 8.00\u{a0}CNY").await;
    rider.browser.until("there is a ticket", "document.querySelector('[data-ticket] svg.qr')").await;
    rider.browser.sees("Seats 7, 8").await;
    println!("{} taps from the first page to the ticket", rider.taps);
    assert!(rider.taps <= MOST_TAPS, "{} taps", rider.taps);
    accessibility.on_every_screen(&rider.browser, "the ticket").await;
    accessibility.found_nothing();
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_riders_at_a_seat_one_gets_it_and_the_other_hears_of_it() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    for name in ["first", "second"] {
        named(&world, name, "20.00").await;
    }
    let (one, other) = (phone(&world).await, phone(&world).await);
    sign_in(&one, "first").await;
    sign_in(&other, "second").await;
    for browser in [&one, &other] {
        browser.goto(&format!("/ride/trips/{trip}")).await;
        browser.until("the bus is drawn", "document.querySelector('table.deck')").await;
        tap_seat(browser, "5").await;
    }
    tap_seat(&other, "6").await;
    one.click("Hold these seats").await;
    one.sees("left to pay").await;
    // The stream takes the seat from under the finger. A live region says so; the rest stays chosen.
    other.sees("Seat 5 was just taken by somebody else.").await;
    let aloud = "document.getElementById('said').matches('[role=status][aria-live=assertive]')";
    assert_eq!(other.run(&format!("return {aloud}")).await, true, "it is read out");
    other.until("it cannot be chosen", "document.querySelector('input[value=\"5\"]').disabled").await;
    other.until("the other one is chosen", &chosen(1)).await;
    other.click("Hold these seats").await;
    other.sees("left to pay").await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_is_lost_while_holding_leaves_the_others_chosen() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let (faster, _slower) = (named(&world, "first", "20.00").await, named(&world, "second", "20.00").await);
    let browser = phone(&world).await;
    sign_in(&browser, "second").await;
    // Without the script, nothing says so before.
    browser.without_scripts().await;
    browser.goto(&format!("/ride/trips/{trip}")).await;
    tap_seat(&browser, "7").await;
    tap_seat(&browser, "8").await;
    faster.booked(&trip, &["7"]).await;
    browser.click("Hold these seats").await;
    browser.sees("Seat already chosen").await;
    browser.sees("Taken in the meantime: 7").await;
    let aloud = "document.querySelector('[role=alert]') === document.activeElement";
    browser.until("the focus is at the alert", aloud).await;
    browser.until("the other one is chosen", &chosen(1)).await;
    browser.click("Hold these seats").await;
    browser.sees("Held for you until").await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_refunded_and_the_wallet_says_why() {
    let world = World::new().await;
    let (client, _, order) = with_ticket(&world).await;
    let browser = phone(&world).await;
    sign_in(&browser, "rider").await;
    browser.click("My tickets").await;
    browser.sees("Coming").await;
    browser.goto(&format!("/ride/orders/{order}")).await;
    browser.sees("Refundable until").await;
    browser.click("Refund").await;
    let _worker = world.worker();
    browser.sees("4.00\u{a0}CNY was given back at").await;
    browser.until("the ticket is gone", "!document.querySelector('[data-ticket]')").await;
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
    let (_, _, order) = with_ticket(&world).await;
    let browser = phone(&world).await;
    sign_in(&browser, "rider").await;
    let page = format!("/ride/orders/{order}");
    browser.goto(&page).await;
    browser.until("the worker is there", "navigator.serviceWorker.controller").await;
    // The first page was opened before there was a worker.
    browser.goto(&page).await;
    let kept =
        format!("(caches.match({}).then(kept => window.kept = Boolean(kept)), window.kept)", json!(page));
    browser.until("the ticket is kept", &kept).await;
    let offline = json!({"offline": true, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    browser.debug("Network.enable", &json!({})).await;
    browser.debug("Network.emulateNetworkConditions", &offline).await;
    browser.goto(&page).await;
    browser.until("the ticket is shown", "document.querySelector('[data-ticket] svg.qr')").await;
    browser.sees("Seats 3").await;
}
