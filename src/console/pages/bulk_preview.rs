//! What an operation on many jobs would do: its filter in words, and totals over all that it covers.

use super::bulk_form::{Pairs, act_word, value};
use crate::console::{
    components::{link_order, money, tag},
    numbers::{grouped, in_words},
    session::PageContext,
};
use crate::ops::bulk::{BulkAction, MAX_JOBS, Preview};
use maud::{Markup, html};

/// The fields of a filter, in the order of the sentence.
const WORDS: [(&str, &str, &str); 11] = [
    ("tag", "tag", "标签"),
    ("state", "state", "状态"),
    ("error", "error", "错误"),
    ("key", "key", "键"),
    ("serial", "serial key", "串行键"),
    ("order", "order", "订单"),
    ("rider", "rider", "乘客"),
    ("trip", "trip", "班次"),
    ("since", "enqueued since", "入队不早于"),
    ("before", "enqueued before", "入队早于"),
    ("failures", "failed at least so often:", "失败次数不少于"),
];

/// The filter, in words.
pub(super) fn filter_words(context: &PageContext, pairs: &Pairs) -> Markup {
    let chosen = pairs.iter().filter(|(name, _)| name == "ids").flat_map(|(_, ids)| ids.split(',')).count();
    html! {
        @if chosen > 0 { (grouped(chosen)) " " (context.t("jobs that were chosen one by one", "个逐一选择的任务")) }
        @else {
            (context.t("all jobs with", "全部任务，条件为")) " "
            @for (at, (name, en, zh)) in WORDS.iter().filter(|(name, ..)| value(pairs, name).is_some()).enumerate() {
                @if at > 0 { ", " }
                (context.t(en, zh)) " " code { (value(pairs, name).unwrap_or_default()) }
            }
        }
    }
}

/// The totals. Each is over all jobs that the operation covers; a bound is named where there is one.
pub(super) fn preview_card(
    context: &PageContext,
    what: BulkAction,
    preview: &Preview,
    pairs: &Pairs,
    one: bool,
) -> Markup {
    let stays = matches!(what, BulkAction::Cancel | BulkAction::Discard);
    let at_least = preview.looked_at < preview.covers;
    let least = || html! { @if at_least { (context.t("at least", "至少")) " " } };
    html! {
        dl.facts {
            dt { (context.t("What", "操作")) }
            dd { (act_word(context, what.as_str())) ": " @if one { (context.t("the oldest one of", "最早的一个，属于")) " " } (filter_words(context, pairs)) }
            dt { (context.t("Jobs", "任务")) }
            dd {
                strong { (grouped(preview.covers)) }
                @if preview.more && !one {
                    " " (context.t("(the oldest; there are more, for another operation: one covers at most", "（最早的；其余须另行操作：每次最多"))
                    " " (grouped(MAX_JOBS)) (context.t(")", "）"))
                }
            }
            @for (wire, many) in &preview.by_tag { dt { (tag(context, wire)) } dd { (grouped(many)) } }
            dt { (context.t("Orders", "订单")) } dd { (least()) (grouped(preview.orders)) }
            dt { (context.t("Riders", "乘客")) } dd { (least()) (grouped(preview.riders)) }
            dt { (if stays { context.t("Seats that stay taken", "仍被占用的座位") } else { context.t("Seats that would be freed", "将释放的座位") }) }
            dd { (least()) (grouped(preview.seats)) }
            dt { (if stays { context.t("Money not given back", "不会退回的款项") } else { context.t("Money that would go back", "将退回的款项") }) }
            dd { (least()) (money(preview.amount)) }
        }
        @if what == BulkAction::Discard { p { strong { (context.t(
            "Those that still owe seats or money are left alone. The others can never be redriven.",
            "仍欠座位或款项的任务不会被丢弃。其余任务将无法再次重投。",
        )) } } }
        @for words in &preview.comes_back { p { strong { (in_words(context.t(&words.en, &words.zh))) } } }
        @if at_least {
            p.quiet {
                (context.t("At least: orders, riders, seats and money are read of the oldest", "至少：仅读取最早的任务的订单、乘客、座位和款项，数量为"))
                " " (grouped(preview.looked_at)) " " (context.t("jobs, so that the page loads in time.", "，以保证页面及时加载。"))
            }
        }
        @if !preview.order_ids.is_empty() {
            details {
                summary { (context.t("Which orders", "哪些订单")) }
                ul.ids { @for order in &preview.order_ids { li { (link_order(order)) } } }
            }
        }
    }
}
