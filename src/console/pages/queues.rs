//! Queues and workers: the numbers of each tag, pause, resume, drain.

use crate::console::{
    chart::{Series, bars, last_hour, of_tag, short},
    components::{action_form, action_link, empty, live, span, state, tag, when},
    failure::PageResult,
    form::{EmptyForm, OperatorForm},
    layout::{Nav, redirect_with_notice, with_nav},
    session::PageContext,
};
use crate::{
    domain::Refusal,
    http::{App, extract::Path},
    ops::{
        impact::describe_job,
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

/// A rate is the mean of this many whole minutes.
const RATE_MINUTES: usize = 5;

/// The numbers of a tag that the queue does not count itself.
struct TagRates {
    /// Slots of the workers that run this tag, which they share with their other tags.
    slots: i32,
    /// Jobs done per minute.
    done: f64,
    /// Attempts failed per minute.
    failed: f64,
}

pub(crate) async fn list(State(app): State<App>, context: PageContext) -> PageResult {
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    let pool = &app.saga.pool;
    let (queues, workers, hour) = tokio::try_join!(
        admin::queues(pool, &tags),
        admin::workers(pool, None, COUNT_MAX),
        overview::hour(pool)
    )?;
    let minutes = last_hour();
    let body = html! {
        (live("queues", &context, html! { div.scroll { table {
            thead { tr {
                th scope="col" { (context.t("Tag", "标签")) } th scope="col" { (context.t("State", "状态")) }
                th scope="col" { (context.t("Failed, retrying", "失败，重试中")) }
                th scope="col" { (context.t("Ready", "就绪")) } th scope="col" { (context.t("Delayed", "延迟")) }
                th scope="col" { (context.t("Running", "运行")) } th scope="col" { (context.t("Slots", "槽位")) }
                th scope="col" { (context.t("Dead", "死信")) } th scope="col" { (context.t("Oldest", "最久")) }
                th scope="col" { (context.t("Oldest debt", "最久的债务")) }
                th scope="col" { (context.t("Done / min", "完成/分")) } th scope="col" { (context.t("Failed / min", "失败/分")) }
                th scope="col" { (context.t("Acts", "操作")) }
            } }
            tbody { @for queue in &queues { (row(&context, queue, &tag_rates(&queue.tag, &workers, &hour, &minutes))) } }
        } }
            p.quiet { (context.t("A minute: the mean of the last five. Slots: of the living workers, shared by their tags.",
                                 "每分钟：最近五分钟的平均值。槽位：存活工作进程的槽位，由其各标签共用。")) }
        }))
        h2 { (context.t("The last hour", "最近一小时")) }
        (live("throughput", &context, throughput(&context, &hour, &minutes)))
        h2 { (context.t("Workers", "工作进程")) }
        (live("workers", &context, workers_table(&context, &workers)))
    };
    Ok(with_nav(&context, Nav::Queues, context.t("Queues and workers", "队列与工作进程"), body))
}

fn tag_rates(tag: &str, workers: &[WorkerView], hour: &[TagMinute], minutes: &[DateTime<Utc>]) -> TagRates {
    let mine = workers.iter().filter(|one| one.state != "missing" && one.tags.iter().any(|name| name == tag));
    let whole = &minutes[..minutes.len().saturating_sub(1)];
    let last = &whole[whole.len().saturating_sub(RATE_MINUTES)..];
    let mean = |value| of_tag(hour, last, tag, value).iter().sum::<f64>() / RATE_MINUTES as f64;
    TagRates {
        slots: mine.map(|one| one.slots).sum(),
        done: mean(|one| one.done),
        failed: mean(|one| one.failed),
    }
}

/// A chart of each tag with attempts in the last hour.
fn throughput(context: &PageContext, hour: &[TagMinute], minutes: &[DateTime<Utc>]) -> Markup {
    let chart = |wire: &'static str| {
        let done = of_tag(hour, minutes, wire, |one| one.done);
        let failed = of_tag(hour, minutes, wire, |one| one.failed);
        let any = done.iter().chain(&failed).any(|value| *value > 0.0);
        let series = [
            Series { name: context.t("done", "完成").to_owned(), values: done },
            Series { name: context.t("failed", "失败").to_owned(), values: failed },
        ];
        any.then(|| bars(context, wire, "", minutes, &series))
    };
    let charts: Vec<Markup> = MqTag::ALL.into_iter().filter_map(|tag| chart(tag.wire())).collect();
    html! {
        @if charts.is_empty() { (empty(context, "No job has ended.", "没有任务结束。")) }
        div.charts { @for chart in charts { (chart) } }
    }
}

fn row(context: &PageContext, queue: &QueueView, rates: &TagRates) -> Markup {
    let act =
        |act: &str, label: &str| action_link(context, &format!("/console/queues/{}/{act}", queue.tag), label);
    html! { tr {
        th scope="row" { a href=(format!("/console/jobs?tag={}", queue.tag)) { (tag(context, &queue.tag)) } }
        td { (state(context, if !queue.paused { "working" } else if queue.running > 0 { "draining" } else { "paused" })) }
        td { (retrying(context, queue)) }
        td.number { (queue.ready) } td.number { (queue.delayed) } td.number { (queue.running) } td.number { (rates.slots) } td.number { (queue.dead) }
        td { @if let Some(secs) = queue.oldest_ready_secs { (span(context, secs)) } }
        td { @if let Some(secs) = queues::oldest_undo_secs(queue) { (span(context, secs)) } }
        td.number { (short(rates.done)) } td.number { (short(rates.failed)) }
        td { div.acts {
            @if queue.paused { (act("resume", context.t("Resume", "恢复"))) }
            @else { (act("pause", context.t("Pause", "暂停"))) (act("drain", context.t("Drain", "排空"))) }
        } }
    } }
}

/// The number of retrying jobs as a link to them, with the most failures of one job.
pub(crate) fn retrying(context: &PageContext, queue: &QueueView) -> Markup {
    html! { @if queue.retrying > 0 {
        a href=(format!("/console/jobs?tag={}&state=retrying", queue.tag)) { (queue.retrying) }
        " " span.quiet { (context.t("failed up to", "最多失败")) " " (queue.most_failures) " " (context.t("times", "次")) }
    } }
}

fn workers_table(context: &PageContext, workers: &[WorkerView]) -> Markup {
    html! {
        @if workers.is_empty() { (empty(context, "No worker has signed on.", "没有工作进程登记。")) }
        @else { div.scroll { table {
            thead { tr {
                th scope="col" { (context.t("Worker", "进程")) } th scope="col" { (context.t("State", "状态")) }
                th scope="col" { (context.t("Host", "主机")) } th scope="col" { (context.t("Build", "构建")) }
                th scope="col" { (context.t("Holds / slots", "占用/槽位")) } th scope="col" { (context.t("Tags", "标签")) }
                th scope="col" { (context.t("Since", "启动于")) } th scope="col" { (context.t("Last seen", "最近活动")) }
            } }
            tbody { @for worker in workers { tr {
                th scope="row" { code { (worker.id) } }
                td { (state(context, &worker.state)) }
                td { (worker.host) " · " (worker.pid) }
                td { code { (worker.build) } }
                td.number { (worker.held) " / " (worker.slots) }
                td { (worker.tags.join(", ")) }
                td { (when(context, worker.started_at)) }
                td { (when(context, worker.last_seen_at)) }
            } } }
        } } }
    }
}

/// The page that confirms an action.
pub(crate) async fn confirm(
    State(app): State<App>,
    context: PageContext,
    Path((wire, act)): Path<(String, String)>,
) -> PageResult {
    let (tag_of, label) = (known(&wire)?, label(&context, &act).ok_or(Refusal::NotFound("act"))?);
    let queue = queues::view(&app.saga.pool, tag_of).await?;
    let words = describe_job(&wire);
    let preview = html! {
        p { (context.t(&words.en, &words.zh)) }
        p { (queue.ready) " " (context.t("ready", "就绪")) ", " (queue.delayed) " " (context.t("delayed", "延迟")) ", "
            (queue.retrying) " " (context.t("failed and retrying", "失败重试中")) ", "
            (queue.running) " " (context.t("running", "运行中")) "." }
        p { (match act.as_str() {
            "pause" => context.t("Workers take no more of these jobs; running attempts end. What they would do waits.",
                                 "工作进程不再领取此类任务；正在执行的会结束，其余等待。"),
            "drain" => context.t("As a pause; the page shows when the last running attempt has ended.",
                                 "同暂停；页面会显示最后一个执行何时结束。"),
            _ => context.t("Workers take these jobs again, at once.", "工作进程立即恢复领取。"),
        }) }
    };
    let address = format!("/console/queues/{wire}/{act}");
    let body = action_form(&context, &address, label, html! {}, Some(preview), act != "resume");
    Ok(with_nav(&context, Nav::Queues, &format!("{label}: {wire}"), body))
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((wire, act)): Path<(String, String)>,
    form: OperatorForm<EmptyForm>,
) -> PageResult {
    let (context, by, EmptyForm {}) = form.into_parts();
    let (tag_of, label) = (known(&wire)?, label(&context, &act).ok_or(Refusal::NotFound("act"))?);
    let mut tx = storage::begin(&app.saga.pool).await?;
    match act.as_str() {
        "pause" => queues::pause(&mut tx, &by, tag_of).await?,
        "drain" => queues::drain(&mut tx, &by, tag_of).await?,
        _ => queues::resume(&mut tx, &by, tag_of).await?,
    };
    tx.commit().await?;
    Ok(redirect_with_notice(&context, "/console/queues", &format!("{label}: {wire} ✓")))
}

fn known(wire: &str) -> Result<MqTag, Refusal> {
    wire.parse().map_err(|_| Refusal::NotFound("tag"))
}

fn label(context: &PageContext, act: &str) -> Option<&'static str> {
    match act {
        "pause" => Some(context.t("Pause", "暂停")),
        "resume" => Some(context.t("Resume", "恢复")),
        "drain" => Some(context.t("Drain", "排空")),
        _ => None,
    }
}
