//! Pages say when what they show is old, and come back by themselves.

use super::{ConsoleSession, a11y::Accessibility, ten_tabs::TABS};
use crate::harness::{Browser, Frozen, OwnServer, World, signal};
use std::time::{Duration, Instant};

const FRESH: &str =
    "document.documentElement.dataset.live === 'on' && !document.documentElement.dataset.stale";
/// A page without a live part has heard that all is well.
const CALM: &str = "heard > opened && !document.documentElement.dataset.stale";
/// As long as an API may let a request wait; a page of an outage must not take as long.
const REQUEST_LIMIT: (&str, &str) = ("FAREBOX__HTTP__TIMEOUT_MS", "120000");
/// Half of it: an outage is known after 4 s, on a loaded machine somewhat later.
const SOON: Duration = Duration::from_secs(60);

fn stale(why: &str) -> String {
    format!("document.documentElement.dataset.stale === '{why}'")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_database_shows_on_every_page_and_both_heal() {
    let server = OwnServer::start("freshness", &[]).await;
    let browser = Browser::at(&server.base()).await;
    browser.sign_in("rider").await;
    browser.goto("/console").await;
    browser.until("the page is fresh", FRESH).await;
    browser.run("window.untouched = true").await;
    browser.another_tab().await;
    browser.goto("/console/account").await;
    browser.until("the page without a live part has asked", CALM).await;
    browser.run("window.untouched = true").await;
    let frozen = Frozen::server(&server);
    browser.until("the page without a live part says so", &stale("database")).await;
    browser.tab(0).await;
    browser.until("the live page says so", &stale("database")).await;
    browser.sees("The database does not answer.").await;
    let mut all = Accessibility::default();
    for (lang, words) in [("en", "The database does not answer."), ("zh", "数据库没有响应。")] {
        for scheme in ["light", "dark"] {
            browser.prefers(scheme).await;
            // The words of the page in that language, in the bar of this one.
            browser
                .run(&format!("document.documentElement.lang = '{lang}'; bar.textContent = '{words}'"))
                .await;
            all.barriers(&browser, &format!("the bar, {lang}, {scheme}")).await;
        }
    }
    all.found_nothing();
    drop(frozen);
    for tab in [0, 1] {
        browser.tab(tab).await;
        browser.until("the page is fresh again", if tab == 0 { FRESH } else { CALM }).await;
        browser.until("nobody loaded it again", "window.untouched === true").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_frozen_database_remembers_the_verdict_and_comes_back() {
    let server = OwnServer::start("outage", &[REQUEST_LIMIT]).await;
    let browser = Browser::at(&server.base()).await;
    browser.sign_in("rider").await;
    let plain = ConsoleSession::enter_at(&server.base(), "rider").await;
    let frozen = Frozen::server(&server);
    let began = Instant::now();
    let answer = plain.send("GET", "/console", None).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(answer.status().as_u16(), 503);
    let page = answer.text().await.unwrap();
    for words in ["The database does not answer.", "The last verdict, read ", "it was being worked off"] {
        assert!(page.contains(words), "{words} in {page}");
    }
    let chinese = ConsoleSession { cookie: format!("{}; farebox_lang=zh", plain.cookie), ..plain };
    let page = chinese.send("GET", "/console/queues", None).await.text().await.unwrap();
    assert!(page.contains("数据库没有响应。") && page.contains("最后的结论"), "{page}");
    browser.goto("/console").await;
    browser.sees("This page tries again by itself").await;
    drop(frozen);
    browser.until("the page is fresh", FRESH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_shows_within_five_seconds() {
    let server = OwnServer::start("silence", &[]).await;
    let browser = Browser::at(&server.base()).await;
    browser.sign_in("rider").await;
    for (page, fresh) in [("/console", FRESH), ("/console/account", CALM)] {
        browser.goto(page).await;
        browser.until("the page is fresh", fresh).await;
        signal::send(server.api_pid(), libc::SIGSTOP);
        browser.until("the page says so", &stale("server")).await;
        signal::send(server.api_pid(), libc::SIGCONT);
        browser.until("the page is fresh again", fresh).await;
    }
    // In one turn of the script, so that nothing arrives in between and no machine is too slow.
    let rule = "const at = (age) => { heard = drawn = opened = performance.now() - age; tick();
            return document.documentElement.dataset.stale || ''; };
        return [STALE_MS + TICK_MS <= 5000, at(STALE_MS - 100), at(STALE_MS + 1)]";
    assert_eq!(browser.run(rule).await, serde_json::json!([true, "", "server"]));
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
async fn an_update_goes_around_what_is_in_use() {
    let world = World::new().await;
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto("/console").await;
    browser.until("the page is fresh", FRESH).await;
    // Rows come before and go, and the state of the chosen one changes; the chosen row that is gone stays.
    let kept = "const part = document.querySelector('main [data-live]');
        const row = (id, state) => `<tr><td><input type=checkbox name=ids value=${id}><td>${state}</tr>`;
        const table = (...rows) => merge(part.id, `<table><tbody>${rows.join('')}</tbody></table><input name=why>`);
        stop();
        table(row('a', 'dead'), row('b', 'dead'), row('c', 'dead'));
        const box = part.querySelector('[value=b]');
        box.checked = true;
        const field = part.querySelector('[name=why]');
        field.value = 'half a rea';
        field.focus();
        table(row('z', 'new'), row('b', 'running'), row('c', 'done'));
        const seen = [...part.querySelectorAll('tr')].map((tr) => tr.textContent).join();
        const chosen = [...part.querySelectorAll(':checked')].map((one) => one.value).join();
        table(row('z', 'new'));
        const left = [...part.querySelectorAll(':checked')].map((one) => one.value).join();
        return [seen, chosen, left, field.value, document.activeElement === field, box.isConnected];";
    let expected = serde_json::json!(["new,running,done", "b", "b", "half a rea", true, true]);
    assert_eq!(browser.run(kept).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_ten_tabs_works_and_says_that_the_session_ended() {
    let world = World::new().await;
    let browser = Browser::signed_in(&world, "ops").await;
    let is_live = "return document.querySelector('[data-live]:not(html)') !== null";
    for (nr, page) in TABS.iter().enumerate() {
        if nr > 0 {
            browser.another_tab().await;
        }
        browser.goto(&format!("/console{page}")).await;
    }
    for nr in 0..TABS.len() {
        browser.tab(nr).await;
        let fresh = if browser.run(is_live).await == true { FRESH } else { CALM };
        browser.until("the tab is fresh", fresh).await;
    }
    browser.run("fetch('/console/sign-out', { method: 'POST' })").await;
    for nr in (0..TABS.len()).rev() {
        browser.tab(nr).await;
        browser.until("the tab says so", &stale("session")).await;
    }
    let link = "return document.querySelector('#stale a').getAttribute('href')";
    assert_eq!(browser.run(link).await, "/console/sign-in?next=%2Fconsole");
}
