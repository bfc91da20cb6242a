//! Pages when every connection of the operators is in use: they say busy, and never that the database
//! does not answer, for it does.

use super::ConsoleSession;
use crate::harness::{Browser, World, until};
use serde_json::json;

/// The operators' connections, and limits long enough to hold all of them.
const SETTINGS: [(&str, &str); 4] = [
    ("FAREBOX__DATABASE__RESERVED_CONNECTIONS", "2"),
    ("FAREBOX__DATABASE__LOCK_TIMEOUT_MS", "120000"),
    ("FAREBOX__DATABASE__STATEMENT_TIMEOUT_MS", "120000"),
    ("FAREBOX__HTTP__TIMEOUT_MS", "120000"),
];
/// Keeps all that the page ever said of itself.
const WATCH: &str = "window.said = []; new MutationObserver(() => said.push(document.documentElement.dataset.stale)) \
    .observe(document.documentElement, { attributes: true, attributeFilter: ['data-stale'] })";
const FRESH: &str =
    "document.documentElement.dataset.live === 'on' && !document.documentElement.dataset.stale";
const BUSY: &str = "document.documentElement.dataset.stale === 'busy'";

#[tokio::test(flavor = "multi_thread")]
async fn pages_without_a_free_connection_say_busy_and_heal() {
    let world = World::with(&SETTINGS).await;
    let browser = Browser::signed_in(&world, "ops").await;
    let plain = ConsoleSession::enter(&world, "ops").await;
    browser.goto("/console/queues").await;
    browser.until("the page is fresh", FRESH).await;
    browser.run(WATCH).await;
    // Readers of the approvals wait for a lock, each on a connection of the operators.
    let mut lock = world.pool.begin().await.unwrap();
    sqlx::query("lock table wallet_approval in access exclusive mode").execute(&mut *lock).await.unwrap();
    let readers = [0, 1].map(|_| {
        let ConsoleSession { http, base, cookie } = &plain;
        let reader = ConsoleSession { http: http.clone(), base: base.clone(), cookie: cookie.clone() };
        tokio::spawn(async move { reader.status("GET", "/console/approvals", None).await })
    });
    until("all connections are in use", || async { world.waiting_for_locks().await == 2 }).await;

    browser.until("the open page says busy", BUSY).await;
    browser.sees("The server is busy.").await;
    let answer = plain.send("GET", "/console/queues", None).await;
    assert_eq!(answer.status().as_u16(), 503);
    let page = answer.text().await.unwrap();
    for words in ["All connections of the console are in use. The database answers.", "005002", "data-retry"]
    {
        assert!(page.contains(words), "{words} in {page}");
    }
    // The bar has the words for every case; what is shown stands in paragraphs.
    assert!(
        !page.contains("<p>The database does not answer") && !page.contains("cannot be reached"),
        "{page}"
    );
    // The session may be known without a connection.
    let beat = plain.send("GET", "/console/beat", None).await.text().await.unwrap();
    assert!(["", "busy"].contains(&beat.as_str()), "{beat}");
    assert_eq!(world.ops.get("/health/ready").await.status.as_u16(), 200, "requests of riders are served");

    lock.rollback().await.unwrap();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), 200, "who waited is answered");
    }
    browser.until("the page is fresh again", FRESH).await;
    let said = browser.run("return said.filter(one => one)").await;
    assert!(said.as_array().unwrap().iter().all(|one| *one == json!("busy")), "{said}");
}
