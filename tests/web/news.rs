//! What a rider at the stop wants to know: the next bus, a cancelled one, and how the trip was.

use super::{depart, phone, says, sign_in, tap_seat, with_ticket};
use crate::{
    console::a11y::Accessibility,
    harness::{PAY_PASSWORD, World},
};
use chrono::{NaiveDate, Utc};
use chrono_tz::Asia::Shanghai;
use serde_json::json;

const REASON: &str = "the driver is ill";
const MESSAGE: &str = "No bus today. Please take the one at ten.";

fn today() -> NaiveDate {
    Utc::now().with_timezone(&Shanghai).date_naive()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bus_today_the_first_page_leads_to_tomorrow() {
    let world = World::new().await;
    let browser = phone(&world).await;
    let before = today();
    let trip = world.trip(20).await;
    browser.goto("/ride").await;
    let listed = format!("document.querySelector('a.trip[href=\"/ride/trips/{trip}\"]')");
    browser.until("the bus of tomorrow is listed", &listed).await;
    // Unless midnight has made it today.
    if today() == before {
        browser.sees("No bus leaves on this day any more.").await;
        browser.sees("The next buses: tomorrow, ").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_trip_tells_its_riders_the_message() {
    let world = World::new().await;
    let (_, trip, order) = with_ticket(&world).await;
    cancel(&world, &trip).await;
    let browser = phone(&world).await;
    sign_in(&browser, "rider").await;
    browser.goto(&format!("/ride/orders/{order}")).await;
    browser.sees("This bus is cancelled.").await;
    browser.sees(MESSAGE).await;
    browser.sees("You need do nothing.").await;
    let _worker = world.worker();
    browser.goto(&format!("/ride/orders/{order}")).await;
    world.drained().await;
    browser.goto(&format!("/ride/orders/{order}")).await;
    browser.sees("4.00\u{a0}CNY was given back at ").await;
    browser.sees(MESSAGE).await;
    for page in [format!("/ride/trips/{trip}"), format!("/ride?date={}", day_of(&world, &trip).await)] {
        browser.goto(&page).await;
        browser.sees(MESSAGE).await;
    }
    assert!(!browser.text().await.contains(REASON), "the reason is the operator's");
    world.verify().await;
}

/// Cancels a trip.
async fn cancel(world: &World, trip: &str) {
    let cancelling = json!({ "reason": REASON, "message": MESSAGE });
    world.ops.post(&format!("/v1/ops/trips/{trip}/cancel"), &cancelling).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_is_cancelled_while_riders_look_at_its_seats() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let page = format!("/ride/trips/{trip}");
    let (english, chinese) = (phone(&world).await, phone(&world).await);
    chinese.goto("/ride").await;
    chinese.click("中文").await;
    chinese.sees("班车").await;
    for browser in [&english, &chinese] {
        browser.goto(&page).await;
        browser.until("the bus is drawn", "document.querySelector('table.deck')").await;
        tap_seat(browser, "5").await;
        browser.run("window.isTheSamePage = true").await;
    }
    // One rider reads elsewhere on the page.
    chinese.run("document.querySelector('header nav a').focus()").await;
    cancel(&world, &trip).await;
    let mut accessibility = Accessibility::default();
    for (browser, words) in [(&english, "This bus is cancelled."), (&chinese, "该班车已取消。")] {
        browser.sees(words).await;
        browser.sees(MESSAGE).await;
        let gone = "!document.querySelector('#choice, form.choose, table.deck, input[name=seats]')";
        browser.until("nothing is to be chosen", gone).await;
        let aloud = "document.getElementById('news').matches('[role=alert]') && window.isTheSamePage";
        assert_eq!(browser.run(&format!("return {aloud}")).await, true, "it is read out, without a reload");
        accessibility.at(browser, words).await;
    }
    let focus = "document.activeElement";
    assert_eq!(says(&english, &format!("{focus}.id")).await, "news", "the focus is at what is said");
    assert_eq!(says(&chinese, &format!("{focus}.pathname")).await, "/ride", "the focus stays where it was");
    // The page is what it is for who opens it now.
    for browser in [&english, &chinese] {
        let text = "document.querySelector('main').innerText.trim()";
        let before = says(browser, text).await;
        browser.goto(&page).await;
        assert_eq!(says(browser, text).await, before);
        assert!(!before.contains(REASON), "the reason is the operator's");
    }
    english.click("Other buses of the day").await;
    english.until("the buses of its day are listed", "location.search.startsWith('?date=')").await;
    accessibility.found_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_is_cancelled_while_its_riders_have_their_orders_open() {
    let world = World::new().await;
    let (client, trip, order) = with_ticket(&world).await;
    let unpaid = client.booked(&trip, &["4"]).await;
    let (ticket, paying) = (phone(&world).await, phone(&world).await);
    for (browser, order) in [(&ticket, &order), (&paying, &unpaid)] {
        sign_in(browser, "rider").await;
        browser.goto(&format!("/ride/orders/{order}")).await;
        browser.run("window.isTheSamePage = true").await;
    }
    ticket.until("there is a ticket", "document.querySelector('[data-ticket]')").await;
    paying.fill("Pay password", PAY_PASSWORD).await;
    cancel(&world, &trip).await;
    // As when a phone is taken out of a pocket.
    for browser in [&ticket, &paying] {
        browser.run("document.dispatchEvent(new Event('visibilitychange'))").await;
        browser.sees("This bus is cancelled.").await;
        browser.sees(MESSAGE).await;
        let gone = "!document.querySelector('[data-ticket], #rest form')";
        browser.until("there is no ticket, and nothing to pay", gone).await;
    }
    ticket.sees("Your money is being given back. You need do nothing.").await;
    paying.sees("Nothing was charged.").await;
    assert_eq!(says(&paying, "document.activeElement.id").await, "news", "the focus is at what is said");
    let _worker = world.worker();
    ticket.sees("4.00\u{a0}CNY was given back at ").await;
    paying.until("the order is closed", "document.querySelector('#rest dd').innerText === 'cancelled'").await;
    for browser in [&ticket, &paying] {
        assert_eq!(browser.run("return window.isTheSamePage").await, true, "without a reload");
        browser.check().await;
    }
    world.drained().await;
    world.verify().await;
}

/// The day of a trip in the timetable's zone.
async fn day_of(world: &World, trip: &str) -> String {
    let sql = "select (departs_at at time zone 'Asia/Shanghai')::date::text from trip where id = $1::uuid";
    sqlx::query_scalar(sql).bind(trip).fetch_one(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_is_evaluated_once_it_has_departed() {
    let world = World::new().await;
    let (_, trip, order) = with_ticket(&world).await;
    depart(&world, &trip).await;
    let browser = phone(&world).await;
    sign_in(&browser, "rider").await;
    browser.click("My tickets").await;
    browser.sees("How was it?").await;
    browser.goto(&format!("/ride/orders/{order}")).await;
    browser.until("nothing is to be refunded", "!document.querySelector('form[action$=refund]')").await;
    browser.run("document.querySelector('input[name=rating][value=\"4\"]').click()").await;
    browser.fill("A word about it", "on time").await;
    browser.click("Send").await;
    browser.sees("You rated it 4 / 5: on time").await;
    browser.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_switch_the_pages_off() {
    let world = World::with(&[("FAREBOX__HTTP__RIDER_PAGES", "false")]).await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let get = async |path: &str| {
        http.get(format!("{}{path}", world.api.base())).header("accept", "text/html").send().await.unwrap()
    };
    for path in ["/ride", "/ride/sign-in", "/ride/worker.js"] {
        assert_eq!(get(path).await.status().as_u16(), 404, "{path}");
    }
    let root = get("/").await;
    assert_eq!((root.status().as_u16(), root.headers()["location"].to_str().unwrap()), (303, "/console"));
}
