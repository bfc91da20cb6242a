//! The tab of the home page: its title and its icon follow the verdict, also while nobody looks.

use crate::{
    harness::{Browser, World},
    ops::dead_letters::dead_bookings,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_tab_says_how_things_stand() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("10.00").await;
    let browser = Browser::signed_in(&world, "ops").await;
    browser.until("the page is live", "document.documentElement.dataset.live === 'on'").await;
    let icon = "return document.getElementById('icon').href";
    let before = browser.run(icon).await;
    browser.run("window.untouched = true").await;
    dead_bookings(&world, &rider, &trip, &["1"]).await;
    browser.until("the title says that it needs somebody", "document.title.startsWith('! needs you')").await;
    assert_ne!(browser.run(icon).await, before, "the icon has another shape");
    assert_eq!(browser.run("return window.untouched").await, true, "by the live update alone");
    browser.goto("/console/jobs?state=dead&tag=order_add_seats_cancle").await;
    assert_eq!(browser.run("return document.title").await, "Jobs: order_add_seats_cancle, dead · Farebox");
    browser.check().await;
}
