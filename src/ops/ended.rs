//! Jobs by when they ended: what a bar of a chart stands for.

use crate::{
    domain::{Error, Page},
    storage,
};
use chrono::{DateTime, TimeDelta, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, JobFilter, JobTable, JobView, KeyFilter},
};
use sqlx::PgPool;
use uuid::Uuid;

/// For how long before its end a job may have been enqueued, hours. There is no index by when a job ended;
/// ids tell when it was enqueued, and holds and retries take less than this.
pub const LOOK_BACK_HOURS: i64 = 2;

/// The jobs, of one tag or all, that ended from `from` until before `to`, the newest first. `state` is
/// `done`, `cancelled` or `dead`; without it, all three are listed.
///
/// # Errors
/// The database's.
pub async fn ended(
    pool: &PgPool,
    tag: Option<&str>,
    state: Option<&str>,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    after: Option<Uuid>,
    limit: u16,
) -> Result<Page<JobView>, Error> {
    let tags =
        tag.map_or_else(|| MqTag::ALL.map(|tag| tag.wire().to_owned()).to_vec(), |tag| vec![tag.to_owned()]);
    let mut conn = storage::begin_search(pool).await?;
    let (oldest, before) =
        (admin::first_id(from - TimeDelta::hours(LOOK_BACK_HOURS)), after.unwrap_or(admin::first_id(to)));
    // Each tag is read by its index on ids, in the partitions of these times alone.
    let mut ids = sqlx::query_scalar!(
        r#"select id as "id!" from (
               select f.id, f.outcome as state from unnest($1::text[]) t cross join lateral (
                   select id, outcome from queue.finished
                   where tag = t and id >= $4 and id < $5 and ended_at >= $2 and ended_at < $3) f
               union all
               select d.id, 'dead' from unnest($1::text[]) t cross join lateral (
                   select id from queue.dead_letter
                   where tag = t and id >= $4 and id < $5 and died_at >= $2 and died_at < $3) d
           ) as job
           where $6::text is null or state = $6
           order by id desc limit $7"#,
        &tags,
        from,
        to,
        oldest,
        before,
        state,
        i64::from(limit) + 1
    )
    .fetch_all(&mut *conn)
    .await?;
    let more = ids.len() > usize::from(limit);
    ids.truncate(limit.into());
    let next = ids.last().filter(|_| more).map(Uuid::to_string);
    let filter = JobFilter {
        tables: &[JobTable::Dead, JobTable::Finished],
        key_filter: Some(KeyFilter { keys: Vec::new(), ids }),
        ..JobFilter::default()
    };
    let items = admin::list(&mut *conn, &filter, i64::from(limit)).await?;
    Ok(Page { items, next })
}
