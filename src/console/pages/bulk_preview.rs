//! What an operation on many jobs would do: its filter in words, and totals over all that it covers.

use super::bulk_form::{Pairs, act_word, counted_at, value};
use crate::console::{
    components::{link_order, money, tag},
    numbers::{grouped, in_words},
    session::PageContext,
};
use crate::ops::{
    Counted,
    bulk::{BulkAction, MAX_JOBS, Preview},
};
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

/// The totals over all jobs that the operation covers; before all of them are counted, how far that is.
pub(super) fn preview_card(
    context: &PageContext,
    what: BulkAction,
    counted: &Counted<Option<Preview>>,
    pairs: &Pairs,
    one: bool,
) -> Markup {
    let whole = counted.value.as_ref().filter(|_| counted.is_whole);
    html! {
        dl.facts {
            dt { (context.t("What", "操作")) }
            dd { (act_word(context, what.as_str())) ": " @if one { (context.t("the oldest one of", "最早的一个，属于")) " " } (filter_words(context, pairs)) }
            @if let Some(preview) = &counted.value {
                dt { (context.t("Jobs", "任务")) }
                dd {
                    strong { (grouped(preview.covers)) }
                    @if preview.more && !one {
                        " " (context.t("(the oldest; there are more, for another operation: one covers at most", "（最早的；其余须另行操作：每次最多"))
                        " " (grouped(MAX_JOBS)) (context.t(")", "）"))
                    }
                }
            }
            @if let Some(preview) = whole { (totals(context, what, preview)) }
        }
        @if whole.is_none() { (progress(context, counted.value.as_ref())) }
        (counted_at(context, counted))
        @if what == BulkAction::Discard { p { strong { (context.t(
            "Those that still owe seats or money are left alone. The others can never be redriven.",
            "仍欠座位或款项的任务不会被丢弃。其余任务将无法再次重投。",
        )) } } }
        @if let Some(preview) = whole { (warnings_and_orders(context, preview)) }
    }
}

/// The sums. None is over a sample.
fn totals(context: &PageContext, what: BulkAction, preview: &Preview) -> Markup {
    let stays = matches!(what, BulkAction::Cancel | BulkAction::Discard);
    html! {
        @for (wire, many) in &preview.by_tag { dt { (tag(context, wire)) } dd { (grouped(many)) } }
        dt { (context.t("Orders", "订单")) } dd { (grouped(preview.orders)) }
        dt { (context.t("Riders", "乘客")) } dd { (grouped(preview.riders)) }
        dt { (if stays { context.t("Seats that stay taken", "仍被占用的座位") } else { context.t("Seats that would be freed", "将释放的座位") }) }
        dd { (grouped(preview.seats)) }
        dt { (if stays { context.t("Money not given back", "不会退回的款项") } else { context.t("Money that would go back", "将退回的款项") }) }
        dd { (money(preview.amount)) }
    }
}

/// How many jobs are counted so far.
fn progress(context: &PageContext, so_far: Option<&Preview>) -> Markup {
    let (counted, covers) = so_far.map_or((0, 1), |preview| (preview.looked_at, preview.covers));
    html! {
        p { (context.t("Orders, riders, seats and money of all jobs are being counted. Then the act can begin.", "正在统计全部任务的订单、乘客、座位和款项，完成后即可执行。")) }
        progress max=(covers) value=(counted) aria-label=(context.t("Jobs that are counted", "已统计的任务")) {}
        p.quiet {
            @if so_far.is_some() { (context.t("Counted so far:", "已统计：")) " " (grouped(counted)) " / " (grouped(covers)) " " }
            a href=(context.path) { (context.t("Look again", "刷新")) }
        }
    }
}

fn warnings_and_orders(context: &PageContext, preview: &Preview) -> Markup {
    html! {
        @for words in &preview.comes_back { p { strong { (in_words(context.t(&words.en, &words.zh))) } } }
        @if !preview.order_ids.is_empty() {
            details {
                summary { (context.t("Which orders", "哪些订单")) }
                ul.ids { @for order in &preview.order_ids { li { (link_order(order)) } } }
                @let others = preview.orders - i64::try_from(preview.order_ids.len()).unwrap_or(i64::MAX);
                @if others > 0 { p.quiet { (context.t(&format!("and {} more", grouped(others)), &format!("另有 {} 个", grouped(others)))) } }
            }
        }
    }
}
