//! The home page: in ten seconds, whether seats and money are safe, and what is stuck.

use super::queues::retrying;
use crate::console::{
    chart::{Series, bars, last_hour, of_tag},
    layout::{Answer, Nav, empty, link_job, link_order, link_rider, live, page, span, state, tag, when},
    session::{Lang, Visit},
};
use crate::{
    domain::Money,
    http::App,
    ops::{
        overview::{self, HealthLevel, TagMinute},
        undos::UndoBacklog,
        verifier::{self, BrokenInvariant, StoredVerdict},
    },
    telemetry::traffic,
    verify,
};
use axum::extract::State;
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, COUNT_MAX, FAILED_MAX, JobView, QueueView, WorkerView},
};
use maud::{Markup, html};
use serde_json::Value;
use uuid::Uuid;

/// The share of waits that a chart's value is not below.
const SHARE: f64 = 0.99;

pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    let pool = &app.saga.pool;
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    let now = async { tokio::try_join!(admin::queues(pool, &tags), admin::workers(pool, None, COUNT_MAX)) };
    let bound = app.settings.verify.overdue_bound();
    let amiss = async {
        tokio::try_join!(
            verifier::verdict(pool),
            app.owed.read(pool, bound),
            overview::dead(pool),
            overview::retrying(pool),
            overview::late(pool),
            overview::count_late(pool)
        )
    };
    let past = async { tokio::try_join!(overview::hour(pool), traffic::hour(pool)) };
    let ((queues, workers), (verdict, owed, dead, failing, late, all_late), (hour, asked)) =
        tokio::try_join!(now, amiss, past)?;
    let (all_dead, all_failing) = (count_dead(&queues), count_failing(&queues));
    let many_dead: i64 = queues.iter().map(|queue| queue.dead).sum();
    let many_failing: i64 = queues.iter().map(|queue| queue.retrying).sum();
    let standing = overview::health_level(verdict.as_ref(), &owed, many_dead, many_failing);
    let stuck = [
        Stuck { jobs: dead.iter().map(|job| (job, None)).collect(), all: all_dead, state: "dead" },
        Stuck { jobs: failing.iter().map(|job| (job, None)).collect(), all: all_failing, state: "retrying" },
        Stuck {
            jobs: late.iter().map(|late| (&late.job, Some(late.late_secs))).collect(),
            all: counted(all_late),
            state: "ready",
        },
    ];
    let body = html! {
        (live("verdict", &visit, told(&visit, standing, verdict.as_ref(), &owed, (many_dead, many_failing))))
        (live("tiles", &visit, tiles(&visit, &queues, &workers, &owed, all_late)))
        (live("stuck", &visit, listed(&visit, &stuck)))
        h2 { (visit.say("The last hour", "最近一小时")) }
        (live("charts", &visit, charts(&visit, &hour, &asked)))
        (live("queues", &visit, ages(&visit, &queues)))
    };
    Ok(page(&visit, Nav::Home, visit.say("Are seats and money safe?", "座位与资金是否安全？"), body))
}

/// The verdict in one glance: how bad things are, in counts, money and riders; below it what does not hold.
fn told(
    visit: &Visit,
    standing: HealthLevel,
    verdict: Option<&StoredVerdict>,
    owed: &UndoBacklog,
    (dead, retrying): (i64, i64),
) -> Markup {
    let (kind, headline) = match standing {
        HealthLevel::Safe => (
            "good",
            visit.say(
                "✓ Seats and money are safe: every invariant holds.",
                "✓ 座位与资金安全：所有不变量成立。",
            ),
        ),
        HealthLevel::Working if !owed.is_empty() || retrying > 0 => {
            ("wait", visit.say("Working it off.", "正在处理。"))
        }
        HealthLevel::Working => ("wait", ""),
        HealthLevel::NeedsYou => ("bad", visit.say("! Needs you.", "! 需要您处理。")),
        HealthLevel::Corrupt => (
            "bad",
            visit.say(
                "✗ Corrupt: seats, money or their books are wrong.",
                "✗ 数据有误：座位、资金或账目不正确。",
            ),
        ),
    };
    html! {
        div class=(format!("card verdict {kind}")) {
            @if !headline.is_empty() { strong { (headline) } }
            @for sentence in sentences(visit, owed, dead, retrying) { div { (sentence) } }
            @if let Some(verdict) = verdict {
                @if verdict.is_old() {
                    div { (visit.say("The last check is old: is a worker running?", "检查结果已过时：是否有工作进程在运行？")) }
                }
                @for broken in verdict.broken() { (breach(visit, &broken)) }
                div.quiet {
                    (verdict.invariants.as_array().map_or(0, Vec::len)) " " (visit.say("invariants, checked", "项不变量，检查于")) " " (when(visit, verdict.at))
                    " · " (visit.say("took", "耗时")) " " (span(visit, verdict.took_secs))
                }
            } @else {
                div { (visit.say("Not checked yet: a worker checks the invariants every few seconds.",
                                 "尚未检查：工作进程会定期检查不变量。")) }
            }
        }
    }
}

/// What is owed and what is failing, one sentence each.
fn sentences(visit: &Visit, owed: &UndoBacklog, dead: i64, retrying: i64) -> Vec<String> {
    let chinese = visit.lang == Lang::Chinese;
    let some = |many: i64, one: &str, more: &str| format!("{many} {}", if many == 1 { one } else { more });
    let size = |many: usize| i64::try_from(many).unwrap_or(i64::MAX);
    let mut said = Vec::new();
    if !owed.is_empty() {
        let amount = Money::from_database(owed.amount);
        let (riders, seats) = (size(owed.riders), size(owed.seats));
        said.push(if chinese {
            let least = if owed.more { "至少" } else { "" };
            format!("{least}欠 {riders} 位乘客共 {amount}，另有 {seats} 个座位待释放。")
        } else {
            let least = if owed.more { "At least " } else { "" };
            let is = if owed.amount.is_zero() && seats == 1 { "is" } else { "are" };
            let riders = some(riders, "rider", "riders");
            format!("{least}{amount} of {riders} and {} {is} owed.", some(seats, "seat", "seats"))
        });
    }
    if owed.failing > 0 {
        let next = span(visit, owed.next_secs.unwrap_or(0.0));
        let (many, times) = (owed.failing, owed.failures);
        said.push(if chinese {
            format!("{many} 个撤销任务失败并正在重试（最多已失败 {times} 次，{next}后再试）。")
        } else {
            let are = if many == 1 { "undo is failing and is" } else { "undos are failing and are" };
            format!("{many} {are} tried again ({} time, next in {next}).", ordinal(times))
        });
    }
    let others = retrying - owed.failing;
    if others > 0 {
        said.push(if chinese {
            format!("另有 {others} 个其他任务失败并正在重试。")
        } else {
            let are =
                if others == 1 { "other job is failing and is" } else { "other jobs are failing and are" };
            format!("{others} {are} tried again.")
        });
    }
    if owed.overdue > 0 {
        let oldest = span(visit, owed.oldest_secs.unwrap_or(0.0));
        let many = owed.overdue;
        said.push(if chinese {
            format!("{many} 个撤销任务逾期过久，最久 {oldest}。")
        } else {
            format!(
                "{} been due for too long, the oldest for {oldest}.",
                some(many, "undo has", "undos have")
            )
        });
    }
    if dead > 0 {
        let many = if dead >= COUNT_MAX { counted(dead) } else { dead.to_string() };
        said.push(if chinese {
            format!("{many} 个任务已放弃。")
        } else {
            format!("{many} {} given up.", if dead == 1 { "job has" } else { "jobs have" })
        });
    }
    said
}

/// 1st, 2nd, 3rd, 4th.
fn ordinal(number: i32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// What is the matter with an invariant, where, and where the rest is.
fn breach(visit: &Visit, broken: &BrokenInvariant) -> Markup {
    let words = verify::breach(&broken.name, broken.count);
    let more = broken.count - i64::try_from(broken.samples.len()).unwrap_or(0);
    let list = match broken.name.as_str() {
        "nothing_is_dead" => Some("/console/jobs?state=dead"),
        "debts_are_paid_in_time" => Some("/console/queues"),
        _ => None,
    };
    let rest =
        if visit.lang == Lang::Chinese { format!("另有 {more} 处") } else { format!("and {more} more") };
    html! { div {
        @if let Some((words, _)) = &words { (visit.say(&words.en, &words.zh)) }
        @else { (broken.name) ": " (broken.count) }
        " "
        @if broken.debts.is_empty() { @for id in &broken.samples { (sample(id)) " " } }
        @else { ul { @for one in &broken.debts { li { (debt(visit, one)) } } } }
        @if more > 0 { @if let Some(list) = list { a href=(list) { (rest) } } @else { (rest) } }
    } }
}

/// A debt that is overdue: whose, how much, which seats, for how long, and why it is not done.
fn debt(visit: &Visit, debt: &Value) -> Markup {
    let text = |name: &str| debt[name].as_str().unwrap_or_default().to_owned();
    let seats: Vec<String> =
        debt["seats"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    let why = &debt["why"];
    let why = visit.say(why["en"].as_str().unwrap_or_default(), why["zh"].as_str().unwrap_or_default());
    html! {
        (link_job(text("job_id"))) " " (tag(visit, &text("tag"))) " · "
        @if let Some(order) = debt["order_id"].as_str() { (visit.say("order", "订单")) " " (link_order(order)) " · " }
        @if let Some(rider) = debt["rider_id"].as_str() { (visit.say("rider", "乘客")) " " (link_rider(rider)) " " (text("rider")) " · " }
        @if let Some(amount) = debt["amount"].as_str() { span.money { (amount) } " · " }
        @if !seats.is_empty() { (visit.say("seats", "座位")) " " (seats.join(", ")) " · " }
        (visit.say("owed for", "已欠")) " " (span(visit, debt["owed_secs"].as_f64().unwrap_or(0.0))) " · " (why)
    }
}

/// An id leads to whatever it belongs to.
fn sample(text: &str) -> Markup {
    let id = text.rsplit(' ').next().and_then(|last| last.parse::<Uuid>().ok());
    html! {
        @if let Some(id) = id { a.id href=(format!("/console/search?q={id}")) { (text) } }
        @else { code { (text) } }
    }
}

fn tiles(
    visit: &Visit,
    queues: &[QueueView],
    workers: &[WorkerView],
    owed: &UndoBacklog,
    late: i64,
) -> Markup {
    let timer = |queue: &&QueueView| queue.tag == MqTag::OrderUnpaid.wire();
    let undos = |queue: &&QueueView| undoes(&queue.tag);
    let dead = count_dead(queues);
    let due = owed.due + owed.dead;
    let open = format!("{due}{}", if owed.more { "+" } else { "" });
    let armed: i64 = queues.iter().filter(undos).map(|queue| queue.delayed).sum();
    let failing: i64 = queues.iter().map(|queue| queue.retrying).sum();
    let failures = queues.iter().map(|queue| queue.most_failures).max().unwrap_or(0);
    let often = format!("{} {failures} {}", visit.say("up to", "最多"), visit.say("times", "次"));
    let holds = queues.iter().find(timer);
    let overdue = holds.map_or(0, |queue| queue.ready);
    let latest = holds.and_then(|queue| queue.oldest_ready_secs).unwrap_or(0.0);
    let alive = workers.iter().filter(|worker| worker.state != "missing").count();
    let slots: i32 =
        workers.iter().filter(|worker| worker.state != "missing").map(|worker| worker.slots).sum();
    let tile = |bad: bool, number: String, words: &str, more: String| {
        html! {
            div class=(if bad { "card tile bad" } else { "card tile good" }) {
                strong { (number) @if bad { " !" } }
                (words) @if !more.is_empty() { div.quiet { (more) } }
            }
        }
    };
    html! {
        div.grid {
            (tile(due > 0, open, visit.say("open debts: undos due and not yet done", "未清债务：到期而未完成的撤销"),
                  format!("{armed} {}", visit.say("armed, in case a flow dies", "已预置，以防流程中断"))))
            (tile(failing > 0, count_failing(queues), visit.say("failed, tried again", "失败，正在重试"),
                  if failing > 0 { often } else { String::new() }))
            (tile(dead != "0", dead, visit.say("dead letters", "死信"), String::new()))
            (tile(late > 0, counted(late), visit.say("jobs late by 5 s or more", "延迟 5 秒以上的任务"), String::new()))
            (tile(overdue > 0 && latest > 5.0, holds.map_or(0, |queue| queue.delayed).to_string(),
                  visit.say("holds: orders waiting to be paid", "占座：等待支付的订单"),
                  format!("{overdue} {} {}", visit.say("overdue, latest by", "已逾期，最久"), span(visit, latest))))
            (tile(alive == 0, alive.to_string(), visit.say("workers alive", "存活的工作进程"),
                  format!("{slots} {}", visit.say("slots", "槽位"))))
        }
    }
}

fn undoes(tag: &str) -> bool {
    let other = [MqTag::OrderUnpaid, MqTag::Timetable, MqTag::TripCancel, MqTag::Bulk];
    !other.into_iter().any(|other| other.wire() == tag)
}

/// How many dead letters there are, as far as they are counted.
fn count_dead(queues: &[QueueView]) -> String {
    let all: i64 = queues.iter().map(|queue| queue.dead).sum();
    let more = queues.iter().any(|queue| queue.dead >= COUNT_MAX);
    format!("{all}{}", if more { "+" } else { "" })
}

/// A number that is counted no further than [`COUNT_MAX`].
fn counted(many: i64) -> String {
    format!("{many}{}", if many >= COUNT_MAX { "+" } else { "" })
}

/// How many failed and are tried again, as far as they are counted.
fn count_failing(queues: &[QueueView]) -> String {
    let all: i64 = queues.iter().map(|queue| queue.retrying).sum();
    format!("{all}{}", if all >= FAILED_MAX { "+" } else { "" })
}

/// Jobs of one kind that are stuck.
struct Stuck<'a> {
    /// The first of them; of late ones, since when they are due, seconds.
    jobs: Vec<(&'a JobView, Option<f64>)>,
    /// How many there are.
    all: String,
    /// The state they are found by.
    state: &'static str,
}

impl Stuck<'_> {
    fn what(&self, visit: &Visit) -> &'static str {
        match self.state {
            "dead" => visit.say("dead letters", "封死信"),
            "retrying" => visit.say("failing jobs", "个失败重试的任务"),
            _ => visit.say("late jobs", "个延迟任务"),
        }
    }
}

/// The first of each kind, with how many there are of it.
fn listed(visit: &Visit, kinds: &[Stuck<'_>]) -> Markup {
    html! {
        h2 { (visit.say("Stuck", "卡住的任务")) }
        @for kind in kinds { (beyond(visit, kind.jobs.len(), &kind.all, kind.state, kind.what(visit))) }
        @if kinds.iter().all(|kind| kind.jobs.is_empty()) { (empty(visit, "Nothing is stuck.", "没有卡住的任务。")) }
        @else { div.scroll { table {
            thead { tr {
                th scope="col" { (visit.say("Job", "任务")) } th scope="col" { (visit.say("Tag", "标签")) }
                th scope="col" { (visit.say("State", "状态")) } th scope="col" { (visit.say("Since", "自")) }
                th scope="col" { (visit.say("About", "关于")) } th scope="col" { (visit.say("Why", "原因")) }
            } }
            tbody { @for kind in kinds { @for (job, late_secs) in &kind.jobs { (row(visit, job, *late_secs)) } } }
        } } }
    }
}

/// Where the rest is, if there is more than what is shown.
fn beyond(visit: &Visit, shown: usize, all: &str, state: &str, what: &str) -> Markup {
    html! { @if all != shown.to_string() { p {
        @if visit.lang == Lang::Chinese { "共 " (all) " " (what) "，显示 " (shown) "。" }
        @else { (shown) " of " (all) " " (what) " are shown. " }
        a href=(format!("/console/jobs?state={state}")) { (visit.say("See them all", "查看全部")) }
    } } }
}

fn row(visit: &Visit, job: &JobView, late_secs: Option<f64>) -> Markup {
    html! { tr {
        td { (link_job(job.id)) }
        td { (tag(visit, &job.tag)) }
        td { (state(visit, &job.state)) }
        td { @if let Some(secs) = late_secs { (span(visit, secs)) } @else { (when(visit, job.ended_at.or(job.first_due_at).unwrap_or(job.run_at))) } }
        td { @if let Some(order) = crate::ops::jobs::order_of(&job.payload) { (link_order(order)) } @else { code { (job.key) } } }
        td {
            @if job.failures() > 1 { (job.failures()) "× " }
            (job.last_error().unwrap_or_default())
        }
    } }
}

fn charts(visit: &Visit, hour: &[TagMinute], asked: &[traffic::Minute]) -> Markup {
    let minutes = last_hour();
    let of = |value: &dyn Fn(DateTime<Utc>) -> f64| {
        minutes.iter().map(|minute| value(*minute)).collect::<Vec<f64>>()
    };
    let asked_at = |value: fn(&traffic::Minute) -> i64| {
        of(&|minute| asked.iter().find(|one| one.minute == minute).map_or(0.0, |one| value(one) as f64))
    };
    let by_tag = |value: fn(&TagMinute) -> i64| {
        let tags = MqTag::ALL.into_iter().map(MqTag::wire).filter(|wire| undoes(wire));
        let series =
            tags.map(|wire| Series { name: wire.to_owned(), values: of_tag(hour, &minutes, wire, value) });
        series.filter(|one| one.values.iter().any(|value| *value > 0.0)).collect::<Vec<_>>()
    };
    let waits = |pick: fn(&TagMinute) -> &Vec<i64>, only: Option<&'static str>| {
        of(&|minute| {
            let fits = |one: &&TagMinute| one.minute == minute && only.is_none_or(|tag| one.tag == tag);
            let mut sum: Vec<i64> = Vec::new();
            for one in hour.iter().filter(fits) {
                let buckets = pick(one);
                sum.resize(sum.len().max(buckets.len()), 0);
                sum.iter_mut().zip(buckets).for_each(|(sum, count)| *sum += count);
            }
            overview::percentile(&sum, SHARE).map_or(0.0, |secs| secs * 1_000.0)
        })
    };
    let one = |name: &str, values: Vec<f64>| vec![Series { name: name.to_owned(), values }];
    let refused = vec![
        Series { name: visit.say("refused", "被拒绝").to_owned(), values: asked_at(|one| one.refused) },
        Series { name: visit.say("failed", "失败").to_owned(), values: asked_at(|one| one.failed) },
    ];
    html! { div.charts {
        (bars(visit, visit.say("Bookings", "预订"), "", &minutes, &one("", asked_at(|one| one.booked))))
        (bars(visit, visit.say("Payments", "支付"), "", &minutes, &one("", asked_at(|one| one.paid))))
        (bars(visit, visit.say("Bookings and payments refused or failed", "被拒绝或失败的预订与支付"), "", &minutes, &refused))
        (bars(visit, visit.say("Rollbacks done, by tag", "已完成的回滚（按标签）"), "", &minutes, &by_tag(|one| one.done)))
        (bars(visit, visit.say("Failed attempts, by tag", "失败的尝试（按标签）"), "", &minutes, &by_tag(|one| one.failed)))
        (bars(visit, visit.say("Pickup, 99 in 100 within", "取件延迟 P99"), "ms", &minutes, &one("", waits(|one| &one.pickup, None))))
        (bars(visit, visit.say("Unpaid-order job late, 99 in 100 within", "未支付订单任务延迟 P99"), "ms", &minutes,
              &one("", waits(|one| &one.lateness, Some(MqTag::OrderUnpaid.wire())))))
    } }
}

fn ages(visit: &Visit, queues: &[QueueView]) -> Markup {
    html! {
        h2 { (visit.say("Queues", "队列")) }
        div.scroll { table {
            thead { tr {
                th scope="col" { (visit.say("Tag", "标签")) } th scope="col" { (visit.say("Ready", "就绪")) }
                th scope="col" { (visit.say("Failed, retrying", "失败，重试中")) }
                th scope="col" { (visit.say("Running", "运行")) } th scope="col" { (visit.say("Dead", "死信")) }
                th scope="col" { (visit.say("Oldest waits for", "最久等待")) }
            } }
            tbody { @for queue in queues { tr {
                th scope="row" { a href=(format!("/console/jobs?tag={}", queue.tag)) { (tag(visit, &queue.tag)) } @if queue.paused { " " (state(visit, "paused")) } }
                td.number { (queue.ready) } td { (retrying(visit, queue)) } td.number { (queue.running) } td.number { (queue.dead) }
                td { @if let Some(secs) = queue.oldest_ready_secs { (span(visit, secs)) } }
            } } }
        } }
    }
}
