//! Imports that were applied, and how far they are.

use crate::domain::{Page, TripId};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// An import that was applied, or a change of one trip, and how far its job is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "ImportProgress")]
pub struct Progress {
    /// Its id.
    pub id: Uuid,
    /// The trip that an operator changed alone; absent for a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trip_id: Option<Uuid>,
    /// The digest of its preview.
    pub digest: String,
    /// Why it was imported.
    pub reason: String,
    /// Who imported it.
    pub operator: String,
    /// When it was applied.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub started_at: DateTime<Utc>,
    /// When the last rider was moved.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Trips with riders that it touches.
    pub trips: i64,
    /// Those of them that are done.
    pub done: i64,
    /// Orders that stay, with their change written down.
    pub moved: i64,
    /// Orders that were ended with the money back.
    pub refunded: i64,
    /// Orders that were ended without having been charged.
    pub closed: i64,
}

/// A page of imports, the newest first: those that were applied before the import `after`, or all.
///
/// # Errors
/// The database's.
pub async fn imports(
    db: impl PgExecutor<'_>,
    after: Option<Uuid>,
    limit: u16,
) -> Result<Page<Progress>, sqlx::Error> {
    let mut items = read(db, None, after, false, i64::from(limit) + 1).await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let next = items.last().filter(|_| more).map(|import| import.id.to_string());
    Ok(Page { items, next })
}

/// An import, if there is one with this id.
///
/// # Errors
/// The database's.
pub async fn progress(db: impl PgExecutor<'_>, import: Uuid) -> Result<Option<Progress>, sqlx::Error> {
    Ok(read(db, Some(import), None, false, 1).await?.pop())
}

/// The import that is not finished. There is one at most.
///
/// # Errors
/// The database's.
pub(super) async fn unfinished(conn: &mut PgConnection) -> Result<Option<Progress>, sqlx::Error> {
    Ok(read(conn, None, None, true, 1).await?.pop())
}

/// The newest import, if it was applied with this digest: to this trip alone, or to all.
///
/// # Errors
/// The database's.
pub(super) async fn latest_with(
    conn: &mut PgConnection,
    digest: &str,
    only: Option<TripId>,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from (select id, digest, trip_id from network_import order by id desc limit 1) as latest
         where digest = $1 and trip_id is not distinct from $2",
        digest,
        only.map(|trip| trip.0)
    )
    .fetch_optional(conn)
    .await
}

async fn read(
    db: impl PgExecutor<'_>,
    import: Option<Uuid>,
    after: Option<Uuid>,
    only_unfinished: bool,
    limit: i64,
) -> Result<Vec<Progress>, sqlx::Error> {
    sqlx::query_as!(
        Progress,
        r#"select i.id, i.trip_id, i.digest, i.reason,
                  coalesce((select r.user_name from rider r where r.id = i.operator), i.actor, i.operator::text)
                      as "operator!",
                  i.started_at, i.finished_at, x.trips as "trips!", x.done as "done!", x.moved as "moved!",
                  x.refunded as "refunded!", x.closed as "closed!"
           from network_import i
           cross join lateral (
               select count(*) as trips, count(done_at) as done, coalesce(sum(moved), 0) as moved,
                      coalesce(sum(refunded), 0) as refunded, coalesce(sum(closed), 0) as closed
               from network_import_trip where import_id = i.id
           ) as x
           where ($1::uuid is null or i.id = $1) and (i.finished_at is null or not $2)
             and ($4::uuid is null or i.id < $4)
           order by i.id desc limit $3"#,
        import,
        only_unfinished,
        limit,
        after
    )
    .fetch_all(db)
    .await
}
