//! The parts that pages are made of: action forms, links, times, badges, live parts.

pub(crate) use super::time::when;
use super::{
    numbers::{grouped, money_words},
    session::PageContext,
};
use crate::domain::{Currency, MAX_REASON, Money};
use chrono::{DateTime, Utc};
use maud::{Markup, PreEscaped, html};
use std::fmt::Display;

/// Before a live part's id, which `-->` follows.
pub(crate) const LIVE_BEGIN: &str = "<!--live:";
/// After a live part.
pub(crate) const LIVE_END: &str = "<!--/live-->";

/// How much of a shortened id is shown, from its end.
const SHOWN_OF_ID: usize = 12;

/// A part of a page that is updated while the page is open. The id is unique on the page.
pub(crate) fn live(id: &str, _: &PageContext, body: Markup) -> Markup {
    html! {
        div id=(id) data-live { (PreEscaped(LIVE_BEGIN)) (id) (PreEscaped("-->")) (body) (PreEscaped(LIVE_END)) }
    }
}

/// A form that changes data, with a field for the reason. A viewer sees it disabled.
pub(crate) fn action_form(
    context: &PageContext,
    action: &str,
    label: &str,
    fields: Markup,
    preview: Option<Markup>,
    danger: bool,
) -> Markup {
    form_of_act(context, action, label, fields, preview, send_button(label, danger, true))
}

/// The same with its own end, which has the button.
pub(crate) fn form_of_act(
    context: &PageContext,
    action: &str,
    label: &str,
    fields: Markup,
    preview: Option<Markup>,
    end: Markup,
) -> Markup {
    let disabled = !context.can_write();
    let reason = format!("reason-{}", action.rsplit('/').next().unwrap_or_default());
    html! {
        form.act.card method="post" action=(action) {
            @if let Some(preview) = preview { div.preview { (preview) } }
            fieldset disabled[disabled] {
                legend.hidden { (label) }
                input type="hidden" name="csrf" value=(context.csrf);
                (fields)
                label for=(reason) { (context.t("Reason (kept in the audit log)", "原因（记入审计日志）")) }
                input id=(reason) name="reason" type="text" maxlength=(MAX_REASON) required autocomplete="off";
                (end)
                @if disabled { p.quiet { (context.t("For operators only.", "仅限操作员。")) } }
            }
        }
    }
}

/// The button that sends the form of an act, once it is ready.
pub(crate) fn send_button(label: &str, danger: bool, ready: bool) -> Markup {
    html! { button.primary.danger[danger] type="submit" disabled[!ready] { (label) } }
}

/// A link to the page that confirms an action; for a viewer, a disabled button.
pub(crate) fn action_link(context: &PageContext, address: &str, label: &str) -> Markup {
    html! {
        @if context.can_write() { a.button href=(address) { (label) } }
        @else { button type="button" disabled title=(context.t("For operators only.", "仅限操作员。")) { (label) } }
    }
}

/// A duration in one unit or two.
pub(crate) fn span(context: &PageContext, secs: f64) -> String {
    let whole = secs.abs() as u64;
    let unit = |en, zh| context.t(en, zh);
    match whole {
        0..60 if secs.abs() < 10.0 => format!("{:.1} {}", secs.abs(), unit("s", "秒")),
        0..60 => format!("{whole} {}", unit("s", "秒")),
        60..3_600 => format!("{} {} {} {}", whole / 60, unit("min", "分"), whole % 60, unit("s", "秒")),
        3_600..86_400 => {
            format!("{} {} {} {}", whole / 3_600, unit("h", "小时"), whole / 60 % 60, unit("min", "分"))
        }
        _ => format!("{} {}", whole / 86_400, unit("days", "天")),
    }
}

/// The time until something is due.
pub(crate) fn ahead(context: &PageContext, at: DateTime<Utc>) -> String {
    let secs = (at - Utc::now()).as_seconds_f64();
    if secs <= 0.0 {
        return context.t("now", "现在").to_owned();
    }
    format!("{} {} {}", context.t("in", ""), span(context, secs), context.t("", "后")).trim().to_owned()
}

/// An amount of money, with its currency.
pub(crate) fn money(amount: Money) -> Markup {
    html! { span.money { (money_words(amount)) } }
}

/// An amount of money in a table, whose head names the currency ([`money_head`]).
pub(crate) fn amount(amount: impl Display) -> Markup {
    html! { span.money { (grouped(amount)) } }
}

/// The head of a column of amounts, with their currency.
pub(crate) fn money_head(title: &str) -> Markup {
    html! { th scope="col" { (title) ", " (Currency::installed()) } }
}

/// An id in full, with a button that copies it.
pub(crate) fn copied(context: &PageContext, id: impl Display) -> Markup {
    let id = id.to_string();
    html! { span.copied { code { (id) } " " (copy_button(context, &id)) } }
}

/// The end of an id, with a button that copies the whole.
pub(crate) fn copied_end(context: &PageContext, id: impl Display) -> Markup {
    let id = id.to_string();
    let end = id.len().saturating_sub(SHOWN_OF_ID);
    html! { span.copied { code title=(id) { "…" (id[end..]) } " " (copy_button(context, &id)) } }
}

/// The button beside a `code`; the script shows it, and says in the status that it has copied.
pub(crate) fn copy_button(context: &PageContext, id: &str) -> Markup {
    let copy = context.t("Copy", "复制");
    html! {
        button.copy type="button" data-copy=(id) aria-label=(format!("{copy} {id}"))
            data-copied=(context.t("copied", "已复制"))
            data-selected=(context.t("selected: copy it by hand", "已选中，请手动复制")) { (copy) }
        " " span role="status" {}
    }
}

/// A tag as it is on the wire.
pub(crate) fn tag(_: &PageContext, wire: &str) -> Markup {
    html! { code.tag { (wire) } }
}

/// A state as a badge: a word, and a mark that is readable without colours.
pub(crate) fn state(context: &PageContext, state: &str) -> Markup {
    let (kind, mark, en, zh) = match state {
        "ready" => ("wait", "○", "ready", "就绪"),
        "delayed" => ("wait", "◔", "delayed", "延迟"),
        "retrying" => ("bad", "↻", "failed, retrying", "失败，重试中"),
        "running" => ("run", "▶", "running", "运行中"),
        "done" => ("good", "✓", "done", "完成"),
        "dead" => ("bad", "✗", "dead", "死信"),
        "cancelled" => ("off", "–", "cancelled", "已取消"),
        "missing" => ("bad", "✗", "missing", "失联"),
        "working" => ("good", "✓", "working", "工作中"),
        "draining" => ("wait", "◔", "draining", "排空中"),
        "paused" => ("wait", "‖", "paused", "已暂停"),
        "unpaid" => ("wait", "◔", "unpaid", "未支付"),
        "paying" => ("run", "▶", "paying", "支付中"),
        "paid" => ("good", "✓", "paid", "已支付"),
        "refunding" => ("run", "▶", "refunding", "退款中"),
        "refunded" => ("off", "↺", "refunded", "已退款"),
        "closed" => ("off", "–", "closed", "已关闭"),
        "undone" => ("off", "↺", "undone", "已撤销"),
        "barred" => ("off", "⊘", "barred", "已阻止"),
        "due" => ("bad", "!", "undo due", "待撤销"),
        "none" => ("off", "·", "not begun", "未开始"),
        other => return html! { span.badge.off { (other) } },
    };
    badge(kind, mark, context.t(en, zh))
}

/// A badge of a kind (`good`, `bad`, `wait`, `run`, `off`): a mark that is readable without colours,
/// and words.
pub(crate) fn badge(kind: &str, mark: &str, words: &str) -> Markup {
    html! { span class=(format!("badge {kind}")) { span aria-hidden="true" { (mark) } " " (words) } }
}

/// What a program said, in English on every page: an error with its causes.
pub(crate) fn program_text(text: &str) -> Markup {
    html! { @if !text.is_empty() { span lang="en" { (text) } } }
}

/// What a page says of an act or a refusal. Of the kinds `good`, `bad` and `wait`; the role is `status`,
/// or `alert` for what has gone wrong.
pub(crate) fn notice(kind: &str, role: &str, words: Markup) -> Markup {
    html! { div class=(format!("notice {kind}")) role=(role) { (words) } }
}

/// A link to an order, by its shortened id; the whole id is the title.
pub(crate) fn link_order(id: impl Display) -> Markup {
    link("/console/orders", id)
}

/// A link to a job.
pub(crate) fn link_job(id: impl Display) -> Markup {
    link("/console/jobs", id)
}

/// A link to a rider.
pub(crate) fn link_rider(id: impl Display) -> Markup {
    link("/console/riders", id)
}

/// A link to a trip.
pub(crate) fn link_trip(id: impl Display) -> Markup {
    link("/console/trips", id)
}

fn link(path: &str, id: impl Display) -> Markup {
    let id = id.to_string();
    let end = id.len().saturating_sub(SHOWN_OF_ID);
    html! { a.id.short href=(format!("{path}/{id}")) title=(id) { "…" (id[end..]) } }
}

/// The text of an empty list.
pub(crate) fn empty(context: &PageContext, en: &'static str, zh: &'static str) -> Markup {
    html! { p.empty { (context.t(en, zh)) } }
}

/// The link to the next page of a list: this page's address with another `after`.
pub(crate) fn older_page_link(context: &PageContext, after: Option<impl Display>) -> Markup {
    next_page_link(context, after, context.t("Older", "更早"))
}

/// As [`older_page_link`], with other words than "Older".
pub(crate) fn next_page_link(context: &PageContext, after: Option<impl Display>, words: &str) -> Markup {
    let Some(after) = after else { return html! {} };
    let (path, query) = context.path.split_once('?').unwrap_or((&context.path, ""));
    let others: Vec<&str> =
        query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after=")).collect();
    let address =
        format!("{path}?{}{}after={after}", others.join("&"), if others.is_empty() { "" } else { "&" });
    html! { p.more { a.button href=(address) rel="next" { (words) } } }
}
