//! Pages say when what they show is old, and come back by themselves.

use crate::harness::{Browser, Frozen, OwnServer, World};

const FRESH: &str =
    "document.documentElement.dataset.live === 'on' && !document.documentElement.dataset.stale";

fn stale(why: &str) -> String {
    format!("document.documentElement.dataset.stale === '{why}'")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_database_shows() {
    let server = OwnServer::start("freshness", &[]).await;
    let browser = Browser::at(&server.base()).await;
    browser.sign_in("rider").await;
    browser.goto("/console").await;
    browser.until("the page is fresh", FRESH).await;
    browser.run("window.untouched = true").await;
    let frozen = Frozen::server(&server);
    browser.until("the page says so", &stale("database")).await;
    browser.sees("The database does not answer.").await;
    // The page's own clock: the bar came no later than its bound and one look at it.
    assert_eq!(
        browser
            .run("return parseInt(document.getElementById('as-of').textContent.match(/[0-9]+/)[0]) <= 7")
            .await,
        true
    );
    drop(frozen);
    browser.until("the page is fresh again", FRESH).await;
    browser.until("nobody loaded it again", "window.untouched === true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_keeps_selection_and_open_details() {
    let world = World::new().await;
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto("/console").await;
    browser.until("the page is fresh", FRESH).await;
    let kept = "const part = document.querySelector('main [data-live]');
        const id = part.id;
        merge(id, '<p>old words</p><details><summary>more</summary><b>1</b></details>');
        part.querySelector('details').open = true;
        getSelection().selectAllChildren(part.querySelector('p'));
        merge(id, '<p>old words</p><details><summary>more</summary><b>2</b></details>');
        return [getSelection().toString(), part.querySelector('details').open, part.querySelector('b').textContent];";
    assert_eq!(browser.run(kept).await, serde_json::json!(["old words", true, "2"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenth_tab_works_and_an_ended_session_shows() {
    let world = World::new().await;
    let browser = Browser::signed_in(&world, "ops").await;
    for page in
        ["", "/jobs", "/queues", "/bulk", "", "/jobs?state=dead", "/queues", "/jobs?state=done", "/jobs", ""]
    {
        browser.another_tab().await;
        browser.goto(&format!("/console{page}")).await;
        if browser.run("return document.querySelector('[data-live]:not(html)') !== null").await == true {
            browser.until("the page is fresh", FRESH).await;
        }
    }
    browser.run("fetch('/console/sign-out', { method: 'POST' })").await;
    browser.until("the page says so", &stale("session")).await;
    let link = "return document.querySelector('#stale a').getAttribute('href')";
    assert_eq!(browser.run(link).await, "/console/sign-in?next=%2Fconsole");
}
