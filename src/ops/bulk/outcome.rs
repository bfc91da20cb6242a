//! What has become of the jobs that an operation ran again: healed, failed again, or still trying. It is
//! read from where the jobs are now, so it goes on after the operation has ended, and an operation that
//! sent all its jobs is not taken for one that helped.
//!
//! Each statement reads the items of one operation, at most [`MAX_JOBS`](super::MAX_JOBS), and looks
//! each job up by its id among live and dead jobs. Those that ended as cancelled have an index of
//! their own, so ended jobs are not read, however many there are.

use crate::domain::Page;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgExecutor;
use uuid::Uuid;

/// What has become of a job that an operation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ran, and is done.
    Healed,
    /// It gave up again.
    Failed,
    /// It waits, runs or is tried again.
    Trying,
    /// It was cancelled or discarded, by this operation or after it.
    Cancelled,
    /// The operation left it alone: it was busy, asked to end, had ended, or still owes something.
    LeftAlone,
    /// The operation has not processed it.
    Open,
}

impl Verdict {
    /// All of them, in the order of pages.
    pub const ALL: [Self; 6] =
        [Self::Healed, Self::Failed, Self::Trying, Self::Cancelled, Self::LeftAlone, Self::Open];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healed => "healed",
            Self::Failed => "failed",
            Self::Trying => "trying",
            Self::Cancelled => "cancelled",
            Self::LeftAlone => "left",
            Self::Open => "open",
        }
    }

    /// The verdict of this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// The jobs of an operation by what has become of them. The numbers are those of all its jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "BulkOutcomes")]
pub struct Outcomes {
    /// Ran, and are done.
    pub healed: i64,
    /// Gave up again.
    pub failed: i64,
    /// Wait, run or are tried again.
    pub trying: i64,
    /// Were cancelled or discarded.
    pub cancelled: i64,
    /// Left alone by the operation.
    pub left: i64,
    /// Not processed yet.
    pub open: i64,
    /// The most attempts that one of those still trying has begun.
    pub attempts: i32,
    /// When the next of those still trying is tried.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub next_at: Option<DateTime<Utc>>,
}

impl Outcomes {
    /// How many there are of one verdict.
    pub fn of(&self, verdict: Verdict) -> i64 {
        match verdict {
            Verdict::Healed => self.healed,
            Verdict::Failed => self.failed,
            Verdict::Trying => self.trying,
            Verdict::Cancelled => self.cancelled,
            Verdict::LeftAlone => self.left,
            Verdict::Open => self.open,
        }
    }

    /// How many jobs there are.
    pub fn all(&self) -> i64 {
        Verdict::ALL.into_iter().map(|verdict| self.of(verdict)).sum()
    }
}

/// A job that an operation covers, and what has become of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its place in the operation.
    pub nr: i32,
    /// The job.
    pub job_id: Uuid,
    /// Its tag.
    pub tag: String,
    /// The order it is about.
    pub order_id: Option<Uuid>,
    /// What the operation did: `done`, `asked`, `busy`, `gone` or `owes`; absent until it was processed.
    pub act: Option<String>,
    /// One of [`Verdict`].
    pub verdict: String,
    /// Whether an attempt runs now.
    pub running: bool,
    /// Attempts begun since the act, of a job that is live or dead.
    pub attempt: Option<i32>,
    /// How many there may be.
    pub max_attempts: Option<i32>,
    /// When a live job is tried next.
    pub run_at: Option<DateTime<Utc>>,
    /// The last error of a job that is live or dead.
    pub error: Option<String>,
    /// When that attempt ended.
    pub failed_at: Option<DateTime<Utc>>,
}

/// The jobs of an operation by what has become of them.
///
/// # Errors
/// The database's.
pub async fn outcomes(db: impl PgExecutor<'_>, id: Uuid) -> Result<Outcomes, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with judged as (
               select case when i.outcome is null then 'open' when i.outcome <> 'done' then 'left'
                           when b.act in ('cancel', 'discard') then 'cancelled'
                           when j.id is not null then 'trying' when d.id is not null then 'failed'
                           when exists(select from queue.finished f where f.id = i.job_id and f.outcome = 'cancelled')
                               then 'cancelled'
                           else 'healed' end as verdict,
                      j.attempt, case when j.lease_token is null then j.run_at end as run_at
               from bulk b join bulk_item i on i.bulk_id = b.id
               left join queue.job j on j.id = i.job_id and i.outcome = 'done'
               left join queue.dead_letter d on d.id = i.job_id and i.outcome = 'done'
               where b.id = $1
           )
           select verdict as "verdict!", count(*) as "many!", max(attempt::int) as attempts, min(run_at) as next_at
           from judged group by verdict"#,
        id
    )
    .fetch_all(db)
    .await?;
    let mut outcomes = Outcomes::default();
    for row in rows {
        match Verdict::named(&row.verdict) {
            Some(Verdict::Healed) => outcomes.healed = row.many,
            Some(Verdict::Failed) => outcomes.failed = row.many,
            Some(Verdict::Trying) => {
                outcomes.trying = row.many;
                outcomes.attempts = row.attempts.unwrap_or(0);
                outcomes.next_at = row.next_at;
            }
            Some(Verdict::Cancelled) => outcomes.cancelled = row.many,
            Some(Verdict::LeftAlone) => outcomes.left = row.many,
            Some(Verdict::Open) | None => outcomes.open = row.many,
        }
    }
    Ok(outcomes)
}

/// A page of an operation's jobs in their order; only those of this verdict, if it is given.
///
/// # Errors
/// The database's.
pub async fn judged(
    db: impl PgExecutor<'_>,
    id: Uuid,
    verdict: Option<Verdict>,
    after: Option<i32>,
    limit: u16,
) -> Result<Page<Outcome>, sqlx::Error> {
    let mut items = sqlx::query_as!(
        Outcome,
        r#"select nr, job_id, tag, order_id as "order_id?", act as "act?", verdict as "verdict!",
                  running as "running!", attempt as "attempt?", max_attempts as "max_attempts?",
                  run_at as "run_at?", last ->> 'error' as error, (last ->> 'ended_at')::timestamptz as failed_at
           from (select i.nr, i.job_id, i.tag, i.order_id, i.outcome as act,
                        case when i.outcome is null then 'open' when i.outcome <> 'done' then 'left'
                             when b.act in ('cancel', 'discard') then 'cancelled'
                             when j.id is not null then 'trying' when d.id is not null then 'failed'
                             when exists(select from queue.finished f where f.id = i.job_id and f.outcome = 'cancelled')
                                 then 'cancelled'
                             else 'healed' end as verdict,
                        j.lease_token is not null as running, coalesce(j.attempt::int, d.attempt) as attempt,
                        coalesce(j.max_attempts::int, d.max_attempts) as max_attempts, j.run_at,
                        coalesce(j.failures, d.failures) -> -1 as last
                 from bulk b join bulk_item i on i.bulk_id = b.id
                 left join queue.job j on j.id = i.job_id
                 left join queue.dead_letter d on d.id = i.job_id
                 where b.id = $1 and i.nr > coalesce($2, 0)) as item
           where $3::text is null or verdict = $3
           order by nr limit $4"#,
        id,
        after,
        verdict.map(Verdict::as_str),
        i64::from(limit) + 1
    )
    .fetch_all(db)
    .await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let next = items.last().filter(|_| more).map(|item| item.nr.to_string());
    Ok(Page { items, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_has_a_word_and_is_counted() {
        let outcomes = Outcomes {
            healed: 1,
            failed: 2,
            trying: 4,
            cancelled: 8,
            left: 16,
            open: 32,
            ..Outcomes::default()
        };
        assert_eq!(outcomes.all(), 63);
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::named(verdict.as_str()), Some(verdict));
        }
        assert_eq!(Verdict::named("done"), None);
    }
}
