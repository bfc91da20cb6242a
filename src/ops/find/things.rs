//! Finding jobs, orders and requests by what people have of them: the end of an id, a trace id, a
//! key, an error.

use crate::{
    domain::{OrderId, Reference, RiderId},
    ops::search::{ErrorGroup, MAX_GROUPS, errors_on},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, ErrorCursor, JobFilter, JobView, KeyFilter},
};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

/// Trips among which the end of an id is looked for: the newest.
const NEWEST_TRIPS: i64 = 10_000;
/// Live jobs among which the end of an id is looked for: the newest.
const NEWEST: i64 = 5_000;
/// Ended jobs are looked for among those of the last days: partitions of earlier ones are not opened.
const DAYS: i32 = 3;
/// Ended jobs of each tag among which the end of an id is looked for: the newest.
const NEWEST_ENDED: i64 = 1_000;
/// Live jobs and dead letters among which a trace is looked for: the newest.
const NEWEST_TRACED: i64 = 1_000;
/// Ended jobs of each tag among which a trace is looked for: the newest.
const NEWEST_ENDED_TRACED: i64 = 300;
/// Pages of [`MAX_GROUPS`] groups of errors that are looked through.
const ERROR_PAGES: usize = 10;
/// Fewest characters of an error's text.
const MIN_ERROR: usize = 3;

fn tags() -> Vec<String> {
    MqTag::ALL.map(|tag| tag.wire().to_owned()).to_vec()
}

/// The trips whose ids end in these digits, among the newest.
pub(super) async fn trips_by_end(
    conn: &mut PgConnection,
    end: &str,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id from (select id from trip order by id desc limit $2) as newest
           where substring(uuid_send(id) from 11) = (select decode($1, 'hex')) limit $3"#,
        end,
        NEWEST_TRIPS,
        limit
    )
    .fetch_all(&mut *conn)
    .await
}

/// The orders whose ids end in these digits.
pub(super) async fn orders_by_end(
    conn: &mut PgConnection,
    end: &str,
    limit: i32,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(r#"select id as "id!" from orders_by_end($1, $2) as found (id)"#, end, limit)
        .fetch_all(&mut *conn)
        .await
}

/// The jobs whose ids end in these digits: all dead letters, of the others the newest. Jobs are added and
/// ended too often to have an index for it.
pub(super) async fn jobs_by_end(
    conn: &mut PgConnection,
    end: &str,
    limit: i64,
) -> Result<Vec<JobView>, sqlx::Error> {
    // planner fence: `between` and the order by tag leave the index by tag. In the order of ids alone
    // a partition is read as a whole for a tag that it has few jobs of.
    let ids = sqlx::query_scalar!(
        r#"select id as "id!" from (
               select id from (select id from queue.job order by id desc limit $2) as live
               where substring(uuid_send(id) from 11) = (select decode($1, 'hex'))
               union all
               select id from queue.dead_letter where substring(uuid_send(id) from 11) = decode($1, 'hex')
               union all
               select ended.id from unnest($4::text[]) as of (tag) cross join lateral (
                   select id from queue.finished
                   where tag between of.tag and of.tag and ended_at >= now() - make_interval(days => $6)
                   order by tag desc, id desc limit $3) as ended
               where substring(uuid_send(ended.id) from 11) = (select decode($1, 'hex'))
           ) as found order by id desc limit $5"#,
        end,
        NEWEST,
        NEWEST_ENDED,
        &tags(),
        limit,
        DAYS
    )
    .fetch_all(&mut *conn)
    .await?;
    jobs(&mut *conn, KeyFilter { keys: Vec::new(), ids }, limit).await
}

/// The jobs of this trace: those that its request enqueued, and those with an attempt in it. Among
/// the newest.
pub(super) async fn jobs_by_trace(
    conn: &mut PgConnection,
    trace: &str,
    limit: i64,
) -> Result<Vec<JobView>, sqlx::Error> {
    // planner fence: as for the end of an id.
    let ids = sqlx::query_scalar!(
        r#"select id as "id!" from (
               select id, payload, failures from (select * from queue.job order by id desc limit $2) as live
               union all
               select id, payload, failures
               from (select * from queue.dead_letter order by id desc limit $2) as dead
               union all
               select ended.id, ended.payload, ended.failures
               from unnest($4::text[]) as of (tag) cross join lateral (
                   select * from queue.finished
                   where tag between of.tag and of.tag and ended_at >= now() - make_interval(days => $6)
                   order by tag desc, id desc limit $3) as ended
           ) as found
           where payload ->> 'trace' = $1
              or failures <> '[]' and failures @> jsonb_build_array(jsonb_build_object('trace_id', $1::text))
           order by id desc limit $5"#,
        trace,
        NEWEST_TRACED,
        NEWEST_ENDED_TRACED,
        &tags(),
        limit,
        DAYS
    )
    .fetch_all(&mut *conn)
    .await?;
    jobs(&mut *conn, KeyFilter { keys: Vec::new(), ids }, limit).await
}

/// The jobs with this unique key.
pub(super) async fn jobs_by_key(
    conn: &mut PgConnection,
    key: &str,
    limit: i64,
) -> Result<Vec<JobView>, sqlx::Error> {
    jobs(&mut *conn, KeyFilter { keys: vec![key.to_owned()], ids: Vec::new() }, limit).await
}

/// The live and dead jobs with this concurrency key.
pub(super) async fn jobs_by_serial(
    conn: &mut PgConnection,
    key: &str,
    limit: i64,
) -> Result<Vec<JobView>, sqlx::Error> {
    let filter = JobFilter { concurrency_key: Some(key.to_owned()), brief: true, ..JobFilter::default() };
    admin::list(&mut *conn, &filter, limit).await
}

async fn jobs(conn: &mut PgConnection, few: KeyFilter, limit: i64) -> Result<Vec<JobView>, sqlx::Error> {
    if few.keys.is_empty() && few.ids.is_empty() {
        return Ok(Vec::new());
    }
    let filter = JobFilter { tags: tags(), key_filter: Some(few), ..JobFilter::default() };
    admin::list(&mut *conn, &filter, limit).await
}

/// Groups of errors with this text in their newest error, or with this fingerprint; and whether the
/// text is the error itself, of live or dead jobs older than those that are grouped.
pub(super) async fn errors_with(
    conn: &mut PgConnection,
    text: &str,
    limit: usize,
) -> Result<Vec<ErrorGroup>, sqlx::Error> {
    if text.chars().count() < MIN_ERROR {
        return Ok(Vec::new());
    }
    let print = sqlx::query_scalar!("select queue.fingerprint($1)", text).fetch_one(&mut *conn).await?;
    let (lower, print) = (text.to_lowercase(), print.unwrap_or_default());
    let fits = |group: &ErrorGroup| {
        group.fingerprint == print
            || group.fingerprint == lower
            || group.sample.to_lowercase().contains(&lower)
    };
    let (mut found, mut after) = (Vec::new(), None::<ErrorCursor>);
    for _ in 0..ERROR_PAGES {
        let page = errors_on(&mut *conn, None, after.as_ref(), MAX_GROUPS).await?;
        found.extend(page.items.into_iter().filter(fits));
        after = page.next.and_then(|next| next.parse().ok());
        if after.is_none() || found.len() >= limit {
            break;
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// A request that was sent with an idempotency key.
#[derive(Clone, Debug)]
pub struct FoundRequest {
    /// Who sent it; of a registration, an id of the name that was asked for.
    pub actor: RiderId,
    /// When.
    pub at: DateTime<Utc>,
    /// The status that it was answered with, if the answer is kept.
    pub status: Option<i16>,
    /// The order that it booked or paid.
    pub order: Option<OrderId>,
    /// What it was for, if that is no order.
    pub subject: Uuid,
}

/// The requests with this idempotency key, newest first.
pub(super) async fn requests(
    conn: &mut PgConnection,
    key: &str,
    limit: i64,
) -> Result<Vec<FoundRequest>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select i.actor, i.subject, i.started_at, i.status, coalesce(o.id, p.order_id) as order_id
           from (select * from idempotency where key = $1 limit $2) as i
           left join orders o on o.id = i.subject
           left join payment p on p.id = i.subject
           order by i.started_at desc"#,
        key,
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    let request = rows.into_iter().map(|row| FoundRequest {
        actor: RiderId(row.actor),
        at: row.started_at,
        status: row.status,
        order: row.order_id.map(OrderId),
        subject: row.subject,
    });
    Ok(request.collect())
}

/// An entry of a wallet that a reference names, or an id.
#[derive(Clone, Debug)]
pub struct FoundEntry {
    /// Whose wallet.
    pub rider: RiderId,
    /// The order that it is about; none for what an operator entered.
    pub order: Option<OrderId>,
    /// What it is.
    pub kind: String,
    /// The amount.
    pub amount: Decimal,
    /// When.
    pub at: DateTime<Utc>,
}

/// The entry with this reference, compared as references are.
pub(super) async fn entry(conn: &mut PgConnection, text: &str) -> Result<Option<FoundEntry>, sqlx::Error> {
    let Ok(reference) = text.parse::<Reference>() else { return Ok(None) };
    let row = sqlx::query!(
        "select e.rider_id, e.order_id, e.kind, e.amount, e.at from top_up_reference r
         join ledger_entry e on e.rider_id = r.rider_id and e.seq = r.seq where r.key = $1",
        reference.key()
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(|row| FoundEntry {
        rider: RiderId(row.rider_id),
        order: row.order_id.map(OrderId),
        kind: row.kind,
        amount: row.amount,
        at: row.at,
    }))
}

/// The entry with this id. Entries have their wallet's key, and ids that grow with time: the index of
/// blocks leaves a few of the blocks to read, and no debit has a row to add to it.
pub(super) async fn entry_by_id(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<FoundEntry>, sqlx::Error> {
    let row = sqlx::query!("select rider_id, order_id, kind, amount, at from ledger_entry where id = $1", id)
        .fetch_optional(&mut *conn)
        .await?;
    Ok(row.map(|row| FoundEntry {
        rider: RiderId(row.rider_id),
        order: row.order_id.map(OrderId),
        kind: row.kind,
        amount: row.amount,
        at: row.at,
    }))
}
