//! The code of a ticket, read at the door of the bus: who may ride, and why others may not.

use super::{named, phone, sign_in};
use crate::{
    console::{a11y::Accessibility, session::ConsoleSession},
    harness::{Browser, Client, World},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Pixels of a camera for each module of a code.
const SCALE: usize = 4;

/// What the page of a trip's manifest says of a code.
struct Door<'a> {
    console: &'a ConsoleSession,
    trip: &'a str,
}

impl Door<'_> {
    async fn says(&self, code: &str, words: &[&str]) {
        let code: String = form_urlencoded::byte_serialize(code.as_bytes()).collect();
        let page = self.console.page(&format!("/console/trips/{}/manifest?ticket={code}", self.trip)).await;
        for words in words {
            assert!(page.contains(words), "{words:?} of {code}: {page}");
        }
    }
}

async fn paid(client: &Client, trip: &str, seats: &[&str]) -> String {
    let order = client.booked(trip, seats).await;
    client.pay(&order).await.expect(200);
    order
}

/// The code on the ticket, as a camera reads it off the rider's screen.
async fn code_on_screen(browser: &Browser, order: &str) -> String {
    browser.goto(&format!("/ride/orders/{order}")).await;
    browser.until("there is a ticket", "document.querySelector('[data-ticket] svg.qr')").await;
    let svg = super::says(browser, "document.querySelector('svg.qr').outerHTML").await;
    let size: usize = svg.split("viewBox=\"0 0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let path = svg.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut dark = vec![vec![false; size]; size];
    for bar in path.split('M').skip(1) {
        let (at, rest) = bar.split_once('h').unwrap();
        let (x, y) = at.split_once(' ').unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
        let width: usize = rest.split('v').next().unwrap().parse().unwrap();
        dark[y][x..x + width].fill(true);
    }
    let grey = |x: usize, y: usize| if dark[y / SCALE][x / SCALE] { 0 } else { 255 };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(size * SCALE, size * SCALE, grey);
    let grids = image.detect_grids();
    grids[0].decode().unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_of_a_ticket_tells_who_may_ride() {
    let world = World::new().await;
    let (trip, other) = (world.trip(20).await, world.trip(20).await);
    let client = named(&world, "amara", "60.00").await;
    client.patch("/v1/riders/me", &serde_json::json!({ "nick_name": "Ama" })).await.expect(200);
    let order = paid(&client, &trip, &["7", "8"]).await;
    let elsewhere = paid(&client, &other, &["1"]).await;
    let back = paid(&client, &trip, &["9"]).await;
    let unpaid = client.booked(&trip, &["10"]).await;
    let browser = phone(&world).await;
    sign_in(&browser, "amara").await;
    let code = code_on_screen(&browser, &order).await;
    let (of_other, of_back) =
        (code_on_screen(&browser, &elsewhere).await, code_on_screen(&browser, &back).await);
    client.refund(&back).await.expect(200);

    let console = ConsoleSession::enter(&world, "ops").await;
    let door = Door { console: &console, trip: &trip };
    door.says(&code, &["✓ Valid", "Seats 7, 8", "amara (Ama)"]).await;
    door.says(&format!("  {code}  "), &["✓ Valid"]).await;
    door.says(&order, &["no code was scanned", "amara (Ama)"]).await;
    door.says(&of_other, &["✗ Not valid", "The ticket is for another trip."]).await;
    door.says(&of_back, &["✗ Not valid", "The order is "]).await;
    door.says(&unpaid, &["✗ Not valid", "The order is not paid."]).await;
    // A mark that somebody made up, and the mark of another order.
    let mark = code.rsplit(':').next().unwrap();
    let forged = format!("farebox:{unpaid}:{mark}");
    let made_up = format!("farebox:{order}:{}", URL_SAFE_NO_PAD.encode([7; 32]));
    let long = "7".repeat(400);
    for wrong in [&forged, &made_up, &long, "farebox:", "<script>", "a b"] {
        door.says(wrong, &["✗ Not valid", "This is no code of a ticket."]).await;
    }
    door.says(&uuid::Uuid::now_v7().to_string(), &["There is no such order."]).await;
    let _worker = world.worker();
    world.drained().await;
    door.says(&of_back, &["✗ Not valid", "The order is refunded."]).await;

    let mut accessibility = Accessibility::default();
    let desk = Browser::signed_in(&world, "ops").await;
    desk.goto(&format!("/console/trips/{trip}/manifest")).await;
    desk.fill("Code of a ticket", &code).await;
    desk.click("Check the ticket").await;
    desk.sees("✓ Valid").await;
    accessibility.on_every_screen(&desk, "the door").await;
    accessibility.found_nothing();
}
