//! From the first page to a ticket with the keyboard alone.

use super::{named, phone};
use crate::harness::{Browser, PASSWORD, PAY_PASSWORD, World};
use serde_json::json;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
/// Tab stops to one element, at most.
const MOST_STOPS: usize = 80;

/// Goes on with Tab until the focus is at what these words begin.
async fn tab_to(browser: &Browser, words: &str) {
    let there = format!(
        "const e = document.activeElement; \
         return (e.innerText || e.labels?.[0]?.innerText || '').replaceAll('\\u00a0', ' ').trim().startsWith({})",
        json!(words.replace('\u{a0}', " "))
    );
    for _ in 0..MOST_STOPS {
        if browser.run(&there).await == true {
            return;
        }
        browser.press(TAB).await;
    }
    panic!("no Tab leads to {words:?}");
}

async fn at(browser: &Browser, path: &str) {
    let there =
        format!("location.pathname.startsWith({}) && document.readyState === 'complete'", json!(path));
    browser.until(&format!("the page is {path}"), &there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_bought_with_the_keyboard_alone() {
    let world = World::new().await;
    world.trip(20).await;
    named(&world, "rider", "10.00").await;
    let browser = phone(&world).await;
    browser.goto("/ride").await;
    browser.until("the trip is listed", "document.querySelector('a.trip')").await;
    let row = super::says(&browser, "document.querySelector('a.trip').innerText.trim()").await;
    tab_to(&browser, &row).await;
    browser.press(ENTER).await;
    at(&browser, "/ride/trips/").await;
    tab_to(&browser, "4").await;
    browser.press(" ").await;
    browser.until("it is chosen", "document.querySelector('input[value=\"4\"]').checked").await;
    browser.sees("1 seat, 4.00").await;
    tab_to(&browser, "Hold these seats").await;
    browser.press(ENTER).await;
    at(&browser, "/ride/sign-in").await;
    tab_to(&browser, "User name").await;
    browser.press("rider").await;
    tab_to(&browser, "Password").await;
    browser.press(PASSWORD).await;
    browser.press(ENTER).await;
    at(&browser, "/ride/orders/").await;
    tab_to(&browser, "Pay password").await;
    browser.press(PAY_PASSWORD).await;
    browser.press(ENTER).await;
    browser.until("there is a ticket", "document.querySelector('[data-ticket]')").await;
    tab_to(&browser, "Refund").await;
    world.verify().await;
}
