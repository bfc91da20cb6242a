//! The page of a bulk operation: what has become of its jobs, live, and the way on from a trial.

use super::{
    bulk_form::{Pairs, act_word, chosen, counted_at, exactly, read, state, value},
    bulk_preview::filter_words,
};
use crate::console::{
    components::{
        self, action_link, ahead, copied, empty, link_job, link_order, live, next_page_link, program_text,
        tag, when,
    },
    failure::{Failure, PageResult},
    layout::{Nav, with_nav},
    numbers::grouped,
    session::PageContext,
};
use crate::{
    domain::{FieldError, Id, Refusal},
    http::{
        App,
        extract::{Params, Path},
    },
    ops::{
        Counted,
        bulk::{self, Bulk, BulkAction, Judgement, Outcome, Outcomes, Selection, Verdict},
    },
};
use axum::extract::State;
use maud::{Markup, html};
use uuid::Uuid;

/// Jobs on a page.
const PAGE: u16 = 50;

pub(crate) async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
    Params(pairs): Params<Pairs>,
) -> PageResult {
    let pool = &app.saga.pool;
    let operation = bulk::show(pool, id).await?.ok_or(Refusal::NotFound("operation"))?;
    let wanted = value(&pairs, "outcome");
    let verdict = wanted.map(|word| Verdict::named(word).ok_or_else(|| FieldError::new("outcome", rule())));
    let verdict = verdict.transpose()?;
    let after = read::<i32>(&pairs, "after")?;
    let judged = app.judgements.read(pool, &operation).await?;
    let outcomes = &judged.value.outcomes;
    let items = bulk::judged(pool, id, &judged.value, verdict, after, PAGE).await?;
    let trial =
        serde_json::from_value::<Selection>(operation.selection.clone()).ok().and_then(Selection::rest);
    let title = format!("{} · {}", act_word(&context, &operation.act), grouped(operation.covers));
    let shown = html! {
        (verdict_card(&context, &operation, &judged))
        @if operation.finished_at.is_none() {
            p { (action_link(&context, &format!("/console/bulk/{id}/stop"), context.t("Stop", "停止"))) }
        }
        nav.tabs aria-label=(context.t("Outcome", "结果")) { (tabs(&context, &operation, verdict, &judged)) }
        @if judged.is_whole || verdict.is_none() { (jobs(&context, &items.items)) }
    };
    let rest = match trial {
        Some(selection) => Some(rest_form(&app, &context, &operation, outcomes, &selection).await?),
        None => None,
    };
    let body = html! {
        (live("progress", &context, shown))
        (next_page_link(&context, items.next, context.t("Next", "下一页")))
        @if let Some(rest) = rest { (live("rest", &context, rest)) }
        (facts(&context, &operation))
    };
    Ok(with_nav(&context, Nav::Bulk, &title, body))
}

fn rule() -> String {
    format!("one of {}", Verdict::ALL.map(Verdict::as_str).join(", "))
}

/// Whether it helped: not before all jobs have healed.
pub(super) fn verdict_card(context: &PageContext, operation: &Bulk, judged: &Counted<Judgement>) -> Markup {
    let outcomes = &judged.value.outcomes;
    let ran = matches!(operation.act.as_str(), "retry" | "redrive");
    let (kind, headline) = if operation.finished_at.is_none() {
        ("wait", context.t("The operation is under way.", "操作进行中。"))
    } else if !judged.is_whole {
        (
            "wait",
            context
                .t("Ended. What has become of its jobs is being counted.", "已结束。正在统计各任务的结果。"),
        )
    } else if ran && outcomes.failed > 0 {
        ("bad", context.t("! Needs you: jobs failed again.", "! 需要您处理：有任务再次失败。"))
    } else if ran && outcomes.trying > 0 {
        (
            "wait",
            context.t(
                "Working it off: all jobs are sent, not all have healed.",
                "正在处理：任务已全部发出，但尚未全部恢复。",
            ),
        )
    } else if ran && outcomes.left + outcomes.open + outcomes.cancelled > 0 {
        ("wait", context.t("Ended. Some jobs were not run.", "已结束。部分任务未执行。"))
    } else if ran {
        ("good", context.t("✓ Done: all jobs have healed.", "✓ 完成：所有任务均已恢复。"))
    } else {
        ("good", context.t("✓ The operation has ended.", "✓ 操作已结束。"))
    };
    html! {
        div class=(format!("card verdict {kind}")) {
            strong { (headline) }
            div.outcomes {
                @for verdict in Verdict::ALL {
                    @let many = outcomes.of(verdict);
                    @if many > 0 { span { (badge(context, verdict)) " " strong { (grouped(many)) } } }
                }
                span { (context.t("of", "共")) " " strong { (grouped(operation.covers)) } }
            }
            @if outcomes.trying > 0 {
                div {
                    (context.t("Still trying: up to attempt", "仍在尝试：最多第")) " " (outcomes.attempts.max(1)) (context.t("", " 次"))
                    @if let Some(at) = outcomes.next_at { ", " (context.t("next", "下次")) " " (when(context, at)) " " span.quiet { (ahead(context, at)) } }
                }
            }
            progress max=(operation.covers) value=(outcomes.healed + outcomes.cancelled)
                aria-label=(context.t("Jobs that have healed", "已恢复的任务")) {}
            div.quiet { (context.t("Sent", "已发出")) " " (grouped(operation.reached)) " / " (grouped(operation.covers)) " · " (state(context, &operation.state)) }
            (counted_at(context, judged))
        }
    }
}

fn words(context: &PageContext, verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healed => context.t("healed", "已恢复"),
        Verdict::Failed => context.t("failed again", "再次失败"),
        Verdict::Trying => context.t("still trying", "仍在尝试"),
        Verdict::Cancelled => context.t("cancelled", "已取消"),
        Verdict::LeftAlone => context.t("left alone", "未处理"),
        Verdict::Open => context.t("not reached", "尚未执行"),
    }
}

fn badge(context: &PageContext, verdict: Verdict) -> Markup {
    let (kind, mark) = match verdict {
        Verdict::Healed => ("good", "✓"),
        Verdict::Failed => ("bad", "✗"),
        Verdict::Trying => ("wait", "↻"),
        Verdict::Cancelled | Verdict::LeftAlone => ("off", "–"),
        Verdict::Open => ("off", "○"),
    };
    components::badge(kind, mark, words(context, verdict))
}

fn tabs(
    context: &PageContext,
    operation: &Bulk,
    shown: Option<Verdict>,
    judged: &Counted<Judgement>,
) -> Markup {
    let (id, outcomes) = (operation.id, &judged.value.outcomes);
    html! {
        a href=(format!("/console/bulk/{id}")) aria-current=[shown.is_none().then_some("true")] {
            (context.t("all", "全部")) " " (grouped(operation.covers))
        }
        @for verdict in Verdict::ALL {
            a href=(format!("/console/bulk/{id}?outcome={}", verdict.as_str())) aria-current=[(shown == Some(verdict)).then_some("true")] {
                (words(context, verdict)) @if judged.is_whole { " " (grouped(outcomes.of(verdict))) }
            }
        }
    }
}

/// The rest of what a trial was taken from: the same filter and the same reason, in one more step.
async fn rest_form(
    app: &App,
    context: &PageContext,
    operation: &Bulk,
    outcomes: &Outcomes,
    selection: &Selection,
) -> Result<Markup, Failure> {
    let what: BulkAction = operation.act.parse().map_err(Failure::from)?;
    let begun = rest_id(operation.id);
    if bulk::show(&app.saga.pool, begun).await?.is_some() {
        let words = context.t("The rest: see what has become of it", "其余任务：查看结果");
        return Ok(html! { p { a.button href=(format!("/console/bulk/{begun}")) { (words) } } });
    }
    let counted = app.previews.read(&app.saga.pool, what, selection).await?;
    let whole = counted.value.as_ref().filter(|_| counted.is_whole);
    let covers = whole.map(|preview| preview.covers);
    if covers == Some(0) {
        return Ok(
            html! { p.quiet { (context.t("No other job fits the filter any more.", "没有其他符合条件的任务。")) } },
        );
    }
    let pairs = pairs_of(selection);
    let label =
        context.t("Redrive the remaining", "重投其余").replace("Redrive", act_word(context, &operation.act));
    let label = covers.map_or_else(|| label.clone(), |covers| format!("{label} {}", grouped(covers)));
    Ok(html! {
        form.act.card method="post" action="/console/bulk" {
            p {
                @if outcomes.healed > 0 { strong { (context.t("The one that was tried has healed.", "试运行的任务已恢复。")) } }
                @else if outcomes.failed > 0 { strong { (context.t("The one that was tried failed again: the rest will probably fail, too.", "试运行的任务再次失败：其余任务很可能同样失败。")) } }
                @else { (context.t("The one that was tried has not healed yet.", "试运行的任务尚未恢复。")) }
            }
            p { (context.t("The rest:", "其余：")) " " (filter_words(context, &pairs)) }
            p { (context.t("Reason (kept in the audit log)", "原因（记入审计日志）")) ": " (operation.reason) }
            fieldset disabled[!context.can_write()] {
                legend.hidden { (label) }
                input type="hidden" name="csrf" value=(context.csrf);
                input type="hidden" name="id" value=(begun);
                @if let Some(preview) = whole { (exactly(preview)) }
                input type="hidden" name="act" value=(operation.act);
                input type="hidden" name="reason" value=(operation.reason);
                @for (name, value) in &pairs { input type="hidden" name=(name) value=(value); }
                button.primary.danger[outcomes.failed > 0] type="submit" disabled[whole.is_none()] { (label) }
            }
            @if whole.is_none() { p.quiet { (context.t("The rest is being counted.", "正在统计其余任务。")) } }
            (counted_at(context, &counted))
        }
    })
}

/// The id of the operation on the rest: one for each trial, so that a second click starts nothing.
fn rest_id(trial: Uuid) -> Uuid {
    Uuid::from_u128(trial.as_u128() ^ 1)
}

/// The fields of a form that selects these jobs.
fn pairs_of(selection: &Selection) -> Pairs {
    match selection {
        Selection::Ids(ids) => ids.iter().map(|id| ("ids".to_owned(), id.to_string())).collect(),
        Selection::Filter(query) => serde_urlencoded::to_string(query)
            .map(|text| form_urlencoded::parse(text.as_bytes()).into_owned().collect())
            .unwrap_or_default(),
        Selection::FirstOf(all) => pairs_of(all),
    }
}

fn facts(context: &PageContext, operation: &Bulk) -> Markup {
    html! {
        div.card { dl.facts {
            dt { (context.t("Id", "编号")) } dd { (copied(context, operation.id)) }
            dt { (context.t("By", "操作人")) } dd { (operation.actor) }
            dt { (context.t("Reason", "原因")) } dd { (operation.reason) }
            dt { (context.t("Started", "开始")) } dd { (when(context, operation.created_at)) }
            @if let Some(at) = operation.finished_at { dt { (context.t("All sent", "全部发出")) } dd { (when(context, at)) } }
            @if let Some(who) = &operation.stopped_by { dt { (context.t("Stopped by", "停止人")) } dd { (who) } }
            @if let Ok(selection) = serde_json::from_value::<Selection>(operation.selection.clone()) {
                dt { (context.t("Filter", "筛选")) } dd { (filter_words(context, &pairs_of(&selection))) }
            }
        } }
    }
}

fn jobs(context: &PageContext, items: &[Outcome]) -> Markup {
    if items.is_empty() {
        return empty(context, "None.", "无。");
    }
    html! { div.scroll { table {
        thead { tr {
            th scope="col" { "#" } th scope="col" { (context.t("Job", "任务")) } th scope="col" { (context.t("Tag", "标签")) }
            th scope="col" { (context.t("Order", "订单")) } th scope="col" { (context.t("Now", "现在")) }
            th scope="col" { (context.t("Last error, next attempt", "最后的错误，下次尝试")) }
        } }
        tbody { @for item in items { tr {
            td { (item.nr) } td { (link_job(item.job_id)) } td { (tag(context, &item.tag)) }
            td { @if let Some(order) = item.order_id { (link_order(order)) } }
            td { @if let Some(verdict) = Verdict::named(&item.verdict) { (badge(context, verdict)) } (why(context, item)) }
            td { (attempt(context, item)) }
        } } }
    } } }
}

/// Why the operation left a job alone.
fn why(context: &PageContext, item: &Outcome) -> Markup {
    let why = match item.act.as_deref() {
        Some("asked") => context.t("asked to end", "已请求结束"),
        Some("busy") => context.t("it was busy", "当时忙"),
        Some("gone") => context.t("it had ended", "当时已结束"),
        Some("owes") => context.t("it still owes seats or money", "仍欠座位或款项"),
        _ => "",
    };
    html! { @if !why.is_empty() { " " span.quiet { (why) } } }
}

/// The attempts since the act, with the last error.
fn attempt(context: &PageContext, item: &Outcome) -> Markup {
    let is = |verdict: Verdict| item.verdict == verdict.as_str();
    if !is(Verdict::Trying) && !is(Verdict::Failed) {
        return html! {};
    }
    let begun = item.attempt.unwrap_or(0);
    html! {
        @if item.running { (context.t("attempt", "第")) " " (begun) " " (context.t("runs", "次执行中")) }
        @else if is(Verdict::Trying) {
            (context.t("attempt", "第")) " " (begun + 1) " / " (item.max_attempts.unwrap_or(0)) " "
            @if let Some(at) = item.run_at { (when(context, at)) " " span.quiet { (ahead(context, at)) } }
        }
        @else { (context.t("gave up after", "放弃，尝试次数")) " " (begun) " " (context.t("attempts", "")) }
        @if begun > 0 { @if let Some(error) = &item.error { div.bad_text { (program_text(error)) } } }
    }
}

/// Whether only the oldest one is to be tried.
pub(super) fn is_trial(pairs: &Pairs) -> bool {
    value(pairs, "one") == Some("1")
}

/// The action and its jobs, of which a trial takes the first.
pub(super) fn chosen_or_one(pairs: &Pairs) -> Result<(BulkAction, Selection), Failure> {
    let (what, selection) = chosen(pairs)?;
    Ok((what, if is_trial(pairs) { Selection::FirstOf(Box::new(selection)) } else { selection }))
}
