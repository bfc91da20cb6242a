//! The job `webhook_event`: one event, and a delivery for each endpoint that takes it.

use super::{Webhooks, facts};
use crate::saga::JobContext;
use chrono::{DateTime, Utc};
use farebox_jobs::{
    WebhookDelivery, WebhookEvent,
    queue::{self, Delivery, Due, Enqueued, Job, JobError, NewJob, Outcome},
};
use sqlx::PgConnection;
use uuid::Uuid;

/// Writes the event down with its deliveries, and wakes the jobs of their endpoints, in one transaction with
/// the job's completion. An event that is there already, as after an answer that was lost, is left as it is.
///
/// # Errors
/// Errors that may pass: the job is retried. An event without its subject is an operator's.
pub async fn run_event(
    webhooks: &Webhooks,
    context: &JobContext,
    delivery: &Delivery,
) -> Result<Outcome, JobError> {
    let event: WebhookEvent = delivery.decode()?;
    let at: DateTime<Utc> = event.at().parse().map_err(JobError::undecodable)?;
    let mut tx = context.begin().await?;
    let receivers = receivers(&mut tx, &event).await?;
    if receivers.is_empty() {
        return context.complete(tx, delivery, "no webhook takes it any more").await;
    }
    let Some(data) = facts::data(&mut tx, &event).await? else {
        return Err(JobError::needs_operator(format!("{} {} is not there", event.kind(), event.subject())));
    };
    let written = sqlx::query_scalar!(
        r#"with event as (
               insert into webhook_event (id, kind, subject, at, data) values ($1, $2, $3, $4, $5)
               on conflict (id) do nothing returning id
           )
           insert into webhook_delivery (endpoint_id, event_id, give_up_at)
           select endpoint, event.id, now() + make_interval(secs => $7)
           from event cross join unnest($6::uuid[]) as e (endpoint)
           returning endpoint_id"#,
        event.event_id(),
        event.kind().wire(),
        event.subject(),
        at,
        data,
        &receivers,
        webhooks.settings.give_up().as_secs_f64(),
    )
    .fetch_all(&mut *tx)
    .await?;
    if written.is_empty() {
        return context.complete(tx, delivery, "nothing to do: it is written down").await;
    }
    wake(&mut tx, &receivers).await?;
    context.complete(tx, delivery, "written down for its webhooks").await
}

/// The endpoints that take the event.
async fn receivers(conn: &mut PgConnection, event: &WebhookEvent) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from webhook_endpoint where state = 'enabled' and $1 = any(kinds) order by id",
        event.kind().wire()
    )
    .fetch_all(conn)
    .await
}

/// An endpoint, and until when it is paused.
struct Receiver {
    id: Uuid,
    paused_until: Option<DateTime<Utc>>,
    /// Whether its job comes later than the end of its pause, as after a failed event that waits for long.
    is_late: bool,
}

/// Makes the jobs of these endpoints due now, which have new deliveries; that of a paused endpoint at the end
/// of its pause. It belongs to the transaction that writes the deliveries.
///
/// A paused endpoint's job that would come after the pause runs now. It sends nothing, and sets its time
/// anew.
///
/// A job that runs ends only if nothing is due, and then does not see a delivery that is not committed. So
/// it holds the endpoint's lock alone while it ends, and those who add deliveries share the lock until they
/// commit. The lock's queue is fair: neither side waits for more than a short transaction.
///
/// Workers find the jobs by polling: a NOTIFY makes commits wait for each other.
///
/// # Errors
/// The database's.
pub(super) async fn wake(conn: &mut PgConnection, endpoints: &[Uuid]) -> Result<(), sqlx::Error> {
    let receivers = sqlx::query_as!(
        Receiver,
        r#"select e.id as "id!", case when e.paused_until > now() then e.paused_until end as paused_until,
                  exists(select from queue.job j
                         where j.tag = $2 and j.key = e.id::text and j.run_at > e.paused_until) as "is_late!"
           from (select id, paused_until from webhook_endpoint where id = any($1) order by id) as e
           where (select true from pg_advisory_xact_lock_shared(hashtextextended('webhook ' || e.id, 0)))"#,
        endpoints,
        WebhookDelivery::TAG
    )
    .fetch_all(&mut *conn)
    .await?;
    let job = |receiver: &Receiver| NewJob::of(&WebhookDelivery::new(receiver.id));
    for receiver in receivers.iter().filter(|receiver| !receiver.is_late) {
        if let Some(until) = receiver.paused_until {
            queue::enqueue(&mut *conn, &[job(receiver)], Due::At(until)).await?;
        }
    }
    let is_open = |receiver: &&Receiver| receiver.paused_until.is_none() || receiver.is_late;
    let open: Vec<NewJob> = receivers.iter().filter(is_open).map(job).collect();
    let there = queue::enqueue(&mut *conn, &open, Due::NowSilently).await?;
    let waiting: Vec<(&str, String)> = open
        .iter()
        .zip(there)
        .filter(|(_, became)| matches!(became, Enqueued::AlreadyQueued(_)))
        .map(|(job, _)| (WebhookDelivery::TAG, job.key.clone()))
        .collect();
    if !waiting.is_empty() {
        queue::expedite(conn, &waiting).await?;
    }
    Ok(())
}
