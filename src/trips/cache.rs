//! The trip list, cached in Redis for a moment: many riders read it, and nothing is decided by it.
//! A booking reads the database.

use super::{
    SingleFlight, Trip, TripQuery,
    itineraries::{Itineraries, ItineraryCache},
    journey::{JourneyContext, ListedTrip},
    search,
};
use crate::{
    domain::{Error, Page},
    network::Language,
    settings::{Booking, Trips},
    storage::{Freshness, Reads, redis::RedisLink},
};
use chrono::{NaiveDate, Utc};
use chrono_tz::Tz;
use sqlx::PgPool;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::OnceCell;

/// Part of the keys: different builds beside each other never read each other's lists.
const LAYOUT: &str = concat!("4:", env!("CARGO_PKG_VERSION"));

/// Trips of a page, the default and the maximum: an ordinary day fits on its first page.
pub const PAGE: u16 = 500;

/// First pages that are being read, for all who ask for them.
pub type TripLists = SingleFlight<Arc<SharedPage>>;

/// A page that several requests may have read together, and its JSON in the languages of theirs: writing
/// it takes about as long as reading it.
#[derive(Debug)]
pub struct SharedPage {
    page: Page<Trip>,
    /// At most one for each language of the network.
    written: Mutex<HashMap<Option<Language>, Json>>,
}

/// A page's JSON, written by the first request for it. If that request is dropped, the next writes it.
type Json = Arc<OnceCell<Arc<[u8]>>>;

/// What a list is made with.
pub struct ListContext<'a, L: Fn(&Itineraries) -> Option<Language>> {
    /// The database, and where lists may be read.
    pub pool: &'a PgPool,
    /// A standby may answer: a list decides nothing.
    pub reads: &'a Reads,
    /// Readings that requests share.
    pub lists: &'a TripLists,
    /// Where lists are cached.
    pub redis: Option<&'a RedisLink>,
    /// How old a cached one may be.
    pub max_age: Duration,
    /// The itineraries of routes.
    pub itineraries: &'a ItineraryCache,
    /// The reader's language among those of the network; `None` for its first.
    pub language: L,
    /// The rules of trips that have none of their own.
    pub booking: &'a Booking,
    /// The zone of days without a network.
    pub trips: &'a Trips,
}

/// A page of [`search`] as JSON, with the journey of each trip, at most `max_age` old. Without a day it is
/// of today. Only first pages
/// of [`PAGE`] trips are cached, and of directions the first two: otherwise clients could fill Redis by
/// their choice of limits, cursors and directions. Languages are those of the network. Requests for the
/// same of these pages at the same time share a reading and its JSON, with Redis or without.
///
/// # Errors
/// [`search`]'s.
pub async fn list<L: Fn(&Itineraries) -> Option<Language>>(
    context: &ListContext<'_, L>,
    day: Option<NaiveDate>,
    query: &TripQuery,
    limit: u16,
) -> Result<Arc<[u8]>, Error> {
    let zone = context.itineraries.zone(context.pool, context.trips.zone).await?;
    let list = list_in(context, zone, day, query, limit).await?;
    // An import that this process had not seen may have another zone: its days are others.
    match context.itineraries.last().zone().filter(|now| *now != zone) {
        Some(zone) => list_in(context, zone, day, query, limit).await,
        None => Ok(list),
    }
}

async fn list_in<L: Fn(&Itineraries) -> Option<Language>>(
    context: &ListContext<'_, L>,
    zone: Tz,
    day: Option<NaiveDate>,
    query: &TripQuery,
    limit: u16,
) -> Result<Arc<[u8]>, Error> {
    let day = day.unwrap_or_else(|| Utc::now().with_timezone(&zone).date_naive());
    let is_common = query.after.is_none()
        && query.route.is_none()
        && query.direction.is_none_or(|direction| direction <= 1);
    let is_common = is_common && limit == PAGE;
    let redis = context.redis.filter(|_| !context.max_age.is_zero() && is_common);
    let key = key(zone, day, query, (context.language)(&context.itineraries.last()).as_ref());
    if let Some(cached) = get(redis, &key).await {
        return Ok(cached.into());
    }
    let search = |pool: PgPool| async move { search(&pool, zone, day, query, limit).await };
    let read = async || context.reads.read(Freshness::Bounded, search).await.map(SharedPage::of);
    let shared = match is_common {
        true => context.lists.share(self::key(zone, day, query, None), read).await?,
        false => read().await?,
    };
    let imported_at = shared.page.items.first().and_then(|trip| trip.route.imported_at);
    let itineraries = context.itineraries.of_import(context.pool, imported_at).await?;
    let language = (context.language)(&itineraries);
    // An import that this process had not seen may have other languages.
    let redis = redis.filter(|_| key == self::key(zone, day, query, language.as_ref()));
    let written = shared.written_in(language.as_ref());
    let write = || async {
        let list = shared.write(context, &itineraries, language.as_ref())?;
        put(redis, &key, &list, context.max_age).await;
        Ok::<_, Error>(list)
    };
    written.get_or_try_init(write).await.map(Arc::clone)
}

impl SharedPage {
    fn of(page: Page<Trip>) -> Arc<Self> {
        Arc::new(Self { page, written: Mutex::default() })
    }

    /// Where its JSON in a language is, or will be.
    fn written_in(&self, language: Option<&Language>) -> Json {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(written.entry(language.cloned()).or_default())
    }

    fn write<L: Fn(&Itineraries) -> Option<Language>>(
        &self,
        context: &ListContext<'_, L>,
        itineraries: &Itineraries,
        language: Option<&Language>,
    ) -> Result<Arc<[u8]>, sqlx::Error> {
        let &ListContext { booking, trips, .. } = context;
        let journeys = JourneyContext { itineraries, language, booking, trips };
        let items: Vec<ListedTrip<'_>> = self.page.items.iter().map(|trip| journeys.listed(trip)).collect();
        let list = serde_json::to_vec(&Page { items, next: self.page.next.clone() });
        list.map(Arc::from).map_err(|error| sqlx::Error::Encode(error.into()))
    }
}

/// The key of a first page.
fn key(zone: Tz, day: NaiveDate, query: &TripQuery, language: Option<&Language>) -> String {
    let &TripQuery { direction, bus_id, state, route: _, after: _ } = query;
    let any = |given: Option<String>| given.unwrap_or_else(|| "any".to_owned());
    format!(
        "farebox:trips:{LAYOUT}:{zone}:{day}:{}:{}:{}:{}",
        any(direction.map(|direction| direction.to_string())),
        any(bus_id.map(|bus| bus.to_string())),
        any(state.map(|state| state.as_str().to_owned())),
        any(language.map(ToString::to_string)),
    )
}

async fn get(redis: Option<&RedisLink>, key: &str) -> Option<Vec<u8>> {
    let get = redis::Cmd::get(key);
    redis?
        .request(|mut connection| async move { get.query_async::<Option<Vec<u8>>>(&mut connection).await })
        .await?
}

async fn put(redis: Option<&RedisLink>, key: &str, list: &[u8], max_age: Duration) {
    let Some(redis) = redis else { return };
    let millis = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
    let set = redis::Cmd::pset_ex(key, list, millis);
    redis.request(|mut connection| async move { set.query_async::<()>(&mut connection).await }).await;
}
