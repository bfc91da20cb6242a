//! The console by keyboard: shortcuts, the pause, the languages, and a session that ends elsewhere.

use super::short;
use crate::{
    harness::{Browser, World},
    ops::dead_letters::dead_bookings,
};

#[tokio::test(flavor = "multi_thread")]
async fn shortcuts_open_every_page_and_a_pause_stops_updates() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let order = rider.booked(&trip, &["3"]).await;
    let browser = Browser::signed_in(&world, "ops").await;
    for (key, place) in [
        ("j", "/jobs"),
        ("q", "/queues"),
        ("o", "/orders"),
        ("t", "/trips"),
        ("r", "/riders"),
        ("a", "/audit"),
        ("b", "/bulk"),
        ("h", ""),
    ] {
        browser.press(&format!("g{key}")).await;
        browser
            .until(
                &format!("g {key} leads to {place}"),
                &format!("location.pathname === '/console{place}' && document.readyState === 'complete'"),
            )
            .await;
    }
    browser.press("?").await;
    browser.until("the keys are shown", "document.getElementById('keys').open && scrollY === 0").await;
    browser.press("\u{e00c}").await;
    browser.until("Escape hides them", "!document.getElementById('keys').open").await;
    browser.goto("/console/queues").await;
    let rows = "[...document.querySelectorAll('main tbody tr')].filter(row => row.querySelector('a[href]'))";
    for (key, row) in [("j", 0), ("j", 1), ("k", 0)] {
        browser.press(key).await;
        let is_there = format!("{rows}[{row}].contains(document.activeElement)");
        browser.until(&format!("{key} leads to row {row}"), &is_there).await;
    }
    browser.press("\u{e007}").await;
    browser.until("Enter opens it", "location.pathname !== '/console/queues'").await;
    browser.goto("/console/queues").await;
    browser.press("a").await;
    browser.until("a opens the first act", "location.pathname.startsWith('/console/queues/')").await;
    browser.press("a").await;
    browser.until("a leads into its form", "document.activeElement.name === 'reason'").await;
    browser.goto("/console").await;
    browser.press("/").await;
    browser.until("the search has the focus", "document.activeElement.id === 'q'").await;
    browser.press(&format!("gj{order}")).await;
    assert_eq!(browser.path().await, "/console", "keys in a field are text");
    browser.fill("Search", &order).await;
    browser.press("\u{e007}").await;
    browser.until("the order is found", &format!("location.pathname === '/console/orders/{order}'")).await;

    browser.press("gh").await;
    browser.sees("Nothing is stuck.").await;
    browser.until("the page is live", "document.documentElement.dataset.live === 'on'").await;
    browser.press("p").await;
    browser.until("it is paused", "document.documentElement.dataset.live === 'paused'").await;
    assert_eq!(browser.run("return stream === null").await, true, "no stream is open");
    dead_bookings(&world, &rider, &trip, &["1"]).await;
    let dead = "select id::text from queue.dead_letter";
    let job: String = sqlx::query_scalar(dead).fetch_one(&world.pool).await.unwrap();
    let other = Browser::signed_in(&world, "ops").await;
    other.sees(&short(&job)).await;
    assert!(browser.text().await.contains("Nothing is stuck."), "it stays as it was");
    browser.click("Resume updates").await;
    browser.sees(&short(&job)).await;
    browser.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_language_is_switched_and_a_session_that_ends_elsewhere_ends_here() {
    let world = World::new().await;
    let elsewhere = world.another_api();
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto("/console/jobs?state=dead").await;
    browser.click("中文").await;
    browser.until("it is Chinese", "document.documentElement.lang === 'zh'").await;
    browser.sees("没有符合条件的任务。").await;
    assert_eq!(browser.path().await, "/console/jobs?state=dead", "the page is the same one");
    browser.click("首页").await;
    browser.sees("座位与资金是否安全？").await;
    browser.click("English").await;
    browser.sees("Are seats and money safe?").await;
    browser.check().await;

    browser.until("the page is live", "document.documentElement.dataset.live === 'on'").await;
    let cookies = browser.cookies().await;
    let token = cookies.split("farebox_console=").nth(1).unwrap().split(';').next().unwrap().trim();
    let same = world.ops.at(&elsewhere.base()).with_token(token);
    same.delete("/v1/sessions/current").await.expect(204);
    browser.until("the page says so", "document.documentElement.dataset.stale === 'session'").await;
    browser.sees("The session has ended.").await;
    browser.goto("/console/jobs").await;
    assert_eq!(browser.path().await, "/console/sign-in?next=%2Fconsole%2Fjobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_copied_by_keyboard_and_selected_where_there_is_no_clipboard() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("0").await;
    let order = rider.booked(&trip, &["3"]).await;
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto(&format!("/console/orders/{order}")).await;
    let said = "document.querySelector('.copied [role=status]').textContent";
    browser.until("the page is live", "document.documentElement.dataset.live === 'on'").await;
    browser.run("document.querySelector('[data-copy]').focus()").await;
    browser.press("\u{e007}").await;
    browser.until("it says so", &format!("{said} !== ''")).await;
    browser.run("Object.defineProperty(navigator, 'clipboard', { value: undefined }); document.querySelector('[data-copy]').focus()").await;
    browser.press("\u{e007}").await;
    browser.until("the id is selected", &format!("getSelection().toString() === '{order}'")).await;
    browser.until("it says that", &format!("{said}.startsWith('selected')")).await;
    browser.check().await;
}
