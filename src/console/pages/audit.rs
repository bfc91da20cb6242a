//! The audit log: who did what, and why.

use crate::console::{
    components::{empty, link_order, older_page_link, when},
    failure::PageResult,
    layout::{Nav, with_nav},
    session::PageContext,
    time::{presets, time_field},
};
use crate::{
    domain::{FieldError, Id, Instant, OrderId},
    http::{App, extract::Params},
    ops::audit::{self, Action, Entry, Filter},
    storage::Freshness,
};
use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use sqlx::PgPool;
use uuid::Uuid;

/// Entries on a page.
const PAGE: u16 = 50;

#[derive(Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    act: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    order: String,
    #[serde(default)]
    since: String,
    #[serde(default)]
    before: String,
    #[serde(default)]
    after: String,
}

pub(crate) async fn list(
    State(app): State<App>,
    context: PageContext,
    Params(query): Params<Query>,
) -> PageResult {
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let id = |field: &'static str, text: &str| {
        some(text)
            .map(|text| text.parse().map(|Id(id)| id))
            .transpose()
            .map_err(|_| FieldError::new(field, "an id"))
    };
    let time = |field: &'static str, text: &str| {
        some(text)
            .map(|text| text.parse().map(Instant::utc))
            .transpose()
            .map_err(|rule| FieldError::new(field, rule))
    };
    let filter = Filter {
        actor: some(&query.actor),
        act: some(&query.act),
        subject_kind: None,
        subject: some(&query.subject),
        order: id("order", &query.order)?.map(OrderId),
        since: time("since", &query.since)?,
        before: time("before", &query.before)?,
    };
    let (filter, after) = (&filter, id("after", &query.after)?);
    let list = |pool: PgPool| async move { audit::list(&pool, filter, after, PAGE).await };
    let found = app.reads.read(Freshness::Current, list).await?;
    let text = [
        ("actor", &query.actor, "Actor", "操作人"),
        ("subject", &query.subject, "Subject", "对象"),
        ("order", &query.order, "Order id", "订单编号"),
    ];
    let body = html! {
        form.card action="/console/audit" { div.filters {
            div { label for="act" { (context.t("Act", "操作")) } select #act name="act" {
                option value="" { (context.t("any", "任意")) }
                @for act in Action::ALL { option value=(act.as_str()) selected[query.act == act.as_str()] { (act.as_str()) } }
            } }
            @for (name, value, en, zh) in text { div { label for=(name) { (context.t(en, zh)) } input id=(name) name=(name) type="text" value=(value) autocomplete="off"; } }
            (time_field(&context, "since", context.t("Since", "不早于"), &query.since))
            (time_field(&context, "before", context.t("Before", "早于"), &query.before))
            } (presets(&context)) button.primary type="submit" { (context.t("Filter", "筛选")) } }
        @if found.items.is_empty() { (empty(&context, "No act fits.", "没有符合的记录。")) }
        @else { div.scroll { table {
            thead { tr { th scope="col" { (context.t("When", "时间")) } th scope="col" { (context.t("Who", "操作人")) } th scope="col" { (context.t("Act", "操作")) }
                th scope="col" { (context.t("Subject", "对象")) } th scope="col" { (context.t("Order", "订单")) } th scope="col" { (context.t("Reason", "原因")) } th scope="col" { (context.t("Detail", "详情")) } } }
            tbody { @for entry in &found.items { (row(&context, entry)) } }
        } } }
        (older_page_link(&context, found.next))
    };
    Ok(with_nav(&context, Nav::Audit, context.t("Audit log", "审计日志"), body))
}

fn row(context: &PageContext, entry: &Entry) -> Markup {
    html! { tr {
        td { (when(context, entry.at)) }
        td { (entry.actor) " · " (entry.role) " · " (entry.through) }
        td { (entry.act) }
        td { (entry.subject_kind) " " @if entry.subject.parse::<Uuid>().is_ok() { a.id href=(format!("/console/search?q={}", entry.subject)) { (entry.subject) } } @else { code { (entry.subject) } } }
        td { @if let Some(order) = entry.order_id { (link_order(order)) } }
        td { (entry.reason.as_deref().unwrap_or_default()) }
        td { code { (entry.detail) } }
    } }
}
