//! Jobs that fail, grouped by their error: where a redrive begins.

use super::bulk_form::try_words;
use crate::console::{
    components::{action_link, program_text, when},
    numbers::grouped,
    session::PageContext,
};
use crate::ops::search::ErrorGroup;
use maud::{Markup, html};

/// The groups, open while one has dead letters.
pub(super) fn groups(context: &PageContext, groups: &[ErrorGroup]) -> Markup {
    let dead = groups.iter().any(|group| group.dead > 0);
    html! { @if !groups.is_empty() {
        details open[dead] {
            summary { (context.t("Errors of live and dead jobs, grouped", "存活与死信任务的错误分组")) }
            div.scroll { table {
                thead { tr {
                    th scope="col" { (context.t("Fingerprint", "指纹")) } th scope="col" { (context.t("Dead", "死信")) }
                    th scope="col" { (context.t("Live", "存活")) } th scope="col" { (context.t("Last", "最近")) }
                    th scope="col" { (context.t("Newest error", "最新错误")) } th scope="col" { (context.t("Acts", "操作")) }
                } }
                tbody { @for group in groups { (row(context, group)) } }
            } }
        }
    } }
}

fn row(context: &PageContext, group: &ErrorGroup) -> Markup {
    let print = &group.fingerprint;
    let redrive = format!("/console/bulk/new?act=redrive&error={print}");
    html! { tr {
        td { a href=(format!("/console/jobs?error={print}")) { code { (print) } } }
        td.number { (grouped(group.dead)) } td.number { (grouped(group.live)) } td { (when(context, group.last_at)) } td { (program_text(&group.sample)) }
        td { @if group.dead > 0 { div.acts {
            (action_link(context, &format!("{redrive}&one=1"), try_words(context)))
            (action_link(context, &redrive, context.t("Redrive all", "重投全部")))
        } } }
    } }
}
