//! A redrive that proves itself: one, watched, then the rest; and what has become of each.

use super::{a11y::Accessibility, session::ConsoleSession};
use crate::{
    harness::{Browser, Process, World, count, until},
    ops::dead_letters::{dead_bookings, many_dead},
};

/// What is armed in the worker: the undo of a claim fails, every time.
const STILL_BROKEN: (&str, &str) = ("FAREBOX_FAULTS", "undo.order_add_seats_cancle.before=error");

/// A person at the console, whose clicks are counted.
pub(super) struct Person {
    pub browser: Browser,
    pub clicks: u32,
}

impl Person {
    /// An operator, at home.
    pub async fn new(world: &World) -> Self {
        Self { browser: Browser::signed_in(world, "ops").await, clicks: 0 }
    }

    pub async fn clicks(&mut self, words: &str) {
        self.clicks += 1;
        self.browser.click(words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_tried_watched_and_then_the_rest_in_four_clicks_and_a_reason() {
    let world = World::new().await;
    many_dead(&world, 12).await;
    let mut person = Person::new(&world).await;
    let mut accessibility = Accessibility::default();
    person.clicks("Jobs").await;
    person.clicks("Try one first").await;
    person.browser.sees("the oldest one of").await;
    accessibility.on_every_screen(&person.browser, "the preview of a trial").await;
    person.browser.fill("Reason", "the bank is back").await;
    person.clicks("Try one first").await;
    person.browser.sees("0 / 1").await;
    person.browser.run("window.untouched = true").await;
    let _worker = world.worker();
    person.browser.sees("✓ Done: all jobs have healed.").await;
    person.browser.sees("The one that was tried has healed.").await;
    person.browser.until("the page was not loaded again", "window.untouched === true").await;
    assert_eq!(count(&world.pool, "select count(*) from queue.dead_letter").await, 11, "one was tried");
    accessibility.on_every_screen(&person.browser, "a trial that healed").await;
    person.clicks("Redrive the remaining 11").await;
    person.browser.sees("11 / 11").await;
    person.browser.sees("✓ Done: all jobs have healed.").await;
    assert_eq!(person.clicks, 4, "from the home page");
    world.drained().await;
    assert_eq!(count(&world.pool, "select count(*) from queue.dead_letter").await, 0);
    let acts = "select count(*) from audit where act = 'bulk_start' and reason = 'the bank is back'";
    assert_eq!(count(&world.pool, acts).await, 2, "each act has its reason");
    accessibility.found_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_fail_again_are_never_called_done() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("0").await);
    dead_bookings(&world, &rider, &trip, &["1", "2", "3"]).await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let trial = begin(&ops, "act=redrive&tag=order_add_seats_cancle&one=1").await;
    let page = format!("/console/bulk/{trial}");
    let mut broken = Process::worker(&world.db.url, &[STILL_BROKEN], &[]);
    // It is tried again and again: still trying, with the attempt and the error.
    until("it has failed once", || async {
        count(&world.pool, "select count(*) from queue.job where failures <> '[]' and attempt > 0").await == 1
    })
    .await;
    let shown = ops.page(&page).await;
    for part in ["still trying", "Working it off", "simulated system exception", "/ 25"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("✓ Done") && !shown.contains("/stop\""), "{shown}");
    // It gives up: failed again, and the rest is warned of.
    sqlx::query("update queue.job set max_attempts = greatest(attempt, 1), run_at = now() where tag = 'order_add_seats_cancle'")
        .execute(&world.pool)
        .await
        .unwrap();
    until("it has given up again", || async {
        sqlx::query("update queue.job set run_at = now() where tag = 'order_add_seats_cancle' and lease_token is null")
            .execute(&world.pool)
            .await
            .unwrap();
        count(&world.pool, "select count(*) from queue.dead_letter where tag = 'order_add_seats_cancle'").await == 3
    })
    .await;
    let shown = ops.page(&page).await;
    for part in ["failed again", "Needs you", "the rest will probably fail, too", "Redrive the remaining 3"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(ops.page("/console").await.contains("! Needs you."), "the home page judges the same");
    assert!(ops.page(&format!("{page}?outcome=failed")).await.contains("simulated system exception"));
    assert!(ops.page(&format!("{page}?outcome=healed")).await.contains("None."));
    assert_eq!(ops.status("GET", &format!("{page}?outcome=done"), None).await, 422);
    // The fault is gone: the rest heals, and so does what was tried.
    broken.kill();
    let _worker = world.worker();
    let rest = begin_from(&ops, &page).await;
    let page = format!("/console/bulk/{rest}");
    until("all have healed", || async { ops.page(&page).await.contains("✓ Done: all jobs have healed.") })
        .await;
    assert!(ops.page(&format!("/console/bulk/{trial}")).await.contains("✓ Done: all jobs have healed."));
    until("the seats are free", || async { world.free_seats(&trip).await == 20 }).await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_its_filter_and_counts_all_of_it() {
    let world = World::new().await;
    many_dead(&world, 620).await;
    let (trip, rider) = (world.trip(20).await, world.rider("0").await);
    dead_bookings(&world, &rider, &trip, &["1", "2"]).await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let preview = ops.page("/console/bulk/new?act=redrive&tag=order_add_seats_cancle&state=dead").await;
    for part in [
        "all jobs with tag <code>order_add_seats_cancle</code>, state <code>dead</code>",
        "<strong>622</strong>",
        "<dt>Orders</dt><dd>622</dd>",
        "<dt>Seats that would be freed</dt><dd>2</dd>",
    ] {
        assert!(preview.contains(part), "{part} in {preview}");
    }
    assert!(!preview.contains("at least") && !preview.contains("<dl class=\"facts\"><div>"), "{preview}");
    // A choice of none is said, and an act that a job's page does not offer has no page.
    assert_eq!(ops.status("GET", "/console/bulk/new?act=redrive", None).await, 422);
    let dead = world.ops.get("/v1/ops/jobs?state=dead").await;
    let dead = dead.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    for (act, status) in [("redrive", 200), ("cancel", 404), ("snooze", 404), ("retry", 404)] {
        assert_eq!(ops.status("GET", &format!("/console/jobs/{dead}/{act}"), None).await, status, "{act}");
    }
}

/// Starts an operation from its preview; returns its id.
async fn begin(ops: &ConsoleSession, query: &str) -> String {
    let page = ops.page(&format!("/console/bulk/new?{query}")).await;
    let field = |name: &str| field(&page, name);
    let form = format!(
        "csrf={}&id={}&expected={}&{query}&reason=the+bank+is+back",
        field("csrf"),
        field("id"),
        field("expected")
    );
    assert_eq!(ops.status("POST", "/console/bulk", Some(&form)).await, 303);
    field("id")
}

/// Goes on from a trial to the rest, by the form of its page; returns the operation's id.
async fn begin_from(ops: &ConsoleSession, trial: &str) -> String {
    let page = ops.page(trial).await;
    let names = ["csrf", "id", "expected", "act", "tag", "reason"];
    let form: Vec<(&str, String)> = names.into_iter().map(|name| (name, field(&page, name))).collect();
    let form = serde_urlencoded::to_string(&form).unwrap();
    assert_eq!(ops.status("POST", "/console/bulk", Some(&form)).await, 303, "{form}");
    field(&page, "id")
}

fn field(page: &str, name: &str) -> String {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1);
    rest.unwrap_or_else(|| panic!("{name} in {page}")).split('"').next().unwrap().to_owned()
}
