//! An order: paying while it is held, the ticket once it is paid, and what is given back.

use super::order_parts::{evaluation, facts, news, paying, ticket};
use crate::web::{
    Web,
    api::Refused,
    assets::ORDER,
    form::Form,
    frame::{Nav, no_such_page, page, refused},
    qr,
    refusals::alert,
    session::{Visitor, end, unsent},
    views::{Order, TripMap},
    words::trip_title,
};
use axum::{
    extract::{Path, State},
    http::{HeaderMap, Method},
    response::{IntoResponse, Redirect, Response},
};
use chrono::Utc;
use maud::html;
use serde_json::{Value, json};
use uuid::Uuid;

/// The script looks so soon again while an order changes without its rider, milliseconds, and then at growing
/// intervals.
const SOON_MS: u32 = 1_000;
/// It looks so often while the bus is ahead, milliseconds: the trip may be cancelled, or get another time.
const CALM_MS: u32 = 30_000;
/// What the address holds after a payment that failed, so that the page goes on saying so.
const FAILED: &str = "?failed=payment";

pub(in crate::web) async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    shown(&web, &visitor, &headers, &id, None).await
}

/// The page of an order, with why a form was refused.
async fn shown(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
    id: &str,
    refusal: Option<(&Refused, &Form)>,
) -> Response {
    let (why, form) = refusal.unzip();
    let Ok(id) = id.parse::<Uuid>() else {
        return no_such_page(State(web.clone()), visitor.clone(), headers.clone()).await;
    };
    if let Some(elsewhere) = visitor.must_sign_in() {
        return elsewhere;
    }
    let order = match visitor.api.read::<Order>(&format!("/v1/orders/{id}")).await {
        Ok(order) => order,
        Err(problem) => return refused(web, visitor, headers, &problem),
    };
    // Who drives, and whether the bus is cancelled. A ticket is shown without it, too.
    let trip = visitor.api.read::<TripMap>(&format!("/v1/trips/{}", order.trip_id)).await.ok();
    let is_cancelled =
        order.cancelled_message.is_some() || trip.as_ref().is_some_and(|map| map.trip.status == "cancelled");
    let part = match order.status.as_str() {
        "unpaid" if is_cancelled || order.expires_at <= Utc::now() => html! {},
        "unpaid" => match paying(visitor, &order).await {
            Ok(part) => part,
            Err(problem) => return refused(web, visitor, headers, &problem),
        },
        _ => html! {},
    };
    let has_failed = why.is_some_and(|why| why.status.is_server_error()) || visitor.path.ends_with(FAILED);
    let words = visitor.t("The code of this ticket", "车票二维码");
    let is_pending = is_pending(&order, is_cancelled);
    let pause = if is_pending { Some(SOON_MS) } else { is_ahead(&order).then_some(CALM_MS) };
    let body = html! {
        @if let Some(why) = why { (alert(visitor, why)) }
        div #order data-state=(state(&order, is_cancelled)) data-pause=[pause] data-look=[pause.map(|_| refreshed(&order, has_failed))] {
            div #news aria-live="polite" tabindex="-1" { (news(visitor, &order, is_cancelled, has_failed)) }
            @if is_pending { noscript { p { a.button href=(refreshed(&order, has_failed)) { (visitor.t("Look again", "刷新")) } } } }
            div #rest {
                (part)
                @if order.status == "paid" && !is_cancelled { (ticket(visitor, &order, trip.as_ref(), &qr::of(web, &order.id, words))) }
                @if !is_cancelled { (evaluation(visitor, &order, form)) }
                (facts(visitor, &order))
            }
        }
        script src=(ORDER.address) defer {}
    };
    let mut response = page(visitor, Nav::Orders, &trip_title(visitor, &order.journey), body);
    if let Some(why) = why {
        *response.status_mut() = why.status;
    }
    response
}

/// The address where the script looks again.
fn refreshed(order: &Order, has_failed: bool) -> String {
    format!("/ride/orders/{}{}", order.id, if has_failed { FAILED } else { "" })
}

/// Whether the order changes without its rider: money is on its way, or its time to pay is over.
fn is_pending(order: &Order, is_cancelled: bool) -> bool {
    matches!(order.status.as_str(), "paying" | "refunding")
        || is_cancelled && order.is_open()
        || order.payments.iter().any(|payment| payment.state == "debited")
        || order.status == "unpaid" && order.expires_at <= Utc::now()
}

/// Whether the bus of the order is ahead: it may yet be cancelled, or get another time.
fn is_ahead(order: &Order) -> bool {
    order.is_open() && Utc::now() < order.departs_at
}

/// What the script compares: the rest of the page is new only with a new state, so that nothing
/// that is typed is lost.
fn state(order: &Order, is_cancelled: bool) -> String {
    let now = Utc::now();
    let is_over = order.status == "unpaid" && order.expires_at <= now;
    let is_paid = order.status == "paid";
    let (is_final, has_left) = (is_paid && order.refundable_until <= now, is_paid && order.departs_at <= now);
    let payments = order.payments.iter().map(|payment| payment.state.as_str()).collect::<Vec<_>>().join(" ");
    let parts = [(is_over, "over"), (is_cancelled, "cancelled"), (is_final, "final"), (has_left, "has left")];
    let parts: Vec<&str> = parts.into_iter().filter(|(is_so, _)| *is_so).map(|(_, word)| word).collect();
    format!("{} {} {payments} {}", order.status, parts.join(" "), order.changes.len())
}

/// What a form of this page sends to the API.
fn body_of(act: &str, form: &Form) -> Option<(&'static str, Value)> {
    match act {
        "pay" => Some(("pay", json!({ "pay_password": form.text("pay_password") }))),
        "cancel" => Some(("cancel", json!({}))),
        "refund" => Some(("refund", json!({}))),
        "evaluate" => {
            let rating = form.text("rating").parse::<i16>().unwrap_or_default();
            // A form sends two characters for the end of a line that its rider typed as one.
            let comment = form.some("comment").map(|comment| comment.replace("\r\n", "\n"));
            Some(("evaluation", json!({ "rating": rating, "comment": comment })))
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
        Err(problem) if problem.is_signed_out() => end(&web, &headers, &unsent(&visitor)),
        Err(problem) => shown(&web, &visitor, &headers, &id.to_string(), Some((&problem, &form))).await,
    }
}
