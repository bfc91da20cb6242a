//! The numbers of the home page: tiles that lead to what they count, and the tags.

use super::{home_charts::undoes, queues::retrying};
use crate::console::{
    chart::{class_of, swatch},
    components::{span, state, tag},
    numbers::grouped,
    session::PageContext,
};
use crate::ops::undos::UndoBacklog;
use farebox_jobs::{
    MqTag,
    queue::admin::{COUNT_MAX, FAILED_MAX, QueueView, WorkerView},
};
use maud::{Markup, html};

pub(super) fn tiles(
    context: &PageContext,
    queues: &[QueueView],
    workers: &[WorkerView],
    owed: &UndoBacklog,
    late: i64,
) -> Markup {
    let timer = |queue: &&QueueView| queue.tag == MqTag::OrderUnpaid.wire();
    let undos = |queue: &&QueueView| undoes(&queue.tag);
    let dead = count_dead(queues);
    let due = owed.due + owed.dead;
    let open = format!("{}{}", grouped(due), if owed.more { "+" } else { "" });
    let armed: i64 = queues.iter().filter(undos).map(|queue| queue.delayed).sum();
    let failing: i64 = queues.iter().map(|queue| queue.retrying).sum();
    let failures = queues.iter().map(|queue| queue.most_failures).max().unwrap_or(0);
    let often = format!("{} {failures} {}", context.t("up to", "最多"), context.t("times", "次"));
    let holds = queues.iter().find(timer);
    let overdue = holds.map_or(0, |queue| queue.ready);
    let latest = holds.and_then(|queue| queue.oldest_ready_secs).unwrap_or(0.0);
    let alive = workers.iter().filter(|worker| worker.state != "missing").count();
    let slots: i32 =
        workers.iter().filter(|worker| worker.state != "missing").map(|worker| worker.slots).sum();
    let tile = |bad: bool, number: String, words: &str, more: String, to: &str| {
        html! {
            a href=(to) class=(if bad { "card tile bad" } else { "card tile good" }) {
                strong { (number) @if bad { " !" } }
                (words) @if !more.is_empty() { div.quiet { (more) } }
            }
        }
    };
    html! {
        div.grid.tiles {
            (tile(due > 0, open, context.t("open debts: undos due and not yet done", "未清债务：到期而未完成的撤销"),
                  format!("{} {}", grouped(armed), context.t("armed, in case a flow dies", "已预置，以防流程中断")), "/console/queues"))
            (tile(failing > 0, count_failing(queues), context.t("failed, tried again", "失败，正在重试"),
                  if failing > 0 { often } else { String::new() }, "/console/jobs?state=retrying"))
            (tile(dead != "0", dead, context.t("dead letters", "死信"), String::new(), "/console/jobs?state=dead"))
            (tile(late > 0, counted(late), context.t("jobs late by 5 s or more", "延迟 5 秒以上的任务"), String::new(), "/console/jobs?state=ready"))
            (tile(overdue > 0 && latest > 5.0, grouped(holds.map_or(0, |queue| queue.delayed)),
                  context.t("holds: orders waiting to be paid", "占座：等待支付的订单"),
                  format!("{} {} {}", grouped(overdue), context.t("overdue, latest by", "已逾期，最久"), span(context, latest)),
                  &format!("/console/jobs?tag={}", MqTag::OrderUnpaid.wire())))
            (tile(alive == 0, grouped(alive), context.t("workers alive", "存活的工作进程"),
                  format!("{} {}", grouped(slots), context.t("slots", "槽位")), "/console/queues"))
        }
    }
}

/// The number of dead letters, up to the counting limit.
pub(super) fn count_dead(queues: &[QueueView]) -> String {
    let all: i64 = queues.iter().map(|queue| queue.dead).sum();
    let more = queues.iter().any(|queue| queue.dead >= COUNT_MAX);
    format!("{}{}", grouped(all), if more { "+" } else { "" })
}

/// A number that is counted up to [`COUNT_MAX`].
pub(super) fn counted(many: i64) -> String {
    format!("{}{}", grouped(many), if many >= COUNT_MAX { "+" } else { "" })
}

/// The number of retrying jobs, up to the counting limit.
pub(super) fn count_failing(queues: &[QueueView]) -> String {
    let all: i64 = queues.iter().map(|queue| queue.retrying).sum();
    format!("{}{}", grouped(all), if all >= FAILED_MAX { "+" } else { "" })
}

/// The tags with anything; those without are folded.
pub(super) fn ages(context: &PageContext, queues: &[QueueView]) -> Markup {
    let has_any =
        |queue: &&QueueView| queue.paused || queue.ready + queue.retrying + queue.running + queue.dead > 0;
    let (busy, idle): (Vec<&QueueView>, Vec<&QueueView>) = queues.iter().partition(has_any);
    html! {
        h2 { (context.t("Queues", "队列")) }
        @if !busy.is_empty() { (table(context, &busy)) }
        @if !idle.is_empty() { details {
            summary { (idle.len()) " " (context.t("tags without ready, failing, running or dead jobs", "个标签没有就绪、失败、运行或死信任务")) }
            (table(context, &idle))
        } }
    }
}

fn table(context: &PageContext, queues: &[&QueueView]) -> Markup {
    let link = |queue: &QueueView, state: &str, many: i64| {
        html! {
            @if many > 0 { a href=(format!("/console/jobs?tag={}&state={state}", queue.tag)) { (grouped(many)) } } @else { (many) }
        }
    };
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { (context.t("Tag", "标签")) } th scope="col" { (context.t("Ready", "就绪")) }
                th scope="col" { (context.t("Failed, retrying", "失败，重试中")) }
                th scope="col" { (context.t("Running", "运行")) } th scope="col" { (context.t("Dead", "死信")) }
                th scope="col" { (context.t("Oldest waits for", "最久等待")) }
            } }
            tbody { @for queue in queues { tr {
                th scope="row" {
                    (swatch(&class_of(&queue.tag)))
                    a href=(format!("/console/jobs?tag={}", queue.tag)) { (tag(context, &queue.tag)) }
                    @if queue.paused { " " (state(context, "paused")) }
                }
                td.number { (link(queue, "ready", queue.ready)) } td { (retrying(context, queue)) }
                td.number { (link(queue, "running", queue.running)) } td.number { (link(queue, "dead", queue.dead)) }
                td { @if let Some(secs) = queue.oldest_ready_secs { (span(context, secs)) } }
            } } }
        } }
    }
}
