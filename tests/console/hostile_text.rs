//! What riders and operators wrote is text on every page, in a real browser.

use crate::harness::{Browser, Client, World, production};
use serde_json::json;

const NICK_NAME: &str = "<img src=x onerror=document.title='taken'>";
const REASON: &str = "<script>document.title='taken'</script>";
const REFERENCE: &str = "\"><b onmouseover=document.title='taken'>slip</b>";

/// Opens a page that shows this text, and looks for what it would be as markup.
async fn is_shown_as_text(browser: &Browser, page: &str, text: &str) {
    browser.goto(page).await;
    browser.sees(text).await;
    let made = "return document.querySelectorAll('img[src=x], script:not([src]), [onmouseover]').length";
    assert_eq!(browser.run(made).await, json!(0), "{text} became markup on {page}");
    assert_ne!(browser.run("return document.title").await, json!("taken"), "{text} ran on {page}");
    browser.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_wrote_never_becomes_markup() {
    let world = World::with(&production(&[("FAREBOX__WALLETS__APPROVAL_ABOVE", "50.00")])).await;
    let (trip, cancelled) = (world.trip(4).await, world.trip(4).await);
    let rider = world.rider("20.00").await;
    rider.patch("/v1/riders/me", &json!({ "nick_name": NICK_NAME })).await.expect(200);
    rider.booked(&trip, &["1"]).await;
    let cancel = format!("/v1/ops/trips/{cancelled}/cancel");
    world.ops.post(&cancel, &json!({ "reason": REASON })).await.expect(202);
    let till = Client::operator(&world, "till").await;
    let large = json!({ "amount": "60.00", "reference": REFERENCE, "reason": REASON });
    let waits = till.post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &large).await;
    let approval = waits.expect(202)["id"].as_str().unwrap().to_owned();

    let browser = Browser::signed_in(&world, "ops").await;
    for (page, text) in [
        (format!("/console/trips/{trip}/manifest"), NICK_NAME),
        (format!("/console/trips/{cancelled}"), REASON),
        ("/console/audit".to_owned(), REASON),
        ("/console/approvals".to_owned(), REASON),
        (format!("/console/approvals/{approval}/approve"), REFERENCE),
    ] {
        is_shown_as_text(&browser, &page, text).await;
    }
    // What the address holds comes back in a field.
    browser.goto("/console/search?q=%22%3E%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D1%3E").await;
    browser.until("the page is there", "document.querySelector('main')").await;
    assert_eq!(browser.run("return document.querySelectorAll('img[src=x]').length").await, json!(0));
    // A notice repeats what was typed.
    browser.goto(&format!("/console/approvals/{approval}/refuse")).await;
    browser.fill("Reason (kept in the audit log)", REASON).await;
    browser.click("Refuse").await;
    browser.until("it is refused", "location.pathname === '/console/approvals'").await;
    is_shown_as_text(&browser, "/console/audit", REASON).await;
}
