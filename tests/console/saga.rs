//! An order's picture and story: what ran, what failed and with which error, what its undo did, and that
//! nothing vanishes once a dead job was redriven.

use super::{ConsoleSession, a11y::Accessibility};
use crate::harness::{Browser, Client, Process, World, until};
use serde_json::Value;

/// The text of the element.
async fn read(browser: &Browser, selector: &str) -> String {
    let text = browser.run(&format!("return document.querySelector({selector:?})?.innerText ?? ''")).await;
    text.as_str().unwrap_or_default().to_owned()
}

/// The steps of the nth flow, each with its undo, as they are read without a style sheet.
async fn flow(browser: &Browser, nr: usize) -> Vec<(String, String)> {
    let script = format!(
        "return [...document.querySelectorAll('ol.flow')[{nr}].children].map(step =>
             [...step.children].map(part => part.innerText))"
    );
    serde_json::from_value(browser.run(&script).await).unwrap()
}

/// That the nth steps say so, and their undos.
fn says(steps: &[(String, String)], expected: &[(&str, &str)]) {
    assert_eq!(steps.len(), expected.len(), "{steps:?}");
    for ((step, undo), (says, undo_says)) in steps.iter().zip(expected) {
        assert!(step.contains(says), "{says:?} in {step:?}");
        assert!(undo.contains(undo_says), "{undo_says:?} in {undo:?}");
    }
}

/// The lines of the story.
async fn story(browser: &Browser) -> Vec<String> {
    let script =
        "return [...document.querySelectorAll('ol.story:not(.next) > li')].map(line => line.innerText)";
    serde_json::from_value(browser.run(script).await).unwrap()
}

/// Where the story says this.
fn line(story: &[String], words: &[&str]) -> usize {
    let found = story.iter().position(|line| words.iter().all(|word| line.contains(word)));
    found.unwrap_or_else(|| panic!("{words:?} in {story:#?}"))
}

async fn in_chinese(browser: &Browser) {
    browser.click("中文").await;
    browser.sees("经过").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_went_well_shows_no_step_as_not_begun() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("100.00").await);
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    rider.refund(&order).await.expect(200);
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto(&format!("/console/orders/{order}")).await;
    let ran = ("ran", "not needed");
    says(&flow(&browser, 0).await, &[ran; 4]);
    says(&flow(&browser, 1).await, &[ran; 3]);
    says(&flow(&browser, 2).await, &[ran; 3]);
    assert!(!browser.text().await.contains("not begun"));
    assert!(flow(&browser, 0).await[3].0.contains("ms after the step before"), "how long it took");
    let story = story(&browser).await;
    let (booked, paid) = (line(&story, &["claim the seats"]), line(&story, &["ledger entry", "payment"]));
    assert!(booked < paid && paid < line(&story, &["the order is", "refunded"]), "{story:#?}");
    browser.sees("Nothing is scheduled.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_booking_says_where_it_failed_and_what_its_undo_did() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("100.00").await);
    let failed = rider.fault("order_add_cancle.after=error").key("book-<b>drum");
    let failed = failed.book(&trip, &["1"]).await;
    let problem = failed.problem(500, "003099");
    let (order, trace) = (text(problem, "order_id"), text(problem, "trace_id"));
    let browser = Browser::signed_in(&world, "ops").await;
    let mut accessibility = Accessibility::default();
    browser.goto(&format!("/console/orders/{order}")).await;
    let steps = flow(&browser, 0).await;
    says(
        &steps,
        &[
            ("ran", "not needed"),
            ("ran", "by the undo of a later step"),
            ("ran", "not needed"),
            ("failed here", "waiting"),
        ],
    );
    assert!(steps[3].0.contains("simulated system exception After order_add_cancle"), "{steps:?}");
    assert!(steps[3].0.contains(&trace), "{steps:?}");
    assert!(
        browser.run(&format!("return !!document.querySelector('a[href$=\"search?q={trace}\"]')")).await
            == true
    );
    let lines = story(&browser).await;
    let asked = line(&lines, &["the request failed", "add the order", "book-<b>drum", &trace]);
    assert!(line(&lines, &["step done", "claim the seats"]) < asked, "{lines:#?}");
    assert!(read(&browser, "ol.story.next").await.contains("gives the claimed seats back, and closes"));
    accessibility.on_every_screen(&browser, "an order that failed").await;

    let _worker = world.worker();
    browser.sees("Nothing is owed.").await;
    let steps = flow(&browser, 0).await;
    says(
        &steps,
        &[("ran", "not needed"), ("ran", "undone"), ("ran", "not needed"), ("failed here", "undone")],
    );
    in_chinese(&browser).await;
    let steps = flow(&browser, 0).await;
    says(
        &steps,
        &[("已执行", "无需撤销"), ("已执行", "已撤销"), ("已执行", "无需撤销"), ("在此失败", "已撤销")],
    );
    accessibility.found_nothing();
}

fn text(problem: &Value, field: &str) -> String {
    problem[field].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_died_stays_in_the_story_after_its_redrive() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("100.00").await);
    let order = rider.booked(&trip, &["1"]).await;
    let job = a_payment_whose_undo_dies(&world, &rider, &order).await;
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto(&format!("/console/orders/{order}")).await;
    let steps = flow(&browser, 1).await;
    says(&steps, &[("ran", "not needed"), ("failed here", "gave up"), ("not reached", "not needed")]);
    assert!(steps[1].1.contains("simulated system exception"), "the error of the undo: {steps:?}");
    line(&story(&browser).await, &["job", "dead"]);

    let ops = ConsoleSession::enter(&world, "ops").await;
    let page = format!("/console/jobs/{job}/redrive");
    let reason = "银行恢复 the bank answers again";
    let form = format!("csrf={}&reason={}", ops.hidden(&page, "csrf").await, reason.replace(' ', "+"));
    assert_eq!(ops.status("POST", &page, Some(&form)).await, 303);
    browser.goto(&format!("/console/jobs/{job}")).await;
    browser.sees("0 / 7 since it was redriven; 7 failed before").await;
    assert_eq!(read(&browser, "ol.story > li strong").await, "Attempt 7", "the newest first");
    assert_eq!(
        browser.run("return document.querySelectorAll('details ol.story > li').length").await,
        2,
        "folded"
    );
    let _worker = world.worker();
    browser.until("it is done", "document.querySelector('#job .badge').innerText.includes('done')").await;
    browser.sees("8, 7 of them failed, 7 before it was redriven").await;

    browser.goto(&format!("/console/orders/{order}")).await;
    let lines = story(&browser).await;
    let moments = [
        line(&lines, &["asked to pay", "the request failed", "debit the wallet"]),
        line(&lines, &["attempt 1 failed", "gives the debited money back"]),
        line(&lines, &["5 more attempts failed in the same way"]),
        line(&lines, &["attempt 7 failed"]),
        line(&lines, &["the job gave up"]),
        line(&lines, &["job_redrive", "ops", reason]),
        line(&lines, &["ledger entry", "payment_reversed"]),
    ];
    assert!(moments.is_sorted(), "{moments:?} in {lines:#?}");
    says(&flow(&browser, 1).await, &[("ran", "not needed"), ("failed here", "undone"), ("not reached", "")]);
    let next = read(&browser, "ol.story.next").await;
    assert!(next.contains("closes the order if it is not paid in time"), "{next}");
}

/// A payment fails after its debit, and its undo seven times. Returns the dead job.
async fn a_payment_whose_undo_dies(world: &World, rider: &Client, order: &str) -> String {
    rider.fault("pay_money_cancle.after=error").pay(order).await.problem(500, "003099");
    let sql = "update queue.job set max_attempts = 7 where tag = 'pay_money_cancle'";
    sqlx::query(sql).execute(&world.pool).await.unwrap();
    let faults = [("FAREBOX_FAULTS", "undo.pay_money_cancle.before=error")];
    let mut failing = Process::worker(&world.db.url, &faults, &[]);
    let dead = "select id::text from queue.dead_letter";
    until("it is dead", || async {
        // Its next attempt need not wait for its time.
        let due_now =
            "update queue.job set run_at = now() where tag = 'pay_money_cancle' and lease_token is null";
        sqlx::query(due_now).execute(&world.pool).await.unwrap();
        sqlx::query_scalar::<_, String>(dead).fetch_optional(&world.pool).await.unwrap().is_some()
    })
    .await;
    failing.kill();
    sqlx::query_scalar(dead).fetch_one(&world.pool).await.unwrap()
}
