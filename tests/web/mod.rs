//! The rider's pages, in a real browser at the width of a phone.

mod ticket;
mod undone;
mod without_script;

use crate::harness::{Browser, Screen, World};

/// A phone at the first page, in a browser that has nothing of before.
pub async fn phone(world: &World) -> Browser {
    let browser = Browser::at(&world.api.base()).await;
    browser.screen(Screen::Phone).await;
    browser
}

/// Signs a rider in.
pub async fn sign_in(browser: &Browser, name: &str) {
    browser.goto("/ride/sign-in").await;
    browser.fill("User name", name).await;
    browser.fill("Password", crate::harness::PASSWORD).await;
    browser.click("Sign in").await;
    browser.until("the rider is signed in", "location.pathname === '/ride'").await;
}

/// Takes a seat that is free, or gives a chosen one up.
pub async fn tap_seat(browser: &Browser, seat: &str) {
    browser.field(seat).await.click().await.unwrap();
}

/// What a script says of the page.
pub async fn says(browser: &Browser, script: &str) -> String {
    browser.run(&format!("return String({script})")).await.as_str().unwrap_or_default().to_owned()
}
