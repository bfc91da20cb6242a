//! When trips depart by the clocks of their first stops, for lists of other things that name trips.

use super::journey::JourneyContext;
use crate::domain::wall;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use sqlx::PgPool;
use std::collections::HashMap;
use uuid::Uuid;

/// Most trips of a day; of more, the first are found.
const MAX_TRIPS_OF_DAY: i64 = 20_000;

/// When a trip departs, and by which its first stop is found.
#[derive(Clone, Debug)]
pub struct DepartureTime {
    /// The trip.
    pub trip: Uuid,
    /// When it departs.
    pub departs_at: DateTime<Utc>,
    /// The code of its route; `None` for a trip of no network.
    pub route: Option<String>,
    /// The number of its direction.
    pub direction: i16,
    /// When the network was imported that the row was read beside.
    pub imported_at: Option<DateTime<Utc>>,
}

impl DepartureTime {
    /// The zone of the first stop.
    pub fn zone(&self, journeys: &JourneyContext<'_>) -> Tz {
        journeys.zone_of(self.route.as_deref(), self.direction, self.departs_at)
    }
}

/// The trips that depart on a day.
#[derive(Clone, Debug)]
pub struct Departing {
    /// Their ids.
    pub trips: Vec<Uuid>,
    /// The end of that day, in the zone where it ends last.
    pub before: DateTime<Utc>,
}

/// When these trips depart.
///
/// # Errors
/// The database's.
pub async fn of_trips(pool: &PgPool, trips: &[Uuid]) -> Result<Vec<DepartureTime>, sqlx::Error> {
    sqlx::query_as!(
        DepartureTime,
        "select t.id as trip, t.departs_at, t.route, t.direction,
                (select imported_at from network where is_there) as imported_at
         from trip t where t.id = any($1)",
        trips
    )
    .fetch_all(pool)
    .await
}

/// The trips that depart on a day by the clocks of their first stops. Times that clocks skip begin no day,
/// so a zone may lack one; without any zone that has the day, nothing is found.
///
/// # Errors
/// The database's.
pub async fn on_day(
    pool: &PgPool,
    journeys: &JourneyContext<'_>,
    day: NaiveDate,
) -> Result<Departing, sqlx::Error> {
    let mut zones = journeys.itineraries.zones();
    zones.insert(journeys.zone_of(None, 0, Utc::now()));
    let in_zone =
        |zone: Tz| Some((zone, (wall::instant(zone, day, 0)?, wall::instant(zone, day.succ_opt()?, 0)?)));
    let days: HashMap<Tz, (DateTime<Utc>, DateTime<Utc>)> = zones.into_iter().filter_map(in_zone).collect();
    let from = days.values().map(|(from, _)| *from).min();
    let Some((from, before)) = from.zip(days.values().map(|(_, before)| *before).max()) else {
        return Ok(Departing { trips: Vec::new(), before: DateTime::<Utc>::MIN_UTC });
    };
    let near = sqlx::query_as!(
        DepartureTime,
        "select t.id as trip, t.departs_at, t.route, t.direction,
                (select imported_at from network where is_there) as imported_at
         from trip t where t.departs_at >= $1 and t.departs_at < $2 order by t.departs_at, t.id limit $3",
        from,
        before,
        MAX_TRIPS_OF_DAY
    )
    .fetch_all(pool)
    .await?;
    let is_of_day = |trip: &DepartureTime| {
        let bounds = days.get(&trip.zone(journeys));
        bounds.is_some_and(|(from, before)| (*from..*before).contains(&trip.departs_at))
    };
    let trips = near.iter().filter(|trip| is_of_day(trip)).map(|trip| trip.trip).collect();
    Ok(Departing { trips, before })
}
