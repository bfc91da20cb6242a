//! What an operation would do: totals over all jobs that it would cover, however many there are.
//!
//! Up to [`COUNTED_AT_ONCE`] jobs are counted while the caller waits. A page has more of them counted in
//! the background, and says how far that is.

use super::selection::{BulkAction, Selected, Selection, Wanted, count};
use crate::{
    domain::{Currency, Effects, Error, Localized, Money},
    ops::{
        counts::{Counted, Counts, Progress},
        impact::{self, Names},
    },
};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Instant,
};
use tokio::time::sleep;
use uuid::Uuid;

/// Jobs that a page counts before it is sent.
const COUNTED_AT_ONCE: i64 = 1_000;
/// Jobs whose facts one statement reads.
const CHUNK: usize = 1_000;
/// Most orders that a preview lists.
const MAX_NAMED: usize = 100;

/// What an operation would do.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "BulkPreview")]
pub struct Preview {
    /// How many jobs it would cover.
    pub covers: i64,
    /// The digest of these jobs. A start that names it is refused if it would cover others.
    pub digest: String,
    /// Whether there are more than one operation may cover.
    pub more: bool,
    /// How many of them were counted for the fields below: all that are still there.
    pub looked_at: i64,
    /// How many of each tag.
    pub by_tag: BTreeMap<String, i64>,
    /// How many orders they are about.
    pub orders: i64,
    /// The first of those.
    pub order_ids: Vec<Uuid>,
    /// How many riders' orders those are.
    pub riders: i64,
    /// Seats that running them would free, or that stay taken if they are cancelled. A seat that two
    /// of the jobs would free counts once.
    pub seats: i64,
    /// Money that running them would give back, or that is not given back if they are cancelled. Of an
    /// order it counts once.
    pub amount: Money,
    /// The currency of the amount.
    pub currency: Currency,
    /// Which of them workers would put back after they are cancelled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comes_back: Vec<Localized>,
}

/// What an operation would do now.
///
/// # Errors
/// A selection that breaks a rule; the database's.
pub async fn preview(pool: &PgPool, action: BulkAction, selection: &Selection) -> Result<Preview, Error> {
    let mut conn = pool.acquire().await?;
    let wanted = Wanted::of(&mut conn, action, selection).await?;
    let selected = wanted.select(&mut conn).await?;
    Ok(whole(&mut conn, action, &selected).await?)
}

/// Previews of many jobs, which take longer than a page may. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CachedPreviews(Counts<Option<Preview>>);

impl CachedPreviews {
    /// What an operation would do: now, if few jobs are selected. What many would do is counted in the
    /// background; the value is missing until they are selected.
    ///
    /// # Errors
    /// A selection that breaks a rule; the database's.
    pub async fn read(
        &self,
        pool: &PgPool,
        action: BulkAction,
        selection: &Selection,
    ) -> Result<Counted<Option<Preview>>, Error> {
        let mut conn = pool.acquire().await?;
        let wanted = Wanted::of(&mut conn, action, selection).await?;
        if let Some(few) = wanted.select_few(&mut conn, COUNTED_AT_ONCE).await? {
            return Ok(Counted::now(Some(whole(&mut conn, action, &few).await?)));
        }
        drop(conn);
        let key = format!("{} {}", action.as_str(), serde_json::to_string(selection).unwrap_or_default());
        let pool = pool.clone();
        let count =
            move |progress| async move { Ok(many(&pool, action, &wanted, &progress).await?.map(Some)) };
        Ok(self.0.read(&key, count).await?)
    }
}

/// The preview of jobs that were selected.
async fn whole(
    conn: &mut PgConnection,
    action: BulkAction,
    selected: &Selected,
) -> Result<Preview, sqlx::Error> {
    let mut totals = Totals::default();
    for chunk in selected.ids.chunks(CHUNK) {
        totals.add(&mut *conn, chunk).await?;
    }
    Ok(totals.preview(action, selected))
}

/// As [`whole`], showing how far it is; nothing if nobody wants to know any more. A connection is held
/// for a statement at a time, since a process has few for operators. It rests as long as it reads, so that
/// it has half of one core of the database, and riders and pages have the other half.
async fn many(
    pool: &PgPool,
    action: BulkAction,
    wanted: &Wanted,
    progress: &Progress<Option<Preview>>,
) -> Result<Option<Preview>, sqlx::Error> {
    let selected = wanted.select(&mut *pool.acquire().await?).await?;
    let mut totals = Totals::default();
    for chunk in selected.ids.chunks(CHUNK) {
        if !progress.show(Some(totals.preview(action, &selected))) {
            return Ok(None);
        }
        let began = Instant::now();
        totals.add(&mut *pool.acquire().await?, chunk).await?;
        sleep(began.elapsed()).await;
    }
    Ok(Some(totals.preview(action, &selected)))
}

/// Sums over jobs.
#[derive(Default)]
struct Totals {
    jobs: i64,
    by_tag: BTreeMap<String, i64>,
    orders: BTreeSet<Uuid>,
    riders: HashSet<Uuid>,
    // Two undos of one order free its seats and give its money back once.
    seats: HashSet<(Option<Uuid>, i32)>,
    /// The orders whose money is in the amount.
    paid: HashSet<Uuid>,
    amount: Decimal,
}

impl Totals {
    /// Adds the jobs with these ids that are still there.
    async fn add(&mut self, conn: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
        let jobs = sqlx::query!(
            r#"select id as "id!", tag as "tag!", payload as "payload!" from queue.job where id = any($1)
               union all
               select id, tag, payload from queue.dead_letter where id = any($1)"#,
            ids
        )
        .fetch_all(&mut *conn)
        .await?;
        let payloads: Vec<&Value> = jobs.iter().map(|job| &job.payload).collect();
        let facts = impact::facts_of(conn, &payloads, Names::LeftOut).await?;
        self.jobs += count(jobs.len());
        for (job, facts) in jobs.iter().zip(facts) {
            let Effects { seats, amount, .. } = impact::effects(&job.tag, &facts.undo);
            *self.by_tag.entry(job.tag.clone()).or_default() += 1;
            self.orders.extend(facts.order_id);
            self.riders.extend(facts.rider_id);
            self.seats.extend(seats.into_iter().map(|seat| (facts.trip_id, seat)));
            if let Some(amount) = amount
                && self.paid.insert(facts.order_id.unwrap_or(job.id))
            {
                self.amount += amount.decimal();
            }
        }
        Ok(())
    }

    fn preview(&self, action: BulkAction, selected: &Selected) -> Preview {
        let comes_back = if action == BulkAction::Cancel {
            self.by_tag.iter().filter_map(|(tag, many)| impact::comes_back(tag, *many)).collect()
        } else {
            Vec::new()
        };
        Preview {
            covers: count(selected.ids.len()),
            digest: selected.digest.clone(),
            more: selected.more,
            looked_at: self.jobs,
            by_tag: self.by_tag.clone(),
            orders: count(self.orders.len()),
            order_ids: self.orders.iter().take(MAX_NAMED).copied().collect(),
            riders: count(self.riders.len()),
            seats: count(self.seats.len()),
            amount: Money::from_database(self.amount),
            currency: Currency::installed(),
            comes_back,
        }
    }
}
