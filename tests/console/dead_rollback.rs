//! The console's main case: a rollback fails until it is dead, is found, read and redriven, and then
//! nothing is pending.

use super::{a11y::Accessibility, short};
use crate::harness::{Browser, Client, Process, World, new_rider, until};
use farebox::accounts::{self, Role};

/// What is armed in the worker: the undos of a claim and of a debit fail, every time.
const FAILING_UNDOS: &str = "undo.order_add_seats_cancle.before=error,undo.pay_money_cancle.before=error";

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_rollback_is_found_read_and_redriven_and_leaves_nothing_pending() {
    let world = World::new().await;
    let operator = new_rider("nightshift");
    accounts::register(&world.pool, &world.saga.passwords, &operator, Role::Operator).await.unwrap();
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let paying = rider.booked(&trip, &["2"]).await;
    let browser = Browser::signed_in(&world, "nightshift").await;
    let mut accessibility = Accessibility::default();
    browser.sees("Nothing is stuck.").await;
    browser.until("the page is live", "document.documentElement.dataset.live === 'on'").await;
    browser.run("window.untouched = true").await;

    let (jobs, booking) = two_undos_die(&world, &rider, &trip, &paying).await;
    for job in &jobs {
        browser.sees(&short(job)).await;
    }
    browser.until("the page was not loaded again", "window.untouched === true").await;
    accessibility.at(&browser, "home with dead letters").await;
    assert_eq!((rider.balance().await.as_str(), world.free_seats(&trip).await), ("96.00", 18));

    let _worker = world.worker();
    let redriven = [
        Redriven {
            job: &jobs[0],
            order: &booking,
            tag: "order_add_seats_cancle",
            reason: "the claim's fault is fixed",
        },
        Redriven { job: &jobs[1], order: &paying, tag: "pay_money_cancle", reason: "the bank answers again" },
    ];
    for one in redriven {
        one.is_read_and_redriven(&browser, &mut accessibility).await;
        if one.order == paying {
            // Its money is back, its seats are held as before: it can be paid now.
            browser.sees("are held until").await;
            rider.pay(one.order).await.expect(200);
        }
        browser.sees("Nothing is owed.").await;
        browser.sees(&format!("job_redrive nightshift (console) — {}", one.reason)).await;
        accessibility.at(&browser, "order").await;
    }
    assert_eq!((rider.balance().await.as_str(), world.free_seats(&trip).await), ("96.00", 19));
    assert_eq!(world.ledger(&paying).await, ["payment", "payment_reversed", "payment"]);
    world.verify().await;

    nothing_is_left_but_the_log(&browser, &mut accessibility).await;
    every_page_is_accessible(&browser, &mut accessibility, &trip, &rider, &paying).await;
    accessibility.found_nothing();
}

/// A booking fails after the claim, a payment after the debit, and so do their undos until they are
/// dead. Returns the jobs, by tag, and the booking's order.
async fn two_undos_die(world: &World, rider: &Client, trip: &str, paying: &str) -> (Vec<String>, String) {
    let failed = rider.fault("order_add_seats_cancle.after=error").book(trip, &["1"]).await;
    let booking = failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned();
    rider.fault("pay_money_cancle.after=error").pay(paying).await.problem(500, "003099");
    sqlx::query("update queue.job set max_attempts = 2 where tag <> 'order_unpaid'")
        .execute(&world.pool)
        .await
        .unwrap();
    let mut failing = Process::worker(&world.db.url, &[("FAREBOX_FAULTS", FAILING_UNDOS)], &[]);
    let dead = "select id::text from queue.dead_letter order by tag";
    until("both are dead", || async {
        sqlx::query_scalar::<_, String>(dead).fetch_all(&world.pool).await.unwrap().len() == 2
    })
    .await;
    let jobs: Vec<String> = sqlx::query_scalar(dead).fetch_all(&world.pool).await.unwrap();
    failing.kill();
    (jobs, booking)
}

/// A dead undo, and why the operator runs it again.
struct Redriven<'a> {
    job: &'a str,
    order: &'a str,
    tag: &'static str,
    reason: &'static str,
}

impl Redriven<'_> {
    /// From the order to the job, which is redriven, and back to the order.
    async fn is_read_and_redriven(&self, browser: &Browser, accessibility: &mut Accessibility) {
        let Self { job, order, tag, reason } = self;
        browser.goto(&format!("/console/orders/{order}")).await;
        assert!(!browser.text().await.contains("Nothing is owed"), "{tag}: the dead undo is pending");
        accessibility.at(browser, "order with pending work").await;
        browser.goto("/console").await;
        browser.click(&short(job)).await;
        browser.sees("simulated system exception").await;
        browser.sees("2 / 2").await;
        accessibility.at(browser, "job").await;
        browser.click("Redrive").await;
        browser.sees("Reason (kept in the audit log)").await;
        accessibility.at(browser, "redrive").await;
        browser.fill("Reason", reason).await;
        browser.click("Redrive").await;
        browser.sees("Redrive ✓").await;
        browser.until("it is done", "document.querySelector('#job .badge').innerText.includes('done')").await;
        browser.click(&short(order)).await;
    }
}

async fn nothing_is_left_but_the_log(browser: &Browser, accessibility: &mut Accessibility) {
    browser.click("Audit").await;
    for said in
        ["nightshift · operator · console", "job_redrive", "the bank answers again", "the claim's fault"]
    {
        browser.sees(said).await;
    }
    accessibility.at(browser, "audit").await;
    browser.click("Home").await;
    browser.sees("every invariant holds").await;
    browser.sees("Nothing is stuck.").await;
}

async fn every_page_is_accessible(
    browser: &Browser,
    accessibility: &mut Accessibility,
    trip: &str,
    rider: &Client,
    order: &str,
) {
    let day = (chrono::Utc::now() + chrono::Duration::hours(24 + 8)).date_naive();
    let pages = [
        ("home", "/console".to_owned()),
        ("jobs", "/console/jobs".to_owned()),
        ("queues", "/console/queues".to_owned()),
        ("orders", "/console/orders".to_owned()),
        ("trips", format!("/console/trips?day={day}")),
        ("trip", format!("/console/trips/{trip}")),
        ("cancel the trip", format!("/console/trips/{trip}/cancel")),
        ("riders", "/console/riders".to_owned()),
        ("rider", format!("/console/riders/{}", rider.id)),
        ("top up", format!("/console/riders/{}/top-up", rider.id)),
        ("bulk", "/console/bulk".to_owned()),
        ("bulk preview", "/console/bulk/new?act=retry&tag=order_unpaid&state=delayed".to_owned()),
        ("audit", "/console/audit".to_owned()),
    ];
    for (page, address) in &pages {
        browser.goto(address).await;
        accessibility.at(browser, page).await;
    }
    let small = [("home", "/console".to_owned()), ("order", format!("/console/orders/{order}"))];
    for (page, address) in &small {
        browser.goto(address).await;
        accessibility.on_every_screen(browser, page).await;
    }
}
