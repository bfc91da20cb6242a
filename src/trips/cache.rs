//! The trip list in Redis, for a moment: what many riders look at, and what decides nothing. A booking asks the
//! database.

use super::of_day;
use crate::{orders::Page, redis_link::RedisLink};
use chrono::NaiveDate;
use chrono_tz::Tz;
use sqlx::PgPool;
use std::time::Duration;

/// Goes into the keys; a list that looks different gets another, so that builds side by side never read each other's.
const LAYOUT: &str = concat!("1:", env!("CARGO_PKG_VERSION"));

/// As [`of_day`], as JSON, and not older than `fresh`.
///
/// # Errors
/// The database's.
pub async fn list(
    pool: &PgPool,
    redis: Option<&RedisLink>,
    fresh: Duration,
    zone: Tz,
    day: NaiveDate,
    direction: Option<i16>,
) -> Result<String, sqlx::Error> {
    let redis = redis.filter(|_| !fresh.is_zero());
    let which = direction.map_or_else(|| "both".to_owned(), |direction| direction.to_string());
    let key = format!("farebox:trips:{LAYOUT}:{zone}:{day}:{which}");
    if let Some(kept) = kept(redis, &key).await {
        return Ok(kept);
    }
    let items = of_day(pool, zone, day, direction).await?;
    let list = serde_json::to_string(&Page { items, next: None })
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    keep(redis, &key, &list, fresh).await;
    Ok(list)
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
