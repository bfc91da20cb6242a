//! The first page: the trips of a day, with times, prices and free seats.

use crate::web::{
    Web,
    frame::{Nav, page, refused},
    session::Visitor,
    views::{Page, Trip},
    words::{bus, clock, day, money, today, way},
};
use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use chrono::{Days, NaiveDate, Utc};
use maud::{Markup, html};
use std::collections::BTreeSet;

/// The days that are offered, with today.
const DAYS: u64 = 7;
/// Below this many free seats their number is pointed out.
const FEW: u32 = 5;

/// What is asked for.
struct Asked {
    date: NaiveDate,
    way: String,
    after: Option<String>,
}

impl Asked {
    fn of(query: &str, today: NaiveDate) -> Self {
        let mut asked = Self { date: today, way: String::new(), after: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "date" => asked.date = value.parse().unwrap_or(today),
                "way" => asked.way = value.into_owned(),
                "after" => asked.after = Some(value.into_owned()),
                _ => {}
            }
        }
        asked
    }

    fn address(&self, date: NaiveDate, way: &str) -> String {
        let query = serde_urlencoded::to_string([("date", date.to_string()), ("way", way.to_owned())]);
        format!("/ride?{}", query.unwrap_or_default())
    }
}

pub(in crate::web) async fn list(
    State(web): State<Web>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let zone = crate::web::session::network_zone(&web).await;
    let today = today(&zone);
    let asked = Asked::of(&query.unwrap_or_default(), today);
    let mut wanted = vec![("date", asked.date.to_string())];
    wanted.extend(asked.after.clone().map(|after| ("after", after)));
    let query = serde_urlencoded::to_string(wanted).unwrap_or_default();
    let trips = match visitor.api.read::<Page<Trip>>(&format!("/v1/trips?{query}")).await {
        Ok(trips) => trips,
        Err(problem) => return refused(&web, &visitor, &headers, &problem),
    };
    let body = html! {
        (days(&visitor, &asked, today))
        (ways(&visitor, &asked, &trips.items))
        (rows(&visitor, &asked, &trips.items))
        @if let Some(next) = &trips.next {
            p.more { a.button rel="next" href=(format!("{}&after={next}", asked.address(asked.date, &asked.way))) {
                (visitor.t("Later buses", "更晚的班车"))
            } }
        }
    };
    page(&visitor, Nav::Trips, visitor.t("Buses", "班车"), body)
}

fn days(visitor: &Visitor, asked: &Asked, today: NaiveDate) -> Markup {
    html! { nav.chips aria-label=(visitor.t("Day", "日期")) {
        @for offset in 0..DAYS { @if let Some(date) = today.checked_add_days(Days::new(offset)) {
            a href=(asked.address(date, &asked.way)) aria-current=[(date == asked.date).then_some("date")] {
                (day(visitor, date, today))
            }
        } }
    } }
}

/// The ways that buses go on the day: from where to where.
fn ways(visitor: &Visitor, asked: &Asked, trips: &[Trip]) -> Markup {
    let all: BTreeSet<String> = trips.iter().map(|trip| way(visitor, &trip.journey)).collect();
    html! { @if all.len() > 1 { nav.chips aria-label=(visitor.t("Where to", "方向")) {
        a href=(asked.address(asked.date, "")) aria-current=[asked.way.is_empty().then_some("true")] {
            (visitor.t("All", "全部"))
        }
        @for one in &all {
            a href=(asked.address(asked.date, one)) aria-current=[(*one == asked.way).then_some("true")] { (one) }
        }
    } } }
}

fn rows(visitor: &Visitor, asked: &Asked, trips: &[Trip]) -> Markup {
    let fits = |trip: &&Trip| asked.way.is_empty() || way(visitor, &trip.journey) == asked.way;
    let mut open: Vec<&Trip> = trips.iter().filter(fits).collect();
    // What has left is of no use to a rider who looks for a bus.
    open.retain(|trip| matches!(trip.status.as_str(), "scheduled" | "cancelled"));
    html! {
        @if open.is_empty() { p.empty { (visitor.t("No bus leaves on this day any more.", "当天没有可乘的班车了。")) } }
        @else { ol.trips { @for trip in open { li { (row(visitor, trip)) } } } }
    }
}

fn row(visitor: &Visitor, trip: &Trip) -> Markup {
    let is_open = trip.status == "scheduled" && trip.bookable_until > Utc::now();
    let inner = html! {
        span.times { strong { (clock(trip.journey.departs_local)) } " – " (clock(trip.journey.arrives_local)) }
        span.way { (way(visitor, &trip.journey)) }
        span.quiet { (bus(visitor, &trip.journey)) }
        span.price { @if trip.prices.len() > 1 { (visitor.t("from ", "")) } (money(&trip.price, &trip.currency)) @if trip.prices.len() > 1 { (visitor.t("", " 起")) } }
        span.free { (free(visitor, trip, is_open)) }
    };
    html! {
        @if is_open { a.trip href=(format!("/ride/trips/{}", trip.id)) { (inner) } }
        @else { div.trip.over { (inner) } }
    }
}

fn free(visitor: &Visitor, trip: &Trip, is_open: bool) -> Markup {
    html! {
        @if trip.status == "cancelled" { strong { (visitor.t("cancelled", "已取消")) } }
        @else if !is_open { (visitor.t("booking has ended", "已停止预订")) }
        @else if trip.free_seats == 0 { strong { (visitor.t("full", "已满")) } }
        @else {
            @if trip.free_seats < FEW { strong { (trip.free_seats) } } @else { (trip.free_seats) }
            " " (visitor.t(if trip.free_seats == 1 { "seat free" } else { "seats free" }, "个空座"))
            " " meter min="0" max=(trip.capacity) value=(trip.free_seats) aria-hidden="true" {}
        }
    }
}
