//! The first page: the trips of a day, with times, prices and free seats.

use crate::web::{
    Web,
    api::Refused,
    frame::{Nav, page, refused},
    session::Visitor,
    views::{Page, Trip},
    words::{bus, clock, date, day, money, today, way},
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
/// Trips on a page: with style and script it stays below 30 KB.
const MAX_ROWS: usize = 20;
/// Pages of the API that are looked through for a trip that has not left, at most.
const MAX_PAGES: usize = 6;
/// Ways that stand side by side; more are a list to choose from.
const MAX_CHIPS: usize = 8;
/// Ways in that list, at most.
const MAX_WAYS: usize = 60;

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

    /// The address of the page of another day or way.
    fn with(date: NaiveDate, way: &str) -> String {
        let mut query = vec![("date", date.to_string())];
        query.extend(Some(("way", way.to_owned())).filter(|_| !way.is_empty()));
        format!("/ride?{}", serde_urlencoded::to_string(query).unwrap_or_default())
    }

    /// The address of the trips after this one.
    fn after(&self, trip: &str) -> String {
        format!("{}&after={trip}", Self::with(self.date, &self.way))
    }

    /// The same for the next day, from its first trip on.
    fn next_day(&self) -> Option<Self> {
        let date = self.date.checked_add_days(Days::new(1))?;
        Some(Self { date, way: self.way.clone(), after: None })
    }
}

/// The trips of a day that a rider may still take, and those that are cancelled.
struct Found {
    trips: Vec<Trip>,
    ways: BTreeSet<String>,
    has_more: bool,
}

/// Looks through the day's trips. What has left is of no use to a rider who looks for a bus. A way that no
/// bus goes on that day, or whose name is of another language, is not asked for any more.
async fn trips_of(visitor: &Visitor, asked: &mut Asked) -> Result<Found, Refused> {
    let mut found = Found { trips: Vec::new(), ways: BTreeSet::new(), has_more: false };
    let mut after = asked.after.clone();
    for _ in 0..MAX_PAGES {
        let mut query = vec![("date", asked.date.to_string())];
        query.extend(after.take().map(|after| ("after", after)));
        let query = serde_urlencoded::to_string(query).unwrap_or_default();
        let read = visitor.api.read::<Page<Trip>>(&format!("/v1/trips?{query}")).await?;
        found.ways.extend(read.items.iter().map(|trip| way(visitor, &trip.journey)));
        if asked.after.is_none() && !found.ways.contains(&asked.way) {
            asked.way.clear();
        }
        let fits = |trip: &Trip| asked.way.is_empty() || way(visitor, &trip.journey) == asked.way;
        let is_ahead = |trip: &Trip| matches!(trip.status.as_str(), "scheduled" | "cancelled");
        found.trips.extend(read.items.into_iter().filter(|trip| is_ahead(trip) && fits(trip)));
        found.has_more = read.next.is_some() || found.trips.len() > MAX_ROWS;
        found.trips.truncate(MAX_ROWS);
        after = read.next;
        if !found.trips.is_empty() || after.is_none() {
            break;
        }
    }
    Ok(found)
}

pub(in crate::web) async fn list(
    State(web): State<Web>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let zone = crate::web::session::network_zone(&web).await;
    let today = today(&zone);
    let mut asked = Asked::of(&query.unwrap_or_default(), today);
    let found = match trips_of(&visitor, &mut asked).await {
        Ok(found) => found,
        Err(problem) => return refused(&web, &visitor, &headers, &problem),
    };
    // Late in the evening, the next bus is one of tomorrow.
    let mut next = asked.next_day().filter(|_| asked.date == today && !found.trips.iter().any(is_open));
    let later = match &mut next {
        Some(next) => trips_of(&visitor, next).await.ok().map(|found| (found, &*next)),
        None => None,
    };
    let body = html! {
        (days(&visitor, &asked, today))
        (ways(&visitor, &asked, &found.ways))
        (rows(&visitor, &asked, &found, today))
        @if let Some((found, next)) = &later { @if !found.trips.is_empty() {
            h2 { (visitor.t("The next buses: tomorrow, ", "最近的班车：明天，")) (date(&visitor, next.date)) }
            (rows(&visitor, next, found, today))
        } }
    };
    page(&visitor, Nav::Trips, visitor.t("Buses", "班车"), body)
}

/// Whether seats of it can still be booked.
fn is_open(trip: &Trip) -> bool {
    trip.status == "scheduled" && trip.bookable_until > Utc::now()
}

fn days(visitor: &Visitor, asked: &Asked, today: NaiveDate) -> Markup {
    html! { nav.chips aria-label=(visitor.t("Day", "日期")) {
        @for offset in 0..DAYS { @if let Some(date) = today.checked_add_days(Days::new(offset)) {
            a href=(Asked::with(date, &asked.way)) aria-current=[(date == asked.date).then_some("date")] {
                (day(visitor, date, today))
            }
        } }
    } }
}

/// The ways that buses go on the day: from where to where.
fn ways(visitor: &Visitor, asked: &Asked, ways: &BTreeSet<String>) -> Markup {
    let words = visitor.t("Where to", "方向");
    html! {
        @if ways.len() > MAX_CHIPS { form.ways action="/ride" {
            input type="hidden" name="date" value=(asked.date);
            label for="way" { (words) }
            select #way name="way" {
                option value="" { (visitor.t("All", "全部")) }
                @for one in ways.iter().take(MAX_WAYS) { option value=(one) selected[*one == asked.way] { (one) } }
            }
            button type="submit" { (visitor.t("Show", "显示")) }
        } }
        @else if ways.len() > 1 { nav.chips aria-label=(words) {
            a href=(Asked::with(asked.date, "")) aria-current=[asked.way.is_empty().then_some("true")] {
                (visitor.t("All", "全部"))
            }
            @for one in ways {
                a href=(Asked::with(asked.date, one)) aria-current=[(*one == asked.way).then_some("true")] { (one) }
            }
        } }
    }
}

fn rows(visitor: &Visitor, asked: &Asked, found: &Found, today: NaiveDate) -> Markup {
    let none = if asked.date > today {
        visitor.t("No bus is on sale for this day yet.", "当天的班车尚未开售。")
    } else {
        visitor.t("No bus leaves on this day any more.", "当天没有可乘的班车了。")
    };
    let last = found.trips.last().filter(|_| found.has_more);
    html! {
        @if found.trips.is_empty() { p.empty { (none) } }
        @else { ol.trips { @for trip in &found.trips { li { (row(visitor, trip)) } } } }
        @if let Some(last) = last { p.more { a.button rel="next" href=(asked.after(&last.id)) { (visitor.t("Later buses", "更晚的班车")) } } }
    }
}

fn row(visitor: &Visitor, trip: &Trip) -> Markup {
    let has_classes = trip.prices.len() > 1;
    let inner = html! {
        span.times { strong { (clock(trip.journey.departs_local)) } " – " (clock(trip.journey.arrives_local)) }
        span.price { @if has_classes { (visitor.t("from ", "")) } (money(&trip.price, &trip.currency)) @if has_classes { (visitor.t("", " 起")) } }
        span.way { (way(visitor, &trip.journey)) }
        span.quiet { (bus(visitor, &trip.journey)) }
        span.free { (free(visitor, trip)) }
        @if let Some(message) = &trip.cancelled_message { span.way.message { (message) } }
    };
    html! {
        @if is_open(trip) { a.trip href=(format!("/ride/trips/{}", trip.id)) { (inner) } }
        @else { div.trip.over { (inner) } }
    }
}

fn free(visitor: &Visitor, trip: &Trip) -> Markup {
    html! {
        @if trip.status == "cancelled" { strong { (visitor.t("cancelled", "已取消")) } }
        @else if !is_open(trip) { (visitor.t("booking has ended", "已停止预订")) }
        @else if trip.free_seats == 0 { strong { (visitor.t("full", "已满")) } }
        @else {
            @if trip.free_seats < FEW { strong { (trip.free_seats) } } @else { (trip.free_seats) }
            " " (visitor.t(if trip.free_seats == 1 { "seat free" } else { "seats free" }, "个空座"))
            " " meter min="0" max=(trip.capacity) value=(trip.free_seats) aria-hidden="true" {}
        }
    }
}
