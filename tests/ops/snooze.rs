//! How long a job may be put off: no longer than what it is there for allows.

use crate::{
    console::session::ConsoleSession,
    harness::{Clock, Process, World, command, count, until},
};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

async fn job(world: &World, tag: &str) -> String {
    let sql = "select id::text from queue.job where tag = $1 order by run_at limit 1";
    sqlx::query_scalar(sql).bind(tag).fetch_one(&world.pool).await.unwrap()
}

/// Puts it off until so long from now.
async fn snooze(world: &World, id: &str, until: DateTime<Utc>) -> crate::harness::Answer {
    let body = json!({"until": until, "reason": "later"});
    world.ops.post(&format!("/v1/ops/jobs/{id}/snooze"), &body).await
}

fn rule(answer: &crate::harness::Answer) -> Value {
    let problem = answer.problem(422, "003074");
    assert_eq!(problem["field"], "/until", "{}", answer.text);
    problem["rule"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timer_of_an_unpaid_order_is_not_put_off_past_its_deadline() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("10.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let id = job(&world, "order_unpaid").await;
    let deadline: DateTime<Utc> = rider.get(&format!("/v1/orders/{order}")).await.expect(200)["expires_at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    for late in [Duration::microseconds(1), Duration::minutes(10), Duration::days(20), Duration::days(31)] {
        let shown = rule(&snooze(&world, &id, deadline + late).await);
        assert!(shown.as_str().unwrap().contains("the order's deadline is"), "{shown}");
    }
    snooze(&world, &id, deadline - Duration::minutes(1)).await.expect(200);
    snooze(&world, &id, deadline).await.expect(200);
    // The command line goes by the same rule.
    let args = ["jobs", "snooze", &id, "--for", "864000", "--reason", "later"];
    let refused = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &[]).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("the order's deadline is"), "{said}");
    world.verify().await;

    // Overdue, it is not put off at all, and closes the order.
    world.pass_deadline(&order).await;
    let shown = rule(&snooze(&world, &id, Utc::now() + Duration::minutes(5)).await);
    assert!(shown.as_str().unwrap().starts_with("it cannot be put off: the order's deadline is"), "{shown}");
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(world.order(&order).await["status"], "closed");
    assert_eq!(world.free_seats(&trip).await, 4);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timer_of_a_claim_without_an_order_is_bound_to_its_hold() {
    let mut world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("0").await;
    // The claim's own undo is armed, and its timer waits for the hold's end.
    rider
        .fault("order_add_seats_cancle.after=abort")
        .try_post("/v1/orders", &json!({"trip_id": trip, "seats": ["1"]}))
        .await
        .unwrap_err();
    world.api = world.api.again();
    let held: DateTime<Utc> =
        sqlx::query_scalar("select max(held_until) from seat").fetch_one(&world.pool).await.unwrap();
    let ops = world.ops.at(&world.api.base());
    let put_off = async |id: &str, until: DateTime<Utc>| {
        ops.post(&format!("/v1/ops/jobs/{id}/snooze"), &json!({"until": until})).await
    };
    let timer = job(&world, "order_unpaid").await;
    rule(&put_off(&timer, held + Duration::minutes(1)).await);
    put_off(&timer, held).await.expect(200);
    // The undo owes the seat.
    let undo = job(&world, "order_add_seats_cancle").await;
    let shown = rule(&put_off(&undo, Utc::now() + Duration::hours(5)).await);
    assert!(shown.as_str().unwrap().contains("somebody waits for seats or money"), "{shown}");
    put_off(&undo, Utc::now() + Duration::hours(3)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_without_pending_work_wait_for_a_month_and_recurring_ones_for_a_day() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("10.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let timer = job(&world, "order_unpaid").await;
    // Settled behind the timer's back.
    sqlx::query("update orders set status = 'closed', closed_reason = 'cancelled_by_rider', closed_at = now() where id = $1::uuid")
        .bind(&order)
        .execute(&world.pool)
        .await
        .unwrap();
    rule(&snooze(&world, &timer, Utc::now() + Duration::days(31)).await);
    rule(&snooze(&world, &timer, Utc::now() - Duration::seconds(1)).await);
    snooze(&world, &timer, Utc::now() + Duration::days(29)).await.expect(200);
    sqlx::query("insert into queue.job (id, tag, key, payload, max_attempts) values (gen_random_uuid(), 'timetable', 'horizon', '{\"v\": 1}', 25)")
        .execute(&world.pool)
        .await
        .unwrap();
    let recurring = job(&world, "timetable").await;
    rule(&snooze(&world, &recurring, Utc::now() + Duration::hours(25)).await);
    snooze(&world, &recurring, Utc::now() + Duration::hours(23)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn until_when_a_job_is_put_off_goes_by_the_databases_clock() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(4).await, world.rider("0").await);
    let order = rider.booked(&trip, &["1"]).await;
    let id = job(&world, "order_unpaid").await;
    let ahead = async || -> f64 {
        let sql = "select extract(epoch from run_at - now())::float8 from queue.job where id = $1::uuid";
        sqlx::query_scalar(sql).bind(&id).fetch_one(&world.pool).await.unwrap()
    };
    let page = format!("/console/jobs/{id}/snooze");
    for off in [-3_600, 3_600] {
        let clock = Clock::ahead(off);
        let env = clock.env();
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let api = Process::api(&world.db.url, &env);
        let ops = ConsoleSession { base: api.base(), ..ConsoleSession::enter(&world, "ops").await };
        let csrf = ops.hidden(&page, "csrf").await;
        let form = format!("csrf={csrf}&reason=later&minutes=3");
        assert_eq!(ops.status("POST", &page, Some(&form)).await, 303, "{off}");
        let shown = ahead().await;
        assert!((150.0..=180.0).contains(&shown), "{shown}");
        let args = ["jobs", "snooze", &id, "--for", "120", "--reason", "later"];
        let done = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &env).args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let shown = ahead().await;
        assert!((90.0..=120.0).contains(&shown), "{shown}");
    }

    // The form offers no more minutes than the job may be put off for.
    let ops = ConsoleSession::enter(&world, "ops").await;
    let offered = async || -> i64 {
        let page = ops.page(&page).await;
        page.split(" max=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    let left = "select floor(extract(epoch from expires_at - now()) / 60)::bigint from orders";
    let before = count(&world.pool, left).await;
    let most = offered().await;
    assert!((count(&world.pool, left).await..=before).contains(&most), "{most}, {before} are left");
    world.pass_deadline(&order).await;
    assert_eq!(offered().await, 1, "and that one is refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_put_itself_off_after_a_failure_is_retrying_no_more() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(4).await, world.rider("0").await);
    rider.booked(&trip, &["1"]).await;
    let id = job(&world, "order_unpaid").await;
    let failing = [("FAREBOX_FAULTS", "undo.order_unpaid.before=error")];
    let shown = async || world.ops.get(&format!("/v1/ops/jobs/{id}")).await.expect(200).clone();
    let queue = async || {
        let queues = world.ops.get("/v1/ops/queues").await;
        let all = queues.expect(200)["items"].as_array().unwrap();
        let one = all.iter().find(|queue| queue["tag"] == "order_unpaid").unwrap();
        ["retrying", "delayed", "most_failures"].map(|field| one[field].as_i64().unwrap())
    };
    let found = async |state: &str| {
        let jobs = world.ops.get(&format!("/v1/ops/jobs?tag=order_unpaid&state={state}")).await;
        jobs.expect(200)["items"].as_array().unwrap().len()
    };
    for failures in 1..=2 {
        let mut worker = Process::worker(&world.db.url, &failing, &[]);
        world.ops.post(&format!("/v1/ops/jobs/{id}/retry"), &json!({"reason": "now"})).await.expect(200);
        worker.wait_for_line("attempt failed");
        worker.kill();
        // The number of attempts stays.
        sqlx::query(
            "update queue.job set attempt = $1, run_at = now() + interval '1 min', lease_token = null, lease_until = null,
                 leased_at = null, worker = null, first_due_at = coalesce(first_due_at, now()),
                 failures = coalesce(nullif(failures, '[]'), '[{\"attempt\": 1, \"error\": \"x\"}]')",
        )
        .bind(failures)
        .execute(&world.pool)
        .await
        .unwrap();
        assert_eq!(shown().await["state"], "retrying");
        assert_eq!(queue().await, [1, 0, i64::from(failures)]);
        assert_eq!([found("retrying").await, found("delayed").await], [1, 0]);

        // The order is open still: the timer puts itself off until its deadline.
        let mut worker = Process::worker(&world.db.url, &[], &[]);
        world.ops.post(&format!("/v1/ops/jobs/{id}/retry"), &json!({"reason": "mended"})).await.expect(200);
        until("it is put off", async || {
            let off = "select count(*) from queue.job where run_at > now() + interval '1 min' and lease_token is null";
            count(&world.pool, off).await == 1
        })
        .await;
        worker.kill();
        let job = shown().await;
        assert_eq!((&job["state"], &job["attempt"]), (&json!("delayed"), &json!(failures)), "{job}");
        assert!(job.get("next_attempt_at").is_none(), "{job}");
        assert_eq!(queue().await, [0, 1, 0]);
        assert_eq!([found("retrying").await, found("delayed").await], [0, 1]);
        let metrics = world.ops.get("/metrics").await.text;
        assert!(metrics.contains("farebox_queue_failures{tag=\"order_unpaid\"} 0\n"), "{metrics}");
    }
    world.verify().await;
}
