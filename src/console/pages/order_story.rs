//! The story of an order: all that happened, by time; and, apart, what is to come.

use crate::console::{
    chinese,
    components::{copy_button, empty, link_job, link_rider, span, state, tag},
    numbers::with_currency,
    session::PageContext,
    time::moment,
};
use crate::orders::{
    Event,
    flows::{describe_step, describe_undo},
    snapshot::OrderSnapshot,
};
use chrono::{DateTime, TimeDelta, Utc};
use farebox_jobs::{MqTag, queue::admin::JobView};
use maud::{Markup, html};
use serde_json::Value;

/// A duration: milliseconds below a second.
pub(super) fn duration(context: &PageContext, time: TimeDelta) -> String {
    match time.num_milliseconds() {
        millis @ 0..1_000 => format!("{millis} {}", context.t("ms", "毫秒")),
        _ => span(context, time.as_seconds_f64()),
    }
}

/// The trace id of a request or an attempt, as a link to all that has it.
pub(super) fn trace_link(context: &PageContext, trace: &str) -> Markup {
    html! { div.quiet { (context.t("Trace", "追踪")) " "
    span.copied { a href=(format!("/console/search?q={trace}")) { code { (trace) } } " " (copy_button(context, trace)) } } }
}

/// The list of what happened. Live jobs that wait stand in [`next`].
pub(super) fn story(context: &PageContext, events: &[Event]) -> Markup {
    let past: Vec<&Event> = events.iter().filter(|event| !is_to_come(event)).collect();
    html! {
        ol.story { @for run in past.chunk_by(|one, other| are_alike(one, other)) { @match run {
            [first, alike @ .., last] if alike.len() > 1 => {
                (line(context, first))
                li.bad { details id=(format!("alike-{}", first.at.timestamp_micros())) {
                    summary { (alike.len()) " " (context.t("more attempts failed in the same way", "次尝试以同样的方式失败")) }
                    ol.story { @for event in alike { (line(context, event)) } }
                } }
                (line(context, last))
            }
            few => @for event in few { (line(context, event)) }
        } } }
        @if !events.iter().any(|event| event.kind == "act") {
            (empty(context, "No operator has touched it.", "无操作员操作。"))
        }
    }
}

/// Whether two attempts of a job failed with one error.
fn are_alike(one: &Event, other: &Event) -> bool {
    let same = |key: &str| one.detail[key] == other.detail[key];
    one.kind == "attempt" && other.kind == "attempt" && same("id") && same("error")
}

fn line(context: &PageContext, event: &Event) -> Markup {
    html! { li class=(kind_of(event)) { (moment(context, event.at)) " " (words(context, event)) } }
}

/// What is to come: the order's timers and the attempts that are due, the next one first.
pub(super) fn next(context: &PageContext, whole: &OrderSnapshot) -> Markup {
    let mut jobs: Vec<&JobView> = whole.jobs.iter().filter(|job| waits(&job.state)).collect();
    jobs.sort_by_key(|job| job.run_at);
    html! {
        h3 { (context.t("Next", "接下来")) }
        @if jobs.is_empty() { (empty(context, "Nothing is scheduled.", "没有安排。")) }
        @else { ol.story.next { @for job in jobs { li.plain {
            (moment(context, job.run_at)) " "
            @if let Ok(of) = job.tag.parse::<MqTag>() { @let does = describe_undo(of); (context.t(&does.en, &does.zh)) " " }
            small { (tag(context, &job.tag)) } " " (state(context, &job.state)) " " (link_job(job.id))
        } } } }
    }
}

fn waits(state: &str) -> bool {
    matches!(state, "ready" | "delayed" | "retrying")
}

fn is_to_come(event: &Event) -> bool {
    event.kind == "job" && event.detail["state"].as_str().is_some_and(waits)
}

fn kind_of(event: &Event) -> &'static str {
    match event.kind.as_str() {
        "failed_request" | "attempt" | "died" => "bad",
        "job" if event.detail["state"] == "dead" => "bad",
        "ledger" | "state" => "good",
        "act" => "act-of",
        _ => "plain",
    }
}

fn text<'a>(detail: &'a Value, key: &str) -> &'a str {
    detail[key].as_str().unwrap_or_default()
}

/// The words for a step's tag, with the tag itself small beside them.
fn step(context: &PageContext, wire: &str) -> Markup {
    let words = wire.parse().ok().map(describe_step);
    html! { @if let Some(words) = &words { (context.t(&words.en, &words.zh)) " " } small { (tag(context, wire)) } }
}

fn words(context: &PageContext, event: &Event) -> Markup {
    let (what, detail) = (event.what.as_str(), &event.detail);
    let job = || html! { @if let Some(id) = detail["id"].as_str() { " " (link_job(id)) } };
    match event.kind.as_str() {
        "step" => html! { (context.t("step done", "步骤完成")) ": " (step(context, what)) },
        "undo" => html! {
            @if detail["barred"] == true { (context.t("step barred, it never ran", "步骤被阻止，从未执行")) }
            @else { (context.t("step undone", "步骤已撤销")) }
            ": " (step(context, what))
        },
        "state" => {
            html! { (context.t("the order is", "订单状态")) " " (state(context, what)) " (" (chinese::note(context.lang, text(detail, "reason"))) ")" }
        }
        "change" => {
            html! { (context.t("an import changed", "导入更改了")) ": " (chinese::change(context.lang, what)) }
        }
        "ledger" => html! {
            (context.t("ledger entry", "账目")) ": " (chinese::word(context.lang, what)) " " span.money { (with_currency(text(detail, "amount"), text(detail, "currency"))) } ", "
            (context.t("then the wallet holds", "余额")) " " span.money { (with_currency(text(detail, "balance_after"), text(detail, "currency"))) }
        },
        "job" => html! {
            (context.t("job", "任务")) " " (step_of_job(context, what)) " " (state(context, text(detail, "state")))
            (job()) " " (chinese::note(context.lang, text(detail, "note")))
        },
        "attempt" => attempt(context, event),
        "died" => html! {
            (context.t("the job gave up, and was a dead letter until it was redriven", "任务放弃，成为死信，直到被重投"))
            ": " (step_of_job(context, what)) (job())
        },
        "request" => request(context, what, detail),
        "failed_request" => failed_request(context, what, detail),
        "act" => html! {
            strong { (chinese::word(context.lang, what)) } " " (text(detail, "actor")) " (" (chinese::word(context.lang, text(detail, "through"))) ")"
            @if let Some(reason) = detail["reason"].as_str() { " — " (reason) }
            @if let Some(note) = detail["detail"]["note"].as_str() { " — " (note) }
        },
        "evaluation" => html! {
            (context.t("the rider's evaluation", "乘客评价")) ": " (what) " / 5"
            @if !text(detail, "comment").is_empty() { " — " (text(detail, "comment")) }
        },
        other => html! { (other) " " (what) },
    }
}

/// What a tag's job does, with the tag small beside it.
fn step_of_job(context: &PageContext, wire: &str) -> Markup {
    let words = wire.parse().ok().map(describe_undo);
    html! { @if let Some(words) = &words { "“" (context.t(&words.en, &words.zh)) "” " } small { (tag(context, wire)) } }
}

fn attempt(context: &PageContext, event: &Event) -> Markup {
    let detail = &event.detail;
    let began = DateTime::parse_from_rfc3339(text(detail, "started_at")).ok();
    html! {
        (context.t("attempt", "尝试")) " " (detail["attempt"]) " " (context.t("failed", "失败")) ": "
        (step_of_job(context, &event.what))
        @if let Some(id) = detail["id"].as_str() { " " (link_job(id)) }
        @if let Some(began) = began { " · " (duration(context, event.at - began.with_timezone(&Utc))) }
        pre { (text(detail, "error")) }
        @if let Some(trace) = detail["trace"].as_str() { (trace_link(context, trace)) }
    }
}

fn request(context: &PageContext, what: &str, detail: &Value) -> Markup {
    html! {
        (request_words(context, what)) " · " (context.t("key", "幂等键")) " " code { (text(detail, "key")) } " · "
        @if let Some(rider) = detail["actor"].as_str() { (link_rider(rider)) } " " (text(detail, "user_name")) " · "
        @if let Some(status) = detail["status"].as_i64() { (context.t("answered", "应答")) " " (status) }
        @else { (context.t("not answered", "未应答")) }
    }
}

/// A request that failed in the step of this tag.
fn failed_request(context: &PageContext, wire: &str, detail: &Value) -> Markup {
    let asked = match wire.parse() {
        Ok(MqTag::PayCheck | MqTag::PayMoney | MqTag::Pay) => "pay",
        Ok(MqTag::OrderCancel) => "cancel",
        Ok(MqTag::PayBack) => "refund",
        _ => "book",
    };
    html! {
        (request_words(context, asked)) " · "
        @if let Some(key) = detail["key"].as_str() { (context.t("key", "幂等键")) " " code { (key) } " · " }
        strong { (context.t("the request failed", "请求失败")) } ": " (step(context, wire))
        pre { (text(detail, "error")) }
        @if let Some(trace) = detail["trace"].as_str() { (trace_link(context, trace)) }
        @if let Some(undo) = detail["undo"].as_str() {
            div.quiet { (context.t("its undo was made due", "其撤销已排入队列")) " " (link_job(undo)) }
        }
    }
}

/// The words for a request.
fn request_words(context: &PageContext, what: &str) -> &'static str {
    match what {
        "book" => context.t("asked to book", "请求预订"),
        "pay" => context.t("asked to pay", "请求支付"),
        "cancel" => context.t("asked to cancel", "请求取消"),
        "refund" => context.t("asked for a refund", "请求退款"),
        _ => context.t("asked to evaluate", "请求评价"),
    }
}
