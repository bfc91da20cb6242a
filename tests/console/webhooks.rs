//! Webhooks in the console, without a script: added, refused with what was typed, read, sent again, ended.

use super::session::ConsoleSession;
use crate::{
    harness::{Answers, Browser, PASSWORD, Process, Receiver, World, count, until},
    webhooks::QUICK,
};
use serde_json::json;

async fn gives_a_reason(browser: &Browser, button: &str) {
    browser.fill("Reason", "the books moved").await;
    browser.click(button).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_kept_in_the_console() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.now_answers(Answers::With(500));
    let browser = Browser::at(&world.api.base()).await;
    browser.without_scripts().await;
    browser.sign_in("ops").await;
    browser.goto("/console/queues").await;
    browser.click("Webhooks and what they were sent").await;
    browser.sees("No webhook.").await;
    browser.fill("Name", "the books").await;
    browser.fill("Address", "http://10.0.0.1/in").await;
    browser.run("document.getElementById('hold_expired').click()").await;
    gives_a_reason(&browser, "Add").await;
    browser.sees("Nothing was done. Your entries are still here.").await;
    browser.sees("a public address").await;
    let kept = "return [document.getElementById('hold_expired'), document.getElementById('order_paid')].map(e => e.checked)";
    assert_eq!(browser.run(kept).await, json!([false, true]));
    browser.fill("Address", &receiver.url()).await;
    browser.click("Add").await;
    browser.sees("the books: Add ✓").await;
    let kinds = "select count(*) from webhook_endpoint where cardinality(kinds) = 5 and not 'hold.expired' = any(kinds)";
    assert_eq!(count(&world.pool, kinds).await, 1);

    let mut env = QUICK.to_vec();
    env.push(("FAREBOX__WEBHOOKS__GIVE_UP_SECS", "1"));
    let worker = Process::worker(&world.db.url, &env, &[]);
    let (rider, trip) = (world.rider("20.00").await, world.trip(4).await);
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let failed = "select count(*) from webhook_delivery where state = 'failed'";
    until("it is given up", || async { count(&world.pool, failed).await == 1 }).await;
    receiver.now_answers(Answers::With(204));
    browser.click("Given up").await;
    browser.sees("answered 500").await;
    browser.click("Send again").await;
    browser.sees("The event is sent again, with the same id.").await;
    gives_a_reason(&browser, "Send again").await;
    browser.sees("1: Send again ✓").await;
    receiver.has_taken(1).await;
    browser.click("Rotate the secret").await;
    gives_a_reason(&browser, "Rotate the secret").await;
    browser.sees("Old secret signs until").await;
    browser.click("Read the secret").await;
    gives_a_reason(&browser, "Read the secret").await;
    browser.sees("whsec_").await;
    browser.click("Back to the webhook").await;
    browser.click("Remove").await;
    gives_a_reason(&browser, "Remove").await;
    browser.sees("No webhook.").await;
    drop(worker);
}

/// The password is asked for again, and leads back to the form; a secret is on no page that is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_read_after_the_password() {
    let world = World::with(&[("FAREBOX__ACCOUNTS__CONFIRM_SECS", "300")]).await;
    let webhook = super::viewer_role::webhook(&world).await;
    let (api, page) =
        (format!("/v1/ops/webhooks/{webhook}/secret"), format!("/console/webhooks/{webhook}/secret"));
    let browser = Browser::signed_in(&world, "ops").await;
    sqlx::query("update session set confirmed_at = confirmed_at - interval '301 s'")
        .execute(&world.pool)
        .await
        .unwrap();
    world.ops.post(&api, &json!({ "reason": "a test" })).await.problem(403, "003092");
    browser.goto(&page).await;
    browser.fill("Password", PASSWORD).await;
    browser.press("\u{e007}").await;
    browser.until("the form is there", &format!("location.pathname === '{page}'")).await;
    gives_a_reason(&browser, "Read the secret").await;
    browser.sees("whsec_").await;
    let read = "select count(*) from audit where act = 'webhook_secret_read'";
    assert_eq!(count(&world.pool, read).await, 1);
    let session = ConsoleSession::enter(&world, "ops").await;
    let form = format!("csrf={}&reason=a+test", session.hidden(&page, "csrf").await);
    let answer = session.send("POST", &page, Some(form)).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_twice_adds_one_and_an_old_form_changes_nothing() {
    let world = World::new().await;
    let session = ConsoleSession::enter(&world, "ops").await;
    let list = "/console/webhooks";
    let (csrf, id) = (session.hidden(list, "csrf").await, session.hidden(list, "id").await);
    let fields = "url=http%3A%2F%2F127.0.0.1%3A9%2Fin&order_paid=yes&reason=a+test";
    let add = format!("csrf={csrf}&id={id}&name=first&{fields}");
    for _ in 0..2 {
        let answer = session.send("POST", list, Some(add.clone())).await;
        assert_eq!(
            answer.headers()["location"].to_str().unwrap().split('?').next(),
            Some(&*format!("{list}/{id}"))
        );
    }
    assert_eq!(count(&world.pool, "select count(*) from webhook_endpoint").await, 1);
    assert_eq!(count(&world.pool, "select count(*) from audit where act = 'webhook_add'").await, 1);
    let page = format!("{list}/{id}/change");
    let seen = session.hidden(&page, "seen").await;
    let change = |name: &str| Some(format!("csrf={csrf}&seen={seen}&name={name}&{fields}"));
    assert_eq!(session.send("POST", &page, change("second")).await.status(), 303);
    assert_eq!(session.send("POST", &page, change("third")).await.status(), 409);
    let kept = "select count(*) from webhook_endpoint where name = 'second'";
    assert_eq!(count(&world.pool, kept).await, 1);
}
