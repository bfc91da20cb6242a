//! The rider's pages, in a real browser at the width of a phone.

mod at_the_door;
mod changes;
mod chinese;
mod every_page;
mod first_page;
mod keyboard;
mod leaving;
mod network;
mod news;
pub mod pictures;
mod stale;
mod ticket;
mod undone;
mod watchers_bench;
mod without_script;

use crate::harness::{Browser, Client, PASSWORD, World, new_rider};
use chrono::TimeDelta;
use farebox::accounts::{self, Role};
use serde_json::json;

/// A phone at the first page, in a browser that has nothing of before.
pub async fn phone(world: &World) -> Browser {
    let browser = Browser::at(&world.api.base()).await;
    at_390(&browser).await;
    browser
}

/// A phone's screen of 390 CSS pixels.
pub async fn at_390(browser: &Browser) {
    let metrics = json!({"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true});
    browser.debug("Emulation.setDeviceMetricsOverride", &metrics).await;
}

/// A rider with money, and the name to sign in with.
pub async fn named(world: &World, name: &str, money: &str) -> Client {
    let rider =
        accounts::register(&world.pool, &world.saga.passwords, &new_rider(name), Role::Rider).await.unwrap();
    world.top_up(rider.id, money, "first").await.expect(201);
    Client::sign_in(&world.api.base(), name).await
}

/// A rider with 10.00, who holds seat 3 of a trip; that trip, and the order.
pub async fn holder(world: &World) -> (Client, String, String) {
    let trip = world.trip(20).await;
    let client = named(world, "rider", "10.00").await;
    let order = client.booked(&trip, &["3"]).await;
    (client, trip, order)
}

/// The same with a ticket: the order is paid.
pub async fn with_ticket(world: &World) -> (Client, String, String) {
    let (client, trip, order) = holder(world).await;
    client.pay(&order).await.expect(200);
    (client, trip, order)
}

/// Signs a rider in.
pub async fn sign_in(browser: &Browser, name: &str) {
    browser.goto("/ride/sign-in").await;
    browser.fill("User name", name).await;
    browser.fill("Password", PASSWORD).await;
    browser.click("Sign in").await;
    browser.until("the rider is signed in", "location.pathname === '/ride'").await;
}

/// Takes a seat that is free, or gives a chosen one up.
pub async fn tap_seat(browser: &Browser, seat: &str) {
    browser.field(seat).await.click().await.unwrap();
}

/// How many seats are chosen.
pub fn chosen(number: usize) -> String {
    format!("document.querySelectorAll('.seat :checked').length === {number}")
}

/// What a script says of the page.
pub async fn says(browser: &Browser, script: &str) -> String {
    browser.run(&format!("return String({script})")).await.as_str().unwrap_or_default().to_owned()
}

/// Lets a trip have arrived a minute ago.
pub async fn depart(world: &World, trip: &str) {
    world.departs_in(trip, TimeDelta::minutes(-61)).await;
}
