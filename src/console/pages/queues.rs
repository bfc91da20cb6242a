//! Queues and workers: the numbers of each tag, pause, resume, drain.

use super::home_charts::{of_one_tag, range};
use crate::console::{
    banner::paused_words,
    chart::{Chart, class_of, marks_legend, of_tag, ranges, swatch},
    components::{action_form, action_link, empty, live, span, state, tag, when},
    failure::PageResult,
    form::{EmptyForm, OperatorForm},
    layout::{Nav, redirect_with_notice, with_nav},
    numbers::{grouped, short},
    session::PageContext,
};
use crate::{
    domain::Refusal,
    http::{
        App,
        extract::{Params, Path},
    },
    ops::{
        history::{History, Range},
        impact::describe_job,
        queues,
    },
    storage,
};
use axum::extract::State;
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

pub(crate) async fn list(
    State(app): State<App>,
    context: PageContext,
    Params(pairs): Params<Vec<(String, String)>>,
) -> PageResult {
    let range = range(&pairs)?;
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    let pool = &app.saga.pool;
    let (queues, workers, hour, history) = tokio::try_join!(
        admin::queues(pool, &tags),
        admin::workers(pool, None, COUNT_MAX),
        app.history.read(pool, Range::Hour),
        app.history.read(pool, range)
    )?;
    let body = html! {
        (live("queues", &context, html! { div.scroll { table.dense {
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
            tbody { @for queue in &queues { (row(&context, queue, &tag_rates(&queue.tag, &workers, &hour))) } }
        } }
            p.quiet { (context.t("A minute: the mean of the last five. Slots: of the living workers, shared by their tags.",
                                 "每分钟：最近五分钟的平均值。槽位：存活工作进程的槽位，由其各标签共用。")) }
        }))
        h2 { (context.t("What happened", "运行情况")) }
        (live("throughput", &context, throughput(&context, &history)))
        h2 { (context.t("Workers", "工作进程")) }
        (live("workers", &context, workers_table(&context, &workers)))
    };
    Ok(with_nav(&context, Nav::Queues, context.t("Queues and workers", "队列与工作进程"), body))
}

fn tag_rates(tag: &str, workers: &[WorkerView], hour: &History) -> TagRates {
    let mine = workers.iter().filter(|one| one.state != "missing" && one.tags.iter().any(|name| name == tag));
    // Without the present minute, which is not over.
    let last = |failed| of_tag(hour, tag, failed).into_iter().rev().skip(1).take(RATE_MINUTES);
    let mean = |failed| last(failed).sum::<f64>() / RATE_MINUTES as f64;
    TagRates { slots: mine.map(|one| one.slots).sum(), done: mean(false), failed: mean(true) }
}

/// A chart of each tag with attempts in the range.
fn throughput(context: &PageContext, history: &History) -> Markup {
    let chart = |wire: &'static str| {
        let done = of_one_tag(history, wire, context.t("done", "完成"), false);
        let failed = of_one_tag(history, wire, context.t("failed attempts", "失败的尝试"), true);
        let any = done.values.iter().chain(&failed.values).any(|value| *value > 0.0);
        let (done, failed) = (vec![done], vec![failed]);
        any.then(|| Chart { title: wire, unit: "", history, done, failed, tag: Some(wire) }.draw(context))
    };
    let charts: Vec<Markup> = MqTag::ALL.into_iter().filter_map(|tag| chart(tag.wire())).collect();
    html! {
        (ranges(context, "/console/queues", history.range))
        @if charts.is_empty() { (empty(context, "No job has ended.", "没有任务结束。")) }
        div.charts { @for chart in charts { (chart) } }
        (marks_legend(context, history))
    }
}

fn row(context: &PageContext, queue: &QueueView, rates: &TagRates) -> Markup {
    let act =
        |act: &str, label: &str| action_link(context, &format!("/console/queues/{}/{act}", queue.tag), label);
    html! { tr {
        th scope="row" { (swatch(&class_of(&queue.tag))) a href=(format!("/console/jobs?tag={}", queue.tag)) { (tag(context, &queue.tag)) } }
        td { (paused_words(context, &queue.tag)) (state(context, if !queue.paused { "working" } else if queue.running > 0 { "draining" } else { "paused" })) }
        td { (retrying(context, queue)) }
        @for many in [queue.ready, queue.delayed, queue.running, i64::from(rates.slots), queue.dead] { td.number { (grouped(many)) } }
        td { @if let Some(secs) = queue.oldest_ready_secs { (span(context, secs)) } }
        td { @if let Some(secs) = queues::oldest_undo_secs(queue) { (span(context, secs)) } }
        td.number { (short(rates.done)) } td.number { (short(rates.failed)) }
        td { div.acts {
            @if queue.paused { (act("resume", context.t("Resume", "恢复"))) }
            @else { (act("pause", context.t("Pause…", "暂停…"))) }
        } }
    } }
}

/// The number of retrying jobs as a link to them, with the most failures of one job.
pub(crate) fn retrying(context: &PageContext, queue: &QueueView) -> Markup {
    html! { @if queue.retrying > 0 {
        a href=(format!("/console/jobs?tag={}&state=retrying", queue.tag)) { (grouped(queue.retrying)) }
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
        p { (grouped(queue.ready)) " " (context.t("ready", "就绪")) ", " (grouped(queue.delayed)) " " (context.t("delayed", "延迟")) ", "
            (grouped(queue.retrying)) " " (context.t("failed and retrying", "失败重试中")) ", "
            (grouped(queue.running)) " " (context.t("running", "运行中")) "." }
        p { (match act.as_str() {
            "pause" => context.t("Workers take no more of these jobs; running attempts end. What they would do waits.",
                                 "工作进程不再领取此类任务；正在执行的会结束，其余等待。"),
            "drain" => context.t("As a pause; the page shows when the last running attempt has ended.",
                                 "同暂停；页面会显示最后一个执行何时结束。"),
            _ => context.t("Workers take these jobs again, at once.", "工作进程立即恢复领取。"),
        }) }
    };
    let address = format!("/console/queues/{wire}/{act}");
    let form = action_form(&context, &address, label, html! {}, Some(preview), act != "resume");
    let body = html! { (ways(&context, &wire, &act)) (form) };
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
    app.pauses.forget().await;
    Ok(redirect_with_notice(&context, "/console/queues", &format!("{label}: {wire} ✓")))
}

/// The two ways of a pause: at once, or until nothing runs any more.
fn ways(context: &PageContext, wire: &str, shown: &str) -> Markup {
    let ways = [("pause", "Pause", "暂停"), ("drain", "Pause and watch it drain", "暂停并等待排空")];
    html! { @if shown != "resume" { nav.tabs aria-label=(context.t("Way of the pause", "暂停方式")) {
        @for (act, en, zh) in ways {
            a href=(format!("/console/queues/{wire}/{act}")) aria-current=[(act == shown).then_some("true")] { (context.t(en, zh)) }
        }
    } } }
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
