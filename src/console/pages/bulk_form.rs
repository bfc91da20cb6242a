//! What the pages of bulk operations share: the fields of their forms, and their words.

use crate::console::{
    components::{self, badge, form_of_act, live, send_button, when},
    failure::Failure,
    session::PageContext,
};
use crate::{
    domain::{FieldError, Id},
    ops::{
        Counted,
        bulk::{BulkAction, Preview, Selection},
        search::JobQuery,
    },
};
use maud::{Markup, html};
use std::str::FromStr;
use uuid::Uuid;

/// Names and values in their order: a selection by hand repeats `ids`.
pub(super) type Pairs = Vec<(String, String)>;

/// The form that starts an operation. It can be sent once all jobs are counted, and names them: what
/// the preview did not show is not acted upon.
pub(super) fn start_form(
    context: &PageContext,
    label: &str,
    pairs: &Pairs,
    counted: &Counted<Option<Preview>>,
    card: Markup,
    danger: bool,
) -> Markup {
    let whole = counted.value.as_ref().filter(|_| counted.is_whole);
    let fields = html! {
        input type="hidden" name="id" value=(Uuid::now_v7());
        @for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            input type="hidden" name=(name) value=(value);
        }
    };
    let end = html! {
        @if let Some(preview) = whole { (exactly(preview)) }
        (send_button(label, danger, whole.is_some()))
    };
    form_of_act(context, "/console/bulk", label, fields, Some(card), live("start", context, end))
}

/// The fields that name the jobs of a preview.
pub(super) fn exactly(preview: &Preview) -> Markup {
    html! {
        input type="hidden" name="expected" value=(preview.covers);
        input type="hidden" name="digest" value=(preview.digest);
    }
}

/// When something was counted, if that was not just now, and for how long it stands.
pub(super) fn counted_at<T>(context: &PageContext, counted: &Counted<T>) -> Markup {
    let secs = counted.max_age.as_secs();
    html! { @if let Some(at) = counted.at {
        p.quiet {
            (context.t("Counted", "统计于")) " " (when(context, at)) ". "
            (context.t(&format!("It is counted again every {secs} s."), &format!("每 {secs} 秒重新统计。")))
        }
    } }
}

/// The words for running one job before the rest.
pub(super) fn try_words(context: &PageContext) -> &'static str {
    context.t("Try one first", "先试一个")
}

pub(super) fn act_word(context: &PageContext, act: &str) -> &'static str {
    match act {
        "retry" => context.t("Retry", "重试"),
        "cancel" => context.t("Cancel", "取消"),
        "discard" => context.t("Discard", "丢弃"),
        _ => context.t("Redrive", "重新投递"),
    }
}

pub(super) fn state(context: &PageContext, state: &str) -> Markup {
    match state {
        "waiting" => badge("wait", "◔", context.t("waiting", "等待中")),
        "done" => badge("run", "→", context.t("all sent", "已全部发出")),
        "stopped" => badge("off", "–", context.t("stopped", "已停止")),
        other => components::state(context, other),
    }
}

/// The action and its jobs: `ids` (separated by commas, or repeated), else the filters of the list
/// of jobs under the same names.
pub(super) fn chosen(pairs: &Pairs) -> Result<(BulkAction, Selection), Failure> {
    let what: BulkAction = value(pairs, "act").unwrap_or_default().parse().map_err(Failure::from)?;
    let named = pairs.iter().filter(|(name, _)| name == "ids").flat_map(|(_, ids)| ids.split(','));
    let ids: Result<Vec<Uuid>, _> =
        named.filter(|id| !id.is_empty()).map(|id| id.parse().map(|Id(id)| id)).collect();
    let ids = ids.map_err(|_| Failure::from(FieldError::new("ids", "ids of jobs, separated by commas")))?;
    if !ids.is_empty() {
        return Ok((what, Selection::Ids(ids)));
    }
    let text = |name: &str| value(pairs, name).map(str::to_owned);
    let wanted = JobQuery {
        tag: text("tag"),
        state: text("state"),
        key: text("key"),
        serial: text("serial"),
        error: text("error"),
        order: read(pairs, "order")?,
        rider: read(pairs, "rider")?,
        trip: read(pairs, "trip")?,
        since: read(pairs, "since")?,
        before: read(pairs, "before")?,
        failures: read(pairs, "failures")?,
    };
    Ok((what, Selection::Filter(wanted)))
}

/// The value of a field that is not empty.
pub(super) fn value<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

pub(super) fn read<T: FromStr>(pairs: &Pairs, name: &'static str) -> Result<Option<T>, Failure> {
    let rule = |_| Failure::from(FieldError::new(name, "this does not read"));
    value(pairs, name).map(str::parse).transpose().map_err(rule)
}
