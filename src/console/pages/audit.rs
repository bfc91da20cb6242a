//! The audit log: who did what, and why.

use crate::console::{
    chinese::word,
    components::{empty, link_order, older_page_link, when},
    failure::PageResult,
    filters::{Field, Given, Kind, answered, form},
    layout::{Nav, with_nav},
    session::PageContext,
};
use crate::{
    domain::{Instant, Localized, OrderId},
    http::App,
    ops::audit::{self, Action, Entry, Filter},
    storage::{self, Freshness},
};
use axum::{extract::State, response::Response};
use maud::{Markup, html};
use sqlx::PgPool;
use uuid::Uuid;

/// Entries on a page.
const PAGE: u16 = 50;

pub(crate) async fn list(State(app): State<App>, context: PageContext, mut given: Given) -> PageResult {
    let filter = Filter {
        actor: given.some("actor"),
        act: given.choice("act", &Action::ALL.map(Action::as_str)),
        subject_kind: None,
        subject: given.some("subject"),
        order: given.id("order").map(OrderId),
        since: given.time("since").map(Instant::utc),
        before: given.time("before").map(Instant::utc),
    };
    let after = given.id("after");
    if let (Some(since), Some(before)) = (filter.since, filter.before)
        && since >= before
    {
        given.refuse("before", Localized::new("later than the time since", "晚于起始时间"));
    }
    if given.fault().is_some() {
        return Ok(refused(&context, &given));
    }
    let filter = &filter;
    let list = |pool: PgPool| async move {
        let mut conn = storage::begin_search(&pool).await?;
        audit::list(&mut *conn, filter, after, PAGE).await
    };
    let found = match app.reads.read(Freshness::Current, list).await {
        Ok(found) => found,
        Err(error) => {
            given.refuse_stopped(error)?;
            return Ok(refused(&context, &given));
        }
    };
    let body = html! {
        (filters(&context, &given))
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

/// The form, with what is wrong.
fn refused(context: &PageContext, given: &Given) -> Response {
    let form = filters(context, given);
    answered(given, with_nav(context, Nav::Audit, context.t("Audit log", "审计日志"), form))
}

fn filters(context: &PageContext, given: &Given) -> Markup {
    let words = Action::ALL.map(|act| word(context.lang, act.as_str()));
    let acts: Vec<_> =
        Action::ALL.iter().zip(&words).map(|(act, words)| (act.as_str(), words.as_ref())).collect();
    let fields = [
        Field::new("act", context.t("Act", "操作"), Kind::Choice(acts)),
        Field::new("actor", context.t("Actor", "操作人"), Kind::Text("")),
        Field::new("subject", context.t("Subject", "对象"), Kind::Text("")),
        Field::new("order", context.t("Order id", "订单编号"), Kind::Text("")),
        Field::new("since", context.t("Since", "不早于"), Kind::Time),
        Field::new("before", context.t("Before", "早于"), Kind::Time),
    ];
    form(context, "/console/audit", &fields, given, context.t("Filter", "筛选"))
}

fn row(context: &PageContext, entry: &Entry) -> Markup {
    html! { tr {
        td { (when(context, entry.at)) }
        td { (entry.actor) " · " (word(context.lang, &entry.role)) " · " (word(context.lang, &entry.through)) }
        td.word { (word(context.lang, &entry.act)) }
        td { (word(context.lang, &entry.subject_kind)) " " @if entry.subject.parse::<Uuid>().is_ok() { a.id href=(format!("/console/search?q={}", entry.subject)) { (entry.subject) } } @else { code { (entry.subject) } } }
        td { @if let Some(order) = entry.order_id { (link_order(order)) } }
        td { (entry.reason.as_deref().unwrap_or_default()) }
        td { code { (entry.detail) } }
    } }
}
