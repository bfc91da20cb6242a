//! Finding anything: what an id belongs to, and all that another text may mean.

mod departure;
mod everything;
mod reading;
mod riders;
mod summaries;
mod things;
mod webhooks;

pub use departure::FoundTrip;
pub use everything::{Findings, Hits, Only, SHOWN, accounts, search};
pub use reading::{MAX_CHARS, Reading};
pub use riders::{FoundBy, FoundRider, MAX_FOUND, unmistakable};
pub use summaries::{run_summary_loop, summarize_orders};
pub use things::{FoundEntry, FoundRequest};
pub use webhooks::FoundWebhook;

use crate::domain::RiderId;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// Where the console shows something: the list and the id there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// `orders`, `trips`, `riders`, `jobs`, `bulk` or `webhooks`.
    pub list: String,
    /// The id.
    pub id: Uuid,
}

/// What this id belongs to. A payment is shown on its order's page, and so is an order that was
/// never added.
///
/// # Errors
/// The database's.
pub async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<Location>, sqlx::Error> {
    sqlx::query_as!(
        Location,
        r#"select list as "list!", id as "id!" from (
               select 1 as nr, 'orders' as list, id from orders where id = $1
               union all select 2, 'orders', order_id from payment where id = $1
               union all select 3, 'trips', id from trip where id = $1
               union all select 4, 'riders', id from rider where id = $1
               union all select 5, 'jobs', id from queue.any_job where id = $1
               union all select 6, 'bulk', id from bulk where id = $1
               union all select 7, 'orders', subject from barrier where subject = $1
               union all select 8, 'webhooks', id from webhook_endpoint where id = $1 and state <> 'removed'
           ) found order by nr limit 1"#,
        id
    )
    .fetch_optional(pool)
    .await
}

/// The times of an account.
#[derive(Clone, Copy, Debug)]
pub struct AccountTimes {
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When an operator checked that the e-mail address is its owner's.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// When it was forgotten.
    pub forgotten_at: Option<DateTime<Utc>>,
}

/// The times of an account, if it exists.
///
/// # Errors
/// The database's.
pub async fn times(pool: &PgPool, rider: RiderId) -> Result<Option<AccountTimes>, sqlx::Error> {
    sqlx::query_as!(
        AccountTimes,
        "select created_at, email_verified_at, forgotten_at from rider where id = $1",
        rider.0
    )
    .fetch_optional(pool)
    .await
}
