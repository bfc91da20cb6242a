//! The failed attempts at a job, the newest first, and their number.

use super::order_story::{duration, trace_link};
use crate::console::{
    chinese,
    components::{empty, program_text, state, when},
    session::PageContext,
    time::moment,
};
use chrono::{DateTime, Utc};
use farebox_jobs::queue::admin::JobView;
use maud::{Markup, html};
use serde_json::Value;

/// Attempts that are shown at once; older ones are folded.
const SHOWN: usize = 5;

/// The number of attempts. Those from before a redrive are counted apart: the redrive begins at one.
pub(super) fn number(context: &PageContext, job: &JobView) -> Markup {
    let failed = job.attempts.as_array().map_or(0, Vec::len);
    let since = usize::try_from(job.attempt).unwrap_or_default();
    let failed_since = match job.state.as_str() {
        // The last attempt did not fail.
        "done" | "running" => since.saturating_sub(1),
        _ => since,
    };
    let before = failed.saturating_sub(failed_since);
    html! {
        @if job.state == "done" {
            (failed + 1)
            @if failed > 0 { ", " (failed) " " (context.t("of them failed", "次失败")) }
            @if before > 0 { ", " (before) " " (context.t("before it was redriven", "次在重投之前")) }
        } @else {
            (job.attempt) " / " (job.max_attempts)
            @if before > 0 { " " (context.t("since it was redriven;", "（重投以来）；")) " " (before) " " (context.t("failed before", "次此前失败")) }
        }
    }
}

/// The last error of a job, or its note.
pub(super) fn error_or_note(context: &PageContext, job: &JobView) -> Markup {
    match job.last_error() {
        Some(error) => program_text(error),
        None => html! { (chinese::note(context.lang, job.note.as_deref().unwrap_or_default())) },
    }
}

/// The attempts that failed.
pub(super) fn list(context: &PageContext, job: &JobView) -> Markup {
    let none = Vec::new();
    let all: Vec<&Value> = job.attempts.as_array().unwrap_or(&none).iter().rev().collect();
    let (shown, folded) = all.split_at(all.len().min(SHOWN));
    html! {
        @if job.state == "running" { p { (state(context, "running")) " "
            @if let Some(at) = job.started_at { (when(context, at)) } } }
        @if all.is_empty() { (empty(context, "None has failed.", "没有失败的尝试。")) }
        ol.story { @for attempt in shown { (one(context, attempt)) } }
        @if !folded.is_empty() { details #older-attempts {
            summary { (folded.len()) " " (context.t("older failed attempts", "次更早的失败")) }
            ol.story { @for attempt in folded { (one(context, attempt)) } }
        } }
    }
}

fn one(context: &PageContext, attempt: &Value) -> Markup {
    let text = |key: &str| attempt[key].as_str().unwrap_or_default();
    let time = |key: &str| DateTime::parse_from_rfc3339(text(key)).ok().map(|at| at.with_timezone(&Utc));
    html! { li.bad {
        strong { (context.t("Attempt", "尝试")) " " (attempt["attempt"]) } " "
        @if let Some(began) = time("started_at") {
            (moment(context, began))
            @if let Some(ended) = time("ended_at") { " · " (duration(context, ended - began)) }
        }
        div.quiet { (text("worker")) }
        @if !text("trace_id").is_empty() { (trace_link(context, text("trace_id"))) }
        pre { (text("error")) }
    } }
}
