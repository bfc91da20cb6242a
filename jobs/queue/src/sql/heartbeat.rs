//! The worker's heartbeat: renews the leases it holds, and its row in the registry, in one
//! statement.

use crate::{QueueConnection, WorkerConfig, lease_id::LeaseId};
use uuid::Uuid;

/// A lease that was renewed.
#[derive(Debug)]
pub struct RenewedLease {
    /// JobRef.
    pub lease_id: LeaseId,
    /// Whether the cancellation of the job was requested.
    pub cancel_asked: bool,
}

/// Renews these leases and records that the worker is alive. A locked row is left out: its handler
/// is completing the job, and no other worker can claim it meanwhile. Returns the leases that were
/// renewed.
pub async fn heartbeat(
    conn: &mut (impl QueueConnection + ?Sized),
    held: &[LeaseId],
    worker: &WorkerConfig,
    draining: bool,
) -> Result<Vec<RenewedLease>, sqlx::Error> {
    let (ids, tokens): (Vec<Uuid>, Vec<Uuid>) = held.iter().copied().unzip();
    let renewed = sqlx::query!(
        r#"with seen as (
               insert into queue.worker (id, name, host, pid, build, tags, slots, held, state, lease_secs)
               values ($4, $5, $6, $7, $8, $9, $10, cardinality($1::uuid[]),
                   case when $11 then 'draining' else 'working' end, $3)
               on conflict (id) do update
                   set held = excluded.held, state = excluded.state, last_seen_at = now()
           ), mine as (
               select job.id from unnest($1::uuid[], $2::uuid[]) as held (id, token)
               join queue.job on job.id = held.id and job.lease_token = held.token
               for update of job skip locked
           )
           update queue.job set lease_until = now() + make_interval(secs => $3::float8)
           where id = any(array(select id from mine))
           returning id, lease_token as "token!", cancel_asked is not null as "cancel_asked!""#,
        &ids,
        &tokens,
        worker.lease.as_secs_f64(),
        worker.id,
        worker.name,
        worker.host,
        i32::try_from(std::process::id()).unwrap_or(0),
        worker.build,
        &worker.tags,
        i32::try_from(worker.concurrency).unwrap_or(i32::MAX),
        draining,
    )
    .fetch_all(conn.on_queue())
    .await?;
    let renewed = renewed.into_iter();
    Ok(renewed
        .map(|row| RenewedLease { lease_id: (row.id, row.token), cancel_asked: row.cancel_asked })
        .collect())
}

/// Removes a worker that ends in order from the registry.
pub(crate) async fn deregister(
    conn: &mut (impl QueueConnection + ?Sized),
    worker: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from queue.worker where id = $1", worker).execute(conn.on_queue()).await.map(drop)
}
