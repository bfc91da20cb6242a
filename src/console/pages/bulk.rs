//! Bulk operations on jobs: preview, progress, stop.

use crate::console::{
    components::{
        self, action_form, action_link, empty, link_job, link_order, live, money, older_page_link, tag, when,
    },
    failure::{Failure, PageResult},
    form::{EmptyForm, OperatorForm, REPEATED},
    layout::{Nav, redirect_with_notice, with_nav},
    parameters::FILTERS,
    session::PageContext,
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
use std::str::FromStr;
use uuid::Uuid;

/// Operations on a page, and jobs on the page of one.
const PAGE: u16 = 50;

/// Names and values in their order: a selection by hand repeats `ids`.
type Pairs = Vec<(String, String)>;

pub(crate) async fn list(
    State(app): State<App>,
    context: PageContext,
    Params(pairs): Params<Pairs>,
) -> PageResult {
    let after = read(&pairs, "after")?.map(|Id(id)| id);
    let operations = bulk::list(&app.saga.pool, after, PAGE).await?;
    let body = live(
        "operations",
        &context,
        html! {
            @if operations.items.is_empty() {
                (empty(&context, "No act upon many jobs yet: choose jobs in their list.", "尚无批量操作：请在任务列表中选择。"))
            } @else {
                div.scroll { table {
                    thead { tr {
                        th { (context.t("Started", "开始")) } th { (context.t("Act", "操作")) } th { (context.t("State", "状态")) }
                        th { (context.t("Progress", "进度")) } th { (context.t("By", "操作人")) } th { (context.t("Reason", "原因")) }
                    } }
                    tbody { @for operation in &operations.items { tr {
                        td { a href=(format!("/console/bulk/{}", operation.id)) { (when(&context, operation.created_at)) } }
                        td { (act_word(&context, &operation.act)) }
                        td { (state(&context, &operation.state)) }
                        td { (operation.reached) " / " (operation.covers) }
                        td { (operation.actor) }
                        td { (operation.reason) }
                    } } }
                } }
                (older_page_link(&context, operations.next))
            }
        },
    );
    Ok(with_nav(&context, Nav::Bulk, context.t("Acts upon many jobs", "批量操作"), body))
}

/// The preview and the form that starts the operation. The form holds the operation's id, so that
/// sending it twice starts one operation.
pub(crate) async fn new(
    State(app): State<App>,
    context: PageContext,
    Params(pairs): Params<Pairs>,
) -> PageResult {
    let (what, selection) = chosen(&pairs)?;
    let preview = bulk::preview(&app.saga.pool, what, &selection, bulk::MAX_PREVIEWED_ON_PAGE).await?;
    let title = format!("{} · {}", act_word(&context, what.as_str()), preview.covers);
    let fields = html! {
        input type="hidden" name="id" value=(Uuid::now_v7());
        input type="hidden" name="expected" value=(preview.covers);
        @for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            input type="hidden" name=(name) value=(value);
        }
    };
    let body = if preview.covers == 0 {
        empty(&context, "No job fits that this could be done to.", "没有符合条件且可执行此操作的任务。")
    } else {
        let label = act_word(&context, what.as_str());
        action_form(
            &context,
            "/console/bulk",
            label,
            fields,
            Some(preview_card(&context, what, &preview)),
            what == BulkAction::Cancel,
        )
    };
    Ok(with_nav(&context, Nav::Bulk, &title, body))
}

pub(crate) async fn start(State(app): State<App>, form: OperatorForm<Pairs>) -> PageResult {
    let known = [&["act", "id", "expected", REPEATED[0]], &FILTERS[..]].concat();
    if let Some((name, _)) = form.form.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(strict::unknown(name, &known).into());
    }
    let (what, selection) = chosen(&form.form)?;
    let id = read(&form.form, "id")?
        .map(|Id(id)| id)
        .ok_or_else(|| FieldError::new("id", "this field is required"))?;
    let expected = read::<i64>(&form.form, "expected")?;
    let (context, by, _) = form.into_parts();
    let mut tx = storage::begin(&app.saga.pool).await?;
    let begun = bulk::start(&mut tx, &by, id, what, &selection, expected).await?;
    tx.commit().await?;
    Ok(redirect_with_notice(
        &context,
        &format!("/console/bulk/{}", begun.id),
        context.t("The operation has begun.", "操作已开始。"),
    ))
}

pub(crate) async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
    Params(pairs): Params<Pairs>,
) -> PageResult {
    let operation = bulk::show(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("operation"))?;
    let (outcome, after) = (value(&pairs, "outcome"), read::<i32>(&pairs, "after")?);
    let items = bulk::items(&app.saga.pool, id, outcome, after, PAGE).await?;
    let title = format!("{} · {}", act_word(&context, &operation.act), operation.covers);
    let body = html! {
        (live("progress", &context, progress(&context, &operation)))
        @if operation.finished_at.is_none() {
            p { (action_link(&context, &format!("/console/bulk/{id}/stop"), context.t("Stop", "停止"))) }
        }
        nav.tabs aria-label=(context.t("Outcome", "结果")) {
            @for (word, en, zh) in OUTCOMES {
                a href=(format!("/console/bulk/{id}?outcome={word}")) aria-current=[(outcome == Some(word)).then_some("true")]
                    { (context.t(en, zh)) }
            }
        }
        (live("items", &context, jobs(&context, &items.items)))
        (older_page_link(&context, items.next))
    };
    Ok(with_nav(&context, Nav::Bulk, &title, body))
}

pub(crate) async fn confirm_stop(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
) -> PageResult {
    let operation = bulk::show(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("operation"))?;
    let preview = html! {
        (progress(&context, &operation))
        p { (context.t("What was done stays done; the rest is left alone.", "已执行的保持不变，其余不再处理。")) }
    };
    let stop = context.t("Stop", "停止");
    let form =
        action_form(&context, &format!("/console/bulk/{id}/stop"), stop, html! {}, Some(preview), true);
    Ok(with_nav(&context, Nav::Bulk, stop, form))
}

pub(crate) async fn stop(
    State(app): State<App>,
    Path(Id(id)): Path<Id>,
    form: OperatorForm<EmptyForm>,
) -> PageResult {
    let (context, by, EmptyForm {}) = form.into_parts();
    let mut tx = storage::begin(&app.saga.pool).await?;
    bulk::stop(&mut tx, &by, id).await?;
    tx.commit().await?;
    Ok(redirect_with_notice(
        &context,
        &format!("/console/bulk/{id}"),
        context.t("The operation is stopped.", "操作已停止。"),
    ))
}

const OUTCOMES: [(&str, &str, &str); 5] = [
    ("open", "Not reached", "未处理"),
    ("done", "Done", "完成"),
    ("asked", "Asked to end", "已请求结束"),
    ("busy", "Busy: left alone", "忙：未处理"),
    ("gone", "Ended meanwhile", "期间已结束"),
];

fn preview_card(context: &PageContext, what: BulkAction, preview: &Preview) -> Markup {
    let stays = what == BulkAction::Cancel;
    html! {
        dl.facts {
            div { dt { (context.t("Jobs", "任务")) } dd {
                (preview.covers)
                @if preview.more { " " (context.t("(the oldest; there are more)", "（最早的；还有更多）")) }
            } }
            @for (wire, many) in &preview.by_tag { div { dt { (tag(context, wire)) } dd { (many) } } }
            div { dt { (context.t("Orders", "订单")) } dd { (preview.orders) } }
            div { dt { (context.t("Riders", "乘客")) } dd { (preview.riders) } }
            div {
                dt { (if stays { context.t("Seats that stay taken", "仍被占用的座位") } else { context.t("Seats that would be freed", "将释放的座位") }) }
                dd { (preview.seats) }
            }
            div {
                dt { (if stays { context.t("Money not given back", "不会退回的款项") } else { context.t("Money that would go back", "将退回的款项") }) }
                dd { (money(preview.amount)) }
            }
        }
        @for words in &preview.comes_back { p { strong { (context.t(&words.en, &words.zh)) } } }
        @if preview.looked_at < preview.covers {
            p.quiet { (context.t("Orders, seats and money are of the first jobs only: ", "订单、座位和款项仅统计前若干任务：")) (preview.looked_at) }
        }
        @if !preview.order_ids.is_empty() {
            details {
                summary { (context.t("Which orders", "哪些订单")) }
                ul.ids { @for order in &preview.order_ids { li { (link_order(order)) } } }
            }
        }
    }
}

fn progress(context: &PageContext, operation: &Bulk) -> Markup {
    let counts = [operation.done, operation.asked, operation.busy, operation.gone];
    html! {
        div.card {
            p {
                (state(context, &operation.state)) " "
                progress max=(operation.covers) value=(operation.reached) aria-label=(context.t("Progress", "进度")) {}
                " " (operation.reached) " / " (operation.covers)
            }
            dl.facts {
                @for ((_, en, zh), many) in OUTCOMES[1..].iter().zip(counts) {
                    div { dt { (context.t(en, zh)) } dd { (many) } }
                }
                div { dt { (context.t("By", "操作人")) } dd { (operation.actor) } }
                div { dt { (context.t("Reason", "原因")) } dd { (operation.reason) } }
                div { dt { (context.t("Started", "开始")) } dd { (when(context, operation.created_at)) } }
                @if let Some(at) = operation.finished_at {
                    div { dt { (context.t("Ended", "结束")) } dd { (when(context, at)) } }
                }
                @if let Some(who) = &operation.stopped_by {
                    div { dt { (context.t("Stopped by", "停止人")) } dd { (who) } }
                }
            }
            details { summary { (context.t("Selection", "选择")) } pre { (operation.selection) } }
        }
    }
}

fn jobs(context: &PageContext, items: &[Item]) -> Markup {
    if items.is_empty() {
        return empty(context, "None.", "无。");
    }
    let outcome = |item: &Item| {
        let word = item.outcome.as_deref().unwrap_or("open");
        OUTCOMES.into_iter().find(|known| known.0 == word).map_or("", |(_, en, zh)| context.t(en, zh))
    };
    html! { div.scroll { table {
        thead { tr {
            th { "#" } th { (context.t("Job", "任务")) } th { (context.t("Tag", "标签")) } th { (context.t("Order", "订单")) }
            th { (context.t("Outcome", "结果")) } th { (context.t("Now", "现在")) }
        } }
        tbody { @for item in items { tr {
            td { (item.nr) } td { (link_job(item.job_id)) } td { (tag(context, &item.tag)) }
            td { @if let Some(order) = item.order_id { (link_order(order)) } }
            td { (outcome(item)) }
            td { (match item.now.as_str() {
                "live" => context.t("live", "执行中"),
                "dead" => context.t("dead letter", "死信"),
                _ => context.t("ended", "已结束"),
            }) }
        } } }
    } } }
}

fn act_word(context: &PageContext, act: &str) -> &'static str {
    match act {
        "retry" => context.t("Retry", "重试"),
        "cancel" => context.t("Cancel", "取消"),
        _ => context.t("Redrive", "重新投递"),
    }
}

fn state(context: &PageContext, state: &str) -> Markup {
    match state {
        "waiting" => {
            html! { span.badge.wait { span aria-hidden="true" { "◔" } " " (context.t("waiting", "等待中")) } }
        }
        "stopped" => {
            html! { span.badge.off { span aria-hidden="true" { "–" } " " (context.t("stopped", "已停止")) } }
        }
        other => components::state(context, other),
    }
}

/// The action and its jobs: `ids` (separated by commas, or repeated), else the filters of the list
/// of jobs under the same names.
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
        failures: read(pairs, "failures")?,
    };
    Ok((what, Selection::Filter(wanted)))
}

/// The value of a field that is not empty.
fn value<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

fn read<T: FromStr>(pairs: &Pairs, name: &'static str) -> Result<Option<T>, Failure> {
    let rule = |_| Failure::from(FieldError::new(name, "this does not read"));
    value(pairs, name).map(str::parse).transpose().map_err(rule)
}
