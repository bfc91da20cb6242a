//! One order, whole: what is owed, its steps and their undos, and its story in the order of time.

use crate::console::{
    layout::{
        Answer, Nav, empty, further, link_job, link_rider, link_trip, live, money, page, state, tag, when,
    },
    session::Visit,
};
use crate::{
    domain::{Money, OrderId, Refusal},
    http::{
        App,
        extract::{Params, Path},
    },
    ops::audit,
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

const BOOKING: [MqTag; 4] = [MqTag::OrderSeats, MqTag::OrderAddSeats, MqTag::OrderCalcMoney, MqTag::OrderAdd];
const PAYING: [MqTag; 3] = [MqTag::PayCheck, MqTag::PayMoney, MqTag::Pay];
const ENDING: [MqTag; 2] = [MqTag::OrderCancel, MqTag::PayBack];

/// Which page of the story.
#[derive(Deserialize)]
pub(crate) struct Query {
    after: Option<u32>,
}

pub(crate) async fn show(
    State(app): State<App>,
    visit: Visit,
    Path(order): Path<OrderId>,
    Params(page_of): Params<Query>,
) -> Answer {
    let (pool, id) = (&app.saga.pool, order.0);
    let (whole, story, acts) = tokio::try_join!(
        snapshot::snapshot(pool, order),
        orders::timeline(pool, order, page_of.after.unwrap_or(0), MOST_EVENTS),
        audit::of_order(pool, order)
    )?;
    let whole = whole.ok_or(Refusal::NotFound("order"))?;
    let body = live(
        "order",
        &visit,
        html! {
            (owed(&visit, &whole))
            (facts(&visit, &whole))
            h2 { (visit.say("Steps", "步骤")) }
            (saga(&visit, &whole, visit.say("Booking", "预订"), id, &BOOKING))
            @for payment in &whole.payments {
                (saga(&visit, &whole, &format!("{} {}", visit.say("Payment", "支付"), Money::from_database(payment.amount)), payment.id, &PAYING))
            }
            (saga(&visit, &whole, visit.say("Ending", "结束"), id, &ENDING))
            h2 { (visit.say("Jobs", "任务")) }
            (jobs(&visit, &whole))
            h2 { (visit.say("Story", "经过")) }
            ol.story {
                @for event in &story.items { (told(&visit, event.at, &event.kind, &event.what, &event.detail)) }
            }
            (further(&visit, story.next.as_ref(), visit.say("Later", "更晚")))
            h2 { (visit.say("Operators' acts", "操作记录")) }
            @if acts.is_empty() { (empty(&visit, "No operator has touched it.", "无操作员操作。")) }
            ol.story { @for act in &acts { li {
                (when(&visit, act.at)) " " strong { (act.act) } " " (act.actor) " (" (act.through) ")"
                @if let Some(reason) = &act.reason { " — " (reason) }
            } } }
            @if acts.len() >= audit::MAX_PER_ORDER { p.more {
                a.button href=(format!("/console/audit?order={id}")) { (visit.say("The newest, in the audit log", "审计日志中的最新记录")) }
            } }
        },
    );
    Ok(page(&visit, Nav::Orders, &format!("{} {id}", visit.say("Order", "订单")), body))
}

fn owed(visit: &Visit, whole: &OrderSnapshot) -> Markup {
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
        @if pending.is_empty() { strong { (visit.say("✓ Nothing is owed.", "✓ 没有未清事项。")) } }
        @for work in &pending {
            @let sentence = work.sentence();
            p { strong { (visit.say(&sentence.en, &sentence.zh)) } " " @if let Some(job) = work.job_id { (link_job(job)) } }
        }
    } }
}

fn facts(visit: &Visit, whole: &OrderSnapshot) -> Markup {
    let seats = |seats: &[i32]| seats.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    html! { div.card {
        @if let Some(order) = &whole.facts { dl.facts {
            dt { (visit.say("State", "状态")) } dd { (state(visit, order.status.as_str())) }
            dt { (visit.say("Rider", "乘客")) } dd { (link_rider(order.rider_id)) " " (order.rider) }
            dt { (visit.say("Trip", "班次")) } dd { (link_trip(order.trip_id)) " " (when(visit, order.departs_at)) }
            dt { (visit.say("Seats", "座位")) } dd { (seats(&order.seats)) }
            dt { (visit.say("Its own now", "目前占有")) } dd { @if order.owns.is_empty() { (visit.say("none", "无")) } @else { (seats(&order.owns)) } }
            dt { (visit.say("Amount", "金额")) } dd { (money(Money::from_database(order.amount))) }
            dt { (visit.say("Booked", "预订于")) } dd { (when(visit, order.created_at)) }
            dt { (visit.say("To be paid until", "支付期限")) } dd { (when(visit, order.expires_at)) }
        } } @else { p { (visit.say("This order was never added: its booking failed or has not come so far.",
                                   "此订单从未创建：预订失败或尚未完成。")) } }
    } }
}

/// The steps of a flow: each with what its barrier and its undo's job say.
fn saga(visit: &Visit, whole: &OrderSnapshot, title: &str, subject: Uuid, steps: &[MqTag]) -> Markup {
    let key = subject.to_string();
    html! {
        h3 { (title) }
        ol.steps { @for step in steps {
            @let barrier = whole.barriers.iter().find(|b| b.subject == subject && b.step == step.wire());
            @let job = whole.jobs.iter().rev().find(|job| job.key == key && job.tag == step.wire());
            li {
                (tag(visit, step.wire()))
                div { (visit.say("Step", "步骤")) ": " (state(visit, match barrier {
                    Some(b) if b.done_at.is_some() => "done",
                    Some(_) => "barred",
                    None => "none",
                })) @if let Some(at) = barrier.and_then(|b| b.done_at) { " " (when(visit, at)) } }
                div { (visit.say("Undo", "撤销")) ": "
                    @match barrier.and_then(|b| b.undone_at) {
                        Some(at) => { (state(visit, if barrier.is_some_and(|b| b.done_at.is_some()) { "undone" } else { "barred" })) " " (when(visit, at)) }
                        None => @if let Some(job) = job { (state(visit, &job.state)) " " (link_job(job.id)) } @else { (state(visit, "none")) }
                    }
                }
            }
        } }
    }
}

fn jobs(visit: &Visit, whole: &OrderSnapshot) -> Markup {
    html! {
        @if whole.jobs.is_empty() { (empty(visit, "None.", "无。")) }
        @else { div.scroll { table {
            thead { tr { th scope="col" { (visit.say("Job", "任务")) } th scope="col" { (visit.say("Tag", "标签")) } th scope="col" { (visit.say("State", "状态")) }
                th scope="col" { (visit.say("Attempt", "尝试")) } th scope="col" { (visit.say("Due", "到期")) } th scope="col" { (visit.say("Errors or note", "错误或备注")) } } }
            tbody { @for job in &whole.jobs { tr {
                td { (link_job(job.id)) } td { (tag(visit, &job.tag)) } td { (state(visit, &job.state)) }
                td.number { (job.attempt) " / " (job.max_attempts) } td { (when(visit, job.run_at)) }
                td { @for attempt in job.attempts.as_array().into_iter().flatten().rev().take(3) { div { (attempt["error"].as_str().unwrap_or_default()) } }
                    (job.note.as_deref().unwrap_or_default()) }
            } } }
        } } }
    }
}

fn told(visit: &Visit, at: DateTime<Utc>, kind: &str, what: &str, detail: &Value) -> Markup {
    let text = |key: &str| detail[key].as_str().unwrap_or_default().to_owned();
    let bad = kind == "job" && detail["state"] == "dead";
    html! { li class=(if bad { "bad" } else if kind == "ledger" || kind == "state" { "good" } else { "plain" }) {
        (when(visit, at)) " "
        @match kind {
            "step" => { (visit.say("step done", "步骤完成")) ": " (tag(visit, what)) }
            "undo" => { @if detail["barred"] == true { (visit.say("step barred", "步骤被阻止")) } @else { (visit.say("step undone", "步骤已撤销")) } ": " (tag(visit, what)) }
            "state" => { (visit.say("the order is", "订单状态")) " " (state(visit, what)) " (" (text("reason")) ")" }
            "ledger" => { (visit.say("ledger entry", "账目")) ": " (what) " " span.money { (text("amount")) } ", "
                (visit.say("then the wallet holds", "余额")) " " span.money { (text("balance_after")) } }
            "job" => { (visit.say("job", "任务")) " " (tag(visit, what)) " " (state(visit, &text("state"))) " "
                @if let Some(id) = detail["id"].as_str() { (link_job(id)) } " " (text("note")) }
            "request" => { (asked(visit, what)) " · " (visit.say("key", "幂等键")) " " code { (text("key")) } " · "
                @if let Some(rider) = detail["actor"].as_str() { (link_rider(rider)) } " " (text("user_name")) " · "
                @if let Some(status) = detail["status"].as_i64() { (visit.say("answered", "应答")) " " (status) }
                @else { (visit.say("not answered", "未应答")) } }
            "evaluation" => { (visit.say("the rider's evaluation", "乘客评价")) ": " (what) " / 5" @if !text("comment").is_empty() { " — " (text("comment")) } }
            other => { (other) " " (what) }
        }
    } }
}

/// What a request that has an idempotency key wanted.
fn asked(visit: &Visit, what: &str) -> &'static str {
    match what {
        "book" => visit.say("asked to book", "请求预订"),
        "pay" => visit.say("asked to pay", "请求支付"),
        "cancel" => visit.say("asked to cancel", "请求取消"),
        "refund" => visit.say("asked for a refund", "请求退款"),
        _ => visit.say("asked to evaluate", "请求评价"),
    }
}
