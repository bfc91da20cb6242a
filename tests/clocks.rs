//! Processes whose wall clocks are wrong, or are set while they run. The database's clock alone decides.

use crate::harness::{Client, Clock, Process, World, count, until};
use std::path::Path;

/// A hold and an undo that end while one looks on.
const HASTE: [(&str, &str); 2] =
    [("FAREBOX__BOOKING__HOLD_SECS", "1.5"), ("FAREBOX__BOOKING__UNDO_AFTER_MS", "500")];
const HOUR: i64 = 3_600;

fn with<'a>(env: &[(&'a str, &'a str)], clock: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    env.iter().copied().chain(clock.iter().map(|(name, value)| (*name, value.as_str()))).collect()
}

/// When this program believes it is, to the second.
fn date(clock: &Clock) -> i64 {
    let output = std::process::Command::new("date").arg("+%s").envs(clock.env()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn a_wrong_clock_is_wrong() {
    let clock = Clock::ahead(-HOUR);
    let off = |clock: &Clock| date(clock) - chrono::Utc::now().timestamp();
    assert!((off(&clock) + HOUR).abs() < 60, "{}", off(&clock));
    clock.jump(HOUR);
    assert!((off(&clock) - HOUR).abs() < 60, "{}", off(&clock));
    assert!(Path::new(&clock.env()[0].1).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_ahead_or_behind_changes_no_deadline_and_no_undo() {
    let world = World::with(&HASTE).await;
    let trip = world.trip(20).await;
    for off in [HOUR, -HOUR] {
        let clock = Clock::ahead(off);
        let env = clock.env();
        let api = Process::api(&world.db.url, &with(&HASTE, &env));
        // Signed in where the clock is right, known where it is wrong; and the other way round.
        let name = format!("rider-{off}");
        let account = crate::harness::new_rider(&name);
        farebox::accounts::register(
            &world.pool,
            &world.saga.passwords,
            &account,
            farebox::accounts::Role::Rider,
        )
        .await
        .unwrap();
        let right = Client::sign_in(&world.api.base(), &name).await;
        let wrong = right.at(&api.base());
        Client::sign_in(&api.base(), &name)
            .await
            .at(&world.api.base())
            .get("/v1/riders/me")
            .await
            .expect(200);
        world.top_up(right.id, "100.00", "first").await;

        let paid = wrong.booked(&trip, &["1"]).await;
        wrong.pay(&paid).await.expect(200);
        wrong.refund(&paid).await.expect(200);
        let unpaid = wrong.booked(&trip, &["2"]).await;
        wrong.fault("order_add_seats_cancle.after=error").book(&trip, &["3"]).await.problem(500, "003099");
        let _worker = Process::worker(&world.db.url, &with(&HASTE, &env), &[]);
        until("the undo is done, and not an hour later", async || world.free_seats(&trip).await == 19).await;
        assert_eq!(world.order(&unpaid).await["status"], "unpaid", "its deadline has not passed");
        clock.jump(-off);
        wrong
            .fault("order_add_seats_cancle.after=abort")
            .try_post("/v1/orders", &serde_json::json!({"trip_id": trip, "seats": ["4"]}))
            .await
            .unwrap_err();
        until("the deadline passes, and nothing is owed", async || {
            count(&world.pool, "select count(*) from queue.job").await == 0
        })
        .await;
        let order = world.order(&unpaid).await;
        assert_eq!(
            (order["status"].as_str(), order["closed_reason"].as_str()),
            (Some("closed"), Some("expired"))
        );
        let late = "select count(*) from orders where closed_reason = 'expired'
                    and (closed_at < expires_at or closed_at > expires_at + interval '30 s')";
        assert_eq!(count(&world.pool, late).await, 0);
        assert_eq!(world.free_seats(&trip).await, 20);
    }
    world.verify().await;
}
