//! What failed is undone before the rider's eyes.

use super::{holder, phone, sign_in};
use crate::harness::{PAY_PASSWORD, World, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn money_of_a_failed_payment_comes_back_before_the_riders_eyes() {
    let world = World::new().await;
    let (client, _, order) = holder(&world).await;
    let browser = phone(&world).await;
    sign_in(&browser, "rider").await;
    browser.goto(&format!("/ride/orders/{order}")).await;
    // As the API's clients arm it.
    let fault = json!({"headers": {"farebox-fault": "pay_money_cancle.after=error"}});
    browser.debug("Network.enable", &json!({})).await;
    browser.debug("Network.setExtraHTTPHeaders", &fault).await;
    browser.fill("Pay password", PAY_PASSWORD).await;
    browser.click("Pay 4.00\u{a0}CNY").await;
    browser.sees("4.00\u{a0}CNY is being given back. You need do nothing.").await;
    assert_eq!(client.balance().await, "6.00");
    browser.debug("Network.setExtraHTTPHeaders", &json!({"headers": {}})).await;

    let _worker = world.worker();
    browser.sees("4.00\u{a0}CNY was given back at ").await;
    until("the wallet has it", || async { client.balance().await == "10.00" }).await;
    // The order can be paid again.
    browser.fill("Pay password", PAY_PASSWORD).await;
    browser.click("Pay 4.00\u{a0}CNY").await;
    browser.until("there is a ticket", "document.querySelector('[data-ticket]')").await;
    browser.goto("/ride/wallet").await;
    browser.sees("Given back: the payment did not go through").await;
    world.drained().await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_paid_in_time_says_so() {
    let world = World::new().await;
    let (client, _, order) = holder(&world).await;
    let browser = phone(&world).await;
    sign_in(&browser, "rider").await;
    browser.goto(&format!("/ride/orders/{order}")).await;
    browser.sees("left to pay").await;
    // An hour passes, by the clocks of the order and of the page.
    world.pass_deadline(&order).await;
    browser.run("const now = Date.now; Date.now = () => now() + 3600000").await;
    browser.sees("The time to pay is over").await;
    browser.until("nothing is to be paid", "!document.querySelector('[name=pay_password]')").await;
    let _worker = world.worker();
    browser.sees("not paid in time").await;
    assert_eq!(client.balance().await, "10.00");
    world.verify().await;
}
