//! Finding jobs by what people know: an order, a rider, a trip, an error. The queue finds by keys; here an order's, a
//! rider's and a trip's keys are found first, through the indexes that orders, payments and seats have anyway.
//!
//! An order's jobs bear its id or its payments' as their key. A rider's are those of his newest orders, of what he is
//! booking, and whatever failed before it was an order. A trip's are those of the orders that own its seats or that its
//! cancelling ended, and likewise. What cannot be found: the timers of orders that gave a trip's seats back long ago.

use crate::{
    domain::{Error, FieldError, Instant, Label, OrderId, Page, Refusal, RiderId, TripId},
    orders,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, ErrorCursor, JobFilter, JobTable, JobView, KeyFilter},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// The states a job may be asked for.
pub const STATES: [&str; 7] = ["ready", "delayed", "retrying", "running", "done", "dead", "cancelled"];
/// Groups of errors of a page when the client names no limit, and at the most.
pub const MOST_GROUPS: u16 = 100;
/// A rider's newest orders, or a trip's, whose jobs are looked for; and failed bookings of either, at the most.
pub const MOST_ORDERS: i64 = 100;

/// Which jobs; all that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "JobsWanted")]
pub struct Wanted {
    /// Of this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// With this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// With this concurrency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Whose last error has this fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// About this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// About this rider's orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rider: Option<RiderId>,
    /// About this trip's orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trip: Option<TripId>,
    /// Enqueued since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Instant>,
    /// Enqueued before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Instant>,
}

impl Wanted {
    /// Whether it can be looked for. Pointers are bare names.
    ///
    /// # Errors
    /// The field and its rule.
    pub fn check(&self) -> Result<(), FieldError> {
        if self.tag.as_ref().is_some_and(|tag| tag.parse::<MqTag>().is_err()) {
            return Err(FieldError::new("tag", format!("one of {}", MqTag::ALL.map(MqTag::wire).join(", "))));
        }
        if self.state.as_ref().is_some_and(|state| !STATES.contains(&state.as_str())) {
            return Err(FieldError::new("state", format!("one of {}", STATES.join(", "))));
        }
        for (name, text) in [("key", &self.key), ("serial", &self.serial), ("error", &self.error)] {
            text.as_deref().map(|text| Label::read(name, text)).transpose()?;
        }
        Ok(())
    }

    /// What the queue is asked, in these tables.
    ///
    /// # Errors
    /// A field that breaks a rule; the database's.
    pub async fn filter(
        &self,
        conn: &mut PgConnection,
        tables: &'static [JobTable],
    ) -> Result<JobFilter, Error> {
        self.check().map_err(Refusal::Invalid)?;
        let among = self.among(conn).await?;
        // A live job is found by its key along with its tag, and what runs tag by tag.
        let by_tag = among.is_some()
            || self.key.is_some()
            || matches!(self.state.as_deref(), Some("ready" | "running"));
        let tags = match &self.tag {
            Some(tag) => vec![tag.clone()],
            None if by_tag => MqTag::ALL.map(|tag| tag.wire().to_owned()).to_vec(),
            None => Vec::new(),
        };
        Ok(JobFilter {
            tables,
            tags,
            state: self.state.clone(),
            key: self.key.clone(),
            concurrency_key: self.serial.clone(),
            fingerprint: self.error.clone(),
            key_filter: among,
            since: self.since.map(Instant::utc),
            before: self.before.map(Instant::utc),
            ..JobFilter::default()
        })
    }

    /// The jobs of the order, the rider and the trip: those that are all of them.
    async fn among(&self, conn: &mut PgConnection) -> Result<Option<KeyFilter>, sqlx::Error> {
        let mut found: Option<KeyFilter> = None;
        if let Some(order) = self.order {
            found = Some(both(found, orders::jobs::of(&mut *conn, order).await?));
        }
        for id in [self.rider.map(|rider| rider.0), self.trip.map(|trip| trip.0)].into_iter().flatten() {
            found = Some(both(found, about(&mut *conn, id).await?));
        }
        Ok(found)
    }
}

fn both(one: Option<KeyFilter>, other: KeyFilter) -> KeyFilter {
    let Some(one) = one else { return other };
    KeyFilter {
        keys: one.keys.into_iter().filter(|key| other.keys.contains(key)).collect(),
        ids: one.ids.into_iter().filter(|id| other.ids.contains(id)).collect(),
    }
}

/// A page of jobs, newest first.
///
/// # Errors
/// A field that breaks a rule; the database's.
pub async fn list(
    pool: &PgPool,
    wanted: &Wanted,
    after: Option<Uuid>,
    limit: u16,
) -> Result<Page<JobView>, Error> {
    let mut conn = pool.acquire().await?;
    let filter = JobFilter { after, ..wanted.filter(&mut conn, JobTable::ALL).await? };
    let mut items = admin::list(&mut *conn, &filter, i64::from(limit) + 1).await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let next = items.last().filter(|_| more).map(|job| job.id.to_string());
    Ok(Page { items, next })
}

/// The jobs about a rider or a trip: an id is one or the other, and finds nothing where it is not.
async fn about(conn: &mut PgConnection, id: Uuid) -> Result<KeyFilter, sqlx::Error> {
    let orders = sqlx::query_scalar!(
        r#"(select id as "id!" from orders where rider_id = $1 order by id desc limit $2)
           union select unnest(orders) from open_hold where rider_id = $1
           union (select order_id from (
                      select distinct order_id from seat where trip_id = $1 and order_id is not null
                      union select order_id from trip_cancellation_order where trip_id = $1
                  ) as owners order by order_id desc limit $2)"#,
        id,
        MOST_ORDERS
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids = sqlx::query_scalar!(
        r#"(select id as "id!" from queue.dead_letter where rider_of(payload) = $1::uuid::text
            order by id desc limit $2)
           union all
           (select id from queue.dead_letter where trip_of(payload) = $1::uuid::text order by id desc limit $2)
           union all
           (select id from queue.finished
            where tag in ('order_seats_cancel', 'order_add_seats_cancle', 'order_calc_money_cancle')
              and rider_of(payload) = $1::uuid::text order by id desc limit $2)
           union all
           (select id from queue.finished
            where tag in ('order_seats_cancel', 'order_add_seats_cancle', 'order_calc_money_cancle')
              and trip_of(payload) = $1::uuid::text order by id desc limit $2)"#,
        id,
        MOST_ORDERS
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut keys = keys_of(conn, &orders).await?;
    // A trip's own jobs.
    keys.push(id.to_string());
    Ok(KeyFilter { keys, ids })
}

/// The keys of these orders' jobs: their own ids and their payments'.
async fn keys_of(conn: &mut PgConnection, orders: &[Uuid]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id::text as "key!" from unnest($1::uuid[]) as o (id)
           union all select id::text from payment where order_id = any($1)"#,
        orders
    )
    .fetch_all(&mut *conn)
    .await
}

/// What is failing, by fingerprint, most of it first; among the newest 500 dead letters and as many live
/// jobs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ErrorGroup {
    /// What `error` finds them by.
    pub fingerprint: String,
    /// The newest of them.
    pub sample: String,
    /// Dead letters.
    pub dead: i64,
    /// Live jobs that failed with it last.
    pub live: i64,
    /// The oldest.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub first_at: DateTime<Utc>,
    /// The newest.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub last_at: DateTime<Utc>,
    /// Their tags.
    pub tags: Vec<String>,
}

/// What is failing: at most `limit` groups, those that come after this place.
///
/// # Errors
/// The database's.
pub async fn errors(
    pool: &PgPool,
    tag: Option<&str>,
    after: Option<&ErrorCursor>,
    limit: u16,
) -> Result<Page<ErrorGroup>, sqlx::Error> {
    let mut groups = admin::errors(pool, tag, after, i64::from(limit) + 1).await?;
    let more = groups.len() > usize::from(limit);
    groups.truncate(limit.into());
    let next = groups.last().filter(|_| more).map(|last| ErrorCursor::from(last).to_string());
    let told = |group: admin::ErrorGroup| {
        let admin::ErrorGroup { fingerprint, sample, dead, live, first_at, last_at, tags } = group;
        ErrorGroup { fingerprint, sample, dead, live, first_at, last_at, tags }
    };
    Ok(Page { items: groups.into_iter().map(told).collect(), next })
}
