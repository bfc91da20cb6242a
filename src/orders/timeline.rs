//! All that happened to one order, in order: requests, steps and undos, states, payments, ledger entries, jobs and
//! attempts, the rider's evaluation.

use crate::domain::OrderId;
use crate::domain::Page;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;

/// Events of a page when nobody names a limit, and at the most: an ordinary order's story is whole on its first page.
pub const MOST_EVENTS: u16 = 1_000;

/// One thing that happened (or, for a live job, will).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Event {
    /// When.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
    /// `request`, `step`, `undo`, `state`, `ledger`, `job`, or `evaluation`.
    pub kind: String,
    /// What was asked for, the tag, the state, the entry's kind, or the rating.
    pub what: String,
    /// Details of the kind.
    pub detail: Value,
}

/// The longest that a change takes from its first statement to its history's row, seconds: more than a request may.
const LONGEST_CHANGE_SECS: f64 = 30.0;

/// A page of the order's story: at most `limit` events, after the first `skip`. Requests are those whose keys are still kept and
/// that changed something. Empty for an order nobody ever began.
///
/// # Errors
/// The database's.
pub async fn timeline(
    pool: &PgPool,
    order: OrderId,
    skip: u32,
    limit: u16,
) -> Result<Page<Event>, sqlx::Error> {
    let mut items = sqlx::query_as!(
        Event,
        r#"with subject as (
               select $1::uuid as id union all select id from payment where order_id = $1
           ), jobs as (
               select id, tag, key, state, run_at, failures, created_at, started_at, ended_at, note
               from queue.any_job where key in (select id::text from subject) and tag = any($3)
           ), asked as (
               -- A key is taken in the transaction of the change, and so at the very time that the change's row bears.
               select 'book' as what, id as subject, created_at as at from orders where id = $1
               union all
               select 'pay', id, created_at from payment where order_id = $1
               union all
               select 'cancel', null, closed_at from orders where id = $1 and closed_reason = 'cancelled_by_rider'
               union all
               select 'evaluate', null, created_at from evaluation where order_id = $1
           ), requests as (
               -- Found by that time and by whose order it is: an index by subject would be paid for by every booking.
               select i.started_at, a.what, i.key, i.actor,
                      -- Booked and paid are answered by what was written.
                      coalesce(i.status, case when a.what = 'book' then 201
                                              when (select state in ('settled', 'refunded') from payment where id = a.subject)
                                              then 200 end) as status
               from orders o cross join asked a
               join idempotency i on i.started_at = a.at and i.actor = o.rider_id
               where o.id = $1
                 and case a.what when 'cancel' then i.body ->> 'id' = o.id::text and i.body ->> 'status' = 'closed'
                                 when 'evaluate' then i.body ? 'rating' else i.subject = a.subject end
               union all
               -- A refund's history bears a later time of the same transaction: among its rider's keys shortly before.
               select i.started_at, 'refund', i.key, i.actor, i.status
               from order_event e join orders o on o.id = e.order_id
               join idempotency i on i.actor = o.rider_id
                    and i.started_at between e.at - make_interval(secs => $4) and e.at
               where e.order_id = $1 and e.status = 'refunding'
                 and i.body ->> 'id' = o.id::text and i.body ->> 'status' = 'refunded'
           )
           select at as "at!", kind as "kind!", what as "what!", detail as "detail!" from (
               select done_at as at, 'step' as kind, step as what, jsonb_build_object('subject', subject) as detail
               from barrier where subject in (select id from subject) and done_at is not null
               union all
               select undone_at, 'undo', step,
                      jsonb_build_object('subject', subject, 'barred', done_at is null)
               from barrier where subject in (select id from subject) and undone_at is not null
               union all
               select at, 'state', status, jsonb_build_object('reason', reason)
               from order_history where order_id = $1
               union all
               select at, 'ledger', kind,
                      jsonb_build_object('amount', amount::text, 'balance_after', balance_after::text,
                                         'payment', payment_id)
               from ledger_entry e where payment_id in (select id from subject)
               union all
               select coalesce(ended_at, started_at, run_at), 'job', tag,
                      jsonb_build_object('id', id, 'key', key, 'state', state, 'run_at', run_at,
                                         'created_at', created_at, 'note', note, 'attempts', failures)
               from jobs
               union all
               select q.started_at, 'request', q.what,
                      jsonb_build_object('key', q.key, 'actor', q.actor, 'status', q.status,
                                         'user_name', (select user_name from rider r where r.id = q.actor))
               from requests q
               union all
               select created_at, 'evaluation', rating::text, jsonb_build_object('rating', rating, 'comment', comment)
               from evaluation where order_id = $1
           ) as story order by 1, kind <> 'request', 2, 3, detail::text limit $2 offset $5"#,
        order.0,
        i64::from(limit) + 1,
        &farebox_jobs::MqTag::ALL.map(|tag| tag.wire().to_owned())[..],
        LONGEST_CHANGE_SECS,
        i64::from(skip)
    )
    .fetch_all(pool)
    .await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    Ok(Page { items, next: more.then(|| (skip + u32::from(limit)).to_string()) })
}
