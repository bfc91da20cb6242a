//! Every act with the keyboard alone: Tab leads to each control of each page, Enter and Space use it.

use super::{every_page, short};
use crate::{
    harness::{Browser, PASSWORD, World},
    ops::dead_letters::dead_bookings,
};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const SPACE: &str = " ";
/// Tab stops before a control, at most.
const MAX_STOPS: usize = 200;
/// The words of what has the focus: its own, or its label's.
const FOCUSED: &str = "const e = document.activeElement; \
    return (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || '').trim()";

/// A person without a mouse.
struct Hands(Browser);

impl Hands {
    /// Tabs to what these words begin.
    async fn reach(&self, words: &str) {
        for _ in 0..MAX_STOPS {
            self.0.press(TAB).await;
            let focused = self.0.run(FOCUSED).await;
            if focused.as_str().is_some_and(|found| found.starts_with(words)) {
                return;
            }
        }
        panic!("{MAX_STOPS} tabs do not lead to {words:?} on {}", self.0.path().await);
    }

    async fn uses(&self, words: &str, key: &str) {
        self.reach(words).await;
        self.0.press(key).await;
    }

    async fn types(&self, words: &str, text: &str) {
        self.reach(words).await;
        self.0.press(text).await;
    }

    /// Opens a page, and goes past its navigation by the first link.
    async fn opens(&self, page: &str) {
        self.0.goto(page).await;
        self.content().await;
    }

    async fn content(&self) {
        self.0.until("the page is there", "document.readyState === 'complete'").await;
        self.uses("Skip to the content", ENTER).await;
    }

    /// The form of an act: a reason, and its button by Space.
    async fn gives_a_reason(&self, reason: &str, button: &str) {
        self.0.until("the form is there", "document.querySelector('main input[name=reason]')").await;
        self.content().await;
        self.types("Reason", reason).await;
        self.uses(button, SPACE).await;
    }
}

async fn sign_in(world: &World) -> Hands {
    let hands = Hands(Browser::at(&world.api.base()).await);
    hands.opens("/console").await;
    hands.types("User name", "ops").await;
    hands.types("Password", PASSWORD).await;
    hands.0.press(ENTER).await;
    hands.0.until("somebody is signed in", "location.pathname === '/console'").await;
    hands
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_queues_need_no_mouse() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("0").await);
    dead_bookings(&world, &rider, &trip, &["1", "2"]).await;
    let dead = "select id::text from queue.dead_letter order by id";
    let jobs: Vec<String> = sqlx::query_scalar(dead).fetch_all(&world.pool).await.unwrap();
    let hands = sign_in(&world).await;
    hands.content().await;
    hands.uses(&short(&jobs[0]), ENTER).await;
    hands.0.sees("timed out").await;
    hands.content().await;
    hands.uses("Redrive", ENTER).await;
    hands.gives_a_reason("the disk has room", "Redrive").await;
    hands.0.sees("Redrive ✓").await;
    // One of a list, by its box.
    hands.opens("/console/jobs?state=dead").await;
    hands.uses(&format!("Choose {}", jobs[1]), SPACE).await;
    hands.uses("Redrive the chosen", ENTER).await;
    hands.gives_a_reason("the disk has room", "Redrive").await;
    hands.0.sees("The operation has begun.").await;
    hands.opens("/console/queues").await;
    hands.uses("Pause…", ENTER).await;
    hands.gives_a_reason("the bank is away", "Pause").await;
    hands.0.sees("the bank is away").await;
    hands.content().await;
    hands.uses("Resume", ENTER).await;
    hands.gives_a_reason("the bank is back", "Resume").await;
    hands.0.sees("Resume: ").await;
    hands.0.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_riders_and_trips_need_no_mouse() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("20.00").await);
    let (open, paid) = (rider.booked(&trip, &["1"]).await, rider.booked(&trip, &["2"]).await);
    rider.pay(&paid).await.expect(200);
    let hands = sign_in(&world).await;
    hands.opens("/console/orders").await;
    hands.types("State", "unpaid").await;
    hands.uses("Find", ENTER).await;
    hands.0.until("the list is filtered", "location.search.includes('state=unpaid')").await;
    hands.content().await;
    hands.uses(&short(&open), ENTER).await;
    hands.0.sees("are held until").await;
    hands.content().await;
    hands.uses("Close the order", ENTER).await;
    hands.gives_a_reason("booked twice", "Close the order").await;
    hands.0.sees("The order is closed ✓").await;
    hands.opens(&format!("/console/orders/{paid}")).await;
    hands.uses("Write a note", ENTER).await;
    hands.0.until("the form is there", "document.querySelector('main form[method=post]')").await;
    hands.content().await;
    hands.types("Note", "the rider called").await;
    hands.uses("Write a note", SPACE).await;
    hands.0.sees("the rider called").await;
    hands.content().await;
    hands.uses("Refund", ENTER).await;
    hands.gives_a_reason("no heating", "Refund").await;
    hands.0.sees("The refund has begun ✓").await;
    hands.opens(&format!("/console/riders/{}", rider.id)).await;
    hands.uses("Top up", ENTER).await;
    hands.0.until("the form is there", "document.querySelector('#amount')").await;
    hands.content().await;
    hands.types("Amount", "5.00").await;
    hands.types("Reason", "at the till").await;
    hands.uses("Top up", SPACE).await;
    hands.0.sees("Topped up").await;
    hands.opens(&format!("/console/trips/{trip}")).await;
    hands.uses("Block seats", ENTER).await;
    hands.0.until("the form is there", "document.querySelector('#seats')").await;
    hands.content().await;
    hands.types("Seats, separated by commas", "19, 20").await;
    hands.types("Reason", "the belts are worn").await;
    hands.uses("Block seats", SPACE).await;
    hands.0.sees("Block seats ✓").await;
    hands.content().await;
    hands.uses("Cancel the trip", ENTER).await;
    hands.0.until("the form is there", "document.querySelector('#departure')").await;
    let named = "return document.querySelector('label[for=departure] strong').innerText";
    let departure = hands.0.run(named).await.as_str().unwrap().to_owned();
    hands.content().await;
    hands.types("Type the departure:", &departure).await;
    hands.types("Reason", "snow on the pass").await;
    hands.uses("Cancel the trip", SPACE).await;
    hands.0.sees("Cancel the trip ✓").await;
    hands.uses("Sign out", ENTER).await;
    hands.0.until("nobody is signed in", "location.pathname === '/console/sign-in'").await;
    hands.0.check().await;
}

/// The controls in sight that Tab has not reached; one of a group of radio buttons is enough.
const UNREACHED: &str = "return [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')] \
    .filter(e => e.checkVisibility({visibilityProperty: true}) && !e.matches(':disabled, [type=radio]') && e.dataset.reached === undefined) \
    .map(e => `${e.tagName} ${e.innerText || e.getAttribute('aria-label') || e.name || ''}`.trim())";

#[tokio::test(flavor = "multi_thread")]
async fn tab_reaches_every_control_of_every_page() {
    let (world, from) = every_page::crowded().await;
    let pages = every_page::found(&world, from).await;
    let browser = Browser::signed_in(&world, "owner").await;
    let (mut wrong, mut kinds) = (Vec::new(), std::collections::BTreeSet::new());
    for page in pages.iter().filter(|page| kinds.insert(every_page::kind(page))) {
        browser.goto(page).await;
        // An update would take the marks of what was reached away.
        browser.run("stop()").await;
        let reached = browser.tab_order().await;
        if reached.first().map(String::as_str) != Some("A Skip to the content") {
            wrong.push(format!("{page}: Tab begins with {:?}", reached.first()));
        }
        for control in browser.run(UNREACHED).await.as_array().unwrap() {
            wrong.push(format!("{page}: no Tab leads to {}", control.as_str().unwrap()));
        }
    }
    assert!(wrong.is_empty(), "{} controls of {} pages:\n{}", wrong.len(), kinds.len(), wrong.join("\n"));
}
