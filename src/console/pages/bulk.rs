//! Bulk operations on jobs: their list, preview, start and stop.

use super::{
    bulk_form::{Pairs, act_word, read, start_form, state, try_words, value},
    bulk_preview::preview_card,
    bulk_show::{chosen_or_one, is_trial, verdict_card},
};
use crate::console::{
    components::{action_form, action_link, empty, live, older_page_link, when},
    failure::PageResult,
    form::{EmptyForm, OperatorForm, REPEATED},
    layout::{Nav, redirect_with_notice, with_nav},
    numbers::grouped,
    parameters::FILTERS,
    session::PageContext,
};
use crate::{
    domain::{FieldError, Id, Refusal},
    http::{
        App,
        extract::{Params, Path, strict},
    },
    ops::bulk::{self, BulkAction, Expected},
    storage,
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;

/// Operations on a page.
const PAGE: u16 = 50;

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
                        th { (context.t("Sent", "已发出")) } th { (context.t("By", "操作人")) } th { (context.t("Reason", "原因")) }
                    } }
                    tbody { @for operation in &operations.items { tr {
                        td { a href=(format!("/console/bulk/{}", operation.id)) { (when(&context, operation.created_at)) } }
                        td { (act_word(&context, &operation.act)) }
                        td { (state(&context, &operation.state)) }
                        td.number { (grouped(operation.reached)) " / " (grouped(operation.covers)) }
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
/// sending it twice starts one operation, and the digest of the jobs that were counted.
pub(crate) async fn new(
    State(app): State<App>,
    context: PageContext,
    Params(pairs): Params<Pairs>,
) -> PageResult {
    if is_empty_choice(&pairs) {
        return Ok(nothing_chosen(&context));
    }
    let one = is_trial(&pairs);
    let (what, selection) = chosen_or_one(&pairs)?;
    let counted = app.previews.read(&app.saga.pool, what, &selection).await?;
    let label = if one { try_words(&context) } else { act_word(&context, what.as_str()) };
    let covers = counted.value.as_ref().map(|preview| preview.covers);
    let title = covers.map_or_else(|| label.to_owned(), |covers| format!("{label} · {}", grouped(covers)));
    let body = if covers == Some(0) {
        empty(&context, "No job fits that this could be done to.", "没有符合条件且可执行此操作的任务。")
    } else {
        let card = live("preview", &context, preview_card(&context, what, &counted, &pairs, one));
        let form = start_form(&context, label, &pairs, &counted, card, ends(what));
        let offers_trial = !one && !ends(what) && covers != Some(1);
        html! {
            @if offers_trial { p { (action_link(&context, &format!("{}&one=1", context.path), try_words(&context))) " "
                span.quiet { (context.t("The oldest one is run, and its page shows whether it heals.", "先执行最早的一个，并显示其是否恢复。")) } } }
            (form)
        }
    };
    Ok(with_nav(&context, Nav::Bulk, &title, body))
}

pub(crate) async fn start(State(app): State<App>, form: OperatorForm<Pairs>) -> PageResult {
    let known = [&["act", "id", "expected", "digest", "one", REPEATED[0]], &FILTERS[..]].concat();
    if let Some((name, _)) = form.form.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(strict::unknown(name, &known).into());
    }
    let (what, selection) = chosen_or_one(&form.form)?;
    let id = read(&form.form, "id")?
        .map(|Id(id)| id)
        .ok_or_else(|| FieldError::new("id", "this field is required"))?;
    let counting = "the jobs are still being counted: look at the totals, and send it again";
    let covers = read::<i64>(&form.form, "expected")?.ok_or_else(|| FieldError::new("expected", counting))?;
    let digest = value(&form.form, "digest").map(str::to_owned);
    let (context, by, _) = form.into_parts();
    let expected = Expected { covers: Some(covers), digest: digest.as_deref() };
    let mut tx = storage::begin(&app.saga.pool).await?;
    let begun = bulk::start(&mut tx, &by, id, what, &selection, expected).await?;
    tx.commit().await?;
    Ok(redirect_with_notice(
        &context,
        &format!("/console/bulk/{}", begun.id),
        context.t("The operation has begun.", "操作已开始。"),
    ))
}

pub(crate) async fn confirm_stop(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
) -> PageResult {
    let operation = bulk::show(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("operation"))?;
    let judged = app.judgements.read(&app.saga.pool, &operation).await?;
    let preview = html! {
        (verdict_card(&context, &operation, &judged))
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

/// Whether the jobs end by it, and never run again.
fn ends(what: BulkAction) -> bool {
    matches!(what, BulkAction::Cancel | BulkAction::Discard)
}

/// Whether none of a list was chosen, nor a filter given.
fn is_empty_choice(pairs: &Pairs) -> bool {
    value(pairs, "act").is_some() && pairs.iter().all(|(name, value)| name == "act" || value.is_empty())
}

fn nothing_chosen(context: &PageContext) -> Response {
    let body = html! {
        p.notice.bad role="alert" { (context.t("No job is chosen.", "未选择任何任务。")) " "
            (context.t("Go back to the list, and check the boxes of the jobs.", "请返回列表并勾选任务。")) }
        p { a.button href="/console/jobs" { (context.t("Jobs", "任务")) } }
    };
    let title = context.t("No job is chosen", "未选择任务");
    (StatusCode::UNPROCESSABLE_ENTITY, with_nav(context, Nav::Bulk, title, body)).into_response()
}
