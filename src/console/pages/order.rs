//! One order: what it is owed, its steps and undos, its jobs, and its timeline.

use super::order_acts;
use crate::console::{
    components::{empty, link_job, link_rider, link_trip, live, money, next_page_link, state, tag, when},
    failure::PageResult,
    layout::{Nav, with_nav},
    session::PageContext,
    time::departure,
};
use crate::{
    domain::{Money, OrderId, Refusal, list_seats},
    http::{
        App,
        extract::{Params, Path},
    },
    ops::{
        audit,
        orders::{OrderActs, Rules},
        reads::Read,
    },
    orders::{
        self, MOST_EVENTS,
        snapshot::{self, OrderSnapshot},
    },
};
use axum::extract::State;
use chrono::{DateTime, Utc};
use farebox_jobs::MqTag;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

const BOOKING: [MqTag; 4] = MqTag::BOOKING;
const PAYING: [MqTag; 3] = MqTag::PAYING;
const ENDING: [MqTag; 2] = [MqTag::OrderCancel, MqTag::PayBack];

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
    let (whole, story, acts) = tokio::try_join!(
        snapshot::snapshot(pool, order),
        orders::timeline(pool, order, page_of.after.unwrap_or(0), MOST_EVENTS),
        audit::of_order(pool, order)
    )?;
    let whole = whole.ok_or(Refusal::NotFound("order"))?;
    context.reads(&app, &Read::Order(order)).await?;
    let possible = OrderActs::of(&mut *pool.acquire().await?, order, &whole, &Rules::of(&app.saga)).await?;
    let body = live(
        "order",
        &context,
        html! {
            (owed(&context, order, &whole, &possible))
            (facts(&context, &whole))
            h2 { (context.t("Steps", "步骤")) }
            (saga(&context, &whole, context.t("Booking", "预订"), id, &BOOKING))
            @for payment in &whole.payments {
                (saga(&context, &whole, &format!("{} {}", context.t("Payment", "支付"), Money::from_database(payment.amount).with_code()), payment.id, &PAYING))
            }
            (saga(&context, &whole, context.t("Ending", "结束"), id, &ENDING))
            h2 { (context.t("Jobs", "任务")) }
            (jobs(&context, &whole))
            h2 { (context.t("Story", "经过")) }
            ol.story {
                @for event in &story.items { (timeline_event(&context, event.at, &event.kind, &event.what, &event.detail)) }
            }
            (next_page_link(&context, story.next.as_ref(), context.t("Later", "更晚")))
            h2 { (context.t("Operators' acts", "操作记录")) }
            @if acts.is_empty() { (empty(&context, "No operator has touched it.", "无操作员操作。")) }
            ol.story { @for act in &acts { li {
                (when(&context, act.at)) " " strong { (act.act) } " " (act.actor) " (" (act.through) ")"
                @if let Some(reason) = &act.reason { " — " (reason) }
            } } }
            @if acts.len() >= audit::MAX_PER_ORDER { p.more {
                a.button href=(format!("/console/audit?order={id}")) { (context.t("The newest, in the audit log", "审计日志中的最新记录")) }
            } }
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
            @let sentence = work.sentence();
            p { strong { (context.t(&sentence.en, &sentence.zh)) } " " @if let Some(job) = work.job_id { (link_job(job)) } }
        }
        (order_acts::links(context, order, possible))
    } }
}

fn facts(context: &PageContext, whole: &OrderSnapshot) -> Markup {
    html! { div.card {
        @if let Some(order) = &whole.facts { dl.facts {
            dt { (context.t("State", "状态")) } dd { (state(context, order.status.as_str())) }
            dt { (context.t("Rider", "乘客")) } dd { (link_rider(order.rider_id)) " " (order.rider) }
            dt { (context.t("Trip", "班次")) } dd { (link_trip(order.trip_id)) " " (departure(context, order.departs_at, context.timetable_zone)) }
            dt { (context.t("Seats", "座位")) } dd { (order.seats.join(", ")) }
            dt { (context.t("Its own now", "目前占有")) } dd { @if order.owns.is_empty() { (context.t("none", "无")) } @else { (list_seats(&order.owns, &order.owned_labels)) } }
            dt { (context.t("Amount", "金额")) } dd { (money(Money::from_database(order.amount))) }
            dt { (context.t("Booked", "预订于")) } dd { (when(context, order.created_at)) }
            dt { (context.t("To be paid until", "支付期限")) } dd { (when(context, order.expires_at)) }
        } } @else { p { (context.t("This order was never added: its booking failed or has not come so far.",
                                   "此订单从未创建：预订失败或尚未完成。")) } }
    } }
}

/// The steps of a saga, each with the state of its barrier and of its undo's job.
fn saga(context: &PageContext, whole: &OrderSnapshot, title: &str, subject: Uuid, steps: &[MqTag]) -> Markup {
    let key = subject.to_string();
    html! {
        h3 { (title) }
        ol.steps { @for step in steps {
            @let barrier = whole.barriers.iter().find(|b| b.subject == subject && b.step == step.wire());
            @let job = whole.jobs.iter().rev().find(|job| job.key == key && job.tag == step.wire());
            li {
                (tag(context, step.wire()))
                div { (context.t("Step", "步骤")) ": " (state(context, match barrier {
                    Some(b) if b.done_at.is_some() => "done",
                    Some(_) => "barred",
                    None => "none",
                })) @if let Some(at) = barrier.and_then(|b| b.done_at) { " " (when(context, at)) } }
                div { (context.t("Undo", "撤销")) ": "
                    @match barrier.and_then(|b| b.undone_at) {
                        Some(at) => { (state(context, if barrier.is_some_and(|b| b.done_at.is_some()) { "undone" } else { "barred" })) " " (when(context, at)) }
                        None => @if let Some(job) = job { (state(context, &job.state)) " " (link_job(job.id)) } @else { (state(context, "none")) }
                    }
                }
            }
        } }
    }
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
                td { @for attempt in job.attempts.as_array().into_iter().flatten().rev().take(3) { div { (attempt["error"].as_str().unwrap_or_default()) } }
                    (job.note.as_deref().unwrap_or_default()) }
            } } }
        } } }
    }
}

fn timeline_event(
    context: &PageContext,
    at: DateTime<Utc>,
    kind: &str,
    what: &str,
    detail: &Value,
) -> Markup {
    let text = |key: &str| detail[key].as_str().unwrap_or_default().to_owned();
    let bad = kind == "job" && detail["state"] == "dead";
    html! { li class=(if bad { "bad" } else if kind == "ledger" || kind == "state" { "good" } else { "plain" }) {
        (when(context, at)) " "
        @match kind {
            "step" => { (context.t("step done", "步骤完成")) ": " (tag(context, what)) }
            "undo" => { @if detail["barred"] == true { (context.t("step barred", "步骤被阻止")) } @else { (context.t("step undone", "步骤已撤销")) } ": " (tag(context, what)) }
            "state" => { (context.t("the order is", "订单状态")) " " (state(context, what)) " (" (text("reason")) ")" }
            "change" => { (context.t("an import changed", "导入更改了")) ": " (what) }
            "ledger" => { (context.t("ledger entry", "账目")) ": " (what) " " span.money { (text("amount")) } " " (text("currency")) ", "
                (context.t("then the wallet holds", "余额")) " " span.money { (text("balance_after")) } " " (text("currency")) }
            "job" => { (context.t("job", "任务")) " " (tag(context, what)) " " (state(context, &text("state"))) " "
                @if let Some(id) = detail["id"].as_str() { (link_job(id)) } " " (text("note")) }
            "request" => { (request_words(context, what)) " · " (context.t("key", "幂等键")) " " code { (text("key")) } " · "
                @if let Some(rider) = detail["actor"].as_str() { (link_rider(rider)) } " " (text("user_name")) " · "
                @if let Some(status) = detail["status"].as_i64() { (context.t("answered", "应答")) " " (status) }
                @else { (context.t("not answered", "未应答")) } }
            "evaluation" => { (context.t("the rider's evaluation", "乘客评价")) ": " (what) " / 5" @if !text("comment").is_empty() { " — " (text("comment")) } }
            other => { (other) " " (what) }
        }
    } }
}

/// The words for a request with an idempotency key.
fn request_words(context: &PageContext, what: &str) -> &'static str {
    match what {
        "book" => context.t("asked to book", "请求预订"),
        "pay" => context.t("asked to pay", "请求支付"),
        "cancel" => context.t("asked to cancel", "请求取消"),
        "refund" => context.t("asked for a refund", "请求退款"),
        _ => context.t("asked to evaluate", "请求评价"),
    }
}
