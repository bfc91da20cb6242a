//! Finding jobs by an order, a rider, a trip or an error. The queue finds jobs by their keys; this
//! module first finds the keys of an order, a rider or a trip, through the indexes of orders,
//! payments and seats.
//!
//! An order's jobs have its id or a payment's id as their key. A rider's jobs are those of the
//! newest orders, of running bookings, and of bookings that failed before an order was added. A
//! trip's jobs are those of the orders that own its seats or that its cancellation ended, and of
//! failed bookings. The timers of orders that lost a trip's seats long ago are not found.

use crate::{
    domain::{Error, FieldError, Instant, JobState, Label, OrderId, Page, Refusal, RiderId, TripId},
    orders, storage,
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

/// The states by which jobs are filtered.
pub const STATES: [&str; 7] = [
    JobState::Ready.as_str(),
    JobState::Delayed.as_str(),
    JobState::Retrying.as_str(),
    JobState::Running.as_str(),
    JobState::Done.as_str(),
    JobState::Dead.as_str(),
    JobState::Cancelled.as_str(),
];
/// Groups of errors of a page: the default and the maximum.
pub const MAX_GROUPS: u16 = 100;
/// The values of the filter by failed attempts.
pub const FAILURES: std::ops::RangeInclusive<i32> = 1..=1_000;
/// How many of the newest orders of a rider or a trip are searched, and how many failed bookings.
pub const MAX_ORDERS: i64 = 100;

/// Which jobs; every given condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "JobsWanted")]
pub struct JobQuery {
    /// Of this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::domain::words::JobStateWord>")]
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
    /// With at least this number of failed attempts: live and dead jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<i32>,
}

impl JobQuery {
    /// Checks the texts. Pointers are bare names.
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
        if self.failures.is_some_and(|least| !FAILURES.contains(&least)) {
            let rule = format!("a whole number from {} to {}", FAILURES.start(), FAILURES.end());
            return Err(FieldError::new("failures", rule));
        }
        for (name, text) in [("key", &self.key), ("serial", &self.serial), ("error", &self.error)] {
            text.as_deref().map(|text| Label::read(name, text)).transpose()?;
        }
        Ok(())
    }

    /// The queue's filter, for these places.
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
        // Live jobs have indexes by tag and key, and by tag and state.
        let state = self.state.as_deref().and_then(|state| state.parse().ok());
        let by_tag = among.is_some()
            || self.key.is_some()
            || matches!(state, Some(JobState::Ready | JobState::Running));
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
            min_failures: self.failures,
            key_filter: among,
            since: self.since.map(Instant::utc),
            before: self.before.map(Instant::utc),
            ..JobFilter::default()
        })
    }

    /// The keys and ids of jobs that are about the order, the rider and the trip, if those are
    /// given.
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
    query: &JobQuery,
    after: Option<Uuid>,
    limit: u16,
) -> Result<Page<JobView>, Error> {
    let mut conn = storage::begin_search(pool).await?;
    let filter = JobFilter { after, ..query.filter(&mut conn, JobTable::ALL).await? };
    Ok(page_of(admin::list(&mut *conn, &filter, i64::from(limit) + 1).await?, limit))
}

/// A page of jobs, newest first, with how many fit, counted up to one more than
/// [`COUNT_MAX`](admin::COUNT_MAX).
///
/// # Errors
/// A field that breaks a rule; the database's.
pub async fn list_counted(
    pool: &PgPool,
    query: &JobQuery,
    after: Option<Uuid>,
    limit: u16,
) -> Result<(Page<JobView>, usize), Error> {
    let mut conn = storage::begin_search(pool).await?;
    let mut filter = query.filter(&mut conn, JobTable::ALL).await?;
    let fitting = admin::newest_ids(&mut *conn, &filter, admin::COUNT_MAX + 1).await?;
    let count = fitting.len();
    if filter.key_filter.is_some() && i64::try_from(count).is_ok_and(|count| count <= admin::COUNT_MAX) {
        // All are known: those of the page are read by their ids, without looking for all keys again.
        let older = fitting.into_iter().filter(|id| after.is_none_or(|after| *id < after));
        let ids = older.take(usize::from(limit) + 1).collect();
        filter.key_filter = Some(KeyFilter { keys: Vec::new(), ids });
    }
    let filter = JobFilter { after, ..filter };
    let items = admin::list(&mut *conn, &filter, i64::from(limit) + 1).await?;
    Ok((page_of(items, limit), count))
}

fn page_of(mut items: Vec<JobView>, limit: u16) -> Page<JobView> {
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let next = items.last().filter(|_| more).map(|job| job.id.to_string());
    Page { items, next }
}

/// The jobs about a rider or a trip. The id is one of the two, and finds nothing as the other.
async fn about(conn: &mut PgConnection, id: Uuid) -> Result<KeyFilter, sqlx::Error> {
    let orders = sqlx::query_scalar!(
        r#"(select id as "id!" from orders where rider_id = $1 order by id desc limit $2)
           union select unnest(orders) from open_hold where rider_id = $1
           union (select order_id from (
                      select distinct order_id from seat where trip_id = $1 and order_id is not null
                      union select order_id from trip_cancellation_order where trip_id = $1
                  ) as owners order by order_id desc limit $2)"#,
        id,
        MAX_ORDERS
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
        MAX_ORDERS
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

/// Failed jobs with one error, among the newest 500 dead letters and as many live jobs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ErrorGroup {
    /// The fingerprint, for the filter `error`.
    pub fingerprint: String,
    /// The newest error.
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

/// Groups of failed jobs by error, the largest first: at most `limit` groups after this place.
///
/// # Errors
/// The database's.
pub async fn errors(
    pool: &PgPool,
    tag: Option<&str>,
    after: Option<&ErrorCursor>,
    limit: u16,
) -> Result<Page<ErrorGroup>, sqlx::Error> {
    errors_on(&mut *storage::begin_search(pool).await?, tag, after, limit).await
}

/// As [`errors`], on a connection.
pub(super) async fn errors_on(
    conn: &mut PgConnection,
    tag: Option<&str>,
    after: Option<&ErrorCursor>,
    limit: u16,
) -> Result<Page<ErrorGroup>, sqlx::Error> {
    let mut groups = admin::errors(conn, tag, after, i64::from(limit) + 1).await?;
    let more = groups.len() > usize::from(limit);
    groups.truncate(limit.into());
    let next = groups.last().filter(|_| more).map(|last| ErrorCursor::from(last).to_string());
    let group = |group: admin::ErrorGroup| {
        let admin::ErrorGroup { fingerprint, sample, dead, live, first_at, last_at, tags } = group;
        ErrorGroup { fingerprint, sample, dead, live, first_at, last_at, tags }
    };
    Ok(Page { items: groups.into_iter().map(group).collect(), next })
}
