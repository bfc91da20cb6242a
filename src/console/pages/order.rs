//! One order: what it is owed, its steps and undos, its jobs, and its timeline.

use super::{order_acts, order_saga, order_story, trip_words::departures_of};
use crate::console::{
    chinese,
    components::{
        copied, empty, link_job, link_rider, link_trip, live, money, next_page_link, program_text, state,
        tag, when,
    },
    failure::PageResult,
    layout::{Nav, with_nav},
    numbers::in_words,
    session::PageContext,
};
use crate::{
    domain::{Money, OrderId, Refusal, list_seats},
    http::{
        App,
        extract::{Params, Path},
    },
    ops::{
        orders::{OrderActs, Rules},
        reads::Read,
    },
    orders::{
        self, MOST_EVENTS,
        pending::PendingWork,
        snapshot::{self, OrderSnapshot},
    },
};
use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;

/// The page of the timeline.
#[derive(Deserialize)]
pub(crate) struct Query {
    after: Option<u32>,
}

pub(crate) async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(order): Path<OrderId>,
    Params(page_of): Params<Query>,
) -> PageResult {
    let (pool, id) = (&app.saga.pool, order.0);
    let (whole, story) = tokio::try_join!(
        snapshot::snapshot(pool, order),
        orders::timeline(pool, order, page_of.after.unwrap_or(0), MOST_EVENTS)
    )?;
    let whole = whole.ok_or(Refusal::NotFound("order"))?;
    context.reads(&app, &Read::Order(order)).await?;
    let possible = OrderActs::of(&mut *pool.acquire().await?, order, &whole, &Rules::of(&app.saga)).await?;
    let trip = whole.facts.as_ref().map(|facts| facts.trip_id);
    let departs = departures_of(&app, &context, trip.as_slice()).await?.into_values().next();
    let body = live(
        "order",
        &context,
        html! {
            (owed(&context, order, &whole, &possible))
            (facts(&context, order, &whole, departs))
            h2 { (context.t("Steps", "步骤")) }
            (order_saga::picture(&context, &whole.flows(id)))
            h2 { (context.t("Jobs", "任务")) }
            (jobs(&context, &whole))
            h2 { (context.t("Story", "经过")) }
            (order_story::story(&context, &story.items))
            (next_page_link(&context, story.next.as_ref(), context.t("Later", "更晚")))
            (order_story::next(&context, &whole))
        },
    );
    Ok(with_nav(&context, Nav::Orders, &format!("{} {id}", context.t("Order", "订单")), body))
}

/// What is owed, and what can be done about it.
fn owed(context: &PageContext, order: OrderId, whole: &OrderSnapshot, possible: &OrderActs) -> Markup {
    let pending = whole.pending_work();
    let bad = pending.iter().any(|work| !work.has_live_job());
    let kind = if pending.is_empty() {
        "good"
    } else if bad {
        "bad"
    } else {
        "wait"
    };
    html! { div class=(format!("card verdict {kind}")) {
        @if pending.is_empty() { strong { (context.t("✓ Nothing is owed.", "✓ 没有未清事项。")) } }
        @for work in &pending {
            p { strong { (owed_words(context, work)) } " " @if let Some(job) = work.job_id { (link_job(job)) } }
        }
        (order_acts::links(context, order, possible))
    } }
}

/// What is pending, in a sentence. Its error is a program's, so it stands apart.
fn owed_words(context: &PageContext, work: &PendingWork) -> Markup {
    let sentence = work.sentence();
    let words = in_words(context.t(&sentence.en, &sentence.zh));
    let error = work.error.as_deref().unwrap_or_default();
    match words.split_once(&format!(" ({error})")).filter(|_| !error.is_empty()) {
        Some((before, after)) => html! { (before) " (" (program_text(error)) ")" (after) },
        None => html! { (words) },
    }
}

fn facts(context: &PageContext, id: OrderId, whole: &OrderSnapshot, departs: Option<Markup>) -> Markup {
    let id = html! { dt { (context.t("Id", "编号")) } dd { (copied(context, id)) } };
    html! { div.card {
        @if let Some(order) = &whole.facts { dl.facts {
            (id)
            dt { (context.t("State", "状态")) } dd { (state(context, order.status.as_str())) }
            dt { (context.t("Rider", "乘客")) } dd { (link_rider(order.rider_id)) " " (order.rider) }
            dt { (context.t("Trip", "班次")) } dd { (link_trip(order.trip_id)) " " @if let Some(departs) = departs { (departs) } }
            dt { (context.t("Seats", "座位")) } dd { (order.seats.join(", ")) }
            dt { (context.t("Its own now", "目前占有")) } dd { @if order.owns.is_empty() { (context.t("none", "无")) } @else { (list_seats(&order.owns, &order.owned_labels)) } }
            dt { (context.t("Amount", "金额")) } dd { (money(Money::from_database(order.amount))) }
            dt { (context.t("Booked", "预订于")) } dd { (when(context, order.created_at)) }
            dt { (context.t("To be paid until", "支付期限")) } dd { (when(context, order.expires_at)) }
        } } @else { dl.facts { (id) } p { (context.t("This order was never added: its booking failed or has not come so far.",
                                   "此订单从未创建：预订失败或尚未完成。")) } }
    } }
}

fn jobs(context: &PageContext, whole: &OrderSnapshot) -> Markup {
    html! {
        @if whole.jobs.is_empty() { (empty(context, "None.", "无。")) }
        @else { div.scroll { table {
            thead { tr { th scope="col" { (context.t("Job", "任务")) } th scope="col" { (context.t("Tag", "标签")) } th scope="col" { (context.t("State", "状态")) }
                th scope="col" { (context.t("Attempt", "尝试")) } th scope="col" { (context.t("Due", "到期")) } th scope="col" { (context.t("Errors or note", "错误或备注")) } } }
            tbody { @for job in &whole.jobs { tr {
                td { (link_job(job.id)) } td { (tag(context, &job.tag)) } td { (state(context, &job.state)) }
                td.number { (job.attempt) " / " (job.max_attempts) } td { (when(context, job.run_at)) }
                td { @for attempt in job.attempts.as_array().into_iter().flatten().rev().take(3) { div { (program_text(attempt["error"].as_str().unwrap_or_default())) } }
                    (chinese::note(context.lang, job.note.as_deref().unwrap_or_default())) }
            } } }
        } } }
    }
}
