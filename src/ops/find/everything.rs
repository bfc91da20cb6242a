//! All that a text may mean, by sections.

use super::{
    departure::{self, FoundTrip},
    reading::Reading,
    riders::{self, FoundBy, FoundRider, MAX_FOUND},
    things::{self, FoundEntry, FoundRequest},
    webhooks::{FoundWebhook, webhooks},
};
use crate::{
    domain::{Error, Id},
    ops::{
        audit::{self, Entry},
        jobs::order_of,
        search::ErrorGroup,
    },
    orders::search::{Found, of_ids},
    storage,
};
use chrono::Utc;
use chrono_tz::Tz;
use farebox_jobs::queue::admin::JobView;
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Hits of a section; there may be more.
pub const SHOWN: u16 = 20;
/// One more than are shown, which says that there are more.
const ASKED: i64 = SHOWN as i64 + 1;

/// The hits of one kind.
#[derive(Clone, Debug)]
pub struct Hits<T> {
    /// At most [`SHOWN`], but for accounts with one e-mail address.
    pub items: Vec<T>,
    /// Whether there are more.
    pub more: bool,
}

impl<T> Default for Hits<T> {
    fn default() -> Self {
        Self { items: Vec::new(), more: false }
    }
}

impl<T> Hits<T> {
    fn of(items: Vec<T>) -> Self {
        Self::up_to(items, SHOWN.into())
    }

    fn up_to(mut items: Vec<T>, most: usize) -> Self {
        let more = items.len() > most;
        items.truncate(most);
        Self { items, more }
    }
}

/// All hits of a text.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Accounts.
    pub riders: Hits<FoundRider>,
    /// Orders.
    pub orders: Hits<Found>,
    /// Departures and other trips.
    pub trips: Hits<FoundTrip>,
    /// Jobs.
    pub jobs: Hits<JobView>,
    /// Failed jobs by error.
    pub errors: Hits<ErrorGroup>,
    /// Requests by their idempotency key.
    pub requests: Hits<FoundRequest>,
    /// The entry of a wallet by its reference or its id.
    pub entry: Option<FoundEntry>,
    /// Webhooks, by themselves or by an event in their logs.
    pub webhooks: Hits<FoundWebhook>,
    /// Acts upon a subject of this name.
    pub acts: Hits<Entry>,
}

/// The one page that a text means beyond doubt: list and id.
pub type Only = (&'static str, String);

impl Findings {
    /// How many hits there are, not counting those beyond the bound of a section.
    pub fn count(&self) -> usize {
        self.riders.items.len()
            + self.orders.items.len()
            + self.trips.items.len()
            + self.jobs.items.len()
            + self.errors.items.len()
            + self.requests.items.len()
            + usize::from(self.entry.is_some())
            + self.webhooks.items.len()
            + self.acts.items.len()
    }

    /// The page of the only thing that the text is exactly of. Parts of names and ends of phone
    /// numbers of other accounts do not count.
    pub fn only(&self) -> Option<Only> {
        let others = self.count() - self.riders.items.len();
        if let Some(rider) = riders::unmistakable(&self.riders.items) {
            return (others == 0).then(|| ("riders", rider.to_string()));
        }
        if self.count() != 1 {
            return None;
        }
        let order = self.orders.items.first().map(|found| ("orders", found.order.id.to_string()));
        let trip = self.trips.items.first().map(|trip| ("trips", trip.id.to_string()));
        let job = self.jobs.items.first().map(|job| ("jobs", job.id.to_string()));
        let request = self.requests.items.first().and_then(|request| request.order);
        let request = request.map(|order| ("orders", order.to_string()));
        // A part of a name is not beyond doubt.
        let webhook = self.webhooks.items.first().filter(|webhook| webhook.event.is_some());
        let webhook = webhook.map(|webhook| ("webhooks", webhook.id.to_string()));
        order.or(trip).or(job).or(request).or(webhook)
    }

    /// Whether accounts are shown that were found by what they are called, which nobody checks.
    pub fn has_claims(&self) -> bool {
        self.riders.items.iter().any(|rider| !matches!(rider.by, FoundBy::UserName | FoundBy::IdEnd))
    }
}

/// All that the text may mean. Each way is a statement of its own, with its index or its bound.
///
/// # Errors
/// The database's.
pub async fn search(pool: &PgPool, zone: Tz, text: &str) -> Result<Findings, Error> {
    let mut tx = storage::begin_search(pool).await?;
    let conn = &mut *tx;
    let reading = Reading::of(text, Utc::now().with_timezone(&zone).date_naive());
    let mut found = Findings { riders: accounts_on(conn, &reading).await?, ..Findings::default() };
    if let Some(end) = &reading.end {
        let orders = things::orders_by_end(&mut *conn, end, i32::from(SHOWN) + 1).await?;
        found.orders = Hits::of(of_ids(&mut *conn, &orders).await?);
        let trips = things::trips_by_end(&mut *conn, end, ASKED).await?;
        found.trips = Hits::of(departure::trips(&mut *conn, &trips).await?);
    }
    if let Some(wanted) = &reading.departure {
        found.trips = Hits::of(departure::departures(&mut *conn, zone, wanted, ASKED).await?);
    }
    found.jobs = Hits::of(jobs(&mut *conn, &reading).await?);
    if reading.trace.is_some() {
        // A trace is kept with the jobs of its request alone: its order is theirs.
        let orders: BTreeSet<Uuid> =
            found.jobs.items.iter().filter_map(|job| order_of(&job.payload)).map(|order| order.0).collect();
        found.orders = Hits::of(of_ids(&mut *conn, &Vec::from_iter(orders)).await?);
    }
    if let Some(id) = reading.id {
        found.entry = things::entry_by_id(&mut *conn, id).await?;
    }
    found.webhooks = Hits::of(webhooks(&mut *conn, &reading, ASKED).await?);
    found.errors = Hits::of(things::errors_with(&mut *conn, &reading.text, usize::from(SHOWN) + 1).await?);
    if reading.is_key {
        found.requests = Hits::of(things::requests(&mut *conn, &reading.text, ASKED).await?);
        if found.entry.is_none() {
            found.entry = things::entry(&mut *conn, &reading.text).await?;
        }
        let subject = Some(reading.text.clone());
        let filter = audit::Filter { subject, ..audit::Filter::default() };
        let acts = audit::list(&mut *conn, &filter, None, SHOWN).await?;
        found.acts = Hits { items: acts.items, more: acts.next.is_some() };
    }
    Ok(found)
}

/// Accounts that the text may mean: see [`riders::search`].
///
/// # Errors
/// The database's.
pub async fn accounts(pool: &PgPool, reading: &Reading) -> Result<Hits<FoundRider>, sqlx::Error> {
    accounts_on(&mut *storage::begin_search(pool).await?, reading).await
}

async fn accounts_on(conn: &mut PgConnection, reading: &Reading) -> Result<Hits<FoundRider>, sqlx::Error> {
    let found = riders::search(conn, reading, ASKED).await?;
    let many = usize::try_from(MAX_FOUND).unwrap_or(0);
    let named = found.iter().filter(|rider| matches!(rider.by, FoundBy::UserName | FoundBy::Email)).count();
    // Those with one address are all there, so that none is taken for the only one.
    Ok(if named >= many {
        Hits { items: found, more: true }
    } else {
        Hits::up_to(found, named.max(SHOWN.into()))
    })
}

async fn jobs(conn: &mut PgConnection, reading: &Reading) -> Result<Vec<JobView>, sqlx::Error> {
    let mut found = Vec::new();
    if let Some(end) = &reading.end {
        found.extend(things::jobs_by_end(&mut *conn, end, ASKED).await?);
    }
    if let Some(trace) = &reading.trace {
        found.extend(things::jobs_by_trace(&mut *conn, trace, ASKED).await?);
    }
    // The key of most jobs is an order's id, which leads to the order.
    if reading.is_key && reading.text.parse::<Id>().is_err() {
        found.extend(things::jobs_by_key(&mut *conn, &reading.text, ASKED).await?);
        found.extend(things::jobs_by_serial(&mut *conn, &reading.text, ASKED).await?);
    }
    found.sort_by_key(|job: &JobView| std::cmp::Reverse(job.id));
    found.dedup_by_key(|job| job.id);
    Ok(found)
}
