//! Webhooks: where events are sent to, how the receivers stand, and what they were sent.

use super::webhook_form::{Act, fields};
use crate::console::{
    components::{
        action_form, action_link, ahead, badge, copied_end, empty, live, older_page_link, program_text, span,
        when,
    },
    failure::PageResult,
    layout::{Nav, with_nav},
    session::PageContext,
};
use crate::{
    domain::{Id, Refusal},
    http::{
        App,
        extract::{Params, Path},
    },
    webhooks::{self, Delivery, DeliveryCursor, DeliveryState, Endpoint, MAX_ENDPOINTS},
};
use axum::extract::State;
use chrono::Utc;
use maud::{Markup, html};
use serde::Deserialize;

/// Deliveries on a page.
const PAGE: u16 = 50;

pub(crate) async fn list(State(app): State<App>, context: PageContext) -> PageResult {
    let all = webhooks::list(&app.saga.pool).await?;
    let body = html! {
        p.quiet { (context.t(
            "Events of orders, trips and rollbacks are sent to these addresses, signed, for three days.",
            "订单、场次和回滚的事件会签名后发送到这些地址，最长重试三天。",
        )) }
        (live("webhooks", &context, table(&context, &all)))
        @if all.len() < MAX_ENDPOINTS {
            h2 { (context.t("Add a webhook", "添加 Webhook")) }
            (action_form(&context, "/console/webhooks", context.t("Add", "添加"), fields(&context, None), None, false))
        }
    };
    Ok(with_nav(&context, Nav::Queues, "Webhooks", body))
}

fn table(context: &PageContext, all: &[Endpoint]) -> Markup {
    html! {
        @if all.is_empty() { (empty(context, "No webhook.", "没有 Webhook。")) }
        @else { div.scroll { table {
            thead { tr {
                th scope="col" { (context.t("Name", "名称")) } th scope="col" { (context.t("Address", "地址")) }
                th scope="col" { (context.t("Events", "事件")) } th scope="col" { (context.t("State", "状态")) }
                th scope="col" { (context.t("Waiting", "待发送")) }
            } }
            tbody { @for one in all { tr {
                td { a href=(format!("/console/webhooks/{}", one.id)) { (one.name) } }
                td { code { (one.url) } } td { (kinds(one)) } td { (standing(context, one)) }
                td.number { (one.pending) }
            } } }
        } } }
    }
}

/// The kinds of events that it takes.
fn kinds(one: &Endpoint) -> Markup {
    html! { @for (nr, kind) in one.kinds.iter().enumerate() { @if nr > 0 { ", " } code { (kind) } } }
}

/// A webhook's state with a mark that is readable without colours.
fn standing(context: &PageContext, one: &Endpoint) -> Markup {
    match (one.state.as_str(), one.disabled_because.as_deref(), one.failing_since) {
        ("enabled", _, None) => badge("good", "✓", context.t("enabled", "已启用")),
        ("enabled", _, Some(since)) => html! {
            (badge("bad", "↻", context.t("failing", "失败中"))) " "
            (span(context, (Utc::now() - since).as_seconds_f64()))
        },
        (_, Some("gone"), _) => {
            badge("bad", "✗", context.t("disabled: the receiver answered 410", "已停用：接收方返回 410"))
        }
        _ => badge("off", "–", context.t("disabled", "已停用")),
    }
}

#[derive(Deserialize)]
pub(crate) struct Query {
    state: Option<DeliveryState>,
    after: Option<String>,
}

pub(crate) async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
    Params(query): Params<Query>,
) -> PageResult {
    let one = webhooks::find(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("webhook"))?;
    let rule = || crate::domain::FieldError::new("after", "the `next` of the page before");
    let after = query.after.map(|after| after.parse::<DeliveryCursor>().map_err(|()| rule())).transpose()?;
    let page = webhooks::deliveries(&app.saga.pool, id, query.state, after, PAGE).await?;
    let body = html! {
        (live("webhook", &context, facts(&context, &one)))
        div.acts { @for act in Act::of(&one) { (link(&context, &one, *act)) } }
        h2 { (context.t("Deliveries", "发送记录")) }
        (filters(&context, &one, query.state))
        (live("deliveries", &context, log(&context, &one, &page.items)))
        (older_page_link(&context, page.next))
    };
    Ok(with_nav(&context, Nav::Queues, &format!("Webhook {}", one.name), body))
}

fn link(context: &PageContext, one: &Endpoint, act: Act) -> Markup {
    action_link(context, &format!("/console/webhooks/{}/{}", one.id, act.word()), act.label(context))
}

pub(super) fn facts(context: &PageContext, one: &Endpoint) -> Markup {
    html! { dl.facts {
        dt { (context.t("Address", "地址")) } dd { code { (one.url) } }
        dt { (context.t("Events", "事件")) } dd { (kinds(one)) }
        dt { (context.t("State", "状态")) } dd { (standing(context, one)) }
        dt { (context.t("Waiting", "待发送")) } dd { (one.pending) }
        @if one.failures > 0 { dt { (context.t("Failures in a row", "连续失败")) } dd { (one.failures) } }
        @if let Some(until) = one.paused_until { dt { (context.t("Next probe", "下次探测")) } dd { (ahead(context, until)) } }
        @if let Some(until) = one.old_secret_until { dt { (context.t("Old secret signs until", "旧密钥有效至")) } dd { (when(context, until)) } }
        dt { (context.t("Added", "添加于")) } dd { (when(context, one.created_at)) }
    } }
}

fn filters(context: &PageContext, one: &Endpoint, chosen: Option<DeliveryState>) -> Markup {
    let choices = [
        (None, "", context.t("All", "全部")),
        (Some(DeliveryState::Pending), "?state=pending", context.t("Waiting", "待发送")),
        (Some(DeliveryState::Delivered), "?state=delivered", context.t("Delivered", "已送达")),
        (Some(DeliveryState::Failed), "?state=failed", context.t("Given up", "已放弃")),
    ];
    html! { p.acts { @for (state, query, words) in choices {
        a.button href=(format!("/console/webhooks/{}{query}", one.id)) aria-current=[(state == chosen).then_some("true")] { (words) }
    } } }
}

fn log(context: &PageContext, one: &Endpoint, items: &[Delivery]) -> Markup {
    html! {
        @if items.is_empty() { (empty(context, "Nothing was sent.", "没有发送记录。")) }
        @else { div.scroll { table {
            thead { tr {
                th scope="col" { (context.t("When", "时间")) } th scope="col" { (context.t("Event", "事件")) }
                th scope="col" { (context.t("State", "状态")) } th scope="col" { (context.t("Attempts", "次数")) }
                th scope="col" { (context.t("Last answer", "最近应答")) } th scope="col" { (context.t("Actions", "操作")) }
            } }
            tbody { @for sent in items { (row(context, one, sent)) } }
        } } }
    }
}

fn row(context: &PageContext, one: &Endpoint, sent: &Delivery) -> Markup {
    let again = format!("/console/webhooks/{}/again?event={}", one.id, sent.event_id);
    html! { tr {
        td { (when(context, sent.created_at)) }
        td { code { (sent.kind) } " " (copied_end(context, &sent.event_id)) }
        td { (state(context, &sent.state)) @if let Some(due) = sent.due_at { " " (ahead(context, due)) } }
        td.number { (sent.attempts) }
        td { @match (&sent.last_error, sent.last_status) {
            (Some(error), _) => (program_text(error)),
            (None, Some(status)) => { (status) @if let Some(ms) = sent.last_ms { ", " (ms) " ms" } },
            (None, None) => "–",
        } }
        td { @if one.state == "enabled" { (action_link(context, &again, context.t("Send again", "重新发送"))) } }
    } }
}

fn state(context: &PageContext, state: &str) -> Markup {
    let (kind, mark, words) = match state {
        "pending" => ("wait", "◔", context.t("waiting", "待发送")),
        "delivered" => ("good", "✓", context.t("delivered", "已送达")),
        _ => ("bad", "✗", context.t("given up", "已放弃")),
    };
    badge(kind, mark, words)
}
