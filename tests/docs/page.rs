//! The page of the API's description in a browser.

use crate::harness::{Browser, Screen, World};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_read_by_everybody_in_both_themes_and_on_a_phone() {
    let world = World::new().await;
    let browser = Browser::at(&world.api.base()).await;
    for scheme in ["light", "dark"] {
        browser.prefers(scheme).await;
        for screen in [Screen::Desktop, Screen::Phone] {
            browser.screen(screen).await;
            browser.goto("/docs").await;
            assert_eq!(browser.barriers().await, Vec::<String>::new(), "{scheme}");
            let wide = browser.run("return document.documentElement.scrollWidth - innerWidth").await;
            assert!(wide.as_i64().unwrap() <= 0, "{wide} pixels too wide");
            browser.check().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_found_by_its_anchor_and_by_a_search() {
    let world = World::new().await;
    let browser = Browser::at(&world.api.base()).await;
    browser.goto("/docs#pay_order").await;
    let top = "return document.getElementById('pay_order').getBoundingClientRect().top";
    let top = browser.run(top).await;
    assert!((-50.0..300.0).contains(&top.as_f64().unwrap()), "{top}");
    let shown = "[...document.querySelectorAll('article.operation:not([hidden])')].map(one => one.id)";
    browser.fill("Search", "refund order 006009").await;
    let found = browser.run(&format!("return {shown}")).await;
    let found: Vec<&str> = found.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(found.contains(&"refund_order") && !found.contains(&"book_seats"), "{found:?}");
    // A link to what is filtered away shows it.
    browser.run("location.hash = 'book_seats'; return null").await;
    browser.until("it is shown", "!document.getElementById('book_seats').hidden").await;
    browser.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_script_the_page_is_whole() {
    let world = World::new().await;
    let browser = Browser::at(&world.api.base()).await;
    browser.without_scripts().await;
    browser.goto("/docs#schema-OrderView").await;
    let seen = browser.text().await;
    for text in ["book_seats", "refundable_until", "Booking and paying safely", "座位已被选择"] {
        assert!(seen.contains(text), "{text}");
    }
    let search = browser.run("return document.querySelector('form[role=search]').hidden").await;
    assert_eq!(search, Value::Bool(true), "a field that does nothing is not shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_foot_of_the_console_leads_to_the_page_without_a_script() {
    let world = World::new().await;
    let browser = Browser::at(&world.api.base()).await;
    browser.without_scripts().await;
    for (language, code, words) in
        [("中文", "zh", "API 文档（英文）"), ("English", "en", "API documentation")]
    {
        browser.goto("/console/sign-in").await;
        browser.click(language).await;
        browser.until("it is chosen", &format!("document.documentElement.lang === '{code}'")).await;
        browser.click(words).await;
        browser.until("the page is open", "location.pathname === '/docs'").await;
        browser.click("What may change").await;
        browser.until("it is there", "location.hash === '#guide-changes-of-this-document'").await;
    }
    browser.check().await;
}
