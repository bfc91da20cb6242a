//! The itineraries of the network's routes in memory: their names and stops. They change with an import
//! alone, so every read of trips brings the time of the last import with it, and the itineraries are read
//! again when they are of another one.

use super::network::{OtherNames, StopRow, names, parsed};
use crate::network::{Language, Names};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sqlx::{PgExecutor, PgPool, types::Json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

/// The itineraries of all routes, those that ended among them: trips of before name them.
#[derive(Debug, Default)]
pub struct Itineraries {
    /// When the network was imported; `None` if none was.
    imported_at: Option<DateTime<Utc>>,
    /// The languages of its names, the one of [`Names::default`] first.
    languages: Vec<Language>,
    zone: Option<Tz>,
    by_route: HashMap<String, BTreeMap<i16, Itinerary>>,
    /// Those that ended among them, as routes.
    departures: HashMap<i32, RunsAs>,
}

/// A departure, as its trips run.
#[derive(Debug)]
pub struct RunsAs {
    /// Its code.
    pub code: String,
    /// Minutes from one stop to the next.
    pub legs: Vec<i16>,
    /// Minutes at each stop between the first and the last.
    pub dwells: Vec<i16>,
}

/// Where a route goes in one direction.
#[derive(Debug)]
pub struct Itinerary {
    /// What the route is called.
    pub route: Names,
    /// What the bus shows.
    pub direction: Names,
    /// In order; empty if the direction has ended.
    stops: Vec<ServedStop>,
    /// Those of before, each until an import changed them, the earliest first.
    before: Before,
}

/// A stop of an itinerary.
#[derive(Debug)]
pub struct ServedStop {
    /// Its code.
    pub code: String,
    /// What it is called.
    pub names: Names,
    /// Its zone.
    pub zone: Tz,
    /// Where it is, north of the equator and east of Greenwich, millionths of a degree.
    pub place: Option<(i32, i32)>,
}

impl Itinerary {
    /// The stops of a trip that departs at this time. A trip that had departed when an import changed the
    /// stops keeps those of before. So does a trip of a direction that has ended.
    pub fn stops(&self, departs_at: DateTime<Utc>) -> &[ServedStop] {
        let before = self.before.iter().find(|(ended_at, _)| departs_at < *ended_at);
        let last = || self.before.last().filter(|_| self.stops.is_empty());
        before.or_else(last).map_or(&self.stops, |(_, stops)| stops)
    }
}

impl Itineraries {
    /// The itinerary of a route's direction.
    pub fn of(&self, route: &str, direction: i16) -> Option<&Itinerary> {
        self.by_route.get(route)?.get(&direction)
    }

    /// A departure of the network.
    pub fn departure(&self, id: i32) -> Option<&RunsAs> {
        self.departures.get(&id)
    }

    /// The numbers of the directions that routes have, and 0 and 1, which trips of no route have.
    pub fn directions(&self) -> BTreeSet<i16> {
        self.by_route.values().flat_map(|directions| directions.keys().copied()).chain([0, 1]).collect()
    }

    /// The directions of all routes, by the code of the route and their number, in the order of both.
    pub fn of_all_routes(&self) -> Vec<(&str, i16, &Itinerary)> {
        let directions = self.by_route.iter().flat_map(|(route, directions)| {
            directions.iter().map(|(number, itinerary)| (route.as_str(), *number, itinerary))
        });
        let mut all: Vec<_> = directions.collect();
        all.sort_unstable_by_key(|(route, number, _)| (*route, *number));
        all
    }

    /// The zones that first stops are in, and the network's.
    pub fn zones(&self) -> HashSet<Tz> {
        let directions = self.by_route.values().flat_map(BTreeMap::values);
        let stops = directions.flat_map(|itinerary| {
            let before = itinerary.before.iter().map(|(_, stops)| stops);
            before.chain([&itinerary.stops]).filter_map(|stops| stops.first())
        });
        stops.map(|stop| stop.zone).chain(self.zone).collect()
    }

    /// The languages of names, the default first.
    pub fn languages(&self) -> &[Language] {
        &self.languages
    }

    /// The network's zone.
    pub fn zone(&self) -> Option<Tz> {
        self.zone
    }
}

/// The itineraries that were read last. They stay in memory, with those before that a request still uses.
#[derive(Debug, Default)]
pub struct ItineraryCache(RwLock<Arc<Itineraries>>);

impl ItineraryCache {
    /// The itineraries that were read last, which may be those of a network before.
    pub fn last(&self) -> Arc<Itineraries> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The zone of days: the network's, as far as it was read, or `otherwise` without a network. May be
    /// dropped at any time.
    ///
    /// # Errors
    /// The database's.
    pub async fn zone(&self, pool: &PgPool, otherwise: Tz) -> Result<Tz, sqlx::Error> {
        let mut last = self.last();
        if last.imported_at.is_none() {
            let imported_at = sqlx::query_scalar!("select imported_at from network where is_there")
                .fetch_optional(pool)
                .await?;
            last = self.of_import(pool, imported_at).await?;
        }
        Ok(last.zone.unwrap_or(otherwise))
    }

    /// The itineraries of the network that was imported at this time, or since; those that were read last
    /// if there is no time. May be dropped at any time.
    ///
    /// # Errors
    /// The database's.
    pub async fn of_import(
        &self,
        pool: &PgPool,
        imported_at: Option<DateTime<Utc>>,
    ) -> Result<Arc<Itineraries>, sqlx::Error> {
        let last = self.last();
        // Not whether it is later: the database's clock may have been set back.
        if imported_at.is_none() || imported_at == last.imported_at {
            return Ok(last);
        }
        let read = Arc::new(read(pool).await?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&read);
        Ok(read)
    }
}

/// The zone of days: the network's, or `otherwise` without one.
///
/// # Errors
/// The database's.
pub async fn zone_of_days(db: impl PgExecutor<'_>, otherwise: Tz) -> Result<Tz, sqlx::Error> {
    let zone = sqlx::query_scalar!("select zone from network where is_there").fetch_optional(db).await?;
    zone.map_or(Ok(otherwise), |zone| parsed(&zone))
}

async fn read(pool: &PgPool) -> Result<Itineraries, sqlx::Error> {
    let head = sqlx::query!("select imported_at, languages, zone from network where is_there")
        .fetch_optional(pool)
        .await?;
    let Some(head) = head else { return Ok(Itineraries::default()) };
    let zone: Tz = parsed(&head.zone)?;
    let mut itineraries = Itineraries {
        imported_at: Some(head.imported_at),
        languages: head.languages.iter().map(|tag| parsed(tag)).collect::<Result<_, _>>()?,
        zone: Some(zone),
        ..Itineraries::default()
    };
    let rows = sqlx::query!(
        r#"select d.route, d.number, r.name as route_name, r.names as "route_names: Json<OtherNames>",
                  d.name, d.names as "names: Json<OtherNames>",
                  (select coalesce(jsonb_agg(to_jsonb(s) order by p.position), '[]')
                   from direction_stop p join stop s on s.code = p.stop
                   where p.route = d.route and p.direction = d.number) as "stops!: Json<Vec<StopRow>>"
           from direction d join route r on r.code = d.route"#
    )
    .fetch_all(pool)
    .await?;
    let mut before = stops_before(pool, zone).await?;
    for row in rows {
        let itinerary = Itinerary {
            route: names(row.route_name, row.route_names.0)?,
            direction: names(row.name, row.names.0)?,
            stops: served(row.stops.0, zone)?,
            before: before.remove(&(row.route.clone(), row.number)).unwrap_or_default(),
        };
        itineraries.by_route.entry(row.route).or_default().insert(row.number, itinerary);
    }
    let rows = sqlx::query!(
        r#"select id, code, legs as "legs!", dwells as "dwells!" from timetable where legs is not null"#
    )
    .fetch_all(pool)
    .await?;
    let departures = rows.into_iter();
    let departures =
        departures.map(|row| (row.id, RunsAs { code: row.code, legs: row.legs, dwells: row.dwells }));
    itineraries.departures = departures.collect();
    Ok(itineraries)
}

/// Stops of before of one direction, each with the time until which they were served.
type Before = Vec<(DateTime<Utc>, Vec<ServedStop>)>;

/// The stops of before of all directions.
async fn stops_before(pool: &PgPool, zone: Tz) -> Result<HashMap<(String, i16), Before>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select b.route, b.direction, b.ended_at,
                  (select coalesce(jsonb_agg(to_jsonb(s) order by n.position), '[]')
                   from unnest(b.stops) with ordinality as n (code, position) join stop s on s.code = n.code)
                      as "stops!: Json<Vec<StopRow>>"
           from direction_stops_before b order by b.ended_at"#
    )
    .fetch_all(pool)
    .await?;
    let mut before: HashMap<(String, i16), Before> = HashMap::new();
    for row in rows {
        let stops = (row.ended_at, served(row.stops.0, zone)?);
        before.entry((row.route, row.direction)).or_default().push(stops);
    }
    Ok(before)
}

/// Stops in a network of this zone.
fn served(stops: Vec<StopRow>, zone: Tz) -> Result<Vec<ServedStop>, sqlx::Error> {
    let stop = |stop: StopRow| -> Result<ServedStop, sqlx::Error> {
        Ok(ServedStop {
            code: stop.code,
            names: names(stop.name, stop.names)?,
            zone: stop.zone.map_or(Ok(zone), |zone| parsed(&zone))?,
            place: stop.latitude.zip(stop.longitude),
        })
    };
    stops.into_iter().map(stop).collect()
}
