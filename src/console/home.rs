//! The home page: in ten seconds, whether seats and money are safe, and what is stuck.

use super::{
    chart::{Series, bars, last_hour, of_tag},
    frame::{Answer, Nav, empty, link_job, link_order, live, page, span, state, tag, when},
    visit::{Lang, Visit},
};
use crate::{
    http::App,
    ops::overview::{self, KeptVerdict, Late, TagMinute},
    tally,
};
use axum::extract::State;
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, COUNT_MAX, JobView, QueueView, WorkerView},
};
use maud::{Markup, html};
use serde_json::Value;
use uuid::Uuid;

/// A verdict older than this is shown as old, seconds: nobody checks any more.
const OLD_SECS: f64 = 120.0;
/// The share of waits that a chart's value is not below.
const SHARE: f64 = 0.99;

pub(super) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    let pool = &app.flow.pool;
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    let now = async { tokio::try_join!(admin::queues(pool, &tags), admin::workers(pool)) };
    let amiss = async {
        tokio::try_join!(
            overview::verdict(pool),
            overview::dead(pool),
            overview::late(pool),
            overview::count_late(pool)
        )
    };
    let past = async { tokio::try_join!(overview::hour(pool), tally::hour(pool)) };
    let ((queues, workers), (verdict, dead, late, all_late), (hour, asked)) =
        tokio::try_join!(now, amiss, past)?;
    let all_dead = count_dead(&queues);
    let body = html! {
        (live("verdict", &visit, told(&visit, verdict.as_ref())))
        (live("tiles", &visit, tiles(&visit, &queues, &workers, all_late)))
        (live("stuck", &visit, stuck(&visit, (&dead, &all_dead), (&late, &counted(all_late)))))
        h2 { (visit.say("The last hour", "最近一小时")) }
        (live("charts", &visit, charts(&visit, &hour, &asked)))
        (live("queues", &visit, ages(&visit, &queues)))
    };
    Ok(page(&visit, Nav::Home, visit.say("Are seats and money safe?", "座位与资金是否安全？"), body))
}

fn told(visit: &Visit, verdict: Option<&KeptVerdict>) -> Markup {
    let Some(verdict) = verdict else {
        return html! { div.card.verdict.wait { (visit.say(
        "Not checked yet: a worker checks the invariants every few seconds.", "尚未检查：工作进程会定期检查不变量。")) } };
    };
    let none = Vec::new();
    let all = verdict.invariants.as_array().unwrap_or(&none);
    let broken: Vec<&Value> = all.iter().filter(|one| one["holds"] != true).collect();
    let (kind, words) = match (verdict.holds, verdict.age_secs > OLD_SECS) {
        (_, true) => (
            "wait",
            visit
                .say("The last check is old: is a worker running?", "检查结果已过时：是否有工作进程在运行？"),
        ),
        (true, false) => (
            "good",
            visit.say(
                "✓ Seats and money are safe: every invariant holds.",
                "✓ 座位与资金安全：所有不变量成立。",
            ),
        ),
        (false, false) => ("bad", visit.say("✗ Something does not hold.", "✗ 有不变量不成立。")),
    };
    html! {
        div class=(format!("card verdict {kind}")) {
            strong { (words) }
            @for one in broken {
                div {
                    (one["sentence"].as_str().unwrap_or_default()) " "
                    @for id in one["samples"].as_array().unwrap_or(&none).iter().filter_map(Value::as_str) { (sample(id)) " " }
                }
            }
            div.quiet {
                (all.len()) " " (visit.say("invariants, checked", "项不变量，检查于")) " " (when(visit, verdict.at))
                " · " (visit.say("took", "耗时")) " " (span(visit, verdict.took_secs))
            }
        }
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

fn tiles(visit: &Visit, queues: &[QueueView], workers: &[WorkerView], late: i64) -> Markup {
    let timer = |queue: &&QueueView| queue.tag == MqTag::OrderUnpaid.wire();
    let undos = |queue: &&QueueView| undoes(&queue.tag);
    let dead = count_dead(queues);
    let due: i64 = queues.iter().filter(undos).map(|queue| queue.ready + queue.running + queue.dead).sum();
    let armed: i64 = queues.iter().filter(undos).map(|queue| queue.delayed).sum();
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
            (tile(due > 0, due.to_string(), visit.say("open debts: undos due and not yet done", "未清债务：到期而未完成的撤销"),
                  format!("{armed} {}", visit.say("armed, in case a flow dies", "已预置，以防流程中断"))))
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

/// The first of each kind, with how many there are of it.
fn stuck(visit: &Visit, (dead, all_dead): (&[JobView], &str), (late, all_late): (&[Late], &str)) -> Markup {
    html! {
        h2 { (visit.say("Stuck", "卡住的任务")) }
        (beyond(visit, dead.len(), all_dead, "dead", visit.say("dead letters", "封死信")))
        (beyond(visit, late.len(), all_late, "ready", visit.say("late jobs", "个延迟任务")))
        @if dead.is_empty() && late.is_empty() { (empty(visit, "Nothing is stuck.", "没有卡住的任务。")) }
        @else { div.scroll { table {
            thead { tr {
                th scope="col" { (visit.say("Job", "任务")) } th scope="col" { (visit.say("Tag", "标签")) }
                th scope="col" { (visit.say("State", "状态")) } th scope="col" { (visit.say("Since", "自")) }
                th scope="col" { (visit.say("About", "关于")) } th scope="col" { (visit.say("Why", "原因")) }
            } }
            tbody {
                @for job in dead { (row(visit, job, None)) }
                @for late in late { (row(visit, &late.job, Some(late.late_secs))) }
            }
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
        td { @if let Some(secs) = late_secs { (span(visit, secs)) } @else { (when(visit, job.ended_at.unwrap_or(job.run_at))) } }
        td { @if let Some(order) = crate::ops::jobs::order_of(&job.payload) { (link_order(order)) } @else { code { (job.key) } } }
        td { (job.last_error().unwrap_or_default()) }
    } }
}

fn charts(visit: &Visit, hour: &[TagMinute], asked: &[tally::Minute]) -> Markup {
    let minutes = last_hour();
    let of = |value: &dyn Fn(DateTime<Utc>) -> f64| {
        minutes.iter().map(|minute| value(*minute)).collect::<Vec<f64>>()
    };
    let asked_at = |value: fn(&tally::Minute) -> i64| {
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
                th scope="col" { (visit.say("Running", "运行")) } th scope="col" { (visit.say("Dead", "死信")) }
                th scope="col" { (visit.say("Oldest waits for", "最久等待")) }
            } }
            tbody { @for queue in queues { tr {
                th scope="row" { a href=(format!("/console/jobs?tag={}", queue.tag)) { (tag(visit, &queue.tag)) } @if queue.paused { " " (state(visit, "paused")) } }
                td.number { (queue.ready) } td.number { (queue.running) } td.number { (queue.dead) }
                td { @if let Some(secs) = queue.oldest_ready_secs { (span(visit, secs)) } }
            } } }
        } }
    }
}
