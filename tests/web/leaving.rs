//! Signing out takes the tickets that a browser keeps along, with a network and without one.

use super::{at_390, named, network::Line, says, sign_in, with_ticket};
use crate::harness::{Browser, Client, PASSWORD, World, until};
use serde_json::json;

/// Whether nobody is signed in on the page.
const SIGNED_OUT: &str = "!document.querySelector('form[action=\"/ride/sign-out\"]')";
/// Asks for the ticket's page from the page that is open.
const ASK: &str =
    "return fetch(arguments_page).then(answer => answer.redirected ? 'sign in' : 'there', () => 'nothing')";

/// A rider with a ticket, at a phone that keeps it; the line to the API, and the ticket's page.
struct Kept {
    world: World,
    client: Client,
    line: Line,
    browser: Browser,
    page: String,
}

impl Kept {
    async fn new() -> Self {
        let world = World::new().await;
        let (client, _, order) = with_ticket(&world).await;
        let line = Line::to(&world.api.base()).await;
        let browser = Browser::at(&line.base).await;
        at_390(&browser).await;
        sign_in(&browser, "rider").await;
        let kept = Self { world, client, line, browser, page: format!("/ride/orders/{order}") };
        kept.open().await;
        kept
    }

    /// Opens the ticket, until it is kept.
    async fn open(&self) {
        self.browser.goto(&self.page).await;
        self.browser.until("the worker is there", "navigator.serviceWorker.controller").await;
        self.browser.goto(&self.page).await;
        self.shows_ticket().await;
        self.keeps(true).await;
    }

    async fn shows_ticket(&self) {
        self.browser.until("the ticket is shown", "document.querySelector('[data-ticket] svg.qr')").await;
    }

    /// Waits until the browser keeps a ticket, or none.
    async fn keeps(&self, one: bool) {
        let count = "return caches.open('farebox-tickets-1').then(kept => kept.keys()).then(keys => \
                     keys.filter(one => one.url.includes('/ride/orders/')).length)";
        let wanted = json!(u8::from(one));
        until("the tickets that are kept are these", || async { self.browser.run(count).await == wanted })
            .await;
    }

    /// What the browser has for the ticket's page.
    async fn asks(&self) -> String {
        let ask = ASK.replace("arguments_page", &json!(self.page).to_string());
        self.browser.run(&ask).await.as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_removes_the_tickets_that_are_kept() {
    let kept = Kept::new().await;
    kept.browser.click("Sign out").await;
    kept.browser
        .until("nobody is signed in", &format!("location.pathname === '/ride' && {SIGNED_OUT}"))
        .await;
    kept.keeps(false).await;
    kept.browser.run("history.back()").await;
    kept.browser.until("the way back is to sign in", "location.pathname === '/ride/sign-in'").await;
    kept.keeps(false).await;
    kept.line.cut();
    assert_eq!(kept.asks().await, "nothing", "without a network there is no ticket any more");
    // The next one to sign in has a ticket that is kept, with its looks.
    kept.line.is_back();
    sign_in(&kept.browser, "rider").await;
    kept.open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_ended_leaves_no_ticket_behind() {
    let kept = Kept::new().await;
    // On another device, all sessions are ended. A page that is open here asks for the ticket.
    kept.browser.goto("/ride/wallet").await;
    kept.client.delete("/v1/sessions").await.expect(204);
    until("the session has ended", || async { kept.asks().await == "sign in" }).await;
    kept.keeps(false).await;
    // The cookie of the session is gone with its time.
    sign_in(&kept.browser, "rider").await;
    kept.open().await;
    kept.browser.debug("Network.clearBrowserCookies", &json!({})).await;
    kept.browser.goto("/ride").await;
    kept.keeps(false).await;
    // A ticket that is on the screen goes when its rider looks at it again.
    sign_in(&kept.browser, "rider").await;
    kept.open().await;
    Client::sign_in(&kept.world.api.base(), "rider").await.delete("/v1/sessions").await.expect(204);
    let looks =
        "document.dispatchEvent(new Event('visibilitychange')) && location.pathname === '/ride/sign-in'";
    kept.browser.until("it is to sign in", looks).await;
    kept.keeps(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_next_finds_no_ticket_of_the_one_before() {
    let world = World::new().await;
    let (client, _, order) = with_ticket(&world).await;
    named(&world, "other", "10.00").await;
    let line = Line::to(&world.api.base()).await;
    let browser = Browser::at(&line.base).await;
    // The page to sign in is open before there is a ticket, so that the page itself removes none.
    browser.goto("/ride/sign-in").await;
    browser.fill("User name", "other").await;
    browser.another_tab().await;
    sign_in(&browser, "rider").await;
    let kept = Kept { world, client, line, browser, page: format!("/ride/orders/{order}") };
    kept.open().await;
    // The session ends with its time.
    kept.browser.debug("Network.clearBrowserCookies", &json!({})).await;
    kept.browser.tab(0).await;
    kept.browser.fill("Password", PASSWORD).await;
    kept.browser.click("Sign in").await;
    kept.browser.until("the other one is signed in", "location.pathname === '/ride'").await;
    kept.keeps(false).await;
    kept.browser.goto(&kept.page).await;
    kept.browser.sees("Does not exist").await;
    kept.line.cut();
    assert_eq!(kept.asks().await, "nothing", "without a network there is no ticket of the rider before");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_without_a_network_removes_the_tickets_and_ends_the_session_later() {
    let kept = Kept::new().await;
    kept.line.cut();
    kept.browser.goto(&kept.page).await;
    kept.shows_ticket().await;
    let style = says(&kept.browser, "getComputedStyle(document.querySelector('main')).maxWidth").await;
    assert_eq!(style, "640px", "the page of a ticket has its style without a network");
    kept.browser.click("Sign out").await;
    kept.browser.sees("There is no network, so you are still signed in.").await;
    let aloud = "document.getElementById('leaving').matches('[role=status]')";
    assert_eq!(kept.browser.run(&format!("return {aloud}")).await, true, "it is read out");
    kept.browser.until("the ticket is gone", "!document.querySelector('[data-ticket]')").await;
    kept.keeps(false).await;
    assert_eq!(kept.asks().await, "nothing");
    kept.client.get("/v1/riders/me").await.expect(200);
    kept.line.is_back();
    kept.browser
        .until("nobody is signed in", &format!("location.pathname === '/ride' && {SIGNED_OUT}"))
        .await;
    kept.browser.goto(&kept.page).await;
    kept.browser.until("it is to sign in", "location.pathname === '/ride/sign-in'").await;
    kept.keeps(false).await;
}
