//! An order: paying while it is held, the ticket once it is paid, and what is given back.

use super::order_parts::{evaluation, facts, news, paying, ticket};
use crate::web::{
    Web,
    api::Refused,
    form::Form,
    frame::{Nav, no_such_page, page, refused},
    qr,
    refusals::alert,
    session::Visitor,
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
    if let Some(elsewhere) = visitor.must_sign_in() {
        return elsewhere;
    }
    let order = match visitor.api.read::<Order>(&format!("/v1/orders/{id}")).await {
        Ok(order) => order,
        Err(problem) => return refused(web, visitor, headers, &problem),
    };
    let part = match order.status.as_str() {
        "unpaid" if order.expires_at <= Utc::now() => html! {},
        "unpaid" => match paying(visitor, &order).await {
            Ok(part) => part,
            Err(problem) => return refused(web, visitor, headers, &problem),
        },
        _ => html! {},
    };
    // Who drives, and whether the bus is cancelled. A ticket is shown without it, too.
    let trip = match order.status.as_str() {
        "unpaid" => None,
        _ => visitor.api.read::<TripMap>(&format!("/v1/trips/{}", order.trip_id)).await.ok(),
    };
    let has_failed = why.is_some_and(|why| why.status.is_server_error()) || visitor.path.ends_with(FAILED);
    let words = visitor.t("The code of this ticket", "车票二维码");
    let body = html! {
        @if let Some(why) = why { (alert(visitor, why)) }
        div #order data-state=(state(&order)) data-look=[is_pending(&order).then(|| refreshed(&order, has_failed))] {
            div #news aria-live="polite" { (news(visitor, &order, trip.as_ref(), has_failed)) }
            @if is_pending(&order) { noscript { p { a.button href=(refreshed(&order, has_failed)) { (visitor.t("Look again", "刷新")) } } } }
            div #rest {
                (part)
                @if order.status == "paid" { (ticket(visitor, &order, trip.as_ref(), &qr::of(web, &order.id, words))) }
                (evaluation(visitor, &order))
                (facts(visitor, &order))
            }
        }
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
fn is_pending(order: &Order) -> bool {
    matches!(order.status.as_str(), "paying" | "refunding")
        || order.payments.iter().any(|payment| payment.state == "debited")
        || order.status == "unpaid" && order.expires_at <= Utc::now()
}

/// What the script compares: the rest of the page is new only with a new state, so that nothing
/// that is typed is lost.
fn state(order: &Order) -> String {
    let is_over = order.status == "unpaid" && order.expires_at <= Utc::now();
    let payments = order.payments.iter().map(|payment| payment.state.as_str()).collect::<Vec<_>>().join(" ");
    format!("{}{} {payments}", order.status, if is_over { " over" } else { "" })
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
