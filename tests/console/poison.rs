//! The shift that the console is for: a rollback that fails until it is dead is found, read, redriven, and nothing is owed.

use super::{looked::Looked, short};
use crate::harness::{Browser, Process, World, new_rider, until};
use farebox::accounts::{self, Role};

/// What is armed in the worker: the undos of a claim and of a debit fail, every time.
const POISON: &str = "undo.order_add_seats_cancle.before=error,undo.pay_money_cancle.before=error";

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_rollback_is_found_read_redriven_and_nothing_is_owed() {
    let world = World::new().await;
    let operator = new_rider("nightshift");
    accounts::register(&world.pool, &world.saga.passwords, &operator, Role::Operator).await.unwrap();
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let paying = rider.booked(&trip, &["2"]).await;
    let browser = Browser::signed_in(&world, "nightshift").await;
    let mut looked = Looked::default();
    browser.sees("Nothing is stuck.").await;
    browser.until("the page is live", "document.documentElement.dataset.live === 'on'").await;
    browser.run("window.untouched = true").await;

    // A booking fails after the claim, a payment after the debit, and so do their undos until they are dead.
    let failed = rider.fault("order_add_seats_cancle.after=error").book(&trip, &["1"]).await;
    let booking = failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned();
    rider.fault("pay_money_cancle.after=error").pay(&paying).await.problem(500, "003099");
    sqlx::query("update queue.job set max_attempts = 2 where tag <> 'order_unpaid'")
        .execute(&world.pool)
        .await
        .unwrap();
    let mut poisoned = Process::worker(&world.db.url, &[("FAREBOX_FAULTS", POISON)], &[]);
    let dead = "select id::text from queue.dead_letter order by tag";
    until("both are dead", || async {
        sqlx::query_scalar::<_, String>(dead).fetch_all(&world.pool).await.unwrap().len() == 2
    })
    .await;
    let jobs: Vec<String> = sqlx::query_scalar(dead).fetch_all(&world.pool).await.unwrap();
    for job in &jobs {
        browser.sees(&short(job)).await;
    }
    browser.until("the page was not loaded again", "window.untouched === true").await;
    looked.at(&browser, "home with dead letters").await;
    assert_eq!((rider.balance().await.as_str(), world.free_seats(&trip).await), ("96.00", 18));

    poisoned.kill();
    let _worker = world.worker();
    let redriven = [
        (&jobs[0], &booking, "order_add_seats_cancle", "the claim's fault is mended"),
        (&jobs[1], &paying, "pay_money_cancle", "the bank answers again"),
    ];
    for (job, order, tag, reason) in redriven {
        browser.goto(&format!("/console/orders/{order}")).await;
        assert!(!browser.text().await.contains("Nothing is owed"), "{tag}: the dead undo is owed");
        looked.at(&browser, "order that is owed something").await;
        browser.goto("/console").await;
        browser.click(&short(job)).await;
        browser.sees("simulated system exception").await;
        browser.sees("2 / 2").await;
        looked.at(&browser, "job").await;
        browser.click("Redrive").await;
        browser.sees("Reason (kept in the audit log)").await;
        looked.at(&browser, "redrive").await;
        browser.fill("Reason", reason).await;
        browser.click("Redrive").await;
        browser.sees("Redrive ✓").await;
        browser.until("it is done", "document.querySelector('#job .badge').innerText.includes('done')").await;
        browser.click(&short(order)).await;
        if *order == paying {
            // Its money is back, its seats are held as before: it can be paid now.
            browser.sees("are held until").await;
            rider.pay(order).await.expect(200);
        }
        browser.sees("Nothing is owed.").await;
        browser.sees(&format!("job_redrive nightshift (console) — {reason}")).await;
        looked.at(&browser, "order").await;
    }
    assert_eq!((rider.balance().await.as_str(), world.free_seats(&trip).await), ("96.00", 19));
    assert_eq!(world.ledger(&paying).await, ["payment", "payment_reversed", "payment"]);
    world.verify().await;

    browser.click("Audit").await;
    for said in
        ["nightshift · operator · console", "job_redrive", "the bank answers again", "the claim's fault"]
    {
        browser.sees(said).await;
    }
    looked.at(&browser, "audit").await;
    browser.click("Home").await;
    browser.sees("every invariant holds").await;
    browser.sees("Nothing is stuck.").await;

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
        looked.at(&browser, page).await;
    }
    let small = [("home", "/console".to_owned()), ("order", format!("/console/orders/{paying}"))];
    for (page, address) in &small {
        browser.goto(address).await;
        looked.on_every_screen(&browser, page).await;
    }
    looked.found_nothing();
}
