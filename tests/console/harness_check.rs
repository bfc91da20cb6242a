//! The browser harness finds errors.

use crate::harness::{Browser, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_reports_errors_foreign_requests_and_barriers() {
    let world = World::new().await;
    let browser = Browser::at(&world.api.base()).await;
    browser.goto("/docs").await;
    browser.check().await;
    browser
        .run(
            "setTimeout(() => { throw new Error('an error of a script') });
             document.body.innerHTML = '<label>Name <input></label><input><a href=\"/docs\">Docs</a><img alt=\"\">';
             document.querySelector('img').src = 'http://example.invalid/x.png';
             setTimeout(() => document.title = 'thrown')",
        )
        .await;
    browser.until("the error is thrown", "document.title === 'thrown'").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().any(|said| said.contains("an error of a script")), "{complaints:?}");
    assert_eq!(browser.strangers().await, ["http://example.invalid/x.png"]);
    let barriers = browser.barriers().await;
    assert!(barriers.iter().any(|found| found.contains("critical label")), "{barriers:?}");
    browser.fill("Name", "somebody").await;
    assert_eq!(browser.tab_order().await, ["INPUT Name", "INPUT", "A Docs"]);
    browser.click("Docs").await;
    browser.until("the link is followed", "document.title !== 'thrown'").await;
    assert_eq!(browser.path().await, "/docs");
}
