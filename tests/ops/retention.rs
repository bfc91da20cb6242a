//! Retention by settings: accounts that nobody uses, and what was written in old rows of the audit log.

use crate::harness::{Client, Process, World, count, restricted, until};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};

/// What the database's superuser does with the guards switched off.
async fn without_guards(pool: &PgPool, sql: &str) {
    let sql = format!("set local session_replication_role = replica; {sql}");
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// A worker with these settings has gone through all that is due.
async fn after_pruning(world: &World, env: &[(&str, &str)]) {
    let due =
        "select count(*) from queue.maintenance_task where name in ('farebox_prune', 'farebox_forget_idle')
               and next_at <= now()";
    sqlx::query("update queue.maintenance_task set next_at = now()").execute(&world.pool).await.unwrap();
    let mut worker = Process::worker(&world.db.url, env, &[]);
    let first = worker.wait_for_line("old rows deleted");
    assert!(first.contains("audit_texts") && first.contains("accounts"), "{first}");
    until("nothing is due", async || count(&world.pool, due).await == 0).await;
    worker.kill();
}

async fn name_of(world: &World, rider: &Client) -> String {
    sqlx::query_scalar("select user_name from rider where id = $1")
        .bind(rider.id.0)
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_nobody_uses_are_forgotten_and_no_others() {
    let world = World::with(&[("FAREBOX__WALLETS__APPROVAL_ABOVE", "1000.00")]).await;
    let trip = world.trip(20).await;
    let idle = world.rider("0.01").await;
    let with_money = world.rider("5.00").await;
    let booked_lately = world.rider("10.00").await;
    let signed_in = world.rider("0.01").await;
    let new = world.rider("0.01").await;
    let waiting = world.rider("0.01").await;
    let late = world.rider("0.01").await;
    let order = booked_lately.booked(&trip, &["1"]).await;
    booked_lately.pay(&order).await.expect(200);
    // Emptied, and all that happened is long ago.
    for rider in [&idle, &signed_in, &new, &waiting, &late] {
        let entry = rider.get("/v1/wallet/entries").await.expect(200)["items"][0]["id"].clone();
        let reference = format!("out {}", rider.id);
        let out =
            json!({ "amount": "-0.01", "entry_id": entry, "reference": reference, "reason": "paid out" });
        world.ops.post(&format!("/v1/ops/wallets/{}/corrections", rider.id), &out).await.expect(201);
    }
    let asked = json!({ "amount": "2000.00", "reference": "much", "reason": "a prize" });
    world.ops.post(&format!("/v1/ops/wallets/{}/top-ups", waiting.id), &asked).await.expect(202);
    for rider in [&idle, &with_money, &booked_lately, &new, &waiting, &late] {
        rider.delete("/v1/sessions/current").await.expect(204);
    }
    let long_ago = format!(
        "update ledger_entry set at = at - interval '120 days';
         update rider set created_at = created_at - interval '120 days' where id <> '{}'",
        new.id
    );
    without_guards(&world.pool, &long_ago).await;

    // One is signing in at this moment: its account is locked, and nobody sees its session yet.
    let mut signing_in = world.pool.begin().await.unwrap();
    sqlx::query("select from rider where id = $1 for no key update")
        .bind(late.id.0)
        .execute(&mut *signing_in)
        .await
        .unwrap();
    after_pruning(&world, &[("FAREBOX__RETENTION__IDLE_ACCOUNT_DAYS", "90")]).await;
    signing_in.rollback().await.unwrap();
    let forgotten = count(&world.pool, "select count(*) from rider where forgotten_at is not null").await;
    let name = name_of(&world, &idle).await;
    assert!(name.starts_with("forgotten-") && name.len() == 34, "{name}");
    assert_eq!(forgotten, 1, "only the one that nobody uses");
    for kept in [&with_money, &booked_lately, &signed_in, &new, &waiting, &late] {
        let name = name_of(&world, kept).await;
        assert!(name.starts_with("rider"), "{name}");
    }
    world.top_up(idle.id, "1.00", "late").await.problem(404, "003070");
    world.verify().await;

    // Without the setting, nobody is.
    without_guards(&world.pool, "update rider set created_at = created_at - interval '120 days'").await;
    sqlx::query("update queue.maintenance_task set next_at = now()").execute(&world.pool).await.unwrap();
    let worker = world.worker();
    let due = "select count(*) from queue.maintenance_task where name = 'farebox_prune' and next_at <= now()";
    until("nothing is due", async || count(&world.pool, due).await == 0).await;
    drop(worker);
    assert_eq!(count(&world.pool, "select count(*) from rider where forgotten_at is not null").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_rows_of_the_audit_log_lose_their_text_and_the_chain_stays_whole() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let block = json!({ "seats": ["9"], "reason": "a broken belt" });
    world.ops.post(&format!("/v1/ops/trips/{trip}/seats/block"), &block).await.expect(200);
    let rows = "insert into audit (id, at, actor_id, actor, role, through, act, subject_kind, subject, reason, detail)
                select gen_random_uuid(), now() - n * interval '1 day', actor_id, actor, role, through, act,
                       subject_kind, subject, 'written ' || n || ' days ago', detail
                from audit, unnest(array[89, 95, 400]) n where act = 'seats_block'";
    let added = sqlx::query(rows).execute(&world.pool).await.unwrap();
    assert_eq!(added.rows_affected(), 3);

    after_pruning(&world, &[("FAREBOX__RETENTION__AUDIT_TEXT_DAYS", "90")]).await;
    let texts: Vec<Option<String>> =
        sqlx::query_scalar("select reason from audit where act = 'seats_block' order by at")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    let kept = [None, None, Some("written 89 days ago".to_owned()), Some("a broken belt".to_owned())];
    assert_eq!(texts, kept);
    let breaks = "select count(*) from chain_breaks('-infinity')";
    assert_eq!(count(&world.pool, breaks).await, 0);
    world.verify().await;
    // Who did what to what is still there, and what was done is still guarded by the chain.
    let row = "act = 'seats_block' and at < now() - interval '300 days'";
    let who = format!("select actor_id is not null and subject = '{trip}' from audit where {row}");
    let whole: bool = sqlx::query_scalar(AssertSqlSafe(who)).fetch_one(&world.pool).await.unwrap();
    assert!(whole);
    without_guards(&world.pool, &format!("update audit set act = 'seats_release' where {row}")).await;
    assert_eq!(count(&world.pool, breaks).await, 1);
}

#[tokio::test]
async fn erasing_takes_old_text_and_nothing_else() {
    let world = World::new().await;
    world.rider("1.00").await;
    let mut erasing = world.pool.acquire().await.unwrap();
    sqlx::query("set farebox.erasing = 'on'").execute(&mut *erasing).await.unwrap();
    for (sql, guard) in [
        ("update audit set reason = null, detail = '{}'", "audit_loses_only_text"),
        ("update audit set actor = 'another'", "audit_loses_only_text"),
        ("update chain_link set salt = null", "chain_loses_only_salt"),
        ("update chain_link set digest = sha256('x')", "chain_loses_only_salt"),
        ("delete from audit", "audit_is_append_only"),
        ("truncate audit", "audit_is_append_only"),
        ("delete from chain_link", "chain_is_append_only"),
    ] {
        let refused = sqlx::query(sql).execute(&mut *erasing).await.unwrap_err();
        let constraint = refused.as_database_error().and_then(|error| error.constraint());
        assert_eq!(constraint, Some(guard), "{sql}: {refused}");
    }
    // The functions have bounds of their own, and the worker's role alone may call them.
    for (program, may) in [("farebox-worker", true), ("farebox-api", false)] {
        let pool = PgPool::connect(&restricted(program, &world.db.url)).await.unwrap();
        let erased: Result<i32, _> =
            sqlx::query_scalar("select erase_audit_text('0', 100)").fetch_one(&pool).await;
        assert_eq!(erased.ok(), may.then_some(0), "{program}: nothing here is ninety days old");
        let forgets =
            "select cardinality(forgotten) from forget_idle_riders('00000000-0000-0000-0000-000000000000',
                                                                             '0', 100, 'x')";
        let forgotten: Result<i32, _> = sqlx::query_scalar(forgets).fetch_one(&pool).await;
        assert_eq!(forgotten.ok(), may.then_some(0), "{program}: no account is ninety days old");
    }
}
