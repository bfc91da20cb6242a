//! Networks and previews of imports in responses.

use super::touched::TouchedTrip;
use crate::{
    domain::{Currency, Money},
    network::Network,
    trips::network::{Effect, Kind, Preview, Progress},
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

/// Most departures, and most trips, that a preview lists.
const MAX_LISTED: usize = 1_000;

/// What a network has, in numbers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Summary {
    /// The operator's or the network's name.
    pub name: String,
    /// The zone of stops that have none of their own.
    pub zone: String,
    /// The currency of all amounts.
    pub currency: Currency,
    /// Stops.
    pub stops: i64,
    /// Routes.
    pub routes: i64,
    /// Bus models.
    pub models: i64,
    /// Buses.
    pub buses: i64,
    /// Calendars.
    pub calendars: i64,
    /// Departures.
    pub departures: i64,
    /// Fares, by route, direction, class and period.
    pub fares: i64,
}

/// The network that is sold.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SoldNetwork {
    /// What it has.
    #[serde(flatten)]
    pub summary: Summary,
    /// The digest of its files.
    pub digest: String,
    /// When it was imported.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub imported_at: DateTime<Utc>,
}

/// Codes of departures.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Codes {
    /// How many there are.
    pub count: usize,
    /// The first 1000 of them.
    pub first: Vec<String>,
}

/// A departure that changes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ChangedDeparture {
    /// Its code.
    pub code: String,
    /// What of it changes: `route`, `stops`, `bus`, `seats`, `days`, `time`, `zone`, `legs`.
    #[schemars(with = "Vec<crate::domain::words::DepartureChange>")]
    pub what: Vec<&'static str>,
}

/// How many of one kind of thing are added, changed and ended.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Part {
    /// Like `stops`, `buses` or `fares`.
    pub part: &'static str,
    /// New ones.
    pub added: usize,
    /// Changed ones.
    pub changed: usize,
    /// Those that end.
    pub ended: usize,
}

/// What becomes of trips that are made already, in numbers.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct TripCounts {
    /// They end.
    pub ended: usize,
    /// They get another time, bus, stops or seats.
    pub changed: usize,
    /// An earlier import had ended them, and they run after all.
    pub returned: usize,
    /// They have another price for what is not sold yet.
    pub price: usize,
    /// Extra trips whose bus ends or gets other seats. They stay as they are.
    pub stays: usize,
}

/// The trips that end or change and of which riders have seats, together.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OfRiders {
    /// How many trips.
    pub trips: usize,
    /// Seats that are paid.
    pub seats_sold: i64,
    /// Seats that are held.
    pub seats_held: i64,
    /// What was paid for them.
    pub money: Money,
    /// Orders that stay.
    pub orders_moved: i64,
    /// Orders that end.
    pub orders_ended: i64,
    /// What is given back for those that end.
    pub refunded: Money,
    /// The currency of the amounts.
    pub currency: Currency,
}

/// What an import would do.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PreviewView {
    /// The preview's id.
    pub id: Uuid,
    /// What applies it, with the id.
    pub digest: String,
    /// When it is deleted.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub expires_at: DateTime<Utc>,
    /// Whether the import does anything.
    pub changes: bool,
    /// The network that was uploaded.
    pub network: Summary,
    /// What of the network itself changes: `name`, `zone`, `currency`, `languages`, `addresses`, `defaults`.
    #[schemars(with = "Vec<crate::domain::words::NetworkChange>")]
    pub head: Vec<&'static str>,
    /// Departures that are new.
    pub added: Codes,
    /// How many departures change.
    pub changed_count: usize,
    /// The first 1000 departures that change.
    pub changed: Vec<ChangedDeparture>,
    /// Departures that end.
    pub ended: Codes,
    /// Other things than departures.
    pub parts: Vec<Part>,
    /// What becomes of trips that are made already.
    pub trips: TripCounts,
    /// Those of them that end or change and of which riders have seats.
    pub of_riders: OfRiders,
    /// The first 1000 trips that something becomes of; first those of which riders have seats.
    pub touched: Vec<TouchedTrip>,
}

/// An import that was applied.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Imported {
    /// The preview that was applied.
    pub preview_id: Uuid,
    /// Its digest.
    pub digest: String,
    /// Whether anything was changed: the network may have been there.
    pub changes: bool,
    /// How many departures were added.
    pub added: usize,
    /// How many departures changed.
    pub changed: usize,
    /// How many departures ended.
    pub ended: usize,
    /// What became of trips that were made.
    pub trips: TripCounts,
    /// The import that was applied with this digest, now or before, and how far its job is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<Progress>,
}

impl Summary {
    /// Of a network in memory.
    pub fn of(network: &Network) -> Self {
        Self {
            name: network.name.clone(),
            zone: network.zone.to_string(),
            currency: network.currency,
            stops: size(network.stops.len()),
            routes: size(network.routes.len()),
            models: size(network.models.len()),
            buses: size(network.buses.len()),
            calendars: size(network.calendars.len()),
            departures: size(network.departures.len()),
            fares: size(network.fares.len()),
        }
    }
}

fn size(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Codes {
    fn of(codes: &[String]) -> Self {
        Self { count: codes.len(), first: codes.iter().take(MAX_LISTED).cloned().collect() }
    }
}

impl TripCounts {
    fn of(preview: &Preview) -> Self {
        Self {
            ended: preview.count(Kind::Ends),
            changed: preview.count(Kind::Changes),
            returned: preview.count(Kind::Returns),
            price: preview.count(Kind::Price),
            stays: preview.count(Kind::Stays),
        }
    }
}

impl OfRiders {
    fn of(preview: &Preview) -> Self {
        let sum = |part: fn(&Effect) -> i64| preview.riders().map(part).sum();
        let money: Decimal = preview.riders().map(|effect| effect.sold.money).sum();
        let refunded: Decimal = preview.riders().map(|effect| effect.refunded().decimal()).sum();
        Self {
            trips: preview.riders().count(),
            seats_sold: sum(|effect| effect.sold.seats),
            seats_held: sum(|effect| effect.sold.held),
            money: Money::from_database(money),
            orders_moved: sum(Effect::orders_moved),
            orders_ended: sum(Effect::orders_ended),
            refunded: Money::from_database(refunded),
            currency: Currency::installed(),
        }
    }
}

impl PreviewView {
    /// Of the preview of this network, which is kept under this id until then.
    pub fn of(id: Uuid, expires_at: DateTime<Utc>, network: &Network, preview: &Preview) -> Self {
        let difference = &preview.difference;
        let changed = difference.changed.iter().take(MAX_LISTED);
        let changed = changed.map(|(code, what)| ChangedDeparture { code: code.clone(), what: what.clone() });
        let parts = difference.parts.iter();
        let parts = parts.map(|&(part, [added, changed, ended])| Part { part, added, changed, ended });
        let (first, others): (Vec<_>, Vec<_>) =
            preview.effects.iter().partition(|effect| effect.touches_riders());
        let touched = first.into_iter().chain(others).filter_map(TouchedTrip::of).take(MAX_LISTED);
        Self {
            id,
            digest: preview.digest.clone(),
            expires_at,
            changes: preview.changes,
            network: Summary::of(network),
            head: difference.head.clone(),
            added: Codes::of(&difference.added),
            changed_count: difference.changed.len(),
            changed: changed.collect(),
            ended: Codes::of(&difference.ended),
            parts: parts.collect(),
            trips: TripCounts::of(preview),
            of_riders: OfRiders::of(preview),
            touched: touched.collect(),
        }
    }
}

impl Imported {
    /// What applying this preview did.
    pub fn of(preview_id: Uuid, preview: &Preview, import: Option<Progress>) -> Self {
        let difference = &preview.difference;
        Self {
            preview_id,
            digest: preview.digest.clone(),
            changes: preview.changes,
            added: difference.added.len(),
            changed: difference.changed.len(),
            ended: difference.ended.len(),
            trips: TripCounts::of(preview),
            import,
        }
    }

    /// Whether riders are still to be moved or refunded.
    pub fn is_running(&self) -> bool {
        self.import.as_ref().is_some_and(|import| import.finished_at.is_none())
    }
}

/// The network that is sold; `None` if none was imported.
///
/// # Errors
/// The database's.
pub async fn sold(pool: &PgPool) -> Result<Option<SoldNetwork>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select name, zone, currency, digest, imported_at,
                  (select count(*) from stop where ended_at is null) as "stops!",
                  (select count(*) from route where ended_at is null) as "routes!",
                  (select count(*) from bus_model where ended_at is null) as "models!",
                  (select count(*) from bus where ended_at is null) as "buses!",
                  (select count(*) from calendar where ended_at is null) as "calendars!",
                  (select count(*) from timetable where ended_at is null) as "departures!",
                  (select count(*) from fare_period) as "fares!"
           from network"#
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let summary = Summary {
        name: row.name,
        zone: row.zone,
        currency: crate::storage::decode(&row.currency)?,
        stops: row.stops,
        routes: row.routes,
        models: row.models,
        buses: row.buses,
        calendars: row.calendars,
        departures: row.departures,
        fares: row.fares,
    };
    Ok(Some(SoldNetwork { summary, digest: row.digest, imported_at: row.imported_at }))
}
