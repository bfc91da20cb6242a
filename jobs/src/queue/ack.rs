//! The driver's careful writing: whatever became of a batch of attempts, in one statement. What simply ended well goes
//! with the next claim instead (claim.rs).

use super::{Lease, driver::Fence, error::storable};
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// The longest wait for another attempt: 30 days.
const WAIT_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// What the queue is to do with a job after an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Ended well.
    Done(Option<String>),
    /// Failed; due again after this time.
    Retry(String, Duration),
    /// Given up, for a reason `queue.dead_letter` knows.
    Dead(&'static str, String),
    /// Never started: the attempt does not count.
    Release,
}

/// A verdict and the lease it is given under.
#[derive(Clone, Debug)]
pub(super) struct Ack {
    pub(super) lease: Lease,
    pub(super) verdict: Verdict,
}

/// What came of an [`Ack`].
pub(super) enum Written {
    /// The job is changed.
    Yes,
    /// Somebody holds the row at this moment: try again.
    Locked,
    /// The lease is lost, or the job is settled; nothing was changed.
    Lost,
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Retry(..) => "retry",
            Self::Dead(reason, _) => reason,
            Self::Release => "release",
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Done(note) => note.as_deref().map(storable),
            Self::Retry(error, _) | Self::Dead(_, error) => Some(storable(error)),
            Self::Release => None,
        }
    }

    fn wait_secs(&self) -> f64 {
        if let Self::Retry(_, wait) = self { wait.min(&WAIT_MAX).as_secs_f64() } else { 0.0 }
    }
}

/// Writes down these verdicts, each only under its own token. Locked rows are passed over, so that one handler's
/// open transaction never holds up the others' acks. The answers come in no order.
pub(super) async fn write(
    conn: &mut PgConnection,
    acks: &[Ack],
) -> Result<Vec<(Fence, Written)>, sqlx::Error> {
    let ids: Vec<Uuid> = acks.iter().map(|ack| ack.lease.job_id).collect();
    let tokens: Vec<Uuid> = acks.iter().map(|ack| ack.lease.token).collect();
    let words: Vec<String> = acks.iter().map(|ack| ack.verdict.word().to_owned()).collect();
    let texts: Vec<Option<String>> = acks.iter().map(|ack| ack.verdict.text()).collect();
    let waits: Vec<f64> = acks.iter().map(|ack| ack.verdict.wait_secs()).collect();
    let rows = sqlx::query!(
        r#"with ack as (
               select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::float8[])
                   as a (id, token, word, text, wait_secs)
           ), mine as (
               select job.id, ack.token, ack.word, ack.text, ack.wait_secs,
                      case when ack.word in ('done', 'release') then job.failures else
                          job.failures || jsonb_build_object('attempt', job.attempt, 'worker', job.worker,
                              'started_at', job.leased_at, 'ended_at', clock_timestamp(), 'error', ack.text) end
                          as failures
               from ack join queue.job on job.id = ack.id and job.lease_token = ack.token
               for update of job skip locked
           ), given_back as (
               update queue.job
               set run_at = case when mine.word = 'release' then job.run_at
                            else clock_timestamp() + make_interval(secs => mine.wait_secs) end,
                   attempt = case when mine.word = 'release' then job.attempt - 1 else job.attempt end,
                   failures = mine.failures,
                   lease_token = null, lease_until = null, leased_at = null, worker = null
               from mine where job.id = mine.id and mine.word in ('retry', 'release')
           ), ended as (
               delete from queue.job using mine
               where job.id = mine.id and mine.word not in ('retry', 'release')
               returning job.id, job.tag, job.key, job.payload, job.max_attempts, job.attempt, job.worker,
                         job.run_at, job.created_at, job.leased_at, mine.failures, mine.word, mine.text
           ), finished as (
               insert into queue.finished
                   (id, tag, key, payload, outcome, attempt, worker, note, failures,
                    run_at, created_at, started_at, ended_at)
               select id, tag, key, payload, 'done', attempt, worker, text, failures,
                      run_at, created_at, leased_at, clock_timestamp()
               from ended where word = 'done'
           ), buried as (
               insert into queue.dead_letter
                   (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at)
               select id, tag, key, payload, max_attempts, attempt, word, failures, run_at, created_at
               from ended where word <> 'done'
               on conflict (id) do update
                   set attempt = excluded.attempt, reason = excluded.reason, failures = excluded.failures,
                       died_at = excluded.died_at
           )
           select id as "id!", token as "token!", (id, token) in (select id, token from mine) as "written!",
                  case when (id, token) in (select id, token from mine) then true else exists (
                      select from queue.job where job.id = ack.id and job.lease_token = ack.token) end as "held!"
           from ack"#,
        &ids,
        &tokens,
        &words,
        &texts as &[Option<String>],
        &waits,
    )
    .fetch_all(conn)
    .await?;
    let written = |written, held| match (written, held) {
        (true, _) => Written::Yes,
        (false, true) => Written::Locked,
        (false, false) => Written::Lost,
    };
    Ok(rows.into_iter().map(|row| ((row.id, row.token), written(row.written, row.held))).collect())
}
