//! An order: paying while it is held, the ticket once it is paid, and what is given back.

use crate::web::{
    Web,
    api::Refused,
    form::Form,
    frame::{Nav, alert, fields, no_such_page, page, refused},
    qr,
    session::Visitor,
    views::{Account, Order, TripMap, Wallet},
    words::{bus, clock, moment, money, order_state, trip_title},
};
use axum::{
    extract::{Path, State},
    http::{HeaderMap, Method},
    response::{IntoResponse, Redirect, Response},
};
use chrono::Utc;
use maud::{Markup, html};
use serde_json::{Value, json};
use uuid::Uuid;

/// All of an amount, percent.
const WHOLE: u8 = 100;
/// The ratings of a trip.
const RATINGS: [u8; 5] = [1, 2, 3, 4, 5];

pub(in crate::web) async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    shown(&web, &visitor, &headers, &id, None).await
}

/// The page of an order, with why an act was refused.
async fn shown(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
    id: &str,
    why: Option<&Refused>,
) -> Response {
    let Ok(id) = id.parse::<Uuid>() else {
        return no_such_page(State(web.clone()), visitor.clone(), headers.clone()).await;
    };
    if visitor.caller.is_none() {
        return Redirect::to(&visitor.sign_in()).into_response();
    }
    let order = match visitor.api.read::<Order>(&format!("/v1/orders/{id}")).await {
        Ok(order) => order,
        Err(problem) => return refused(web, visitor, headers, &problem),
    };
    let part = match order.status.as_str() {
        "unpaid" => paying(visitor, &order).await,
        "paid" => ticket(visitor, &order, &qr::of(web, &order.id)).await,
        _ => Ok(html! {}),
    };
    let part = match part {
        Ok(part) => part,
        Err(problem) => return refused(web, visitor, headers, &problem),
    };
    let body = html! {
        @if let Some(why) = why { (alert(why)) }
        div #order data-status=(order.status) data-owed=[is_owed(&order).then_some("yes")] {
            (owed(visitor, &order))
            (part)
            (facts(visitor, &order))
            (after(visitor, &order))
        }
    };
    let mut response = page(visitor, Nav::Orders, &trip_title(visitor, &order.journey), body);
    if let Some(why) = why {
        *response.status_mut() = why.status;
    }
    response
}

/// Whether money of the rider is on its way: debited, and the order not paid.
fn is_owed(order: &Order) -> bool {
    order.status == "refunding" || order.payments.iter().any(|payment| payment.state == "debited")
}

/// What is on its way back to the rider, and what has come back of payments that failed.
fn owed(visitor: &Visitor, order: &Order) -> Markup {
    let need_nothing = visitor.t("You need do nothing.", "您无需任何操作。");
    html! {
        @if order.status == "refunding" { p.notice role="status" {
            strong { (money(&order.amount, &order.currency)) (visitor.t(" is being given back.", " 正在退回。")) } " " (need_nothing)
        } }
        @for payment in &order.payments { @match payment.state.as_str() {
            "debited" => { p.notice role="status" {
                strong { (money(&payment.amount, &order.currency)) (visitor.t(
                    " is being given back, unless the payment still goes through.", " 正在退回，除非支付仍能完成。")) }
                " " (need_nothing)
            } }
            "reversed" => { p.notice.good role="status" {
                (money(&payment.amount, &order.currency)) " " (visitor.t("was given back:", "已退回："))
                " " (moment(visitor, &order.journey, payment.at))
            } }
            _ => {}
        } }
    }
}

/// The countdown, the wallet, and the form that pays.
async fn paying(visitor: &Visitor, order: &Order) -> Result<Markup, Refused> {
    let read =
        tokio::join!(visitor.api.read::<Wallet>("/v1/wallet"), visitor.api.read::<Account>("/v1/riders/me"));
    let (wallet, account) = (read.0?, read.1?);
    let action = |act: &str| format!("/ride/orders/{}/{act}", order.id);
    Ok(html! {
        p.countdown role="timer" data-until=(order.expires_at.timestamp_millis())
            data-words=(visitor.t("{time} left to pay", "剩余支付时间 {time}"))
            data-over=(visitor.t("The time to pay is over.", "支付时间已过。")) {
            (visitor.t("Held for you until ", "座位为您保留至 ")) (moment(visitor, &order.journey, order.expires_at))
        }
        @if account.has_pay_password {
            form.card method="post" action=(action("pay")) {
                (fields(visitor))
                input type="hidden" name="key" value=(Uuid::now_v7());
                p { (visitor.t("Your wallet holds ", "钱包余额 ")) strong { (money(&wallet.balance, &wallet.currency)) } }
                label for="pay_password" { (visitor.t("Pay password", "支付密码")) }
                input #pay_password name="pay_password" type="password" inputmode="numeric" autocomplete="off" required;
                button.primary type="submit" { (visitor.t("Pay ", "支付 ")) (money(&order.amount, &order.currency)) }
            }
        } @else {
            p { a.button.primary href="/ride/account" { (visitor.t("Set a pay password first", "请先设置支付密码")) } }
        }
        form method="post" action=(action("cancel")) {
            (fields(visitor))
            input type="hidden" name="key" value=(Uuid::now_v7());
            button type="submit" { (visitor.t("Give the seats back", "放弃座位")) }
        }
    })
}

/// The ticket, and the form that refunds it.
async fn ticket(visitor: &Visitor, order: &Order, code: &Markup) -> Result<Markup, Refused> {
    let map = visitor.api.read::<TripMap>(&format!("/v1/trips/{}", order.trip_id)).await?;
    let (journey, now) = (&order.journey, Utc::now());
    Ok(html! {
        @if map.trip.status == "cancelled" { div.alert role="alert" {
            strong { (visitor.t("This bus is cancelled.", "该班车已取消。")) }
            @if let Some(message) = &map.trip.cancelled_message { p { (message) } }
            p { (visitor.t("Your money is given back. You need do nothing.", "款项将退回，您无需任何操作。")) }
        } }
        section.ticket aria-label=(visitor.t("Ticket", "车票")) data-ticket {
            (code)
            p.figure { (visitor.t("Seats ", "座位 ")) (order.seats.join(", ")) }
            p { strong { (bus(visitor, journey)) } " · " (clock(journey.departs_local)) " – " (clock(journey.arrives_local)) }
            @if let (Some(from), Some(to)) = (&journey.from, &journey.to) { p { (from.name) " → " (to.name) } }
            @if let Some(driver) = &map.bus.driver_name { p.quiet {
                (visitor.t("Driver: ", "司机：")) (driver)
                @if let Some(phone) = &map.bus.driver_phone { " · " a href=(format!("tel:{phone}")) { (phone) } }
            } }
        }
        @if now < order.refundable_until { form.card method="post" action=(format!("/ride/orders/{}/refund", order.id)) {
            (fields(visitor))
            input type="hidden" name="key" value=(Uuid::now_v7());
            p { (visitor.t("Refundable until ", "可退款至 ")) strong { (moment(visitor, journey, order.refundable_until)) }
                @if order.refund_percent < WHOLE { ": " (order.refund_percent) " %" } }
            button type="submit" { (visitor.t("Refund", "退款")) }
        } }
        @else if now < order.departs_at { p.quiet { (visitor.t("Refunding has ended.", "已过退款时间。")) } }
    })
}

fn facts(visitor: &Visitor, order: &Order) -> Markup {
    html! { dl.facts_list {
        dt { (visitor.t("State", "状态")) } dd { (order_state(visitor, order)) }
        dt { (visitor.t("Seats", "座位")) } dd { (order.seats.join(", ")) }
        dt { (visitor.t("Price", "金额")) } dd { (money(&order.amount, &order.currency)) }
        @if let Some(fee) = &order.refund_fee { dt { (visitor.t("Fee", "手续费")) } dd { (money(fee, &order.currency)) } }
        dt { (visitor.t("Booked", "预订于")) } dd { (moment(visitor, &order.journey, order.created_at)) }
        @for change in &order.changes { dt { (visitor.t("Changed", "变更")) } dd { (change.what) } }
        @for happened in order.history.iter().filter(|one| one.status == "refunded") {
            dt { (visitor.t("Given back", "退回于")) } dd { (moment(visitor, &order.journey, happened.at)) }
        }
        dt { (visitor.t("Number", "编号")) } dd { code { (order.id) } }
    } }
}

/// After the trip: what the rider thought of it.
fn after(visitor: &Visitor, order: &Order) -> Markup {
    let has_left = Utc::now() >= order.departs_at;
    html! {
        @if let Some(said) = &order.evaluation {
            p { (visitor.t("You rated it ", "您的评分 ")) (said.rating) " / 5"
                @if let Some(comment) = &said.comment { ": " (comment) } }
        } @else if order.status == "paid" && has_left {
            form.card method="post" action=(format!("/ride/orders/{}/evaluate", order.id)) {
                (fields(visitor))
                input type="hidden" name="key" value=(Uuid::now_v7());
                fieldset.ratings {
                    legend { (visitor.t("How was the trip?", "这趟车怎么样？")) }
                    @for rating in RATINGS { label { input type="radio" name="rating" value=(rating) required; " " (rating) } }
                }
                label for="comment" { (visitor.t("A word about it (may stay empty)", "评价（可不填）")) }
                textarea #comment name="comment" rows="3" maxlength="1000" {}
                button.primary type="submit" { (visitor.t("Send", "提交")) }
            }
        }
    }
}

/// What a form of this page sends to the API.
fn body_of(act: &str, form: &Form) -> Option<(&'static str, Value)> {
    match act {
        "pay" => Some(("pay", json!({ "pay_password": form.text("pay_password") }))),
        "cancel" => Some(("cancel", json!({}))),
        "refund" => Some(("refund", json!({}))),
        "evaluate" => {
            let rating = form.text("rating").parse::<i16>().unwrap_or_default();
            Some(("evaluation", json!({ "rating": rating, "comment": form.some("comment") })))
        }
        _ => None,
    }
}

pub(in crate::web) async fn act(
    State(web): State<Web>,
    Path((id, act)): Path<(String, String)>,
    headers: HeaderMap,
    form: Form,
) -> Response {
    let visitor = Visitor { path: format!("/ride/orders/{id}"), ..form.visitor.clone() };
    let Some(((route, body), id)) = body_of(&act, &form).zip(id.parse::<Uuid>().ok()) else {
        return no_such_page(State(web), visitor, headers).await;
    };
    let address = format!("/v1/orders/{id}/{route}");
    match visitor.api.send(Method::POST, &address, Some(form.text("key")), Some(&body)).await {
        Ok(answer) => answer.acknowledged_by(Redirect::to(&visitor.path).into_response()),
        Err(problem) if problem.is_signed_out() => Redirect::to(&visitor.sign_in()).into_response(),
        Err(problem) => shown(&web, &visitor, &headers, &id.to_string(), Some(&problem)).await,
    }
}
