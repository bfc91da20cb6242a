//! Queues and workers: pause, resume, drain; who is alive.

use crate::console::{
    chart::{Series, bars, last_hour, of_tag, short},
    layout::{Answer, Nav, act_form, act_link, done, empty, live, page, span, state, tag, when},
    session::{Deed, Visit},
};
use crate::{
    domain::Refusal,
    http::{App, extract::Path},
    ops::{
        impact::describe_step,
        overview::{self, TagMinute},
        queues,
    },
    storage,
};
use axum::extract::State;
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, COUNT_MAX, QueueView, WorkerView},
};
use maud::{Markup, html};
use serde::Deserialize;

/// The whole minutes that a rate is the mean of.
const RATE_MINUTES: usize = 5;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// What the table tells of a tag beside the queue's own numbers.
struct Pace {
    /// Attempts that the living workers can run at once, of this tag and their others.
    slots: i32,
    /// Jobs done a minute.
    done: f64,
    /// Attempts failed a minute.
    failed: f64,
}

pub(crate) async fn list(State(app): State<App>, visit: Visit) -> Answer {
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    let pool = &app.saga.pool;
    let (queues, workers, hour) = tokio::try_join!(
        admin::queues(pool, &tags),
        admin::workers(pool, None, COUNT_MAX),
        overview::hour(pool)
    )?;
    let minutes = last_hour();
    let body = html! {
        (live("queues", &visit, html! { div.scroll { table {
            thead { tr {
                th scope="col" { (visit.say("Tag", "标签")) } th scope="col" { (visit.say("State", "状态")) }
                th scope="col" { (visit.say("Failed, retrying", "失败，重试中")) }
                th scope="col" { (visit.say("Ready", "就绪")) } th scope="col" { (visit.say("Delayed", "延迟")) }
                th scope="col" { (visit.say("Running", "运行")) } th scope="col" { (visit.say("Slots", "槽位")) }
                th scope="col" { (visit.say("Dead", "死信")) } th scope="col" { (visit.say("Oldest", "最久")) }
                th scope="col" { (visit.say("Oldest debt", "最久的债务")) }
                th scope="col" { (visit.say("Done / min", "完成/分")) } th scope="col" { (visit.say("Failed / min", "失败/分")) }
                th scope="col" { (visit.say("Acts", "操作")) }
            } }
            tbody { @for queue in &queues { (row(&visit, queue, &pace(&queue.tag, &workers, &hour, &minutes))) } }
        } }
            p.quiet { (visit.say("A minute: the mean of the last five. Slots: of the living workers, shared by their tags.",
                                 "每分钟：最近五分钟的平均值。槽位：存活工作进程的槽位，由其各标签共用。")) }
        }))
        h2 { (visit.say("The last hour", "最近一小时")) }
        (live("throughput", &visit, throughput(&visit, &hour, &minutes)))
        h2 { (visit.say("Workers", "工作进程")) }
        (live("workers", &visit, alive(&visit, &workers)))
    };
    Ok(page(&visit, Nav::Queues, visit.say("Queues and workers", "队列与工作进程"), body))
}

fn pace(tag: &str, workers: &[WorkerView], hour: &[TagMinute], minutes: &[DateTime<Utc>]) -> Pace {
    let mine = workers.iter().filter(|one| one.state != "missing" && one.tags.iter().any(|name| name == tag));
    let whole = &minutes[..minutes.len().saturating_sub(1)];
    let last = &whole[whole.len().saturating_sub(RATE_MINUTES)..];
    let mean = |value| of_tag(hour, last, tag, value).iter().sum::<f64>() / RATE_MINUTES as f64;
    Pace {
        slots: mine.map(|one| one.slots).sum(),
        done: mean(|one| one.done),
        failed: mean(|one| one.failed),
    }
}

/// A chart of each tag that did anything.
fn throughput(visit: &Visit, hour: &[TagMinute], minutes: &[DateTime<Utc>]) -> Markup {
    let chart = |wire: &'static str| {
        let done = of_tag(hour, minutes, wire, |one| one.done);
        let failed = of_tag(hour, minutes, wire, |one| one.failed);
        let any = done.iter().chain(&failed).any(|value| *value > 0.0);
        let series = [
            Series { name: visit.say("done", "完成").to_owned(), values: done },
            Series { name: visit.say("failed", "失败").to_owned(), values: failed },
        ];
        any.then(|| bars(visit, wire, "", minutes, &series))
    };
    let charts: Vec<Markup> = MqTag::ALL.into_iter().filter_map(|tag| chart(tag.wire())).collect();
    html! {
        @if charts.is_empty() { (empty(visit, "No job has ended.", "没有任务结束。")) }
        div.charts { @for chart in charts { (chart) } }
    }
}

fn row(visit: &Visit, queue: &QueueView, pace: &Pace) -> Markup {
    let act =
        |act: &str, label: &str| act_link(visit, &format!("/console/queues/{}/{act}", queue.tag), label);
    html! { tr {
        th scope="row" { a href=(format!("/console/jobs?tag={}", queue.tag)) { (tag(visit, &queue.tag)) } }
        td { (state(visit, if !queue.paused { "working" } else if queue.running > 0 { "draining" } else { "paused" })) }
        td { (retrying(visit, queue)) }
        td.number { (queue.ready) } td.number { (queue.delayed) } td.number { (queue.running) } td.number { (pace.slots) } td.number { (queue.dead) }
        td { @if let Some(secs) = queue.oldest_ready_secs { (span(visit, secs)) } }
        td { @if let Some(secs) = queues::oldest_undo_secs(queue) { (span(visit, secs)) } }
        td.number { (short(pace.done)) } td.number { (short(pace.failed)) }
        td { div.acts {
            @if queue.paused { (act("resume", visit.say("Resume", "恢复"))) }
            @else { (act("pause", visit.say("Pause", "暂停"))) (act("drain", visit.say("Drain", "排空"))) }
        } }
    } }
}

/// How many failed and are tried again, with how often one of them failed, and where they are.
pub(crate) fn retrying(visit: &Visit, queue: &QueueView) -> Markup {
    html! { @if queue.retrying > 0 {
        a href=(format!("/console/jobs?tag={}&state=retrying", queue.tag)) { (queue.retrying) }
        " " span.quiet { (visit.say("failed up to", "最多失败")) " " (queue.most_failures) " " (visit.say("times", "次")) }
    } }
}

fn alive(visit: &Visit, workers: &[WorkerView]) -> Markup {
    html! {
        @if workers.is_empty() { (empty(visit, "No worker has signed on.", "没有工作进程登记。")) }
        @else { div.scroll { table {
            thead { tr {
                th scope="col" { (visit.say("Worker", "进程")) } th scope="col" { (visit.say("State", "状态")) }
                th scope="col" { (visit.say("Host", "主机")) } th scope="col" { (visit.say("Build", "构建")) }
                th scope="col" { (visit.say("Holds / slots", "占用/槽位")) } th scope="col" { (visit.say("Tags", "标签")) }
                th scope="col" { (visit.say("Since", "启动于")) } th scope="col" { (visit.say("Last seen", "最近活动")) }
            } }
            tbody { @for worker in workers { tr {
                th scope="row" { code { (worker.id) } }
                td { (state(visit, &worker.state)) }
                td { (worker.host) " · " (worker.pid) }
                td { code { (worker.build) } }
                td.number { (worker.held) " / " (worker.slots) }
                td { (worker.tags.join(", ")) }
                td { (when(visit, worker.started_at)) }
                td { (when(visit, worker.last_seen_at)) }
            } } }
        } } }
    }
}

/// What the act would do, and its form.
pub(crate) async fn ask(
    State(app): State<App>,
    visit: Visit,
    Path((wire, act)): Path<(String, String)>,
) -> Answer {
    let (tag_of, label) = (known(&wire)?, label(&visit, &act).ok_or(Refusal::NotFound("act"))?);
    let queue = queues::view(&app.saga.pool, tag_of).await?;
    let words = describe_step(&wire);
    let preview = html! {
        p { (visit.say(&words.en, &words.zh)) }
        p { (queue.ready) " " (visit.say("ready", "就绪")) ", " (queue.delayed) " " (visit.say("delayed", "延迟")) ", "
            (queue.retrying) " " (visit.say("failed and retrying", "失败重试中")) ", "
            (queue.running) " " (visit.say("running", "运行中")) "." }
        p { (match act.as_str() {
            "pause" => visit.say("Workers take no more of these jobs; running attempts end. What they would do waits.",
                                 "工作进程不再领取此类任务；正在执行的会结束，其余等待。"),
            "drain" => visit.say("As a pause; the page shows when the last running attempt has ended.",
                                 "同暂停；页面会显示最后一个执行何时结束。"),
            _ => visit.say("Workers take these jobs again, at once.", "工作进程立即恢复领取。"),
        }) }
    };
    let address = format!("/console/queues/{wire}/{act}");
    let body = act_form(&visit, &address, label, html! {}, Some(preview), act != "resume");
    Ok(page(&visit, Nav::Queues, &format!("{label}: {wire}"), body))
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((wire, act)): Path<(String, String)>,
    deed: Deed<Nothing>,
) -> Answer {
    let (visit, by, Nothing {}) = deed.signed();
    let (tag_of, label) = (known(&wire)?, label(&visit, &act).ok_or(Refusal::NotFound("act"))?);
    let mut tx = storage::begin(&app.saga.pool).await?;
    match act.as_str() {
        "pause" => queues::pause(&mut tx, &by, tag_of).await?,
        "drain" => queues::drain(&mut tx, &by, tag_of).await?,
        _ => queues::resume(&mut tx, &by, tag_of).await?,
    };
    tx.commit().await?;
    Ok(done("/console/queues", &format!("{label}: {wire} ✓")))
}

fn known(wire: &str) -> Result<MqTag, Refusal> {
    wire.parse().map_err(|_| Refusal::NotFound("tag"))
}

fn label(visit: &Visit, act: &str) -> Option<&'static str> {
    match act {
        "pause" => Some(visit.say("Pause", "暂停")),
        "resume" => Some(visit.say("Resume", "恢复")),
        "drain" => Some(visit.say("Drain", "排空")),
        _ => None,
    }
}
