//! A thousand jobs redriven by a filter through the console, while the API is killed.

use super::a11y::Accessibility;
use crate::{
    harness::{Browser, Process, World, count, until},
    ops::dead_letters::{count_redriven, hold_redriving, many_dead},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_redrive_survives_the_death_of_the_api_and_its_page_goes_on_by_itself() {
    let mut world = World::new().await;
    many_dead(&world, 1_000).await;
    count_redriven(&world).await;
    let mut accessibility = Accessibility::default();
    let browser = Browser::signed_in(&world, "ops").await;
    browser.click("Jobs").await;
    browser.fill("Tag", "order_add_seats_cancle").await;
    browser.fill("State", "dead").await;
    browser.click("Filter").await;
    browser.until("the list is filtered", "location.search.includes('state=dead')").await;
    browser.click("Redrive all that fit").await;
    browser.sees("Redrive · 1,000").await;
    browser.fill("Reason", "the bank is back").await;
    browser.click("Redrive").await;
    browser.sees("The operation has begun.").await;
    browser.sees("0 / 1,000").await;
    accessibility.on_every_screen(&browser, "an operation that waits").await;

    let holder = hold_redriving(&world, 450).await;
    let _worker = world.worker();
    browser.sees("400 / 1,000").await;
    accessibility.at(&browser, "an operation under way").await;
    browser.run("window.untouched = true").await;
    let base = world.api.base();
    world.api.kill();
    browser.until("the page knows", "document.documentElement.dataset.live === 'off'").await;
    holder.rollback().await.unwrap();
    until("the worker has done it meanwhile", || async {
        count(&world.pool, "select reached::bigint from bulk").await == 1_000
    })
    .await;
    let address = base.trim_start_matches("http://");
    world.api = Process::api(&world.db.url, &[("FAREBOX__HTTP__LISTEN", address)]);
    browser.sees("1,000 / 1,000").await;
    browser.until("nobody loaded it again", "window.untouched === true").await;
    browser.sees("✓ Done: all jobs have healed.").await;
    accessibility.barriers(&browser, "an operation that is done").await;
    accessibility.found_nothing();
    world.drained().await;
    for (what, counts) in [
        ("redriven, once each", "select count(*) from redriven"),
        ("ended", "select count(*) from queue.finished where tag = 'order_add_seats_cancle'"),
        ("covered and done", "select done::bigint from bulk"),
    ] {
        assert_eq!(count(&world.pool, counts).await, 1_000, "{what}");
    }
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|said| said.contains("net::ERR_")), "only the lost API: {complaints:?}");
    assert_eq!(browser.strangers().await, Vec::<String>::new());
}
