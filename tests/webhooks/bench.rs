//! What slow receivers cost everybody else.
//!
//! ```console
//! $ cargo test --test farebox-tests beside_slow_receivers -- --ignored --nocapture
//! ```

use super::Webhook;
use crate::harness::{Answers, Client, Process, Receiver, World, count, until};
use std::time::{Duration, Instant};

/// As many as there can be.
const WEBHOOKS: usize = 32;
/// Their receivers answer after this time: each holds its slot all the time.
const SLOW: Duration = Duration::from_secs(5);
/// Runs with slow receivers, and as many without.
const TURNS: usize = 4;
/// Bookings in a run, as many payments, and as many bookings that fail.
const EACH: usize = 60;

/// Times of a run, milliseconds.
#[derive(Default)]
struct Times {
    bookings: Vec<f64>,
    payments: Vec<f64>,
    rollbacks: Vec<f64>,
}

impl Times {
    fn print(&mut self, what: &str) {
        for (kind, times) in [
            ("bookings", &mut self.bookings),
            ("payments", &mut self.payments),
            ("rollbacks", &mut self.rollbacks),
        ] {
            times.sort_by(f64::total_cmp);
            let at = |percent: usize| times[(times.len() - 1) * percent / 100];
            println!("{what} | {kind} | {} | {:.1} | {:.1} | {:.1}", times.len(), at(50), at(95), at(99));
        }
    }
}

/// Books, pays, and has a booking fail, again and again.
async fn run(world: &World, rider: &Client, times: &mut Times) {
    let trip = world.trip(i32::try_from(2 * EACH).unwrap()).await;
    let since: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select now()").fetch_one(&world.pool).await.unwrap();
    for nr in 1..=EACH {
        let begun = Instant::now();
        let order = rider.booked(&trip, &[&nr.to_string()]).await;
        times.bookings.push(begun.elapsed().as_secs_f64() * 1e3);
        let begun = Instant::now();
        rider.pay(&order).await.expect(200);
        times.payments.push(begun.elapsed().as_secs_f64() * 1e3);
        let seat = (EACH + nr).to_string();
        rider
            .fault("order_calc_money_cancle.before=error")
            .book(&trip, &[&seat])
            .await
            .problem(500, "003099");
    }
    let undos = "select count(*) from queue.job where tag = 'order_calc_money_cancle'";
    until("the undos are done", || async { count(&world.pool, undos).await == 0 }).await;
    let sql = "select extract(epoch from ended_at - run_at)::float8 * 1000 from queue.finished
               where tag = 'order_calc_money_cancle' and ended_at >= $1";
    let rollbacks: Vec<f64> = sqlx::query_scalar(sql).bind(since).fetch_all(&world.pool).await.unwrap();
    assert_eq!(rollbacks.len(), EACH);
    times.rollbacks.extend(rollbacks);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark"]
async fn bookings_and_rollbacks_beside_slow_receivers() {
    let world = World::new().await;
    let rider = world.rider("100000.00").await;
    let receiver = Receiver::start().await;
    receiver.now_answers(Answers::Slowly(SLOW));
    let mut webhooks = Vec::new();
    for _ in 0..WEBHOOKS {
        webhooks.push(Webhook::add(&world, &receiver, &["order.paid"]).await);
    }
    let _worker = Process::worker(&world.db.url, &[], &[]);
    let (mut without, mut with) = (Times::default(), Times::default());
    run(&world, &rider, &mut Times::default()).await;
    for _ in 0..TURNS {
        for webhook in &webhooks {
            webhook.act(&world, "disable").await;
        }
        run(&world, &rider, &mut without).await;
        for webhook in &webhooks {
            webhook.act(&world, "enable").await;
        }
        run(&world, &rider, &mut with).await;
        assert!(
            count(&world.pool, "select count(*) from queue.job where tag = 'webhook_delivery'").await > 0,
            "the receivers are asked all the time"
        );
    }
    println!("receivers | what | times | p50 ms | p95 ms | p99 ms");
    without.print("none");
    with.print("32 that answer after 5 s");
}
