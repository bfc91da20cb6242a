//! Finding anything, most of it in a real browser: one field and one key to a rider, and filters that
//! keep what was typed.

use super::session::ConsoleSession;
use crate::harness::{Browser, World};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_number_and_one_key_open_the_rider() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let change = json!({ "phone": "+86 139 0000 4321", "nick_name": "王小明" });
    rider.patch("/v1/riders/me", &change).await.expect(200);
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto("/console").await;
    browser.fill("Search", "139 0000 4321").await;
    browser.press("\u{e007}").await;
    let opened = format!("location.pathname === '/console/riders/{}'", rider.id);
    browser.until("the rider's page is there", &opened).await;
    // A part of a name lists, and the list's row leads there.
    browser.goto("/console").await;
    browser.fill("Search", "小明").await;
    browser.press("\u{e007}").await;
    browser.sees("+86 139 0000 4321").await;
    browser.check().await;
    browser.click("rider0").await;
    browser.until("the rider's page is there", &opened).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_without_hits_says_what_can_be_found_and_keeps_its_text() {
    let world = World::new().await;
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto("/console/search?q=no-such-thing").await;
    browser.sees("Nothing has this").await;
    browser.sees("phone numbers or their last 4 digits").await;
    let kept = "return document.querySelector('#find').value";
    assert_eq!(browser.run(kept).await, json!("no-such-thing"));
    browser.check().await;
    browser.goto("/console/search").await;
    browser.sees("Find anything").await;
    browser.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_filter_is_corrected_in_its_form() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(4).await, world.rider("20.00").await);
    let order = rider.booked(&trip, &["1"]).await;
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto(&format!("/console/orders?trip={trip}&seat=1&from=4,00")).await;
    browser.sees("Amount from").await;
    browser.until("it is refused", "document.querySelector('#refused')").await;
    // A page that is refused has the status of a refusal, which the browser notes.
    assert_eq!(browser.complaints().await.len(), 1);
    assert_eq!(browser.barriers().await, Vec::<String>::new());
    browser.fill("Amount from", "4.00").await;
    browser.click("Find").await;
    let found = format!("document.querySelector('a[href=\"/console/orders/{order}\"]')");
    browser.until("the order is listed", &found).await;
    let trip_kept = "return document.querySelector('#trip').value";
    assert_eq!(browser.run(trip_kept).await, json!(trip));
    browser.check().await;
}

/// A developer who wrote to the operator has the `webhook-id` alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_found_by_its_name_and_by_an_event() {
    let world = World::new().await;
    let webhook = super::viewer_role::webhook(&world).await;
    let event = "select replace(event_id::text, '-', '') from webhook_delivery";
    let event: String = sqlx::query_scalar(event).fetch_one(&world.pool).await.unwrap();
    let session = ConsoleSession::enter(&world, "ops").await;
    let leads_to = async |text: &str| {
        let answer = session.send("GET", &format!("/console/search?q={text}"), None).await;
        answer.headers().get("location").map(|at| at.to_str().unwrap().to_owned())
    };
    let page = format!("/console/webhooks/{webhook}");
    for text in [&webhook, &format!("evt_{event}"), &event[20..]] {
        assert_eq!(leads_to(text).await.as_ref(), Some(&page), "{text}");
    }
    assert_eq!(leads_to("countin").await, None, "a part of a name");
    let found = session.page("/console/search?q=countin").await;
    assert!(found.contains(&page), "{found}");
    assert!(
        session.page("/console/search?q=evt_ffffffffffffffffffffffffffffffff").await.contains("Nothing has")
    );
}
