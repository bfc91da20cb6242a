//! Work that must not vanish: the recurring job, and what an operator began and one job carries on.

use crate::{
    console::session::ConsoleSession,
    harness::{Process, World, count, until},
};
use farebox::verify::{self, Scope};
use serde_json::{Value, json};
use sqlx::PgPool;

const HORIZON: (&str, &str) = ("FAREBOX__TRIPS__HORIZON_DAYS", "2");
const WAITING: &str =
    "select count(*) from queue.job where tag = 'timetable' and key = 'horizon' and run_at > now()";
const LIVE: &str = "select count(*) from queue.job where tag = 'timetable'";

/// Lets no worker search for missing jobs, or the next that asks.
async fn look(pool: &PgPool, now: bool) {
    let sql =
        "update queue.maintenance_task set next_at = now() + case when $1 then interval '0' else interval '1 day' end
               where name = 'farebox_recurring'";
    assert_eq!(sqlx::query(sql).bind(now).execute(pool).await.unwrap().rows_affected(), 1);
}

async fn broken(pool: &PgPool) -> Vec<&'static str> {
    let verdicts = verify::verify(pool, Scope::Whole).await.unwrap();
    verdicts.into_iter().filter(|verdict| !verdict.holds).map(|verdict| verdict.name).collect()
}

async fn id_of(pool: &PgPool, tag: &str) -> String {
    sqlx::query_scalar("select id::text from queue.job where tag = $1")
        .bind(tag)
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn missing(world: &World) -> bool {
    let text = world.ops.get("/metrics").await.text;
    let line = text.lines().find(|line| line.starts_with("farebox_recurring_job_missing{tag=\"timetable\"}"));
    line.unwrap_or_else(|| panic!("{text}")).ends_with(" 1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recurring_job_that_is_cancelled_or_dies_is_reported_and_scheduled_again() {
    let world = World::new().await;
    look(&world.pool, false).await;
    let worker = Process::worker(&world.db.url, &[HORIZON], &[]);
    until("the job waits for midnight", || async { count(&world.pool, WAITING).await == 1 }).await;
    assert!(!missing(&world).await);
    let id = id_of(&world.pool, "timetable").await;
    let impact = world.ops.get(&format!("/v1/ops/jobs/{id}/impact")).await;
    let answer = &impact.expect(200)["cancel"];
    assert!(
        answer["en"]
            .as_str()
            .unwrap()
            .starts_with("trips of the coming days are made no more until a worker"),
        "{answer}"
    );
    assert!(answer["zh"].as_str().unwrap().starts_with("不再生成未来数日的场次"), "{answer}");

    let why = json!({"reason": "by mistake"});
    world.ops.post(&format!("/v1/ops/jobs/{id}/cancel"), &why).await.expect(200);
    assert_eq!(broken(&world.pool).await, ["recurring_jobs_are_scheduled"]);
    assert!(missing(&world).await);
    look(&world.pool, true).await;
    until("the running worker puts it back", || async { count(&world.pool, WAITING).await == 1 }).await;
    worker.wait_for_line("a job was missing and is put back");
    assert!(!missing(&world).await);
    world.verify().await;

    // Deleted, or given up: a dead letter is not alive.
    look(&world.pool, false).await;
    sqlx::query(
        "with gone as (delete from queue.job where tag = 'timetable' returning *)
         insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at)
         select id, tag, key, payload, max_attempts, 25, 'exhausted', '[]', run_at, created_at from gone",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    assert_eq!(broken(&world.pool).await, ["recurring_jobs_are_scheduled", "nothing_is_dead"]);
    look(&world.pool, true).await;
    until("it is put back", || async { count(&world.pool, WAITING).await == 1 }).await;
    assert_eq!(broken(&world.pool).await, ["nothing_is_dead"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_horizon_off_no_job_is_missing() {
    let world = World::new().await;
    let worker = Process::worker(&world.db.url, &[HORIZON], &[]);
    until("the job waits for midnight", || async { count(&world.pool, WAITING).await == 1 }).await;
    drop(worker);
    sqlx::query("delete from queue.job").execute(&world.pool).await.unwrap();
    assert_eq!(broken(&world.pool).await, ["recurring_jobs_are_scheduled"]);
    let _worker = world.worker();
    until("it is switched off", || async { broken(&world.pool).await.is_empty() }).await;
    look(&world.pool, true).await;
    until("a worker has looked", || async {
        let checked = "select count(*) from queue.maintenance_task where name = 'farebox_recurring' and next_at > now()";
        count(&world.pool, checked).await == 1
    })
    .await;
    assert_eq!(count(&world.pool, LIVE).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_began_goes_on_though_its_job_is_cancelled() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("10.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let why = json!({"reason": "snow"});
    world.ops.post(&format!("/v1/ops/trips/{trip}/cancel"), &why).await.expect(202);
    let job = id_of(&world.pool, "trip_cancel").await;
    let text =
        world.ops.get(&format!("/v1/ops/jobs/{job}/impact")).await.expect(200)["cancel"]["en"].to_string();
    assert!(text.contains("within 1 min"), "{text}");
    world.ops.post(&format!("/v1/ops/jobs/{job}/cancel"), &why).await.expect(200);
    assert_eq!(broken(&world.pool).await, ["cancelled_trips_are_carried_on"]);
    let _worker = world.worker();
    until("the rider has his money", || async { rider.balance().await == "10.00" }).await;
    world.drained().await;
    assert_eq!(world.order(&order).await["status"], "refunded");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_whose_job_is_cancelled_is_stopped_and_one_whose_job_is_gone_goes_on() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("0").await;
    let order = rider.booked(&trip, &["1"]).await;
    let body = json!({"act": "retry", "filter": {"key": order}, "reason": "to see"});
    let bulk = world.ops.post("/v1/ops/bulk", &body).await.expect(202)["id"].as_str().unwrap().to_owned();
    let job = id_of(&world.pool, "bulk").await;
    world.ops.post(&format!("/v1/ops/jobs/{job}/cancel"), &json!({"reason": "no"})).await.expect(200);
    let state = async || -> Value {
        world.ops.get(&format!("/v1/ops/bulk/{bulk}")).await.expect(200)["state"].clone()
    };
    assert_eq!(state().await, "stopped");
    let answer = world.ops.get(&format!("/v1/ops/bulk/{bulk}")).await;
    assert_eq!(answer.expect(200)["stopped_by"], "ops", "{}", answer.text);
    let stop = world.ops.post(&format!("/v1/ops/bulk/{bulk}/stop"), &json!({})).await;
    stop.problem(409, "006044");

    let again = world.ops.post("/v1/ops/bulk", &body).await.expect(202)["id"].as_str().unwrap().to_owned();
    sqlx::query("delete from queue.job where tag = 'bulk'").execute(&world.pool).await.unwrap();
    let _worker = world.worker();
    until("it goes on", || async {
        world.ops.get(&format!("/v1/ops/bulk/{again}")).await.expect(200)["state"] == "done"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_tag_schedules_no_job_that_no_worker_runs() {
    let world = World::new().await;
    let _worker = Process::worker(&world.db.url, &[HORIZON], &["--tags", "order_unpaid"]);
    // At the second search the first one is over.
    for _ in 0..2 {
        look(&world.pool, true).await;
        until("a worker has looked", || async {
            let checked =
                "select count(*) from queue.maintenance_task where name = 'farebox_recurring' and next_at > now()";
            count(&world.pool, checked).await == 1
        })
        .await;
    }
    assert_eq!(count(&world.pool, "select count(*) from recurring_job").await, 0);
    assert_eq!(count(&world.pool, LIVE).await, 0);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_for_missing_jobs_reconnects_after_an_outage() {
    let world = World::new().await;
    look(&world.pool, false).await;
    let worker = Process::worker(&world.db.url, &[HORIZON], &[]);
    until("the job waits for midnight", || async { count(&world.pool, WAITING).await == 1 }).await;
    let shut_down = "create function raise_it() returns trigger language plpgsql as
                         $$ begin raise exception 'shutting down' using errcode = '57P01'; end $$;
                     create trigger shuts_down before insert on recurring_job for each row execute function raise_it()";
    sqlx::raw_sql(shut_down).execute(&world.pool).await.unwrap();
    look(&world.pool, true).await;
    let line = worker.wait_for_line("missing jobs not checked");
    let text = line.split("outage").nth(1).unwrap_or_else(|| panic!("{line}"));
    assert!(text.contains("true"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_cancel_covers_no_operation_and_says_which_jobs_come_back() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("10.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let body = json!({"act": "retry", "filter": {"key": order}, "reason": "to see"});
    let bulk = world.ops.post("/v1/ops/bulk", &body).await.expect(202)["id"].as_str().unwrap().to_owned();
    let job = id_of(&world.pool, "bulk").await;
    // An operation is stopped by its own act, or by calling its job off; never by another operation.
    for (chosen, field) in [
        (json!({"ids": [job]}), "/filter"),
        (json!({"filter": {"key": bulk}}), "/filter"),
        (json!({"filter": {"tag": "bulk"}}), "/filter/tag"),
    ] {
        let mut cancel = json!({"act": "cancel", "reason": "no"});
        cancel.as_object_mut().unwrap().extend(chosen.as_object().unwrap().clone());
        assert_eq!(world.ops.post("/v1/ops/bulk", &cancel).await.problem(422, "003074")["field"], field);
    }
    assert_eq!(world.ops.get(&format!("/v1/ops/bulk/{bulk}")).await.expect(200)["state"], "waiting");

    world.ops.post(&format!("/v1/ops/trips/{trip}/cancel"), &json!({"reason": "snow"})).await.expect(202);
    let preview = |act: &str, tag: &str| json!({"act": act, "filter": {"tag": tag}, "preview": true});
    let answer = world.ops.post("/v1/ops/bulk", &preview("cancel", "trip_cancel")).await;
    let words = &answer.expect(200)["comes_back"][0];
    assert!(
        words["en"].as_str().unwrap().starts_with("1 of them carry cancelled trips on"),
        "{}",
        answer.text
    );
    assert!(words["en"].as_str().unwrap().contains("puts such a job back within 1 min"), "{}", answer.text);
    assert!(words["zh"].as_str().unwrap().contains("重新放回"), "{}", answer.text);
    for quiet in [preview("retry", "trip_cancel"), preview("cancel", "order_unpaid")] {
        let answer = world.ops.post("/v1/ops/bulk", &quiet).await;
        assert!(answer.expect(200).get("comes_back").is_none(), "{}", answer.text);
    }
    let page =
        ConsoleSession::enter(&world, "ops").await.page("/console/bulk/new?act=cancel&tag=trip_cancel").await;
    assert!(page.contains("puts such a job back within 1 min"), "{page}");
}
