//! The words of trips on pages: names of routes and stops in the page's language where the network has
//! it, and states.

use crate::console::{
    components::{badge, state},
    failure::Failure,
    session::PageContext,
    time::{day_words, departure},
};
use crate::{
    domain::{Refusal, TripId},
    http::App,
    network::Language,
    trips::{
        self, Itineraries, JourneyContext, Trip, TripDetail, TripState, Viewer,
        times::{self, DepartureTime},
    },
};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use maud::Markup;
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;

/// Most directions to choose from by name.
const MAX_DIRECTIONS: usize = 200;

/// A trip with its seats, as operators see it.
pub(super) async fn known(app: &App, id: Uuid) -> Result<TripDetail, Failure> {
    let mut conn = app.saga.pool.acquire().await?;
    Ok(trips::detail(&mut conn, TripId(id), Viewer::Staff).await?.ok_or(Refusal::NotFound("trip"))?)
}

/// The names of routes for one page.
pub(crate) struct RouteNames {
    itineraries: Arc<Itineraries>,
    /// `None` for the network's first.
    language: Option<Language>,
}

impl RouteNames {
    /// The names that this trip was read beside; the last ones that were read if there is no trip.
    pub(crate) async fn of(
        app: &App,
        context: &PageContext,
        trip: Option<&Trip>,
    ) -> Result<Self, sqlx::Error> {
        Self::of_import(app, context, trip.and_then(|trip| trip.route.imported_at)).await
    }

    /// The names of the network that was imported at this time; the last ones that were read without one.
    pub(crate) async fn of_import(
        app: &App,
        context: &PageContext,
        imported_at: Option<DateTime<Utc>>,
    ) -> Result<Self, sqlx::Error> {
        let itineraries = app.itineraries.of_import(&app.saga.pool, imported_at).await?;
        let is_it = |tag: &&Language| tag.as_str().split('-').next() == Some(context.lang.code());
        let language = itineraries.languages().iter().find(is_it).cloned();
        Ok(Self { itineraries, language })
    }

    /// The directions to choose from: the value of each, and its words. Without routes, or with more
    /// directions than a list holds, they are those of all trips, by number.
    pub(crate) fn directions(&self, app: &App, context: &PageContext) -> Vec<(String, String)> {
        let (journeys, named) = (self.journeys(app), self.itineraries.of_all_routes());
        if named.is_empty() || named.len() > MAX_DIRECTIONS {
            let numbers = self.itineraries.directions().into_iter();
            return numbers.map(|number| (number.to_string(), number_words(context, number))).collect();
        }
        let words = |itinerary| journeys.direction_words(itinerary);
        named.into_iter().map(|(route, number, way)| (format!("{route} {number}"), words(way))).collect()
    }

    /// What shows journeys.
    pub(crate) fn journeys<'a>(&'a self, app: &'a App) -> JourneyContext<'a> {
        app.journeys(&self.itineraries, self.language.as_ref())
    }
}

/// The route of a trip and what its bus shows; its direction for a trip of no route.
pub(crate) fn route_words(
    context: &PageContext,
    journeys: &JourneyContext<'_>,
    route: Option<&str>,
    direction: i16,
) -> String {
    let way = route.and_then(|route| journeys.itineraries.of(route, direction));
    way.map_or_else(|| number_words(context, direction), |way| journeys.direction_words(way))
}

/// A direction of trips of no route, or of any. The first two lead there and back.
pub(crate) fn number_words(context: &PageContext, direction: i16) -> String {
    match direction {
        0 => context.t("outbound", "去程").to_owned(),
        1 => context.t("return", "返程").to_owned(),
        other => format!("{} {other}", context.t("direction", "方向")),
    }
}

/// When the trips of these orders depart, by the clocks of their first stops.
pub(crate) async fn departures_of(
    app: &App,
    context: &PageContext,
    trips: &[Uuid],
) -> Result<HashMap<Uuid, Markup>, sqlx::Error> {
    let times = times::of_trips(&app.saga.pool, trips).await?;
    let imported_at = times.first().and_then(|trip| trip.imported_at);
    let names = RouteNames::of_import(app, context, imported_at).await?;
    let journeys = names.journeys(app);
    let words = |trip: &DepartureTime| departure(context, trip.departs_at, trip.zone(&journeys));
    Ok(times.iter().map(|trip| (trip.trip, words(trip))).collect())
}

/// When a trip departs by the clock of its first stop; by the network's for a trip of no route.
pub(crate) fn departs(context: &PageContext, journeys: &JourneyContext<'_>, trip: &Trip) -> Markup {
    departure(context, trip.departs_at, zone(journeys, trip))
}

/// The bus of a trip, as people call it.
pub(crate) fn bus(context: &PageContext, trip: &Trip) -> String {
    context.t(&format!("Bus {}", trip.bus_id), &format!("{} 号车", trip.bus_id)).to_owned()
}

/// The time of departure by the clock of the first stop.
pub(crate) fn clock(journeys: &JourneyContext<'_>, trip: &Trip) -> String {
    trip.departs_at.with_timezone(&zone(journeys, trip)).format("%H:%M").to_string()
}

/// What people call a trip: bus, day, time, and where it goes.
pub(crate) fn name(context: &PageContext, journeys: &JourneyContext<'_>, trip: &Trip) -> String {
    let (bus, clock) = (bus(context, trip), clock(journeys, trip));
    let day = day_words(context, trip.departs_at.with_timezone(&zone(journeys, trip)).date_naive());
    let to = route_words(context, journeys, trip.route.code.as_deref(), trip.direction);
    format!("{bus}, {day} {clock}, {to}")
}

fn zone(journeys: &JourneyContext<'_>, trip: &Trip) -> Tz {
    journeys.zone_of(trip.route.code.as_deref(), trip.direction, trip.departs_at)
}

/// A state to filter by.
pub(crate) fn state_words(context: &PageContext, state: TripState) -> &'static str {
    match state {
        TripState::Open => context.t("open", "未发车"),
        TripState::Departed => context.t("departed", "已发车"),
        TripState::Cancelled => context.t("cancelled", "已取消"),
    }
}

/// The state of a trip.
pub(crate) fn trip_state(context: &PageContext, status: &str) -> Markup {
    let (kind, mark, en, zh) = match status {
        "scheduled" => ("good", "○", "scheduled", "未发车"),
        "in_transit" => ("run", "▶", "in transit", "行驶中"),
        "arrived" => ("off", "✓", "arrived", "已到达"),
        other => return state(context, other),
    };
    badge(kind, mark, context.t(en, zh))
}
