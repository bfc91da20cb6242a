//! What an operator is called for, with the clicks counted: whether money is safe without a click, the
//! cause in two.
//!
//! The other tasks are counted beside what they are about: a redrive that is watched and proved in
//! `redrive`, a rider found by phone in `find`, closing and refunding an order in `order_acts`, a trip
//! cancelled by its name in `trips`.

use super::{redrive::Person, short};
use crate::{
    harness::{Browser, Process, Screen, World, count, until},
    ops::dead_letters::{bury, dead_bookings},
};

/// What is armed in the worker: the undo of a debit fails, every time.
const FAILING: (&str, &str) = ("FAREBOX_FAULTS", "undo.pay_money_cancle.before=error");
/// Clicks from home to a cause, at most.
const TO_THE_CAUSE: u32 = 2;

/// The verdict is read without scrolling, on a desk and on a phone.
async fn is_seen_at_once(browser: &Browser) {
    for screen in [Screen::Desktop, Screen::Phone] {
        browser.screen(screen).await;
        browser
            .until(
                &format!("the verdict is in sight, {screen:?}"),
                "scrollY === 0 && document.querySelector('.verdict').getBoundingClientRect().bottom <= innerHeight",
            )
            .await;
    }
    browser.screen(Screen::Desktop).await;
}

/// From home to the order and to the job: the error's text is on each.
async fn cause_in_two(person: &mut Person, error: &str, order: &str, job: &str) {
    for (id, page) in [(order, "orders"), (job, "jobs")] {
        person.browser.goto("/console").await;
        person.clicks = 0;
        person.clicks(&short(id)).await;
        let opened = format!("location.pathname === '/console/{page}/{id}'");
        person.browser.until("its page is open", &opened).await;
        person.browser.sees(error).await;
        assert!(person.clicks <= TO_THE_CAUSE, "{page}: {} clicks", person.clicks);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_undo_is_read_on_home_and_its_cause_in_two_clicks() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(4).await, world.rider("20.00").await);
    let order = rider.booked(&trip, &["1", "2"]).await;
    rider.fault("pay_money_cancle.after=error").pay(&order).await.problem(500, "003099");
    // As often as the product tries: it goes on failing for a quarter of an hour.
    let _failing = Process::worker(&world.db.url, &[FAILING], &[]);
    let failed =
        "select count(*) from queue.job where jsonb_array_length(failures) >= 3 and max_attempts = 25";
    until("the undo has failed three times", || async { count(&world.pool, failed).await == 1 }).await;
    let job: String = sqlx::query_scalar("select id::text from queue.job where failures <> '[]'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let mut person = Person::new(&world).await;
    for words in [
        "8.00 CNY of 1 rider and 0 seats are owed.",
        "1 undo is failing and is tried again",
        "simulated system exception",
        &short(&order),
        &short(&job),
    ] {
        person.browser.sees(words).await;
    }
    assert!(!person.browser.text().await.contains("Seats and money are safe"), "they are not");
    let title = person.browser.run("return document.title").await;
    assert!(!title.as_str().unwrap().contains('✓'), "{title}");
    is_seen_at_once(&person.browser).await;
    assert_eq!(person.clicks, 0);
    cause_in_two(&mut person, "simulated system exception", &order, &job).await;
    person.browser.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_read_on_home_and_their_cause_in_two_clicks() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(4).await, world.rider("20.00").await);
    let paying = rider.booked(&trip, &["1", "2"]).await;
    rider.fault("pay_money_cancle.after=error").pay(&paying).await.problem(500, "003099");
    bury(&world, "pay_money_cancle").await;
    let booking = dead_bookings(&world, &rider, &trip, &["3"]).await.remove(0);
    let mut person = Person::new(&world).await;
    for words in
        ["! Needs you.", "8.00 CNY of 1 rider and 1 seat are owed.", "2 jobs have given up.", "timed out"]
    {
        person.browser.sees(words).await;
    }
    let home = person.browser.text().await;
    assert!(!home.contains("Seats and money are safe"), "they are not");
    assert_eq!(home.matches("2 jobs have given up.").count(), 1, "{home}");
    is_seen_at_once(&person.browser).await;
    assert_eq!(person.clicks, 0);
    for order in [&paying, &booking] {
        let dead = "select id::text from queue.dead_letter where payload::text like '%' || $1 || '%'";
        let job: String = sqlx::query_scalar(dead).bind(order).fetch_one(&world.pool).await.unwrap();
        cause_in_two(&mut person, "timed out", order, &job).await;
    }
    person.browser.check().await;
}
