//! Acts upon many jobs: what they would do, how far they are, their stop.

use super::jobs::FILTERS;
use crate::console::{
    REPEATED,
    layout::{
        Answer, Failure, Nav, act_form, act_link, done, empty, link_job, link_order, live, money, more, page,
        tag, when,
    },
    session::{Deed, Visit},
};
use crate::{
    domain::{FieldError, Id, Refusal},
    http::{
        App,
        extract::{Params, Path, strict},
    },
    ops::{
        bulk::{self, Bulk, BulkAction, Item, Preview, Selection},
        search::JobQuery,
    },
    storage,
};
use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use std::str::FromStr;
use uuid::Uuid;

/// Operations on a page, and jobs of one.
const PAGE: u16 = 50;

/// Name and value, in the order they came: a selection by hand names many ids.
type Pairs = Vec<(String, String)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

pub(crate) async fn list(State(app): State<App>, visit: Visit, Params(pairs): Params<Pairs>) -> Answer {
    let after = read(&pairs, "after")?.map(|Id(id)| id);
    let operations = bulk::list(&app.saga.pool, after, PAGE).await?;
    let body = live(
        "operations",
        &visit,
        html! {
            @if operations.items.is_empty() {
                (empty(&visit, "No act upon many jobs yet: choose jobs in their list.", "尚无批量操作：请在任务列表中选择。"))
            } @else {
                div.scroll { table {
                    thead { tr {
                        th { (visit.say("Begun", "开始")) } th { (visit.say("Act", "操作")) } th { (visit.say("State", "状态")) }
                        th { (visit.say("Progress", "进度")) } th { (visit.say("By", "操作人")) } th { (visit.say("Reason", "原因")) }
                    } }
                    tbody { @for operation in &operations.items { tr {
                        td { a href=(format!("/console/bulk/{}", operation.id)) { (when(&visit, operation.created_at)) } }
                        td { (act_word(&visit, &operation.act)) }
                        td { (state(&visit, &operation.state)) }
                        td { (operation.reached) " / " (operation.covers) }
                        td { (operation.actor) }
                        td { (operation.reason) }
                    } } }
                } }
                (more(&visit, operations.next))
            }
        },
    );
    Ok(page(&visit, Nav::Bulk, visit.say("Acts upon many jobs", "批量操作"), body))
}

/// What it would do, and the form that starts it. The form names the operation, so that sending it twice starts one.
pub(crate) async fn new(State(app): State<App>, visit: Visit, Params(pairs): Params<Pairs>) -> Answer {
    let (what, selection) = chosen(&pairs)?;
    let preview = bulk::preview(&app.saga.pool, what, &selection, bulk::MAX_PREVIEWED_ON_PAGE).await?;
    let title = format!("{} · {}", act_word(&visit, what.as_str()), preview.covers);
    let fields = html! {
        input type="hidden" name="id" value=(Uuid::now_v7());
        input type="hidden" name="expected" value=(preview.covers);
        @for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            input type="hidden" name=(name) value=(value);
        }
    };
    let body = if preview.covers == 0 {
        empty(&visit, "No job fits that this could be done to.", "没有符合条件且可执行此操作的任务。")
    } else {
        let label = act_word(&visit, what.as_str());
        act_form(
            &visit,
            "/console/bulk",
            label,
            fields,
            Some(told(&visit, what, &preview)),
            what == BulkAction::Cancel,
        )
    };
    Ok(page(&visit, Nav::Bulk, &title, body))
}

pub(crate) async fn start(State(app): State<App>, deed: Deed<Pairs>) -> Answer {
    let known = [&["act", "id", "expected", REPEATED[0]], &FILTERS[..]].concat();
    if let Some((name, _)) = deed.form.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(strict::unknown(name, &known).into());
    }
    let (what, selection) = chosen(&deed.form)?;
    let id = read(&deed.form, "id")?
        .map(|Id(id)| id)
        .ok_or_else(|| FieldError::new("id", "this field is required"))?;
    let expected = read::<i64>(&deed.form, "expected")?;
    let (visit, by, _) = deed.signed();
    let mut tx = storage::begin(&app.saga.pool).await?;
    let begun = bulk::start(&mut tx, &by, id, what, &selection, expected).await?;
    tx.commit().await?;
    Ok(done(&format!("/console/bulk/{}", begun.id), visit.say("The operation has begun.", "操作已开始。")))
}

pub(crate) async fn show(
    State(app): State<App>,
    visit: Visit,
    Path(Id(id)): Path<Id>,
    Params(pairs): Params<Pairs>,
) -> Answer {
    let operation = bulk::show(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("operation"))?;
    let (outcome, after) = (value(&pairs, "outcome"), read::<i32>(&pairs, "after")?);
    let items = bulk::items(&app.saga.pool, id, outcome, after, PAGE).await?;
    let title = format!("{} · {}", act_word(&visit, &operation.act), operation.covers);
    let body = html! {
        (live("progress", &visit, progress(&visit, &operation)))
        @if operation.finished_at.is_none() {
            p { (act_link(&visit, &format!("/console/bulk/{id}/stop"), visit.say("Stop", "停止"))) }
        }
        nav.tabs aria-label=(visit.say("Outcome", "结果")) {
            @for (word, en, zh) in OUTCOMES {
                a href=(format!("/console/bulk/{id}?outcome={word}")) aria-current=[(outcome == Some(word)).then_some("true")]
                    { (visit.say(en, zh)) }
            }
        }
        (live("items", &visit, jobs(&visit, &items.items)))
        (more(&visit, items.next))
    };
    Ok(page(&visit, Nav::Bulk, &title, body))
}

pub(crate) async fn ask_stop(State(app): State<App>, visit: Visit, Path(Id(id)): Path<Id>) -> Answer {
    let operation = bulk::show(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("operation"))?;
    let preview = html! {
        (progress(&visit, &operation))
        p { (visit.say("What was done stays done; the rest is left alone.", "已执行的保持不变，其余不再处理。")) }
    };
    let stop = visit.say("Stop", "停止");
    let form = act_form(&visit, &format!("/console/bulk/{id}/stop"), stop, html! {}, Some(preview), true);
    Ok(page(&visit, Nav::Bulk, stop, form))
}

pub(crate) async fn stop(State(app): State<App>, Path(Id(id)): Path<Id>, deed: Deed<Nothing>) -> Answer {
    let (visit, by, Nothing {}) = deed.signed();
    let mut tx = storage::begin(&app.saga.pool).await?;
    bulk::stop(&mut tx, &by, id).await?;
    tx.commit().await?;
    Ok(done(&format!("/console/bulk/{id}"), visit.say("The operation is stopped.", "操作已停止。")))
}

const OUTCOMES: [(&str, &str, &str); 5] = [
    ("open", "Not reached", "未处理"),
    ("done", "Done", "完成"),
    ("asked", "Asked to end", "已请求结束"),
    ("busy", "Busy: left alone", "忙：未处理"),
    ("gone", "Ended meanwhile", "期间已结束"),
];

fn told(visit: &Visit, what: BulkAction, preview: &Preview) -> Markup {
    let stays = what == BulkAction::Cancel;
    html! {
        dl.facts {
            div { dt { (visit.say("Jobs", "任务")) } dd {
                (preview.covers)
                @if preview.more { " " (visit.say("(the oldest; there are more)", "（最早的；还有更多）")) }
            } }
            @for (wire, many) in &preview.by_tag { div { dt { (tag(visit, wire)) } dd { (many) } } }
            div { dt { (visit.say("Orders", "订单")) } dd { (preview.orders) } }
            div { dt { (visit.say("Riders", "乘客")) } dd { (preview.riders) } }
            div {
                dt { (if stays { visit.say("Seats that stay taken", "仍被占用的座位") } else { visit.say("Seats that would be freed", "将释放的座位") }) }
                dd { (preview.seats) }
            }
            div {
                dt { (if stays { visit.say("Money not given back", "不会退回的款项") } else { visit.say("Money that would go back", "将退回的款项") }) }
                dd { (money(preview.amount)) }
            }
        }
        @for words in &preview.comes_back { p { strong { (visit.say(&words.en, &words.zh)) } } }
        @if preview.looked_at < preview.covers {
            p.quiet { (visit.say("Orders, seats and money are of the first jobs only: ", "订单、座位和款项仅统计前若干任务：")) (preview.looked_at) }
        }
        @if !preview.order_ids.is_empty() {
            details {
                summary { (visit.say("Which orders", "哪些订单")) }
                ul.ids { @for order in &preview.order_ids { li { (link_order(order)) } } }
            }
        }
    }
}

fn progress(visit: &Visit, operation: &Bulk) -> Markup {
    let counts = [operation.done, operation.asked, operation.busy, operation.gone];
    html! {
        div.card {
            p {
                (state(visit, &operation.state)) " "
                progress max=(operation.covers) value=(operation.reached) aria-label=(visit.say("Progress", "进度")) {}
                " " (operation.reached) " / " (operation.covers)
            }
            dl.facts {
                @for ((_, en, zh), many) in OUTCOMES[1..].iter().zip(counts) {
                    div { dt { (visit.say(en, zh)) } dd { (many) } }
                }
                div { dt { (visit.say("By", "操作人")) } dd { (operation.actor) } }
                div { dt { (visit.say("Reason", "原因")) } dd { (operation.reason) } }
                div { dt { (visit.say("Begun", "开始")) } dd { (when(visit, operation.created_at)) } }
                @if let Some(at) = operation.finished_at {
                    div { dt { (visit.say("Ended", "结束")) } dd { (when(visit, at)) } }
                }
                @if let Some(who) = &operation.stopped_by {
                    div { dt { (visit.say("Stopped by", "停止人")) } dd { (who) } }
                }
            }
            details { summary { (visit.say("Selection", "选择")) } pre { (operation.selection) } }
        }
    }
}

fn jobs(visit: &Visit, items: &[Item]) -> Markup {
    if items.is_empty() {
        return empty(visit, "None.", "无。");
    }
    let outcome = |item: &Item| {
        let word = item.outcome.as_deref().unwrap_or("open");
        OUTCOMES.into_iter().find(|known| known.0 == word).map_or("", |(_, en, zh)| visit.say(en, zh))
    };
    html! { div.scroll { table {
        thead { tr {
            th { "#" } th { (visit.say("Job", "任务")) } th { (visit.say("Tag", "标签")) } th { (visit.say("Order", "订单")) }
            th { (visit.say("Outcome", "结果")) } th { (visit.say("Now", "现在")) }
        } }
        tbody { @for item in items { tr {
            td { (item.nr) } td { (link_job(item.job_id)) } td { (tag(visit, &item.tag)) }
            td { @if let Some(order) = item.order_id { (link_order(order)) } }
            td { (outcome(item)) }
            td { (match item.now.as_str() {
                "live" => visit.say("live", "执行中"),
                "dead" => visit.say("dead letter", "死信"),
                _ => visit.say("ended", "已结束"),
            }) }
        } } }
    } } }
}

fn act_word(visit: &Visit, act: &str) -> &'static str {
    match act {
        "retry" => visit.say("Retry", "重试"),
        "cancel" => visit.say("Cancel", "取消"),
        _ => visit.say("Redrive", "重新投递"),
    }
}

fn state(visit: &Visit, state: &str) -> Markup {
    match state {
        "waiting" => {
            html! { span.badge.wait { span aria-hidden="true" { "◔" } " " (visit.say("waiting", "等待中")) } }
        }
        "stopped" => {
            html! { span.badge.off { span aria-hidden="true" { "–" } " " (visit.say("stopped", "已停止")) } }
        }
        other => crate::console::layout::state(visit, other),
    }
}

/// What is to be done, and upon what: `ids` (separated by commas, or named again and again), else the conditions of the
/// jobs' list, under the names they have there.
fn chosen(pairs: &Pairs) -> Result<(BulkAction, Selection), Failure> {
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
    };
    Ok((what, Selection::Filter(wanted)))
}

/// A field that is there and says something.
fn value<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

fn read<T: FromStr>(pairs: &Pairs, name: &'static str) -> Result<Option<T>, Failure> {
    let rule = |_| Failure::from(FieldError::new(name, "this does not read"));
    value(pairs, name).map(str::parse).transpose().map_err(rule)
}
