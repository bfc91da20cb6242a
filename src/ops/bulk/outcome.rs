//! What has become of the jobs that an operation ran again: healed, failed again, or still trying. It is
//! read from where the jobs are now, so it goes on after the operation has ended, and an operation that
//! sent all its jobs is not taken for one that helped.
//!
//! One statement reads the items of an operation, at most [`MAX_JOBS`](super::MAX_JOBS), and looks
//! each job up by its id among live and dead jobs. Those that ended as cancelled have an index of
//! their own, so ended jobs are not read, however many there are; only the days since the operation
//! began are looked into. Of a large operation this takes longer than a page may, so it is done in the
//! background.

use super::Bulk;
use crate::{
    domain::Page,
    ops::counts::{Counted, Counts},
};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};
use std::sync::Arc;
use uuid::Uuid;

/// Jobs of an operation that a page judges before it is sent.
const JUDGED_AT_ONCE: i32 = 5_000;

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

    /// The letter for it, in what the database says of all jobs.
    const fn letter(self) -> u8 {
        match self {
            Self::Healed => b'h',
            Self::Failed => b'f',
            Self::Trying => b't',
            Self::Cancelled => b'c',
            Self::LeftAlone => b'l',
            Self::Open => b'o',
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

/// What has become of each job of an operation, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// The sums.
    pub outcomes: Outcomes,
    /// The letter of each job's verdict, in their order.
    letters: Arc<str>,
}

impl Judgement {
    /// The places of the jobs after this one with this verdict; at most `most`. Without a verdict, those
    /// that follow, whether there are jobs or not.
    fn places(&self, verdict: Option<Verdict>, after: i32, most: usize) -> Vec<i32> {
        let Some(verdict) = verdict else { return (after.saturating_add(1)..).take(most).collect() };
        let numbered = (1..).zip(self.letters.bytes());
        let fits = numbered.filter(|(nr, letter)| *nr > after && *letter == verdict.letter());
        fits.map(|(nr, _)| nr).take(most).collect()
    }
}

/// Judgements of large operations, which take longer than a page may. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CachedJudgements(Counts<Judgement>);

impl CachedJudgements {
    /// What has become of the jobs of an operation: now, if it covers few.
    ///
    /// # Errors
    /// The database's.
    pub async fn read(&self, pool: &PgPool, operation: &Bulk) -> Result<Counted<Judgement>, sqlx::Error> {
        let id = operation.id;
        if operation.covers <= JUDGED_AT_ONCE {
            return Ok(Counted::now(judge(pool, id).await?));
        }
        let pool = pool.clone();
        self.0.read(&id.to_string(), move |_| async move { judge(&pool, id).await.map(Some) }).await
    }
}

async fn judge(db: impl PgExecutor<'_>, id: Uuid) -> Result<Judgement, sqlx::Error> {
    let row = sqlx::query!(
        r#"with judged as materialized (
               select i.nr, case when i.outcome is null then 'o' when i.outcome <> 'done' then 'l'
                                 when b.act in ('cancel', 'discard') then 'c'
                                 when j.id is not null then 't' when d.id is not null then 'f'
                                 when exists(select from queue.finished f where f.id = i.job_id
                                             and f.outcome = 'cancelled' and f.ended_at >= b.created_at
                                             and f.ended_at < now() + interval '1 min') then 'c'
                                 else 'h' end as letter,
                      j.attempt, case when j.lease_token is null then j.run_at end as run_at
               from bulk b join bulk_item i on i.bulk_id = b.id
               left join queue.job j on j.id = i.job_id and i.outcome = 'done'
               left join queue.dead_letter d on d.id = i.job_id and i.outcome = 'done'
               where b.id = $1
           )
           select coalesce(string_agg(letter, '' order by nr), '') as "letters!",
                  max(attempt::int) filter (where letter = 't') as attempts,
                  min(run_at) filter (where letter = 't') as next_at
           from judged"#,
        id
    )
    .fetch_one(db)
    .await?;
    let many = |verdict: Verdict| {
        let letters = row.letters.bytes().filter(|letter| *letter == verdict.letter());
        i64::try_from(letters.count()).unwrap_or(i64::MAX)
    };
    let outcomes = Outcomes {
        healed: many(Verdict::Healed),
        failed: many(Verdict::Failed),
        trying: many(Verdict::Trying),
        cancelled: many(Verdict::Cancelled),
        left: many(Verdict::LeftAlone),
        open: many(Verdict::Open),
        attempts: row.attempts.unwrap_or(0),
        next_at: row.next_at,
    };
    Ok(Judgement { outcomes, letters: row.letters.into() })
}

/// A page of an operation's jobs in their order; only those of this verdict in the judgement, if it is
/// given. Each row has the verdict of this moment.
///
/// # Errors
/// The database's.
pub async fn judged(
    db: impl PgExecutor<'_>,
    id: Uuid,
    judgement: &Judgement,
    verdict: Option<Verdict>,
    after: Option<i32>,
    limit: u16,
) -> Result<Page<Outcome>, sqlx::Error> {
    let places = judgement.places(verdict, after.unwrap_or(0), usize::from(limit) + 1);
    let mut items = sqlx::query_as!(
        Outcome,
        r#"select i.nr, i.job_id, i.tag, i.order_id, i.outcome as act,
                  case when i.outcome is null then 'open' when i.outcome <> 'done' then 'left'
                       when b.act in ('cancel', 'discard') then 'cancelled'
                       when j.id is not null then 'trying' when d.id is not null then 'failed'
                       when exists(select from queue.finished f where f.id = i.job_id
                                   and f.outcome = 'cancelled' and f.ended_at >= b.created_at
                                   and f.ended_at < now() + interval '1 min') then 'cancelled'
                       else 'healed' end as "verdict!",
                  j.lease_token is not null as "running!", coalesce(j.attempt::int, d.attempt) as "attempt?",
                  coalesce(j.max_attempts::int, d.max_attempts) as "max_attempts?", j.run_at as "run_at?",
                  coalesce(j.failures, d.failures) -> -1 ->> 'error' as error,
                  (coalesce(j.failures, d.failures) -> -1 ->> 'ended_at')::timestamptz as failed_at
           from bulk b join bulk_item i on i.bulk_id = b.id
           left join queue.job j on j.id = i.job_id
           left join queue.dead_letter d on d.id = i.job_id
           where b.id = $1 and i.nr = any($2)
           order by i.nr"#,
        id,
        &places
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

    #[test]
    fn jobs_are_paged_by_their_verdict() {
        let judgement = Judgement { letters: "hfthfo".into(), ..Judgement::default() };
        assert_eq!(judgement.places(None, 0, 3), [1, 2, 3]);
        assert_eq!(judgement.places(None, 4, 2), [5, 6]);
        assert_eq!(judgement.places(Some(Verdict::Failed), 0, 9), [2, 5]);
        assert_eq!(judgement.places(Some(Verdict::Failed), 2, 9), [5]);
        assert_eq!(judgement.places(Some(Verdict::LeftAlone), 0, 9), [0; 0]);
    }
}
