//! Money by two people, and a rider's data, in a real browser.

use crate::harness::{Browser, Client, World};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_top_up_and_one_corrects() {
    let world = World::with(&[("FAREBOX__WALLETS__APPROVAL_ABOVE", "50.00")]).await;
    let rider = world.rider("10.00").await;
    Client::operator(&world, "till").await;
    let path = format!("/console/riders/{}", rider.id);
    let first = Browser::signed_in(&world, "ops").await;
    first.goto(&path).await;
    first.click("Top up").await;
    first.sees("a second operator has to approve").await;
    first.fill("Amount", "80.00").await;
    first.fill("Reason", "paid at the till").await;
    first.click("Top up").await;
    first.sees("Waits for a second operator: 80.00").await;
    assert_eq!(rider.balance().await, "10.00");
    // Who asked cannot approve.
    first.click("Approve").await;
    first.fill("Reason", "myself").await;
    first.click("Approve").await;
    first.sees("A second person must approve").await;

    let second = Browser::signed_in(&world, "till").await;
    second.goto("/console/approvals").await;
    second.sees("paid at the till").await;
    second.click("Approve").await;
    second.sees("80.00").await;
    second.fill("Reason", "the receipt is here").await;
    second.click("Approve").await;
    second.sees("approved 80.00").await;
    assert_eq!(rider.balance().await, "90.00");

    second.goto(&path).await;
    second.click("Correct it").await;
    second.sees("The entry that was wrong").await;
    second.fill("Amount of the correction", "-30.00").await;
    second.fill("Reason", "80.00 was entered instead of 50.00").await;
    second.click("Correct").await;
    second.sees("Corrected by -30.00").await;
    second.sees("correction").await;
    assert_eq!(rider.balance().await, "60.00");
    let complaints = first.complaints().await;
    assert!(complaints.iter().all(|one| one.contains("403")), "only the refusal: {complaints:?}");
    second.check().await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_forgets_a_rider_in_the_console() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    rider.patch("/v1/riders/me", &json!({ "email": "mei.lin@example.org" })).await.expect(200);
    let path = format!("/console/riders/{}", rider.id);
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto(&path).await;
    browser.click("E-mail is verified").await;
    browser.fill("Reason", "called back").await;
    browser.click("E-mail is verified").await;
    browser.sees("E-mail, verified").await;
    browser.click("Forget").await;
    browser.sees("This cannot be taken back.").await;
    browser.fill("Reason", "the rider's letter").await;
    browser.click("Forget").await;
    browser.sees("forgotten-").await;
    let shown = browser.text().await;
    assert!(!shown.contains("mei.lin") && !shown.contains("rider0"), "{shown}");
    browser.check().await;
    world.verify().await;
}
