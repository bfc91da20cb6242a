//! A trip: its bus, in which seats are chosen, its stops, and holding the seats.

use super::seats::chooser;
use crate::web::{
    Web,
    api::Refused,
    form::Form,
    frame::{Nav, alert, fields, page, refused},
    session::{Visitor, with_next},
    views::TripMap,
    words::{bus, clock, moment, money, trip_title},
};
use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use chrono::Utc;
use maud::{Markup, html};
use serde_json::json;
use uuid::Uuid;

/// All of an amount, percent.
const WHOLE: u8 = 100;

pub(in crate::web) async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let chosen = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "seats");
    let chosen: Vec<String> =
        chosen.flat_map(|(_, seats)| seats.split(',').map(str::to_owned).collect::<Vec<_>>()).collect();
    shown(&web, &visitor, &headers, &id, &chosen, None).await
}

/// The page of a trip, with these seats chosen.
async fn shown(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
    id: &str,
    chosen: &[String],
    why: Option<&Refused>,
) -> Response {
    let Ok(id) = id.parse::<Uuid>() else {
        return crate::web::frame::no_such_page(State(web.clone()), visitor.clone(), headers.clone()).await;
    };
    let map = match visitor.api.read::<TripMap>(&format!("/v1/trips/{id}")).await {
        Ok(map) => map,
        Err(problem) => return refused(web, visitor, headers, &problem),
    };
    let lost: Vec<&String> = chosen
        .iter()
        .filter(|label| !map.seats.iter().any(|seat| seat.seat == **label && seat.state == "free"))
        .collect();
    let is_open = map.trip.status == "scheduled" && map.trip.bookable_until > Utc::now();
    let body = html! {
        @if let Some(why) = why { (alert(why)) }
        @else if !lost.is_empty() { div.alert role="alert" {
            strong { (visitor.t("Taken in the meantime: ", "已被他人占用：")) (lost.iter().map(|l| l.as_str()).collect::<Vec<_>>().join(", ")) }
        } }
        (facts(visitor, &map))
        @if map.trip.status == "cancelled" { div.alert { strong { (visitor.t("This bus is cancelled.", "该班车已取消。")) }
            @if let Some(message) = &map.trip.cancelled_message { p { (message) } }
        } }
        @else if !is_open { p { strong { (visitor.t("Booking has ended for this bus.", "该班车已停止预订。")) } } }
        @else { (form(visitor, &map, chosen)) }
        (stops(visitor, &map))
    };
    let mut response = page(visitor, Nav::Trips, &trip_title(visitor, &map.trip.journey), body);
    if let Some(why) = why {
        *response.status_mut() = why.status;
    }
    response
}

fn facts(visitor: &Visitor, map: &TripMap) -> Markup {
    let trip = &map.trip;
    html! { p.facts {
        @if let Some(route) = &trip.journey.route { (route.name) " · " }
        (bus(visitor, &trip.journey)) " · " (clock(trip.journey.departs_local)) " – " (clock(trip.journey.arrives_local))
        " · " (money(&trip.price, &trip.currency)) " " (visitor.t("a seat", "每座"))
        br;
        (visitor.t("Refundable until ", "可退款至 ")) (moment(visitor, &trip.journey, trip.refundable_until))
        @if trip.refund_percent < WHOLE { ", " (trip.refund_percent) " %" }
    } }
}

fn form(visitor: &Visitor, map: &TripMap, chosen: &[String]) -> Markup {
    html! { form.choose method="post" action=(format!("/ride/trips/{}", map.trip.id)) {
        (fields(visitor))
        input type="hidden" name="key" value=(Uuid::now_v7());
        (chooser(visitor, map, chosen))
        p role="status" #said {}
        div.foot {
            p #sum data-currency=(map.trip.currency) data-words=(visitor.t("{n} seats", "{n} 个座位")) hidden {}
            button.primary type="submit" { (visitor.t("Hold these seats", "占座")) }
        }
    } }
}

fn stops(visitor: &Visitor, map: &TripMap) -> Markup {
    html! { @if !map.stops.is_empty() { details {
        summary { (visitor.t("Stops", "站点")) " (" (map.stops.len()) ")" }
        ol.stops { @for stop in &map.stops { li {
            @if let Some(at) = stop.departs_local.or(stop.arrives_local) { (clock(at)) " " }
            (stop.name)
        } } }
    } } }
}

/// Holds the seats: books them, to be paid on the order's page. Without a session, the choice waits in
/// the address while its rider signs in.
pub(in crate::web) async fn hold(
    State(web): State<Web>,
    Path(id): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> Response {
    let (visitor, seats) = (form.visitor.clone(), form.all("seats"));
    let back = {
        let query = serde_urlencoded::to_string([("seats", seats.join(","))]).unwrap_or_default();
        format!("/ride/trips/{id}?{query}")
    };
    if visitor.caller.is_none() {
        return Redirect::to(&with_next("/ride/sign-in", &back)).into_response();
    }
    if seats.is_empty() {
        let mut problem = serde_json::Map::new();
        let words = visitor.t("Choose a seat first", "请先选择座位");
        problem.insert("title".to_owned(), words.into());
        let why = Refused { status: StatusCode::UNPROCESSABLE_ENTITY, problem };
        return shown(&web, &visitor, &headers, &id, &seats, Some(&why)).await;
    }
    let body = json!({ "trip_id": id, "seats": seats });
    match visitor.api.post("/v1/orders", form.text("key"), &body).await {
        Ok(answer) => {
            let order = answer.body["id"].as_str().unwrap_or_default();
            answer.acknowledged_by(Redirect::to(&format!("/ride/orders/{order}")).into_response())
        }
        Err(problem) if problem.is_signed_out() => {
            Redirect::to(&with_next("/ride/sign-in", &back)).into_response()
        }
        Err(problem) => shown(&web, &visitor, &headers, &id, &seats, Some(&problem)).await,
    }
}
