//! Another bus or other prices for one trip, in the console.

use super::{
    import::{trip_of, world},
    sold::{finished, selling},
};
use crate::{
    console::{a11y::Accessibility, session::ConsoleSession},
    harness::{Browser, count},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_previews_another_bus_and_applies_it() {
    let world = selling("one-console", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    for seats in [["1A"], ["12C"]] {
        let order = rider.booked(&trip, &seats).await;
        rider.pay(&order).await.expect(200);
    }
    let browser = Browser::signed_in(&world, "ops").await;
    let mut accessibility = Accessibility::default();
    browser.goto(&format!("/console/trips/{trip}")).await;
    browser.click("Another bus or price").await;
    browser.sees("Nothing changes before the preview is applied.").await;
    accessibility.on_every_screen(&browser, "the form").await;
    browser.fill("Another bus", "3").await;
    browser.fill("Prices of other classes", "standard 2.50").await;
    browser.click("Preview").await;
    browser.sees("Seats without a place").await;
    browser.sees("12C").await;
    browser.sees("bus 1 to 3, other seats, of n, price 1.50 to 2.50").await;
    browser.sees("1 order stays, 1 ends; 1.50 EUR is refunded").await;
    accessibility.on_every_screen(&browser, "the preview").await;
    assert_eq!(count(&world.pool, "select count(*) from network_import where trip_id is not null").await, 0);
    browser.fill("Reason", "a flat tyre").await;
    browser.click("Apply").await;
    browser.sees("The trip is changed").await;
    accessibility.at(&browser, "the trip").await;
    accessibility.found_nothing();
    let audited = "select count(*) from audit where act = 'trip_change' and reason = 'a flat tyre'
                   and through = 'console'";
    assert_eq!(count(&world.pool, audited).await, 1);
    browser.goto("/console/network").await;
    browser.sees("a flat tyre").await;
    browser.sees("0 of 1 trips").await;
    let _worker = world.worker();
    finished(&world).await;
    world.drained().await;
    browser.click("中文").await;
    browser.sees("首页").await;
    browser.goto(&format!("/console/trips/{trip}/change")).await;
    browser.sees("更换为车辆").await;
    browser.check().await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_works_without_a_script_and_names_what_is_wrong() {
    let world = selling("one-plain", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let page = format!("/console/trips/{trip}/change");
    for (query, status) in [
        ("", 200),
        ("?bus=&price=&prices=", 200),
        ("?price=2.00", 200),
        ("?follow=yes", 422),
        ("?bus=red", 422),
        ("?bus=99", 422),
        ("?price=1.505", 422),
        ("?prices=standard", 422),
        ("?prices=vip+2.00", 422),
    ] {
        assert_eq!(ops.status("GET", &format!("{page}{query}"), None).await, status, "{query}");
    }
    let csrf = ops.hidden(&format!("{page}?price=2.00"), "csrf").await;
    let digest = ops.hidden(&format!("{page}?price=2.00"), "digest").await;
    let form = |digest: &str| format!("csrf={csrf}&price=2.00&digest={digest}&reason=dearer");
    assert_eq!(ops.status("POST", &page, Some(&form("none"))).await, 409);
    assert_eq!(ops.status("POST", &page, Some(&form(&digest))).await, 303);
    let priced = "select count(*) from trip where own_price and price = 2.00";
    assert_eq!(count(&world.pool, priced).await, 1);
}
