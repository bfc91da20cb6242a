//! `farebox restore-check` on a database of its own: its exit codes, and what it refuses.

use super::restore_check;
use crate::harness::{World, command};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_whether_it_is_whole_and_whether_something_is_left_to_do() {
    let world = World::new().await;
    let rider = world.rider("10.00").await;
    let trip = world.trip(20).await;
    let order = rider.booked(&trip, &["1"]).await;
    let authorize = json!({"order_id": order, "pay_password": crate::harness::PAY_PASSWORD});
    let leave = rider.post("/v1/payment-authorizations", &authorize).await;
    let leave = leave.expect(201)["authorization"].as_str().unwrap().to_owned();
    let (report, code) = restore_check(&world.db.url, &[], &["--void"]);
    assert_eq!((&report["holds"], code), (&json!(true), 4), "the token key is the one of before");
    assert_eq!(report["voided"]["authorizations"], 1, "{report:#}");
    let again = crate::harness::Client::sign_in(&world.api.base(), "rider0").await;
    let pay = json!({ "authorization": leave });
    again.post(&format!("/v1/orders/{order}/pay"), &pay).await.expect(403);
    let audited =
        "select count(*) from audit where act = 'restore_void' and detail ->> 'authorizations' = '1'";
    assert_eq!(crate::harness::count(&world.pool, audited).await, 1);

    sqlx::query("delete from queue.job where tag = 'order_unpaid'").execute(&world.pool).await.unwrap();
    let (report, code) = restore_check(&world.db.url, &[], &[]);
    assert_eq!((&report["holds"], code), (&json!(false), 3), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fell_due_since_the_moment_is_late_and_no_breach() {
    let world = World::new().await;
    let order = world.rider("0").await.booked(&world.trip(20).await, &["1"]).await;
    let overdue =
        "update orders set created_at = now() - interval '3 hours', expires_at = now() - interval '2 hours'
                   where id = $1::uuid";
    sqlx::query(overdue).bind(&order).execute(&world.pool).await.unwrap();
    let broken = |report: &Value| -> Vec<String> {
        let all = report["invariants"].as_array().unwrap().iter();
        all.filter(|one| one["holds"] == false).map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let (report, code) = restore_check(&world.db.url, &[], &[]);
    assert_eq!((broken(&report), code), (vec!["deadlines_are_kept".to_owned()], 3));
    for (hours, expected) in [(1, 3), (3, 4)] {
        let moment = (chrono::Utc::now() - chrono::Duration::hours(hours)).to_rfc3339();
        let (report, code) = restore_check(&world.db.url, &[], &["--moment", &moment]);
        assert_eq!(code, expected, "{hours} hours ago: {:?}", broken(&report));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_compared_is_refused() {
    let world = World::new().await;
    let log = crate::harness::folder("plain.log");
    std::fs::write(&log, world.log().await).unwrap();
    for (file, why) in [(log.to_str().unwrap(), "log.json = true"), ("/nowhere/api.log", "No such file")] {
        let args = ["restore-check", "--log", file];
        let output = command(super::FAREBOX, &world.db.url, &[]).args(args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(why) && error.contains(file), "{error}");
    }
}
