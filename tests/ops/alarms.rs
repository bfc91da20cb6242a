//! What fails is reported as failing: on home, in the API, at the command line, to the scraper and
//! by the invariants, with the default number of attempts; and the invariants are checked soon
//! after an outage.

use crate::{
    console::session::ConsoleSession,
    harness::{Client, Frozen, OwnServer, Process, World, command, count, until},
    ops::actions::many_dead,
    ops::checker::schedule_check,
};
use farebox::{ops::undos, settings::DEFAULT_OVERDUE_BOUND};
use farebox_jobs::{MqTag, retry_policy};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const ONE_SECOND: [(&str, &str); 1] = [("FAREBOX__VERIFY__DEBT_SECS", "1")];
const SAFE: [&str; 4] =
    ["Seats and money are safe", "Nothing is stuck", "every invariant holds", "座位与资金安全"];

fn in_chinese(session: &ConsoleSession) -> ConsoleSession {
    ConsoleSession {
        http: session.http.clone(),
        base: session.base.clone(),
        cookie: format!("{}; farebox_lang=zh", session.cookie),
    }
}

#[track_caller]
fn says(page: &str, texts: &[&str]) {
    texts.iter().for_each(|text| assert!(page.contains(text), "{text:?} is not in {page}"));
}

#[track_caller]
fn says_none(page: &str, texts: &[&str]) {
    texts.iter().for_each(|text| assert!(!page.contains(text), "{text:?} is in {page}"));
}

fn farebox(world: &World, args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, env).args(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

async fn of_tag(ops: &Client, tag: &str) -> Value {
    let queues = ops.get("/v1/ops/queues").await;
    let all = queues.expect(200)["items"].as_array().unwrap();
    all.iter().find(|queue| queue["tag"] == tag).unwrap().clone()
}

async fn invariant(ops: &Client, name: &str) -> Value {
    let report = ops.get("/v1/ops/verify").await;
    let all = report.expect(200)["invariants"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_fails_repeatedly_is_reported_everywhere() {
    const TAG: &str = "pay_money_cancle";
    let world = World::new().await;
    let (trip, rider) = (world.trip(8).await, world.rider("50.00").await);
    let ops = ConsoleSession::enter(&world, "ops").await;
    let order = rider.booked(&trip, &["3", "4"]).await;
    let failing = [("FAREBOX_FAULTS", "undo.pay_money_cancle.before=error")];
    let mut worker = Process::worker(&world.db.url, &failing, &[]);
    rider.fault("pay_money_cancle.after=error").pay(&order).await.problem(500, "003099");
    until("it failed three times", async || {
        let jobs = world.ops.get("/v1/ops/jobs?state=retrying").await;
        jobs.expect(200)["items"][0]["failures"].as_i64().is_some_and(|failures| failures >= 3)
    })
    .await;
    worker.kill();
    // Whatever the last attempt left: it has failed eight times, and is tried again in a while.
    let held = "update queue.job set lease_token = null, lease_until = null, leased_at = null, worker = null,
                    attempt = 8, run_at = now() + interval '10 min' where tag = 'pay_money_cancle'";
    sqlx::query(held).execute(&world.pool).await.unwrap();

    // The API.
    let jobs = world.ops.get("/v1/ops/jobs?state=retrying").await;
    let job = &jobs.expect(200)["items"][0];
    let fields = (&job["tag"], &job["state"], &job["failures"], &job["max_attempts"], &job["order_id"]);
    assert_eq!(fields, (&json!(TAG), &json!("retrying"), &json!(8), &json!(25), &json!(order)), "{job}");
    assert_eq!(job["next_attempt_at"], job["run_at"]);
    assert!(job["first_due_at"].as_str().unwrap() < job["run_at"].as_str().unwrap(), "{job}");
    let id = job["id"].as_str().unwrap();
    for state in ["ready", "delayed", "running"] {
        let others = world.ops.get(&format!("/v1/ops/jobs?tag={TAG}&state={state}")).await;
        assert_eq!(others.expect(200)["items"], json!([]), "{state}");
    }
    for path in [
        format!("/v1/ops/jobs?tag={TAG}&state=retrying"),
        format!("/v1/ops/jobs?order={order}&state=retrying"),
    ] {
        assert_eq!(world.ops.get(&path).await.expect(200)["items"].as_array().unwrap().len(), 1, "{path}");
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

    // The command line and the scraper.
    let (_, listed) = farebox(&world, &["jobs", "list", "--state", "retrying", "--json"], &[]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["failures"]), (&json!(id), &json!(8)));
    let (_, queues) = farebox(&world, &["queues", "list"], &[]);
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
    let age = metrics.split("farebox_queue_oldest_debt_seconds{tag=\"pay_money_cancle\"} ").nth(1).unwrap();
    assert!(age.split('\n').next().unwrap().parse::<f64>().unwrap() > 0.0);

    // The pages, in both languages.
    let home = ops.page("/console").await;
    says_none(&home, &SAFE);
    says(
        &home,
        &[
            "Working it off",
            "8.00 of 1 rider and 0 seats are owed.",
            "1 undo is failing and is tried again (8th time, next in",
        ],
    );
    let home = in_chinese(&ops).page("/console").await;
    says_none(&home, &SAFE);
    says(&home, &["欠 1 位乘客共 8.00", "1 个撤销任务失败并正在重试（最多已失败 8 次"]);
    let page = ops.page(&format!("/console/orders/{order}")).await;
    says(
        &page,
        &[
            "A debit of 8.00 is to be given back or settled: its job failed 8 times, tried again in",
            "simulated",
        ],
    );
    let page = in_chinese(&ops).page(&format!("/console/orders/{order}")).await;
    says(&page, &["任务已失败 8 次", "秒后重试"]);
    says(&ops.page("/console/queues").await, &["failed up to 8 times"]);
    says(&ops.page("/console/jobs?state=retrying").await, &["failed, retrying", "8 / 25"]);
    says(&ops.page(&format!("/console/jobs/{id}")).await, &["failed, retrying", "Next attempt", "First due"]);
    let timeline = world.ops.get(&format!("/v1/ops/orders/{order}/timeline")).await;
    let debt = &timeline.expect(200)["owed"][0];
    assert_eq!((&debt["job_state"], &debt["failures"]), (&json!("retrying"), &json!(8)), "{debt}");

    // It breaks an invariant once it is pending for longer than the bound, whenever it is tried next.
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
    let (code, text) = farebox(&world, &["verify"], &ONE_SECOND);
    assert_eq!(code, Some(1), "{text}");
    says(&text, &["BREACH No undo has been due", "owed to rider0, 8.00, seats 3 4 for"]);
    let by_default = invariant(&world.ops, "debts_are_paid_in_time").await;
    assert_eq!(by_default["holds"], true, "the bound is a minute: {by_default}");
    assert!(by_default.get("breach").is_none() && by_default.get("debts").is_none(), "{by_default}");

    // By default after a minute; home then asks for an operator.
    let a_minute =
        "update queue.job set first_due_at = first_due_at - interval '1 min' where tag = 'pay_money_cancle'";
    sqlx::query(a_minute).execute(&world.pool).await.unwrap();
    let mut failing = Process::worker(&world.db.url, &failing, &[]);
    schedule_check(&world.pool).await;
    until("home tells the breach", async || {
        ops.page("/console").await.contains("1 undo has been due for too long without being done.")
    })
    .await;
    let home = ops.page("/console").await;
    says_none(&home, &SAFE);
    says(&home, &["Needs you", "8.00 of 1 rider", "1 undo has been due for too long, the oldest for 1 min"]);
    says(&home, &["rider0", "8.00</span> · seats 3, 4 · owed for 1 min", "simulated"]);
    let home = in_chinese(&ops).page("/console").await;
    says(
        &home,
        &["需要您处理", "1 个撤销任务到期过久仍未完成。", "逾期过久", "座位 3, 4 · 已欠 1 分", "已失败 8 次"],
    );
    let broken = invariant(&world.ops, "debts_are_paid_in_time").await;
    says(
        broken["debts"][0]["why"]["en"].as_str().unwrap(),
        &["failed", "times, tried again in", "simulated"],
    );

    // An operator removes the cause and retries, and then nothing is pending.
    failing.kill();
    let free = "update queue.job set lease_token = null, lease_until = null, leased_at = null, worker = null
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

#[tokio::test(flavor = "multi_thread")]
async fn pending_work_is_as_old_as_its_first_due_time_whatever_was_done_to_its_job() {
    const TAG: &str = "order_add_seats_cancle";
    let world = World::new().await;
    let (trip, rider) = (world.trip(8).await, world.rider("0").await);
    let failed = rider.fault("order_add_seats_cancle.after=error").book(&trip, &["1", "2"]).await;
    failed.problem(500, "003099");
    let overdue = async || invariant(&world.ops, "debts_are_paid_in_time").await;
    let set = async |sql: &'static str| sqlx::query(sql).execute(&world.pool).await.unwrap();
    assert_eq!(overdue().await["holds"], true, "it has just fallen due");
    set("update queue.job set run_at = now() - interval '61 s' where tag = 'order_add_seats_cancle'").await;
    let debt = overdue().await["debts"][0].clone();
    let fields = (&debt["rider"], &debt["frees"], &debt["failures"]);
    assert_eq!(fields, (&json!("rider0"), &json!([1, 2]), &json!(0)), "{debt}");
    assert!(debt.get("amount").is_none(), "{debt}");
    says(debt["why"]["en"].as_str().unwrap(), &["no living worker takes its tag"]);
    let home = ConsoleSession::enter(&world, "ops").await.page("/console").await;
    says(&home, &["Needs you", "0.00 of 1 rider and 2 seats are owed."]);
    says_none(&home, &SAFE);

    // Paused: pending all the same, and the pausing operator is named.
    let pause = format!("/v1/ops/queues/{TAG}/pause");
    world.ops.post(&pause, &json!({ "reason": "looking into it" })).await.expect(200);
    let paused = overdue().await;
    says(paused["debts"][0]["why"]["en"].as_str().unwrap(), &["its tag is paused by ops", "looking into it"]);

    // Put off: it is not due before, but it is pending.
    let id = debt["job_id"].as_str().unwrap();
    let until = chrono::Utc::now() + chrono::Duration::hours(1);
    let put_off = world.ops.post(&format!("/v1/ops/jobs/{id}/snooze"), &json!({ "until": until })).await;
    assert_eq!(put_off.expect(200)["state"], "delayed", "it never failed");
    assert_eq!(overdue().await["count"], 1);
    let queue = of_tag(&world.ops, TAG).await;
    assert!(queue["oldest_debt_secs"].as_f64().is_some_and(|secs| secs > 60.0), "{queue}");
    let metrics = world.ops.get("/metrics").await.text;
    let age = metrics.split("farebox_queue_oldest_debt_seconds{tag=\"order_add_seats_cancle\"} ").nth(1);
    let age = age.and_then(|rest| rest.split('\n').next()?.parse::<f64>().ok());
    assert!(age.is_some_and(|age| age > 60.0), "the alert sees it: {age:?}");

    // Buried and redriven: ready, and as old as before.
    set("with gone as (delete from queue.job where tag = 'order_add_seats_cancle' returning *)
         insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at,
                                        first_due_at)
         select id, tag, key, payload, max_attempts, 25, 'exhausted', '[{\"attempt\": 25, \"error\": \"no\"}]', run_at,
                created_at, first_due_at from gone")
        .await;
    assert_eq!(overdue().await["holds"], true, "nothing_is_dead has it now");
    let back = world.ops.post(&format!("/v1/ops/jobs/{id}/retry"), &json!({})).await;
    assert_eq!(back.expect(200)["state"], "ready", "of its new attempts none has failed");
    assert_eq!(overdue().await["count"], 1);

    // Failed, it is failing; once its own handler has put it off it is not, but pending all the same.
    let failing = async || {
        let owed = undos::backlog(&world.pool, DEFAULT_OVERDUE_BOUND).await.unwrap();
        (owed.due, owed.overdue, owed.failing, owed.failures)
    };
    set("update queue.job set attempt = 3, failures = '[{\"attempt\": 3, \"error\": \"no\"}]',
                first_due_at = coalesce(first_due_at, run_at)
         where tag = 'order_add_seats_cancle'")
    .await;
    assert_eq!(failing().await, (1, 1, 1, 3));
    set("update queue.job set snoozed_attempt = 3 where tag = 'order_add_seats_cancle'").await;
    assert_eq!(failing().await, (1, 1, 0, 0));

    // Pages read it once for all who look at the same time.
    let (kept, fresh) = (
        undos::CachedUndoBacklog::with_max_age(Duration::from_secs(3_600)),
        undos::CachedUndoBacklog::with_max_age(Duration::ZERO),
    );
    let again = kept.clone();
    assert_eq!(kept.read(&world.pool, DEFAULT_OVERDUE_BOUND).await.unwrap().due, 1);
    set("update queue.job set attempt = 0, snoozed_attempt = 0, failures = '[]', run_at = now() + interval '1 hour',
                first_due_at = null
         where tag = 'order_add_seats_cancle'")
        .await;
    assert_eq!(fresh.read(&world.pool, DEFAULT_OVERDUE_BOUND).await.unwrap().due, 0);
    assert_eq!(again.read(&world.pool, DEFAULT_OVERDUE_BOUND).await.unwrap().due, 1, "read within the hour");

    // An armed undo that was never due is no debt, however long it waits; nor is a timer.
    set("update queue.job set run_at = now() + interval '1 hour', first_due_at = null where tag = 'order_add_seats_cancle'")
        .await;
    rider.booked(&trip, &["5"]).await;
    let waiting = "select count(*) from queue.job where run_at > now()";
    assert_eq!(count(&world.pool, waiting).await, 3, "the undo, and two timers");
    assert_eq!(overdue().await["holds"], true);
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

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_uses_metrics_that_exist() {
    let world = World::new().await;
    let worker = Process::worker(&world.db.url, &[("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0")], &[]);
    let ops = &world.ops;
    until("the invariants were checked", async || {
        ops.get("/metrics").await.text.contains("farebox_invariants_age")
    })
    .await;
    let text = reqwest::get(format!("{}/metrics", worker.metrics())).await.unwrap().text().await.unwrap();
    let shown = format!("{}\n{text}", ops.get("/metrics").await.text);
    let mut known: BTreeSet<&str> =
        shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    known.insert("farebox_http_refused"); // shown once a request was refused
    let alerts = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/alerts.yml")).unwrap();
    let expressions: Vec<&str> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(expressions.len() >= 9, "{expressions:?}");
    for expression in expressions {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for metric in words.filter(|word| word.starts_with("farebox_")) {
            assert!(known.contains(metric.trim_end_matches("_total")), "{metric} in {expression}: {known:?}");
        }
    }
}

/// The alert's lines.
fn alert<'a>(rules: &'a str, name: &str) -> &'a str {
    let rule = rules.split("- alert: ").find(|rule| rule.lines().next() == Some(name));
    rule.unwrap_or_else(|| panic!("no alert {name}"))
}

/// The rest of the line that begins so.
fn after<'a>(text: &'a str, start: &str) -> &'a str {
    let rest = text.lines().find_map(|line| line.trim().strip_prefix(start));
    rest.unwrap_or_else(|| panic!("no {start:?} in {text}"))
}

/// Seconds, as Prometheus writes a time.
fn secs(time: &str) -> f64 {
    let (number, unit) = time.trim().split_at(time.trim().len() - 1);
    number.parse::<f64>().unwrap() * if unit == "m" { 60.0 } else { 1.0 }
}

#[test]
fn overdue_pending_work_fires_an_alert_within_two_minutes() {
    const TWO_MINUTES: f64 = 120.0;
    let rules = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/alerts.yml")).unwrap();
    // What happened is seen at the next scrape, and judged at the next evaluation after that.
    let seen = secs(after(&rules, "# scrape_interval: ")) + secs(after(&rules, "# evaluation_interval: "));

    let failing = alert(&rules, "RollbackFailing");
    let attempts: i32 = after(failing, "expr: ").rsplit(">= ").next().unwrap().parse().unwrap();
    assert_eq!(attempts, 5);
    let others = ["order_unpaid", "timetable", "bulk"];
    assert!(failing.contains(&format!("tag!~\"{}\"", others.join("|"))), "{failing}");
    for tag in MqTag::ALL.into_iter().filter(|tag| !others.contains(&tag.wire())) {
        let policy = retry_policy(tag);
        let failed: f64 = (1..=attempts).map(|attempt| policy.ceiling(attempt).as_secs_f64()).sum();
        let fires = failed + seen + secs(after(failing, "for: "));
        assert!(policy.max_attempts > attempts && fires < TWO_MINUTES, "{tag}: after {fires} s");
    }

    let overdue = alert(&rules, "DebtOverdue");
    let threshold = after(overdue, "expr: ").rsplit("> ").next().unwrap().parse::<f64>().unwrap();
    assert!(
        (threshold - DEFAULT_OVERDUE_BOUND.as_secs_f64()).abs() < f64::EPSILON,
        "the bound of the invariant"
    );
    let fires = threshold + seen + secs(after(overdue, "for: "));
    assert!(fires < TWO_MINUTES, "after {fires} s");
}
