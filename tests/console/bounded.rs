//! Searches and filters that keep the database busy are stopped, and the page says so beside its form.

use super::session::ConsoleSession;
use crate::harness::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_takes_too_long_is_stopped_and_keeps_its_form() {
    let world = World::new().await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    for (table, page, kept) in [
        ("idempotency", "/console/search?q=some-key", "value=\"some-key\""),
        ("queue.dead_letter", "/console/jobs?state=dead&failures=7", "value=\"7\""),
        ("orders", "/console/orders?from=4.00", "value=\"4.00\""),
        ("audit", "/console/audit?actor=nobody", "value=\"nobody\""),
    ] {
        // Waiting for a lock is the surest way to take long.
        let mut holder = world.pool.begin().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("lock table {table} in access exclusive mode")))
            .execute(&mut *holder)
            .await
            .unwrap();
        let answer = ops.send("GET", page, None).await;
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(status, 422, "{page}: {text}");
        assert!(text.contains("this searches too much and was stopped"), "{page}: {text}");
        assert!(text.contains(kept), "{page} keeps what was typed: {text}");
        if table == "queue.dead_letter" {
            let stopped = world.ops.get("/v1/ops/jobs?state=dead").await;
            let detail = stopped.problem(503, "005002")["detail"].as_str().unwrap();
            assert!(detail.contains("was stopped"), "{detail}");
        }
        holder.rollback().await.unwrap();
        assert_eq!(ops.status("GET", page, None).await, 200, "{page} works again");
    }
}
