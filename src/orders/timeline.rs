//! All that happened to one order, in order: requests with those that failed, steps and undos, states,
//! payments, ledger entries, jobs with their attempts, the acts of operators, the rider's evaluation.

use super::jobs;
use crate::domain::{Currency, Money, OrderId, Page};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgPool;

/// Events of a page without a limit in the request, and the largest limit: an ordinary order's timeline
/// fits on its first page.
pub const MOST_EVENTS: u16 = 1_000;

/// One thing that happened (or, for a live job, will).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Event {
    /// When.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
    /// `request`, `failed_request`, `step`, `undo`, `state`, `change`, `ledger`, `job`, `attempt` (a failed
    /// attempt at a job), `died` (a job that gave up and was redriven since), `act`, or `evaluation`.
    #[schemars(with = "crate::domain::words::TimelineKind")]
    pub kind: String,
    /// What was asked for, the tag, the state, what an import changed, the entry's kind, the act, or the
    /// rating. Of a failed request, the tag of the step that failed.
    pub what: String,
    /// Details of the kind.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub detail: Value,
}

impl Event {
    /// Writes a ledger entry's amounts with the decimals of their currency. The statement has them as
    /// they are stored.
    fn show_amounts(&mut self) {
        let stored = |text: &Value| text.as_str()?.parse::<Decimal>().ok();
        for amount in ["amount", "balance_after"] {
            if let Some(stored) = stored(&self.detail[amount]) {
                self.detail[amount] = json!(Money::from_database(stored));
            }
        }
        self.detail["currency"] = json!(Currency::installed());
    }
}

/// The longest that a change takes from its first statement to its history's row, seconds: more than a
/// request may.
const LONGEST_CHANGE_SECS: f64 = 30.0;

/// A page of the order's timeline: at most `limit` events, after the first `skip`. It has the requests
/// that changed something and whose keys are still stored. Empty for an id that was never used.
///
/// # Errors
/// The database's.
pub async fn timeline(
    pool: &PgPool,
    order: OrderId,
    skip: u32,
    limit: u16,
) -> Result<Page<Event>, sqlx::Error> {
    let by_payload = jobs::of(&mut *pool.acquire().await?, order).await?.ids;
    let mut items = sqlx::query_file_as!(
        Event,
        "src/orders/timeline.sql",
        order.0,
        i64::from(limit) + 1,
        &farebox_jobs::MqTag::ALL.map(|tag| tag.wire().to_owned())[..],
        LONGEST_CHANGE_SECS,
        i64::from(skip),
        &by_payload
    )
    .fetch_all(pool)
    .await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    items.iter_mut().filter(|event| event.kind == "ledger").for_each(Event::show_amounts);
    Ok(Page { items, next: more.then(|| (skip + u32::from(limit)).to_string()) })
}
