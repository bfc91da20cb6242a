//! The chain over the audit log and the histories: what the owner of the tables changes afterwards
//! shows, in `farebox verify` and against a copy.

use crate::harness::{Database, World, command, count, folder, restricted, until};
use farebox::{ops::chain, storage};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use std::{fs, path::Path, process::Output};

/// What the owner of the tables, or a superuser, does with the guards switched off.
async fn attack(pool: &PgPool, sql: &str) {
    let sql = format!("set local session_replication_role = replica; {sql}");
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

async fn breaks(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select place from chain_breaks('-infinity') place").fetch_all(pool).await.unwrap()
}

fn farebox(url: &str, args: &[&str]) -> Output {
    command(env!("CARGO_BIN_EXE_farebox"), url, &[]).args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An operator's acts: two on a trip, one top-up for each rider.
async fn act(world: &World) -> String {
    let trip = world.trip(20).await;
    let seats = json!({"seats": ["9"], "reason": "a broken belt"});
    world.ops.post(&format!("/v1/ops/trips/{trip}/seats/block"), &seats).await.expect(200);
    world.rider("5.00").await;
    world.rider("7.00").await;
    trip
}

/// Order events of an hour ago, as if the chain had begun before them: three in each of two windows.
async fn old_events(pool: &PgPool) {
    sqlx::raw_sql(
        "insert into order_event (order_id, at, status, reason)
         select gen_random_uuid(), chain_window(now() - interval '1 hour') + n * interval '100 s', 'closed', 'expired'
         from generate_series(0, 5) n;
         update chain_seal set begun_at = begun_at - interval '2 hours', sealed_until = sealed_until - interval '2 hours',
                               fence_at = now();",
    )
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_does_to_the_audit_log_shows() {
    let world = World::new().await;
    act(&world).await;
    world.trip(20).await;
    assert!(count(&world.pool, "select count(*) from chain_link where source = 'audit'").await >= 5);
    assert_eq!(count(&world.pool, "select count(*) from chain_link where source = 'trip_event'").await, 1);
    assert_eq!(breaks(&world.pool).await, [""; 0]);
    world.verify().await;
    let kept = farebox(&world.db.url, &["audit", "export"]);
    let copy = folder("audit-copy").with_extension("jsonl");
    fs::write(&copy, &kept.stdout).unwrap();

    // As the finding has it: the trigger is switched off, rows go, and it is switched on again.
    let sql = "begin; alter table audit disable trigger audit_is_append_only;
               delete from audit where act = 'wallet_top_up'; alter table audit enable trigger audit_is_append_only; commit";
    sqlx::raw_sql(sql).execute(&world.pool).await.unwrap();
    let found = breaks(&world.pool).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("audit ") && found[0].ends_with("is missing"), "{found:?}");
    let verified = farebox(&world.db.url, &["verify"]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(text(&verified).contains(&found[0]), "{}", text(&verified));

    // Removing the links as well leaves a gap; writing the rest anew differs from the copy.
    attack(
        &world.pool,
        "delete from chain_link l where source = 'audit' and not exists (select from audit a where a.id = l.subject)",
    )
    .await;
    let found = breaks(&world.pool).await;
    assert!(found[0].contains("follows link"), "{found:?}");
    attack(
        &world.pool,
        "do $$ declare link chain_link; before bytea; number bigint := 0;
         begin
             for link in select * from chain_link order by nr loop
                 number := number + 1;
                 before := chain_digest(before, link.record);
                 update chain_link set nr = number, digest = before where nr = link.nr;
             end loop;
         end $$",
    )
    .await;
    assert_eq!(breaks(&world.pool).await, [""; 0], "the owner who writes everything anew is not seen here");
    let path = copy.to_str().unwrap();
    assert!(farebox(&world.db.url, &["audit", "check", path]).status.success(), "the copy is whole");
    let compared = farebox(&world.db.url, &["audit", "check", "--database", path]);
    assert_eq!(compared.status.code(), Some(1));
    assert!(text(&compared).contains("in the database"), "{}", text(&compared));
    fs::remove_file(&copy).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_row_shows_at_its_place() {
    let world = World::new().await;
    let trip = act(&world).await;
    old_events(&world.pool).await;
    let worker = PgPool::connect(&restricted("farebox-worker", &world.db.url)).await.unwrap();
    until("the events are chained", async || chain::chain_order_events(&worker).await.unwrap() == 2).await;
    assert_eq!(breaks(&world.pool).await, [""; 0]);
    let audit = "(select id from audit order by id limit 1)";
    let event = "(select ctid from order_event order by at limit 1)";
    for (sql, place) in [
        (format!("update audit set reason = 'other' where id = {audit}"), "is changed".to_owned()),
        (format!("update audit set actor = 'nobody' where id = {audit}"), "is changed".to_owned()),
        (format!("update audit set at = at - interval '1 s' where id = {audit}"), "is changed".to_owned()),
        ("update trip_event set seats = '{8}'".to_owned(), format!("trip event {trip}")),
        ("delete from trip_event".to_owned(), format!("trip event {trip}")),
        (format!("update order_event set reason = 'other' where ctid = {event}"), "changed is".to_owned()),
        (format!("delete from order_event where ctid = {event}"), "2 are there, 3 were chained".to_owned()),
        (
            "insert into order_event (order_id, at, status, reason)
             select gen_random_uuid(), min(at), 'closed', 'forged' from order_event"
                .to_owned(),
            "4 are there, changed is".to_owned(),
        ),
        (
            "update chain_link set record = replace(record, 'ops', 'x'), salt = null where nr = 1".to_owned(),
            "audit".to_owned(),
        ),
        ("delete from chain_link where nr = 2".to_owned(), "link 3 follows link 1".to_owned()),
    ] {
        let mut tx = world.pool.begin().await.unwrap();
        sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
        let changed = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut *tx).await.unwrap();
        assert!(changed.rows_affected() == 1, "{sql}");
        let places: Vec<String> = sqlx::query_scalar("select place from chain_breaks('-infinity') place")
            .fetch_all(&mut *tx)
            .await
            .unwrap();
        if !sql.contains("replace(record") {
            assert!(places.iter().any(|found| found.contains(&place)), "{sql}: {places:?}");
        }
        tx.rollback().await.unwrap();
    }
    world.pool.close().await;
}

/// Events are chained only once nobody can add to their five minutes any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_still_open_is_waited_for() {
    let db = Database::fresh().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    old_events(&pool).await;
    let mut open = pool.begin().await.unwrap();
    sqlx::query(
        "insert into order_event (order_id, at, status, reason)
         select gen_random_uuid(), min(at), 'closed', 'late' from order_event",
    )
    .execute(&mut *open)
    .await
    .unwrap();
    // As a turn leaves it that began after the open transaction did.
    sqlx::query("update chain_seal set fence_at = now(), fence = pg_current_xact_id()")
        .execute(&pool)
        .await
        .unwrap();
    for _ in 0..3 {
        assert_eq!(chain::chain_order_events(&pool).await.unwrap(), 0, "an event of then may still come");
    }
    open.commit().await.unwrap();
    until("the events are chained", async || chain::chain_order_events(&pool).await.unwrap() == 2).await;
    let chained = "select (record::jsonb ->> 2)::bigint from chain_link where source = 'order_event' order by at limit 1";
    assert_eq!(count(&pool, chained).await, 4, "with the late one");
    assert_eq!(breaks(&pool).await, [""; 0]);
    // As after a restore into another cluster, whose numbers of transactions are lower.
    sqlx::query("update chain_seal set fence = '1000000000000'").execute(&pool).await.unwrap();
    assert_eq!(chain::chain_order_events(&pool).await.unwrap(), 0);
    let fence = "select count(*) from chain_seal where fence < '1000000000000'";
    assert_eq!(count(&pool, fence).await, 1, "it begins anew");
    let mut tx = storage::begin(&pool).await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *tx).await.unwrap();
    let refused = sqlx::query("select chain_order_events(1)").execute(&mut *tx).await.unwrap_err();
    assert!(refused.to_string().contains("transaction of its own"), "{refused}");
}

/// An act is chained when it commits, so an act that is under way makes nobody wait.
#[tokio::test(flavor = "multi_thread")]
async fn acts_do_not_wait_for_each_other() {
    let world = World::new().await;
    let record = "insert into audit (id, actor, role, through, act, subject_kind, subject)
                  values (gen_random_uuid(), 'ops', 'operator', 'cli', 'job_retry', 'job', '1')";
    let mut slow = world.pool.begin().await.unwrap();
    sqlx::query(record).execute(&mut *slow).await.unwrap();
    act(&world).await;
    let mut acts = tokio::task::JoinSet::new();
    for seat in 1..=8 {
        let (ops, trip) = (world.ops.clone(), world.trip(20).await);
        acts.spawn(async move {
            let seats = json!({"seats": [seat.to_string()], "reason": "a broken belt"});
            ops.post(&format!("/v1/ops/trips/{trip}/seats/block"), &seats).await.status.as_u16()
        });
    }
    assert_eq!(acts.join_all().await, [200; 8]);
    slow.commit().await.unwrap();
    assert_eq!(breaks(&world.pool).await, [""; 0]);
    world.verify().await;
}

fn write(path: &Path, lines: &[String]) {
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_checked_line_by_line() {
    let world = World::new().await;
    act(&world).await;
    old_events(&world.pool).await;
    until("the events are chained", async || chain::chain_order_events(&world.pool).await.unwrap() == 2)
        .await;
    let url = &world.db.url;
    let whole = text(&farebox(url, &["audit", "export"]));
    let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    assert_eq!(
        i64::try_from(lines.len()).unwrap(),
        count(&world.pool, "select count(*) from chain_link").await
    );
    // The operator's sign-in, the trip in the audit log, and in its own history.
    let third: Value = serde_json::from_str(&lines[2]).unwrap();
    assert_eq!((&third["nr"], &third["source"]), (&json!(3), &json!("trip_event")));
    let later = text(&farebox(url, &["audit", "export", "--after", "3"]));
    assert_eq!(later.lines().next(), Some(lines[3].as_str()));

    let copy = folder("copy").with_extension("jsonl");
    let path = copy.to_str().unwrap().to_owned();
    let checked = |lines: &[String]| {
        write(&copy, lines);
        farebox(url, &["audit", "check", "--database", &path])
    };
    let ok = checked(&lines);
    assert!(
        ok.status.success() && text(&ok).contains(&format!("{} links, 1 to", lines.len())),
        "{}",
        text(&ok)
    );
    assert!(checked(&lines[2..]).status.success(), "a copy may begin anywhere");
    let changed = |at: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        assert!(lines[at].contains(from), "{}", lines[at]);
        lines[at] = lines[at].replace(from, to);
        lines
    };
    let last = lines.len() - 1;
    for (copy, why) in [
        (changed(2, "a broken belt", "nothing"), "line 3: what link 3 is over has another digest"),
        (changed(1, "trip_add", "trip_cancel"), "line 2: link 2 has another digest"),
        (changed(last, "expired", "cancelled"), "is over has another digest"),
        ([&lines[..1], &lines[2..]].concat(), "line 2: link 3 follows link 1"),
        (changed(1, "{", ""), "line 2: no link"),
    ] {
        let refused = checked(&copy);
        assert_eq!(refused.status.code(), Some(1), "{why}");
        assert!(text(&refused).contains(why), "{why}: {}", text(&refused));
    }
    fs::remove_file(&copy).unwrap();
    assert_eq!(farebox(url, &["audit", "check", &path]).status.code(), Some(1), "no file");
}
