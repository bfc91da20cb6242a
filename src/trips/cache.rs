//! The trip list in Redis, for a moment: what many riders look at, and what decides nothing. A booking asks the
//! database.

use super::{Wanted, search};
use crate::{domain::Error, storage::redis::RedisLink};
use chrono::NaiveDate;
use chrono_tz::Tz;
use sqlx::PgPool;
use std::time::Duration;

/// Goes into the keys; a list that looks different gets another, so that builds side by side never read each other's.
const LAYOUT: &str = concat!("2:", env!("CARGO_PKG_VERSION"));

/// Trips of a page when the client names no limit, and at the most: an ordinary day is whole on its first page.
pub const PAGE: u16 = 500;

/// A page as [`search`] finds it, as JSON, and not older than `fresh`. Only a first page of [`PAGE`] trips is kept: a client
/// that chose limits and cursors could otherwise fill the Redis.
///
/// # Errors
/// [`search`]'s.
pub async fn list(
    pool: &PgPool,
    redis: Option<&RedisLink>,
    fresh: Duration,
    zone: Tz,
    day: NaiveDate,
    wanted: &Wanted,
    limit: u16,
) -> Result<String, Error> {
    let redis = redis.filter(|_| !fresh.is_zero() && limit == PAGE && wanted.after.is_none());
    let key = key(zone, day, wanted);
    if let Some(kept) = kept(redis, &key).await {
        return Ok(kept);
    }
    let page = search(pool, zone, day, wanted, limit).await?;
    let list = serde_json::to_string(&page).map_err(|error| sqlx::Error::Encode(error.into()))?;
    keep(redis, &key, &list, fresh).await;
    Ok(list)
}

/// Of a first page.
fn key(zone: Tz, day: NaiveDate, wanted: &Wanted) -> String {
    let Wanted { direction, bus_id, state, after: _ } = *wanted;
    let any = |given: Option<String>| given.unwrap_or_else(|| "any".to_owned());
    format!(
        "farebox:trips:{LAYOUT}:{zone}:{day}:{}:{}:{}",
        any(direction.map(|direction| direction.to_string())),
        any(bus_id.map(|bus| bus.to_string())),
        any(state.map(|state| state.as_str().to_owned())),
    )
}

async fn kept(redis: Option<&RedisLink>, key: &str) -> Option<String> {
    let get = redis::Cmd::get(key);
    redis?.ask(|mut line| async move { get.query_async::<Option<String>>(&mut line).await }).await?
}

async fn keep(redis: Option<&RedisLink>, key: &str, list: &str, fresh: Duration) {
    let Some(redis) = redis else { return };
    let millis = u64::try_from(fresh.as_millis()).unwrap_or(u64::MAX);
    let set = redis::Cmd::pset_ex(key, list, millis);
    redis.ask(|mut line| async move { set.query_async::<()>(&mut line).await }).await;
}
