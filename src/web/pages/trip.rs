//! A trip: its bus, in which seats are chosen, its stops, and holding the seats.

use super::{choice::Choice, seats::chooser};
use crate::web::{
    Web,
    api::Refused,
    assets::SEATS,
    form::Form,
    frame::{Nav, fields, no_such_page, page, refused},
    refusals::{TAKEN, alert, taken},
    session::{Visitor, end, with_next},
    views::TripMap,
    words::{bus, cancelled, clock, money, refundable, trip_title},
};
use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use chrono::Utc;
use maud::{Markup, html};
use uuid::Uuid;

pub(in crate::web) async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let choice = Choice::of_query(&query.unwrap_or_default());
    shown(&web, &visitor, &headers, &id, &choice.seats, None).await
}

/// The page of a trip, with these seats chosen.
pub(super) async fn shown(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
    id: &str,
    chosen: &[String],
    why: Option<&Refused>,
) -> Response {
    let Ok(id) = id.parse::<Uuid>() else {
        return no_such_page(State(web.clone()), visitor.clone(), headers.clone()).await;
    };
    let map = match visitor.api.read::<TripMap>(&format!("/v1/trips/{id}")).await {
        Ok(map) => map,
        Err(problem) => return refused(web, visitor, headers, &problem),
    };
    let in_state = |is_in: fn(&str) -> bool| -> Vec<String> {
        let is_it = |label: &str| map.seats.iter().any(|seat| seat.seat == label && is_in(&seat.state));
        chosen.iter().filter(|label| is_it(label)).cloned().collect()
    };
    let (mine, lost) =
        (in_state(|state| state == "mine"), in_state(|state| !matches!(state, "free" | "mine")));
    let is_own = lost.is_empty() && !mine.is_empty();
    let is_cancelled = map.trip.status == "cancelled";
    let is_open = map.trip.status == "scheduled" && map.trip.bookable_until > Utc::now();
    let body = html! {
        @if let Some(why) = why.filter(|why| !(is_cancelled || is_own && why.code() == TAKEN)) { (alert(visitor, why)) }
        @else if is_open && !(lost.is_empty() && mine.is_empty()) { div.alert role="alert" tabindex="-1" autofocus {
            @if !lost.is_empty() { strong { (taken(visitor, &lost)) } }
            @if !mine.is_empty() { p { (visitor.t("Yours already: ", "已是您的座位：")) (mine.join(", ")) } }
        } }
        (facts(visitor, &map))
        @if is_cancelled { (cancelled(visitor, &map.trip.journey, map.trip.cancelled_message.as_deref())) }
        @else if !is_open { p { strong { (visitor.t("Booking has ended for this bus.", "该班车已停止预订。")) } } }
        @else { (choice(visitor, &map, chosen)) }
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
    } }
}

/// The seats to choose from, and room for the news that the trip is cancelled: then the script takes the
/// choice away, and says what the page of a cancelled trip says.
fn choice(visitor: &Visitor, map: &TripMap, chosen: &[String]) -> Markup {
    let trip = &map.trip;
    html! {
        div #news role="alert" tabindex="-1" {}
        template #cancelled { (cancelled(visitor, &trip.journey, Some(""))) }
        div #choice {
            p.facts { (refundable(visitor, &trip.journey, trip.refundable_until, trip.refund_percent)) }
            (form(visitor, map, chosen))
        }
        script src=(SEATS.address) defer {}
    }
}

fn form(visitor: &Visitor, map: &TripMap, chosen: &[String]) -> Markup {
    html! { form.choose method="post" action=(format!("/ride/trips/{}", map.trip.id)) {
        (fields(visitor))
        input type="hidden" name="key" value=(Uuid::now_v7());
        (chooser(visitor, map, chosen))
        p #said role="status" aria-live="assertive" {}
        div.foot {
            p #sum aria-live="polite" data-currency=(map.trip.currency) data-one=(visitor.t("1 seat", "1 个座位"))
                data-words=(visitor.t("{n} seats", "{n} 个座位")) hidden {}
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
/// the address while its rider signs in; then the seats are held.
pub(in crate::web) async fn hold(
    State(web): State<Web>,
    Path(id): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> Response {
    let (visitor, seats) = (form.visitor.clone(), form.all("seats"));
    let Ok(trip) = id.parse::<Uuid>() else {
        return no_such_page(State(web), visitor, headers).await;
    };
    if seats.is_empty() {
        let mut problem = serde_json::Map::new();
        let words = visitor.t("Choose a seat first", "请先选择座位");
        problem.insert("title".to_owned(), words.into());
        let why = Refused { status: StatusCode::UNPROCESSABLE_ENTITY, problem };
        return shown(&web, &visitor, &headers, &id, &seats, Some(&why)).await;
    }
    let choice = Choice { trip, seats, key: Some(form.text("key").to_owned()) };
    let signing_in = with_next("/ride/sign-in", &choice.address());
    if visitor.caller.is_none() {
        return Redirect::to(&signing_in).into_response();
    }
    match choice.hold(&visitor.api).await {
        Ok(held) => held,
        Err(problem) if problem.is_signed_out() => end(&web, &headers, &signing_in),
        Err(problem) => {
            let visitor = Visitor { path: choice.without_key().address(), ..visitor };
            shown(&web, &visitor, &headers, &id, &choice.seats, Some(&problem)).await
        }
    }
}
