//! The home page: whether seats and money are safe, and which jobs are stuck.

use super::{
    home_charts::{charts, range},
    home_standby::standby,
    home_tiles::{ages, count_dead, count_failing, counted, tiles},
};
use crate::browser::language::Lang;
use crate::console::{
    banner::because_paused,
    components::{empty, link_job, link_order, link_rider, live, program_text, span, state, tag, when},
    failure::PageResult,
    layout::{Nav, with_standing},
    numbers::{grouped, money_words, with_currency},
    outage::LastHealth,
    session::PageContext,
    standing::Standing,
};
use crate::{
    domain::Money,
    http::{App, extract::Params},
    ops::{
        overview::{self, HealthLevel},
        undos::UndoBacklog,
        verifier::{self, BrokenInvariant, StoredVerdict},
    },
    verify,
};
use axum::extract::State;
use farebox_jobs::{
    MqTag,
    queue::admin::{self, COUNT_MAX, JobView},
};
use maud::{Markup, html};
use serde_json::Value;
use uuid::Uuid;

pub(crate) async fn show(
    State(app): State<App>,
    health: LastHealth,
    context: PageContext,
    Params(pairs): Params<Vec<(String, String)>>,
) -> PageResult {
    let range = range(&pairs)?;
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
    let ((queues, workers), (verdict, owed, dead, failing, late, all_late), history) =
        tokio::try_join!(now, amiss, app.history.read(pool, range))?;
    let (all_dead, all_failing) = (count_dead(&queues), count_failing(&queues));
    let many_dead: i64 = queues.iter().map(|queue| queue.dead).sum();
    let many_failing: i64 = queues.iter().map(|queue| queue.retrying).sum();
    let standing = overview::health_level(verdict.as_ref(), &owed, many_dead, many_failing);
    health.remember(standing, verdict.as_ref().map(|verdict| verdict.at));
    let heading = context.t("Are seats and money safe?", "座位与资金是否安全？");
    let tab = Standing::of(&context, standing, heading);
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
        (live("verdict", &context, html! { div #tab data-title=(tab.title) data-icon=(tab.icon) { (verdict_card(&context, standing, verdict.as_ref(), &owed, (many_dead, many_failing))) } }))
        (live("tiles", &context, tiles(&context, &queues, &workers, &owed, all_late)))
        (live("stuck", &context, listed(&context, &stuck)))
        h2 { (context.t("What happened", "运行情况")) }
        (live("charts", &context, charts(&context, &history)))
        (live("queues", &context, ages(&context, &queues)))
        @if let Some(replica) = app.reads.replica() { (live("standby", &context, standby(&context, replica))) }
    };
    Ok(with_standing(&context, Nav::Home, heading, &tab, body))
}

/// The verdict of the verifier, what is owed in counts, money and riders, and the broken
/// invariants.
fn verdict_card(
    context: &PageContext,
    standing: HealthLevel,
    verdict: Option<&StoredVerdict>,
    owed: &UndoBacklog,
    (dead, retrying): (i64, i64),
) -> Markup {
    let (kind, headline) = match standing {
        HealthLevel::Safe => (
            "good",
            context.t(
                "✓ Seats and money are safe: every invariant holds.",
                "✓ 座位与资金安全：所有不变量成立。",
            ),
        ),
        HealthLevel::Working if !owed.is_empty() || retrying > 0 => {
            ("wait", context.t("Working it off.", "正在处理。"))
        }
        HealthLevel::Working => ("wait", ""),
        HealthLevel::NeedsYou => ("bad", context.t("! Needs you.", "! 需要您处理。")),
        HealthLevel::Corrupt => (
            "bad",
            context.t(
                "✗ Corrupt: seats, money or their books are wrong.",
                "✗ 数据有误：座位、资金或账目不正确。",
            ),
        ),
    };
    html! {
        div class=(format!("card verdict {kind}")) {
            @if !headline.is_empty() { strong { (headline) } }
            @for sentence in sentences(context, owed, dead, retrying) { div { (sentence) } }
            @if let Some(verdict) = verdict {
                @if verdict.is_old() {
                    div { (context.t("The last check is old: is a worker running?", "检查结果已过时：是否有工作进程在运行？")) }
                }
                @for broken in verdict.broken() { (breach(context, &broken, dead)) }
                div.quiet {
                    (verdict.invariants.as_array().map_or(0, Vec::len)) " " (context.t("invariants, checked", "项不变量，检查于")) " " (when(context, verdict.at))
                    " · " (context.t("took", "耗时")) " " (span(context, verdict.took_secs))
                }
            } @else {
                div { (context.t("Not checked yet: a worker checks the invariants every few seconds.",
                                 "尚未检查：工作进程会定期检查不变量。")) }
            }
        }
    }
}

/// What is owed and what is failing, in one sentence each.
fn sentences(context: &PageContext, owed: &UndoBacklog, dead: i64, retrying: i64) -> Vec<String> {
    let chinese = context.lang == Lang::Chinese;
    let some = |many: i64, one: &str, more: &str| {
        format!("{} {}", grouped(many), if many == 1 { one } else { more })
    };
    let size = |many: usize| i64::try_from(many).unwrap_or(i64::MAX);
    let mut said = Vec::new();
    if !owed.is_empty() {
        let amount = money_words(Money::from_database(owed.amount));
        let (riders, seats) = (size(owed.riders), size(owed.seats));
        said.push(if chinese {
            let least = if owed.more { "至少" } else { "" };
            let (riders, seats) = (grouped(riders), grouped(seats));
            format!("{least}欠 {riders} 位乘客共 {amount}，另有 {seats} 个座位待释放。")
        } else {
            let least = if owed.more { "At least " } else { "" };
            let is = if owed.amount.is_zero() && seats == 1 { "is" } else { "are" };
            let riders = some(riders, "rider", "riders");
            format!("{least}{amount} of {riders} and {} {is} owed.", some(seats, "seat", "seats"))
        });
    }
    if owed.failing > 0 {
        let next = span(context, owed.next_secs.unwrap_or(0.0));
        let (many, times) = (grouped(owed.failing), owed.failures);
        said.push(if chinese {
            format!("{many} 个撤销任务失败并正在重试（最多已失败 {times} 次，{next}后再试）。")
        } else {
            let are = if owed.failing == 1 { "undo is failing and is" } else { "undos are failing and are" };
            format!("{many} {are} tried again ({} time, next in {next}).", ordinal(times))
        });
    }
    let others = retrying - owed.failing;
    if others > 0 {
        said.push(if chinese {
            format!("另有 {} 个其他任务失败并正在重试。", grouped(others))
        } else {
            let are =
                if others == 1 { "other job is failing and is" } else { "other jobs are failing and are" };
            format!("{} {are} tried again.", grouped(others))
        });
    }
    if owed.overdue > 0 {
        let oldest = span(context, owed.oldest_secs.unwrap_or(0.0));
        let many = owed.overdue;
        said.push(if chinese {
            format!("{} 个撤销任务逾期过久，最久 {oldest}。", grouped(many))
        } else {
            format!(
                "{} been due for too long, the oldest for {oldest}.",
                some(many, "undo has", "undos have")
            )
        });
    }
    if dead > 0 {
        let many = counted(dead);
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

/// A broken invariant: its count, some samples, and a link to the rest. The number of dead letters has been
/// said, unless the verifier counted another.
fn breach(context: &PageContext, broken: &BrokenInvariant, dead: i64) -> Markup {
    let is_said = broken.name == "nothing_is_dead" && broken.count == dead;
    let words = verify::breach(&broken.name, broken.count);
    let more = broken.count - i64::try_from(broken.samples.len()).unwrap_or(0);
    let list = match broken.name.as_str() {
        "nothing_is_dead" => Some("/console/jobs?state=dead"),
        "debts_are_paid_in_time" => Some("/console/queues"),
        _ => None,
    };
    let rest = if context.lang == Lang::Chinese {
        format!("另有 {} 处", grouped(more))
    } else {
        format!("and {} more", grouped(more))
    };
    html! { div {
        @if is_said {}
        @else if let Some((words, _)) = &words { (context.t(&words.en, &words.zh)) }
        @else { (broken.name) ": " (grouped(broken.count)) }
        " "
        @if broken.debts.is_empty() { @for id in &broken.samples { (sample(id)) " " } }
        @else { ul { @for one in &broken.debts { li { (debt(context, one)) } } } }
        @if more > 0 { @if let Some(list) = list { a href=(list) { (rest) } } @else { (rest) } }
    } }
}

/// An overdue debt: order, rider, amount, seats, age, and why its job is not done.
fn debt(context: &PageContext, debt: &Value) -> Markup {
    let text = |name: &str| debt[name].as_str().unwrap_or_default().to_owned();
    let listed = |name: &str| debt[name].as_array().into_iter().flatten();
    let labels: Vec<String> = listed("labels").filter_map(Value::as_str).map(str::to_owned).collect();
    let seats: Vec<String> =
        if labels.is_empty() { listed("seats").map(ToString::to_string).collect() } else { labels };
    let why = &debt["why"];
    let why = context.t(why["en"].as_str().unwrap_or_default(), why["zh"].as_str().unwrap_or_default());
    html! {
        (link_job(text("job_id"))) " " (tag(context, &text("tag"))) " · "
        @if let Some(order) = debt["order_id"].as_str() { (context.t("order", "订单")) " " (link_order(order)) " · " }
        @if let Some(rider) = debt["rider_id"].as_str() { (context.t("rider", "乘客")) " " (link_rider(rider)) " " (text("rider")) " · " }
        @if let Some(amount) = debt["amount"].as_str() { span.money { (with_currency(amount, text("currency"))) } " · " }
        @if !seats.is_empty() { (context.t("seats", "座位")) " " (seats.join(", ")) " · " }
        (context.t("owed for", "已欠")) " " (span(context, debt["owed_secs"].as_f64().unwrap_or(0.0))) " · " (why)
    }
}

/// A sample; an id is a link to what it belongs to.
fn sample(text: &str) -> Markup {
    let id = text.rsplit(' ').next().and_then(|last| last.parse::<Uuid>().ok());
    html! {
        @if let Some(id) = id { a.id href=(format!("/console/search?q={id}")) { (text) } }
        @else { code { (text) } }
    }
}

/// Jobs of one kind that are stuck.
struct Stuck<'a> {
    /// The first of them; late ones with how long they are due, seconds.
    jobs: Vec<(&'a JobView, Option<f64>)>,
    /// The number of all, as text.
    all: String,
    /// The state that the list of jobs filters by.
    state: &'static str,
}

impl Stuck<'_> {
    fn what(&self, context: &PageContext) -> &'static str {
        match self.state {
            "dead" => context.t("dead letters", "封死信"),
            "retrying" => context.t("failing jobs", "个失败重试的任务"),
            _ => context.t("late jobs", "个延迟任务"),
        }
    }
}

/// The first jobs of each kind, with the number of all.
fn listed(context: &PageContext, kinds: &[Stuck<'_>]) -> Markup {
    html! {
        h2 { (context.t("Stuck", "卡住的任务")) }
        @for kind in kinds { (beyond(context, kind.jobs.len(), &kind.all, kind.state, kind.what(context))) }
        @if kinds.iter().all(|kind| kind.jobs.is_empty()) { (empty(context, "Nothing is stuck.", "没有卡住的任务。")) }
        @else { div.scroll { table {
            thead { tr {
                th scope="col" { (context.t("Job", "任务")) } th scope="col" { (context.t("Tag", "标签")) }
                th scope="col" { (context.t("State", "状态")) } th scope="col" { (context.t("Since", "自")) }
                th scope="col" { (context.t("About", "关于")) } th scope="col" { (context.t("Why", "原因")) }
            } }
            tbody { @for kind in kinds { @for (job, late_secs) in &kind.jobs { (row(context, job, *late_secs)) } } }
        } } }
    }
}

/// A link to the rest, if not all jobs are shown.
fn beyond(context: &PageContext, shown: usize, all: &str, state: &str, what: &str) -> Markup {
    html! { @if all != shown.to_string() { p {
        @if context.lang == Lang::Chinese { "共 " (all) " " (what) "，显示 " (shown) "。" }
        @else { (shown) " of " (all) " " (what) " are shown. " }
        a href=(format!("/console/jobs?state={state}")) { (context.t("See them all", "查看全部")) }
    } } }
}

fn row(context: &PageContext, job: &JobView, late_secs: Option<f64>) -> Markup {
    html! { tr {
        td { (link_job(job.id)) }
        td { (tag(context, &job.tag)) }
        td { (state(context, &job.state)) }
        td { @if let Some(secs) = late_secs { (span(context, secs)) " " (because_paused(context, &job.tag)) } @else { (when(context, job.ended_at.or(job.first_due_at).unwrap_or(job.run_at))) } }
        td { @if let Some(order) = crate::ops::jobs::order_of(&job.payload) { (link_order(order)) } @else { code { (job.key) } } }
        td {
            @if job.failures() > 1 { (job.failures()) "× " }
            (program_text(job.last_error().unwrap_or_default()))
        }
    } }
}
