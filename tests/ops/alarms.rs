//! What fails is reported as failing: on home, in the API, at the command line, to the scraper and
//! by the invariants, with the default number of attempts.

use super::{
    checker::schedule_check,
    dead_letters::many_dead,
    reports::{SAFE, in_chinese, invariant, of_tag, says, says_none},
};
use crate::{
    console::session::ConsoleSession,
    harness::{Client, Frozen, OwnServer, Process, World, command, count, until},
};
use serde_json::{Value, json};
use std::time::Duration;

const TAG: &str = "pay_money_cancle";
/// What makes the undo fail.
const FAILING: [(&str, &str); 1] = [("FAREBOX_FAULTS", "undo.pay_money_cancle.before=error")];
const ONE_SECOND: [(&str, &str); 1] = [("FAREBOX__VERIFY__DEBT_SECS", "1")];

fn farebox(world: &World, args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, env).args(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_fails_repeatedly_is_reported_everywhere() {
    let undo = FailingUndo::new().await;
    undo.is_reported_by_the_api().await;
    undo.is_reported_by_the_command_line_and_the_scraper().await;
    undo.is_reported_by_the_pages().await;
    undo.breaks_an_invariant_once_it_is_overdue().await;
    let worker = undo.is_overdue_after_a_minute_by_default().await;
    undo.is_repaired_by_an_operator(worker).await;
}

/// The undo of a payment that failed eight times, and is tried again in ten minutes.
struct FailingUndo {
    world: World,
    /// The console.
    ops: ConsoleSession,
    rider: Client,
    order: String,
    /// The job.
    id: String,
}

impl FailingUndo {
    async fn new() -> Self {
        let world = World::new().await;
        let (trip, rider) = (world.trip(8).await, world.rider("50.00").await);
        let ops = ConsoleSession::enter(&world, "ops").await;
        let order = rider.booked(&trip, &["3", "4"]).await;
        let mut worker = Process::worker(&world.db.url, &FAILING, &[]);
        rider.fault("pay_money_cancle.after=error").pay(&order).await.problem(500, "003099");
        until("it failed three times", async || {
            let jobs = world.ops.get("/v1/ops/jobs?state=retrying").await;
            jobs.expect(200)["items"][0]["failures"].as_i64().is_some_and(|failures| failures >= 3)
        })
        .await;
        worker.kill();
        // Whatever the last attempt left: it has failed eight times, and is tried again in a while.
        let held =
            "update queue.job set lease_token = null, lease_until = null, leased_at = null, worker = null,
                    attempt = 8, run_at = now() + interval '10 min' where tag = 'pay_money_cancle'";
        sqlx::query(held).execute(&world.pool).await.unwrap();
        let jobs = world.ops.get("/v1/ops/jobs?state=retrying").await;
        let id = jobs.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
        Self { world, ops, rider, order, id }
    }

    async fn is_reported_by_the_api(&self) {
        let Self { world, order, id, .. } = self;
        let jobs = world.ops.get("/v1/ops/jobs?state=retrying").await;
        let job = &jobs.expect(200)["items"][0];
        let fields = (&job["tag"], &job["state"], &job["failures"], &job["max_attempts"], &job["order_id"]);
        assert_eq!(fields, (&json!(TAG), &json!("retrying"), &json!(8), &json!(25), &json!(order)), "{job}");
        assert_eq!(job["next_attempt_at"], job["run_at"]);
        assert!(job["first_due_at"].as_str().unwrap() < job["run_at"].as_str().unwrap(), "{job}");
        for state in ["ready", "delayed", "running"] {
            let others = world.ops.get(&format!("/v1/ops/jobs?tag={TAG}&state={state}")).await;
            assert_eq!(others.expect(200)["items"], json!([]), "{state}");
        }
        for path in [
            format!("/v1/ops/jobs?tag={TAG}&state=retrying"),
            format!("/v1/ops/jobs?order={order}&state=retrying"),
        ] {
            assert_eq!(
                world.ops.get(&path).await.expect(200)["items"].as_array().unwrap().len(),
                1,
                "{path}"
            );
        }
        assert_eq!(world.ops.get(&format!("/v1/ops/jobs/{id}")).await.expect(200)["state"], "retrying");
        let wrong = world.ops.get("/v1/ops/jobs?state=failing").await;
        assert!(wrong.problem(422, "003074").to_string().contains("retrying"), "{}", wrong.text);
        let queue = of_tag(&world.ops, TAG).await;
        let fields = (&queue["retrying"], &queue["delayed"], &queue["ready"], &queue["most_failures"]);
        assert_eq!(fields, (&json!(1), &json!(0), &json!(0), &json!(8)), "{queue}");
        assert!(queue["oldest_debt_secs"].as_f64().unwrap() > 0.0, "{queue}");
        let timer = of_tag(&world.ops, "order_unpaid").await;
        assert_eq!(
            (&timer["retrying"], &timer["delayed"]),
            (&json!(0), &json!(1)),
            "what never failed is not retrying"
        );
        assert!(timer.get("oldest_debt_secs").is_none(), "{timer}");
    }

    async fn is_reported_by_the_command_line_and_the_scraper(&self) {
        let Self { world, id, .. } = self;
        let (_, listed) = farebox(world, &["jobs", "list", "--state", "retrying", "--json"], &[]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["failures"]), (&json!(id), &json!(8)));
        let (_, queues) = farebox(world, &["queues", "list"], &[]);
        says(&queues, &["retrying 1", "failed up to 8 times", "oldest debt"]);
        let metrics = world.ops.get("/metrics").await.text;
        says(
            &metrics,
            &[
                "farebox_queue_retrying{tag=\"pay_money_cancle\"} 1\n",
                "farebox_queue_failures{tag=\"pay_money_cancle\"} 8\n",
                "farebox_jobs{tag=\"pay_money_cancle\",state=\"retrying\"} 1\n",
                "farebox_jobs{tag=\"pay_money_cancle\",state=\"delayed\"} 0\n",
            ],
        );
        let age =
            metrics.split("farebox_queue_oldest_debt_seconds{tag=\"pay_money_cancle\"} ").nth(1).unwrap();
        assert!(age.split('\n').next().unwrap().parse::<f64>().unwrap() > 0.0);
    }

    /// In both languages.
    async fn is_reported_by_the_pages(&self) {
        let Self { world, ops, order, id, .. } = self;
        let home = ops.page("/console").await;
        says_none(&home, &SAFE);
        says(
            &home,
            &[
                "Working it off",
                "8.00\u{a0}CNY of 1 rider and 0 seats are owed.",
                "1 undo is failing and is tried again (8th time, next in",
            ],
        );
        let home = in_chinese(ops).page("/console").await;
        says_none(&home, &SAFE);
        says(&home, &["欠 1 位乘客共 8.00\u{a0}CNY", "1 个撤销任务失败并正在重试（最多已失败 8 次"]);
        let page = ops.page(&format!("/console/orders/{order}")).await;
        says(
            &page,
            &[
                "A debit of 8.00\u{a0}CNY is to be given back or settled: its job failed 8 times, tried again in",
                "simulated",
            ],
        );
        let page = in_chinese(ops).page(&format!("/console/orders/{order}")).await;
        says(&page, &["任务已失败 8 次", "秒后重试"]);
        says(&ops.page("/console/queues").await, &["failed up to 8 times"]);
        says(&ops.page("/console/jobs?state=retrying").await, &["failed, retrying", "8 / 25"]);
        says(
            &ops.page(&format!("/console/jobs/{id}")).await,
            &["failed, retrying", "Next attempt", "First due"],
        );
        let timeline = world.ops.get(&format!("/v1/ops/orders/{order}/timeline")).await;
        let debt = &timeline.expect(200)["owed"][0];
        assert_eq!((&debt["job_state"], &debt["failures"]), (&json!("retrying"), &json!(8)), "{debt}");
    }

    /// It is pending for longer than the bound, whenever it is tried next.
    async fn breaks_an_invariant_once_it_is_overdue(&self) {
        let Self { world, order, id, .. } = self;
        until("a second has passed", async || {
            of_tag(&world.ops, TAG).await["oldest_debt_secs"].as_f64().unwrap() > 1.0
        })
        .await;
        let soon = Process::api(&world.db.url, &ONE_SECOND);
        let broken = invariant(&world.ops.at(&soon.base()), "debts_are_paid_in_time").await;
        let fields = (&broken["holds"], &broken["count"], &broken["level"]);
        assert_eq!(fields, (&json!(false), &json!(1), &json!("needs_you")), "{broken}");
        assert_eq!(broken["breach"]["en"], "1 undo has been due for too long without being done.");
        let debt = &broken["debts"][0];
        let fields = (&debt["rider"], &debt["amount"], &debt["seats"], &debt["job_id"], &debt["order_id"]);
        assert_eq!(
            fields,
            (&json!("rider0"), &json!("8.00"), &json!([3, 4]), &json!(id), &json!(order)),
            "{debt}"
        );
        assert_eq!(debt["failures"], 8);
        let (code, text) = farebox(world, &["verify"], &ONE_SECOND);
        assert_eq!(code, Some(1), "{text}");
        says(&text, &["BREACH No undo has been due", "owed to rider0, 8.00 CNY, seats 3 4 for"]);
        let by_default = invariant(&world.ops, "debts_are_paid_in_time").await;
        assert_eq!(by_default["holds"], true, "the bound is a minute: {by_default}");
        assert!(by_default.get("breach").is_none() && by_default.get("debts").is_none(), "{by_default}");
    }

    /// Home then asks for an operator. Returns the worker under which it still fails.
    async fn is_overdue_after_a_minute_by_default(&self) -> Process {
        let Self { world, ops, .. } = self;
        let a_minute = "update queue.job set first_due_at = first_due_at - interval '1 min' where tag = 'pay_money_cancle'";
        sqlx::query(a_minute).execute(&world.pool).await.unwrap();
        let failing = Process::worker(&world.db.url, &FAILING, &[]);
        schedule_check(&world.pool).await;
        until("home tells the breach", async || {
            ops.page("/console").await.contains("1 undo has been due for too long without being done.")
        })
        .await;
        let home = ops.page("/console").await;
        says_none(&home, &SAFE);
        says(
            &home,
            &[
                "Needs you",
                "8.00\u{a0}CNY of 1 rider",
                "1 undo has been due for too long, the oldest for 1 min",
            ],
        );
        says(&home, &["rider0", "8.00\u{a0}CNY</span> · seats 3, 4 · owed for 1 min", "simulated"]);
        let home = in_chinese(ops).page("/console").await;
        says(
            &home,
            &[
                "需要您处理",
                "1 个撤销任务到期过久仍未完成。",
                "逾期过久",
                "座位 3, 4 · 已欠 1 分",
                "已失败 8 次",
            ],
        );
        let broken = invariant(&world.ops, "debts_are_paid_in_time").await;
        says(
            broken["debts"][0]["why"]["en"].as_str().unwrap(),
            &["failed", "times, tried again in", "simulated"],
        );
        failing
    }

    /// An operator removes the cause and retries, and then nothing is pending.
    async fn is_repaired_by_an_operator(&self, mut failing: Process) {
        let Self { world, ops, rider, id, .. } = self;
        failing.kill();
        let free =
            "update queue.job set lease_token = null, lease_until = null, leased_at = null, worker = null
                where tag = 'pay_money_cancle'";
        sqlx::query(free).execute(&world.pool).await.unwrap();
        let worker = world.worker();
        world
            .ops
            .post(&format!("/v1/ops/jobs/{id}/retry"), &json!({ "reason": "the bank is back" }))
            .await
            .expect(200);
        until("the money is back", async || rider.balance().await == "50.00").await;
        world.verify().await;
        schedule_check(&world.pool).await;
        until("home is green again", async || ops.page("/console").await.contains(SAFE[0])).await;
        says(&ops.page("/console").await, &["Nothing is stuck."]);
        drop(worker);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_red_home_shows_the_breach_its_count_and_a_link_to_the_rest() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(8).await, world.rider("0").await);
    let ops = ConsoleSession::enter(&world, "ops").await;
    // Of a tag without pending work, so that only its end is reported.
    many_dead(&world, 12).await;
    let _worker = world.worker();
    until("the dead letters were checked", async || {
        ops.page("/console").await.contains("12 jobs have given up.")
    })
    .await;
    until("the verdict is there", async || ops.page("/console").await.contains("and 2 more")).await;
    let home = ops.page("/console").await;
    says(&home, &["Needs you", "href=\"/console/jobs?state=dead\">and 2 more"]);
    says_none(&home, &SAFE);
    says_none(&home, &["No job has given up", "Corrupt"]);
    let home = in_chinese(&ops).page("/console").await;
    says(&home, &["需要您处理", "12 个任务已放弃。", "另有 2 处"]);
    says_none(&home, &["given up", "more</a>"]);

    // A broken invariant is worse than pending work.
    let order = rider.booked(&trip, &["1"]).await;
    rider.cancel(&order).await.expect(200);
    super::checker::forget(&world.pool, &order).await;
    schedule_check(&world.pool).await;
    until("home says corrupt", async || ops.page("/console").await.contains("Corrupt")).await;
    let home = ops.page("/console").await;
    says(&home, &["1 order's state has no history row.", "12 jobs have given up."]);
    says_none(&home, &["Every order's state has its history row"]);
    says(&in_chinese(&ops).page("/console").await, &["数据有误", "1 个订单的状态没有历史记录。"]);
    let report = world.ops.get("/v1/ops/verify").await;
    assert_eq!(report.expect(200)["level"], "corrupt");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_invariants_are_checked_soon_after_an_outage() {
    // Nineteen times as long is more than a test waits.
    const STILL: Duration = Duration::from_secs(6);
    let own = OwnServer::start("frozen", &[]).await;
    let pool = own.pool();
    let _worker = Process::worker(&own.url, &[], &[]);
    let checked = "select coalesce((select extract(epoch from at) * 1000 from verdict), 0)::bigint";
    until("the first check is done", async || count(&pool, checked).await > 0).await;
    let before = count(&pool, checked).await;
    // The next turn comes while the server stands still: the worker asks every second.
    sqlx::query(
        "update queue.maintenance_task set next_at = now() + interval '1.5 s' where name = 'farebox_verify'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let frozen = Frozen::server(&own);
    tokio::time::sleep(STILL).await;
    drop(frozen);
    until("it is checked once the server is back", async || count(&pool, checked).await > before).await;
    let back = count(&pool, checked).await;
    schedule_check(&pool).await;
    until("it is checked again", async || count(&pool, checked).await > back).await;
}
