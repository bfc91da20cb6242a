//! Which jobs an operation covers, and a preview of what it would do.

use crate::{
    domain::{Currency, Effects, Error, FieldError, Localized, Money, Refusal},
    ops::{impact, search::JobQuery},
};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, JobFilter, JobTable},
};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};
use uuid::Uuid;

/// Most jobs of one operation: the oldest. The rest is for another operation.
pub const MAX_JOBS: i64 = 100_000;
/// Most jobs that are chosen by id.
pub const MAX_IDS: usize = 1_000;
/// Most jobs whose orders, seats and money a preview reads.
pub const MAX_PREVIEWED: usize = 10_000;
/// The same for a page of the console, which must load quickly.
pub const MAX_PREVIEWED_ON_PAGE: usize = 10_000;
/// Most orders that a preview lists.
pub const MAX_NAMED: usize = 100;
/// Jobs whose facts one statement reads.
const FACTS_BATCH: usize = 500;

/// What is done to each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "BulkAct")]
pub enum BulkAction {
    /// Waiting jobs are made due now, dead letters are redriven.
    Retry,
    /// Live jobs are cancelled.
    Cancel,
    /// Dead letters are redriven.
    Redrive,
    /// Dead letters that owe nothing are discarded.
    Discard,
}

impl BulkAction {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }

    /// The places of the jobs that it applies to.
    pub(super) fn places(self) -> &'static [JobTable] {
        match self {
            Self::Retry => &[JobTable::Live, JobTable::Dead],
            Self::Cancel => &[JobTable::Live],
            Self::Redrive | Self::Discard => &[JobTable::Dead],
        }
    }
}

impl FromStr for BulkAction {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let all = [Self::Retry, Self::Cancel, Self::Redrive, Self::Discard];
        let rule = || FieldError::new("act", "retry, cancel, redrive or discard");
        all.into_iter().find(|action| action.as_str() == text).ok_or_else(rule)
    }
}

/// Which jobs. Those of bulk operations are never among them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// These, at most [`MAX_IDS`].
    Ids(Vec<Uuid>),
    /// All that match now.
    Filter(JobQuery),
    /// The oldest one of those: it is tried before the rest.
    FirstOf(Box<Self>),
}

impl Selection {
    /// What is left to do once the first one was tried; `None` if this is no trial.
    pub fn rest(self) -> Option<Self> {
        if let Self::FirstOf(all) = self { Some(*all) } else { None }
    }
}

/// What an operation would do.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "BulkPreview")]
pub struct Preview {
    /// How many jobs it would cover.
    pub covers: i64,
    /// Whether there are more than one operation may cover.
    pub more: bool,
    /// How many of them were previewed, for the fields below.
    pub looked_at: i64,
    /// How many of each tag.
    pub by_tag: BTreeMap<String, i64>,
    /// How many orders they are about.
    pub orders: i64,
    /// The first of those.
    pub order_ids: Vec<Uuid>,
    /// How many riders' orders those are.
    pub riders: i64,
    /// Seats that running them would free, or that stay taken if they are cancelled.
    pub seats: i64,
    /// Money that running them would give back, or that is not given back if they are cancelled.
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
pub async fn preview(
    pool: &PgPool,
    action: BulkAction,
    selection: &Selection,
    max_previewed: usize,
) -> Result<Preview, Error> {
    let mut conn = pool.acquire().await?;
    let (ids, more) = select_jobs(&mut conn, action, selection).await?;
    let mut preview = Preview {
        covers: count(ids.len()),
        more,
        looked_at: 0,
        by_tag: BTreeMap::new(),
        orders: 0,
        order_ids: Vec::new(),
        riders: 0,
        seats: 0,
        amount: Money::from_database(Decimal::ZERO),
        currency: Currency::installed(),
        comes_back: Vec::new(),
    };
    let (mut orders, mut riders, mut amount) = (BTreeSet::new(), BTreeSet::new(), Decimal::ZERO);
    let looked_at = &ids[..ids.len().min(max_previewed)];
    for chunk in looked_at.chunks(FACTS_BATCH) {
        let among = admin::KeyFilter { keys: Vec::new(), ids: chunk.to_vec() };
        let filter = JobFilter {
            tables: action.places(),
            key_filter: Some(among),
            brief: true,
            ..JobFilter::default()
        };
        let jobs = admin::list(&mut *conn, &filter, count(chunk.len())).await?;
        let facts = impact::facts(&mut *conn, &jobs).await?;
        preview.looked_at += count(jobs.len());
        for (job, facts) in jobs.iter().zip(facts) {
            let Effects { seats, amount: back, .. } = impact::effects(&job.tag, &facts.undo);
            *preview.by_tag.entry(job.tag.clone()).or_default() += 1;
            orders.extend(facts.order_id);
            riders.extend(facts.rider_id);
            preview.seats += count(seats.len());
            amount += back.map_or(Decimal::ZERO, Money::decimal);
        }
    }
    if ids.len() > looked_at.len() {
        preview.by_tag = by_tag(&mut conn, &ids).await?;
    }
    preview.orders = count(orders.len());
    preview.riders = count(riders.len());
    preview.order_ids = orders.into_iter().take(MAX_NAMED).collect();
    preview.amount = Money::from_database(amount);
    if action == BulkAction::Cancel {
        let by_tag = preview.by_tag.iter();
        preview.comes_back = by_tag.filter_map(|(tag, count)| impact::comes_back(tag, *count)).collect();
    }
    Ok(preview)
}

/// How many there are of each tag.
async fn by_tag(conn: &mut PgConnection, ids: &[Uuid]) -> Result<BTreeMap<String, i64>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select coalesce(j.tag, d.tag) as "tag!", count(*) as "many!"
           from unnest($1::uuid[]) as c (id)
           left join queue.job j on j.id = c.id
           left join queue.dead_letter d on d.id = c.id
           where coalesce(j.tag, d.tag) is not null group by 1"#,
        ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.tag, row.many)).collect())
}

/// How many jobs an operation would cover now, at most [`MAX_JOBS`].
///
/// # Errors
/// A selection that breaks a rule; the database's.
pub async fn covers(pool: &PgPool, action: BulkAction, selection: &Selection) -> Result<i64, Error> {
    let (ids, _) = select_jobs(&mut *pool.acquire().await?, action, selection).await?;
    Ok(count(ids.len()))
}

/// The jobs of a selection, oldest first, and whether there are more than one operation may cover.
pub(super) async fn select_jobs(
    conn: &mut PgConnection,
    action: BulkAction,
    selection: &Selection,
) -> Result<(Vec<Uuid>, bool), Error> {
    let (selection, most) = match selection {
        Selection::FirstOf(all) => (&**all, 1),
        all => (all, MAX_JOBS),
    };
    let mut filter = match selection {
        Selection::FirstOf(_) => {
            return Err(
                Refusal::Invalid(FieldError::new("/filter", "one is tried of a filter or of ids")).into()
            );
        }
        Selection::Ids(ids) if ids.is_empty() || ids.len() > MAX_IDS => {
            return Err(Refusal::Invalid(FieldError::new("/ids", format!("1 to {MAX_IDS} ids"))).into());
        }
        Selection::Ids(ids) => JobFilter {
            tables: action.places(),
            key_filter: Some(admin::KeyFilter { keys: Vec::new(), ids: ids.clone() }),
            ..JobFilter::default()
        },
        Selection::Filter(query) => {
            if query == &JobQuery::default() {
                let rule = "at least one condition is needed";
                return Err(Refusal::Invalid(FieldError::new("/filter", rule)).into());
            }
            query.filter(&mut *conn, action.places()).await?
        }
    };
    let others = || MqTag::ALL.into_iter().filter(|tag| *tag != MqTag::Bulk).map(|tag| tag.wire().to_owned());
    if filter.tags.is_empty() {
        filter.tags = others().collect();
    }
    filter.tags.retain(|tag| tag != MqTag::Bulk.wire());
    if filter.tags.is_empty() {
        let rule = "a bulk operation can be stopped, not acted upon";
        return Err(Refusal::Invalid(FieldError::new("/filter/tag", rule)).into());
    }
    let mut ids = admin::ids(conn, &filter, most + 1).await?;
    let more = count(ids.len()) > most;
    ids.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok((ids, more))
}

pub(super) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
