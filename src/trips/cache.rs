//! The trip list, cached in Redis for a moment: many riders read it, and nothing is decided by it.
//! A booking reads the database.

use super::{TripQuery, search};
use crate::{domain::Error, storage::redis::RedisLink};
use chrono::NaiveDate;
use chrono_tz::Tz;
use sqlx::PgPool;
use std::time::Duration;

/// Part of the keys: different builds beside each other never read each other's lists.
const LAYOUT: &str = concat!("2:", env!("CARGO_PKG_VERSION"));

/// Trips of a page, the default and the maximum: an ordinary day fits on its first page.
pub const PAGE: u16 = 500;

/// A page of [`search`] as JSON, at most `max_age` old. Only first pages of [`PAGE`] trips are
/// cached: otherwise clients could fill Redis by their choice of limits and cursors.
///
/// # Errors
/// [`search`]'s.
pub async fn list(
    pool: &PgPool,
    redis: Option<&RedisLink>,
    max_age: Duration,
    zone: Tz,
    day: NaiveDate,
    query: &TripQuery,
    limit: u16,
) -> Result<String, Error> {
    let redis = redis.filter(|_| !max_age.is_zero() && limit == PAGE && query.after.is_none());
    let key = key(zone, day, query);
    if let Some(cached) = get(redis, &key).await {
        return Ok(cached);
    }
    let page = search(pool, zone, day, query, limit).await?;
    let list = serde_json::to_string(&page).map_err(|error| sqlx::Error::Encode(error.into()))?;
    put(redis, &key, &list, max_age).await;
    Ok(list)
}

/// The key of a first page.
fn key(zone: Tz, day: NaiveDate, query: &TripQuery) -> String {
    let TripQuery { direction, bus_id, state, after: _ } = *query;
    let any = |given: Option<String>| given.unwrap_or_else(|| "any".to_owned());
    format!(
        "farebox:trips:{LAYOUT}:{zone}:{day}:{}:{}:{}",
        any(direction.map(|direction| direction.to_string())),
        any(bus_id.map(|bus| bus.to_string())),
        any(state.map(|state| state.as_str().to_owned())),
    )
}

async fn get(redis: Option<&RedisLink>, key: &str) -> Option<String> {
    let get = redis::Cmd::get(key);
    redis?
        .request(|mut connection| async move { get.query_async::<Option<String>>(&mut connection).await })
        .await?
}

async fn put(redis: Option<&RedisLink>, key: &str, list: &str, max_age: Duration) {
    let Some(redis) = redis else { return };
    let millis = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
    let set = redis::Cmd::pset_ex(key, list, millis);
    redis.request(|mut connection| async move { set.query_async::<()>(&mut connection).await }).await;
}
