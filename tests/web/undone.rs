//! What failed is undone before the rider's eyes.

use super::{phone, sign_in};
use crate::harness::{World, until};

#[tokio::test(flavor = "multi_thread")]
async fn money_of_a_failed_payment_comes_back_before_the_riders_eyes() {
    let world = World::with(&[("FAREBOX_FAULTS", "pay_money_cancle.after=error")]).await;
    let trip = world.trip(20).await;
    let client = world.rider("10.00").await;
    let order = client.booked(&trip, &["3"]).await;
    let name = client.get("/v1/riders/me").await.expect(200)["user_name"].as_str().unwrap().to_owned();
    let browser = phone(&world).await;
    sign_in(&browser, &name).await;
    browser.goto(&format!("/ride/orders/{order}")).await;
    browser.fill("Pay password", crate::harness::PAY_PASSWORD).await;
    browser.click("Pay 4.00\u{a0}CNY").await;
    browser.sees("4.00\u{a0}CNY is being given back").await;
    browser.sees("You need do nothing.").await;
    assert_eq!(client.balance().await, "6.00");

    let _worker = world.worker();
    browser.sees("4.00\u{a0}CNY was given back:").await;
    until("the wallet has it", || async { client.balance().await == "10.00" }).await;
    browser.goto("/ride/wallet").await;
    browser.sees("Given back: the payment did not go through").await;
    world.drained().await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_paid_in_time_says_so() {
    let world = World::with(&[("FAREBOX__BOOKING__HOLD_SECS", "3")]).await;
    let trip = world.trip(20).await;
    let client = world.rider("10.00").await;
    let _worker = world.worker();
    let order = client.booked(&trip, &["3"]).await;
    let name = client.get("/v1/riders/me").await.expect(200)["user_name"].as_str().unwrap().to_owned();
    let browser = phone(&world).await;
    sign_in(&browser, &name).await;
    browser.goto(&format!("/ride/orders/{order}")).await;
    browser.sees("not paid in time").await;
    browser.until("nothing is to be paid", "!document.querySelector('[name=pay_password]')").await;
    world.verify().await;
}
