//! All that happened to one order, in order: steps and undos, states, payments, ledger entries, jobs and attempts.

use crate::domain::OrderId;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;

/// The most events one answer holds.
const MOST_EVENTS: i64 = 1_000;

/// One thing that happened (or, for a live job, will).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Event {
    /// When.
    #[serde(serialize_with = "super::micros")]
    pub at: DateTime<Utc>,
    /// `step`, `undo`, `state`, `ledger`, or `job`.
    pub kind: String,
    /// The tag, the state or the entry's kind.
    pub what: String,
    /// Details of the kind.
    pub detail: Value,
}

/// The order's story. Empty for an order nobody ever began.
///
/// # Errors
/// The database's.
pub async fn timeline(pool: &PgPool, order: OrderId) -> Result<Vec<Event>, sqlx::Error> {
    sqlx::query_as!(
        Event,
        r#"with subject as (
               select $1::uuid as id union all select id from payment where order_id = $1
           ), jobs as (
               select id, tag, key, state, run_at, failures, created_at, started_at, ended_at, note
               from queue.any_job where key in (select id::text from subject) and tag = any($3)
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
               from order_event where order_id = $1
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
           ) as story order by 1, 2 limit $2"#,
        order.0,
        MOST_EVENTS,
        &farebox_jobs::MqTag::ALL.map(|tag| tag.wire().to_owned())[..]
    )
    .fetch_all(pool)
    .await
}
