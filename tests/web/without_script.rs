//! Everything works without the script, and with the keyboard alone.

use super::{phone, sign_in, tap_seat};
use crate::harness::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_booked_paid_and_refunded_without_a_script() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let client = world.rider("10.00").await;
    let name = client.get("/v1/riders/me").await.expect(200)["user_name"].as_str().unwrap().to_owned();
    let browser = phone(&world).await;
    browser.without_scripts().await;
    browser.goto(&format!("/ride/trips/{trip}")).await;
    tap_seat(&browser, "9").await;
    browser.click("Hold these seats").await;
    browser.fill("User name", &name).await;
    browser.fill("Password", crate::harness::PASSWORD).await;
    browser.click("Sign in").await;
    browser.until("the choice waited", "document.querySelectorAll('.seat :checked').length === 1").await;
    browser.click("Hold these seats").await;
    browser.sees("Held for you until").await;
    browser.fill("Pay password", "111111").await;
    browser.click("Pay 4.00\u{a0}CNY").await;
    browser.until("the refusal is said", "document.querySelector('[role=alert]')").await;
    browser.fill("Pay password", crate::harness::PAY_PASSWORD).await;
    browser.click("Pay 4.00\u{a0}CNY").await;
    browser.sees("Seats 9").await;
    let _worker = world.worker();
    browser.click("Refund").await;
    browser.until("the ticket is gone", "!document.querySelector('[data-ticket]')").await;
    world.drained().await;
    assert_eq!(client.balance().await, "10.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_held_with_the_keyboard_alone() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let client = world.rider("10.00").await;
    let name = client.get("/v1/riders/me").await.expect(200)["user_name"].as_str().unwrap().to_owned();
    let browser = phone(&world).await;
    sign_in(&browser, &name).await;
    browser.goto(&format!("/ride/trips/{trip}")).await;
    let reached = browser.tab_order().await;
    assert!(reached.iter().any(|stop| stop.starts_with("INPUT 20")), "every seat is reached: {reached:?}");
    assert!(reached.iter().any(|stop| stop == "BUTTON Hold these seats"), "{reached:?}");
    browser.run("document.querySelector('input[value=\"4\"]').focus()").await;
    browser.press(" ").await;
    browser.until("it is chosen", "document.querySelector('input[value=\"4\"]').checked").await;
    // Enter in a form sends it.
    browser.press("\u{e007}").await;
    browser.sees("left to pay").await;
}
