//! The statement that writes whatever became of a batch of attempts. What simply ended well goes with the next claim
//! instead (claim.rs).

use crate::{
    lease_id::LeaseId,
    outcome::{Ack, Written},
};
use sqlx::PgConnection;
use uuid::Uuid;

/// Writes down these verdicts, each only under its own token. Locked rows are passed over, so that one handler's
/// open transaction never holds up the others' acks. A job whose end was asked for is not tried again: it is cancelled.
/// The answers come in no order.
///
/// # Errors
/// The database's.
pub async fn write(conn: &mut PgConnection, acks: &[Ack]) -> Result<Vec<(LeaseId, Written)>, sqlx::Error> {
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
               select job.id, ack.token, ack.text, ack.wait_secs,
                      case when ack.word in ('retry', 'release') and job.cancel_asked is not null then 'cancelled'
                           else ack.word end as word,
                      case when ack.word in ('done', 'release') or ack.text is null then job.failures else
                          job.failures || jsonb_build_object('attempt', job.attempt, 'worker', job.worker,
                              'started_at', job.leased_at, 'ended_at', clock_timestamp(),
                              'trace_id', job.payload->>'trace', 'error', ack.text) end
                          as failures
               from ack join queue.job on job.id = ack.id and job.lease_token = ack.token
               for update of job skip locked
           ), given_back as (
               update queue.job
               set run_at = case when mine.word = 'release' then job.run_at
                            else clock_timestamp() + make_interval(secs => mine.wait_secs) end,
                   first_due_at = case when mine.word = 'release' then job.first_due_at
                                  else coalesce(job.first_due_at, job.run_at) end,
                   attempt = case when mine.word = 'release' then job.attempt - 1 else job.attempt end,
                   failures = mine.failures,
                   lease_token = null, lease_until = null, leased_at = null, worker = null
               from mine where job.id = mine.id and mine.word in ('retry', 'release')
               returning job.id, job.serial
           ), ended as (
               delete from queue.job using mine
               where job.id = mine.id and mine.word not in ('retry', 'release')
               returning job.id, job.tag, job.key, job.payload, job.priority, job.serial, job.max_attempts, job.attempt,
                         job.worker, job.run_at, job.created_at, job.leased_at, job.cancel_asked, job.first_due_at,
                         mine.failures, mine.word, mine.text
           ), freed as (
               delete from queue.serial using (
                   select id, serial from given_back union all select id, serial from ended
               ) let_go
               where queue.serial.key = let_go.serial and job_id = let_go.id
           ), finished as (
               insert into queue.finished
                   (id, tag, key, payload, outcome, attempt, worker, note, failures,
                    run_at, created_at, started_at, ended_at)
               select id, tag, key, payload, word, attempt, worker,
                      case when word = 'done' then text else coalesce(cancel_asked, 'by its handler') end, failures,
                      run_at, created_at, leased_at, clock_timestamp()
               from ended where word in ('done', 'cancelled')
           ), buried as (
               insert into queue.dead_letter
                   (id, tag, key, payload, priority, serial, max_attempts, attempt, reason, failures, run_at, created_at,
                    first_due_at)
               select id, tag, key, payload, priority, serial, max_attempts, attempt, word, failures, run_at, created_at,
                      coalesce(first_due_at, run_at)
               from ended where word not in ('done', 'cancelled')
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
