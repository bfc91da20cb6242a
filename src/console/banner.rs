//! The tags that are paused, on every page: who paused each, why and since when.

use super::{
    components::{LIVE_BEGIN, LIVE_END, when},
    session::PageContext,
};
use crate::ops::history::Pause;
use maud::{Markup, PreEscaped, html};

/// The banner. It is updated with the live parts of a page, and makes no page live by itself.
pub(crate) fn pauses(context: &PageContext) -> Markup {
    html! { div #pauses { (PreEscaped(LIVE_BEGIN)) "pauses" (PreEscaped("-->")) (paused(context)) (PreEscaped(LIVE_END)) } }
}

/// What stands in the banner; nothing while no tag is paused.
pub(crate) fn paused(context: &PageContext) -> Markup {
    html! { @if !context.pauses.is_empty() {
        div.pauses role="status" { ul { @for pause in context.pauses.iter() { li {
            span aria-hidden="true" { "‖ " }
            a href=(format!("/console/queues/{}/resume", pause.tag)) { (pause.tag) } " "
            (context.t("is paused by", "已暂停，操作人")) " " strong { (pause.who) } " "
            (context.t("since", "自")) " " (when(context, pause.since)) ": " (pause.why)
        } } } }
    } }
}

fn of_tag<'a>(context: &'a PageContext, tag: &str) -> Option<&'a Pause> {
    context.pauses.iter().find(|pause| pause.tag == tag)
}

/// Why a job of this tag is late, if its tag is paused.
pub(crate) fn because_paused(context: &PageContext, tag: &str) -> Markup {
    html! { @if let Some(pause) = of_tag(context, tag) {
        span.quiet { (context.t("because paused by", "因为已暂停，操作人")) " " (pause.who) " " (context.t("since", "自")) " " (when(context, pause.since)) }
    } }
}

/// Who paused a tag, since when and why.
pub(crate) fn paused_words(context: &PageContext, tag: &str) -> Markup {
    html! { @if let Some(pause) = of_tag(context, tag) {
        div.quiet { (pause.who) ", " (when(context, pause.since)) ": " (pause.why) }
    } }
}
