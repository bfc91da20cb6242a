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
    trips::{self, Itineraries, JourneyContext, Trip, TripDetail, TripState, Viewer},
};
use chrono_tz::Tz;
use maud::Markup;
use std::{collections::BTreeSet, sync::Arc};
use uuid::Uuid;

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
        let imported_at = trip.and_then(|trip| trip.route.imported_at);
        let itineraries = app.itineraries.of_import(&app.saga.pool, imported_at).await?;
        let is_it = |tag: &&Language| tag.as_str().split('-').next() == Some(context.lang.code());
        let language = itineraries.languages().iter().find(is_it).cloned();
        Ok(Self { itineraries, language })
    }

    /// The numbers of directions.
    pub(crate) fn directions(&self) -> BTreeSet<i16> {
        self.itineraries.directions()
    }

    /// What shows journeys.
    pub(crate) fn journeys<'a>(&'a self, app: &'a App) -> JourneyContext<'a> {
        app.journeys(&self.itineraries, self.language.as_ref())
    }
}

/// The route of a trip and what its bus shows; the number of its direction for a trip of no route.
pub(crate) fn route_words(journeys: &JourneyContext<'_>, trip: &Trip) -> String {
    let journey = journeys.of_trip(trip);
    match (journey.route, journey.direction_name) {
        (Some(route), Some(direction)) => format!("{} → {direction}", route.name),
        _ => trip.direction.to_string(),
    }
}

/// When a trip departs by the clock of its first stop; by the network's for a trip of no route.
pub(crate) fn departs(context: &PageContext, journeys: &JourneyContext<'_>, trip: &Trip) -> Markup {
    departure(context, trip.departs_at, zone(context, journeys, trip))
}

/// The bus of a trip, as people call it.
pub(crate) fn bus(context: &PageContext, trip: &Trip) -> String {
    context.t(&format!("Bus {}", trip.bus_id), &format!("{} 号车", trip.bus_id)).to_owned()
}

/// The time of departure by the clock of the first stop.
pub(crate) fn clock(context: &PageContext, journeys: &JourneyContext<'_>, trip: &Trip) -> String {
    trip.departs_at.with_timezone(&zone(context, journeys, trip)).format("%H:%M").to_string()
}

/// What people call a trip: bus, day, time, and where it goes.
pub(crate) fn name(context: &PageContext, journeys: &JourneyContext<'_>, trip: &Trip) -> String {
    let (bus, clock) = (bus(context, trip), clock(context, journeys, trip));
    let day = day_words(context, trip.departs_at.with_timezone(&zone(context, journeys, trip)).date_naive());
    let journey = journeys.of_trip(trip);
    let to = match (journey.route, journey.direction_name) {
        (Some(route), Some(direction)) => format!("{} → {direction}", route.name),
        _ => format!("{} {}", context.t("direction", "方向"), trip.direction),
    };
    format!("{bus}, {day} {clock}, {to}")
}

fn zone(context: &PageContext, journeys: &JourneyContext<'_>, trip: &Trip) -> Tz {
    journeys.of_trip(trip).zone.parse().unwrap_or(context.timetable_zone)
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
