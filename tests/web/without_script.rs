//! Every step works without the script.

use super::{chosen, depart, named, phone, says, sign_in, tap_seat, with_ticket};
use crate::harness::{Browser, PASSWORD, PAY_PASSWORD, World};
use serde_json::json;

async fn without_script(world: &World) -> Browser {
    let browser = phone(world).await;
    browser.without_scripts().await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_booked_paid_and_refunded_without_a_script() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let client = named(&world, "rider", "10.00").await;
    let browser = without_script(&world).await;
    browser.goto(&format!("/ride/trips/{trip}")).await;
    browser.click("Hold these seats").await;
    browser.sees("Choose a seat first").await;
    tap_seat(&browser, "9").await;
    browser.click("Hold these seats").await;
    browser.fill("User name", "rider").await;
    browser.fill("Password", "not it at all").await;
    browser.click("Sign in").await;
    browser.sees("User name or password wrong").await;
    browser.sees("Then these seats are held for you: 9").await;
    browser.fill("Password", PASSWORD).await;
    browser.click("Sign in").await;
    browser.sees("Held for you until").await;
    browser.fill("Pay password", "111111").await;
    browser.click("Pay 4.00\u{a0}CNY").await;
    browser.sees("Pay password wrong").await;
    browser.fill("Pay password", PAY_PASSWORD).await;
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
async fn a_trip_is_evaluated_without_a_script() {
    let world = World::new().await;
    let (client, trip, order) = with_ticket(&world).await;
    depart(&world, &trip).await;
    let browser = without_script(&world).await;
    sign_in(&browser, "rider").await;
    browser.click("My tickets").await;
    browser.sees("How was it?").await;
    let row = says(&browser, "document.querySelector('a.trip').innerText.trim()").await;
    browser.click(&row).await;
    browser.sees("How was the trip?").await;
    // A form without a rating is not sent.
    browser.click("Send").await;
    let asks = "document.querySelector('[name=rating]').matches(':invalid') && location.pathname.endsWith('";
    browser.until("the rating is asked for", &format!("{asks}{order}')")).await;
    browser.field("4").await.click().await.unwrap();
    browser.fill("A word about it", "on time\nand warm").await;
    browser.click("Send").await;
    browser.sees("You rated it 4 / 5: on time and warm").await;
    let said = client.get(&format!("/v1/orders/{order}")).await.expect(200)["evaluation"].clone();
    assert_eq!((&said["rating"], &said["comment"]), (&json!(4), &json!("on time\nand warm")));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rider_registers_cancels_and_leaves_without_a_script() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let browser = without_script(&world).await;
    browser.goto("/ride").await;
    browser.click("中文").await;
    browser.sees("班车").await;
    browser.click("English").await;
    browser.click("Dark").await;
    let dark = "getComputedStyle(document.body).backgroundColor === 'rgb(20, 23, 26)'";
    browser.until("it is dark", dark).await;
    // The page names a seat that is gone while its rider registers; the others stay chosen.
    let faster = world.rider("20.00").await;
    browser.goto(&format!("/ride/trips/{trip}")).await;
    tap_seat(&browser, "7").await;
    tap_seat(&browser, "8").await;
    browser.click("Hold these seats").await;
    browser.click("Register").await;
    browser.until("the form is there", "location.pathname === '/ride/register'").await;
    browser.fill("User name", "newcomer").await;
    browser.fill("Password", PASSWORD).await;
    browser.fill("Pay password", "111111").await;
    browser.click("Register").await;
    browser.sees("Please correct: pay password").await;
    browser.fill("Password", PASSWORD).await;
    browser.fill("Pay password", "271829").await;
    faster.booked(&trip, &["7"]).await;
    browser.click("Register").await;
    browser.sees("Taken in the meantime: 7").await;
    browser.until("the other one is chosen", &chosen(1)).await;
    browser.click("Hold these seats").await;
    browser.click("Give the seats back").await;
    browser.sees("cancelled by you").await;
    browser.click("Wallet").await;
    browser.sees("No money has moved yet.").await;
    browser.click("Account").await;
    browser.fill("The present one", "271829").await;
    browser.fill("A new one", "271830").await;
    browser.click("Set the pay password").await;
    browser.sees("newcomer").await;
    browser.click("Sign out").await;
    browser.until("it is the first page", "location.pathname === '/ride'").await;
    browser.click("My tickets").await;
    browser.sees("New here?").await;
    world.verify().await;
}
