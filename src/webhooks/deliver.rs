//! The job `webhook_delivery`: it sends an endpoint what is due, round by round, and comes again when the
//! next delivery is.
//!
//! No transaction is open while a receiver answers. A worker that dies between an answer and its record sends
//! the event once more, under the same id.

use super::{
    Webhooks,
    address::Target,
    body::{body, id_of},
    metrics,
    prune::give_up,
    receiver::Answer,
    round::{self, Attempt, Event, Round},
    schedule::PROBE_AFTER,
    secret,
};
use crate::{outbound::Connection, saga::JobContext};
use axum::http::{HeaderMap, HeaderValue};
use chrono::Utc;
use farebox_jobs::{
    WebhookDelivery,
    queue::{Delivery, JobError, Outcome},
};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// After this time no further round begins: the job comes again at once, so that a pause of its tag, and the
/// stop of its worker, need not wait for long.
const BUDGET: Duration = Duration::from_secs(5);
/// Most deliveries, of any endpoint, that are given up when a job ends; the maintenance gives up the rest.
const MAX_GIVEN_UP: u32 = 1_000;
/// How long a job waits for a slot of its worker, if the webhooks' share is taken.
const WAIT_FOR_SLOT: Duration = Duration::from_secs(1);

/// Sends an endpoint what is due to it.
///
/// # Errors
/// The database's: the job is retried. What a receiver answers is no error of the job.
pub async fn run_delivery(
    webhooks: &Webhooks,
    context: &JobContext,
    delivery: &Delivery,
) -> Result<Outcome, JobError> {
    let endpoint = delivery.decode::<WebhookDelivery>()?.endpoint_id();
    let Ok(_slot) = webhooks.slots.try_acquire() else {
        let tx = context.begin().await?;
        return context.snooze(tx, delivery, Utc::now() + WAIT_FOR_SLOT).await;
    };
    let until = Instant::now() + BUDGET;
    let mut idle: Vec<Option<Connection>> = (0..webhooks.settings.parallel()).map(|_| None).collect();
    while Instant::now() < until {
        if delivery.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        let Some(round) = round::next(context.pool(), endpoint, idle.len()).await? else { break };
        let attempts = send(webhooks, endpoint, &round, &mut idle).await;
        round::record(context.pool(), endpoint, round.failures, &attempts, &webhooks.settings).await?;
        metrics::count(&attempts);
    }
    end(context, delivery, endpoint).await
}

/// Sends the round's events at once, each on a connection of its own.
async fn send(
    webhooks: &Webhooks,
    endpoint: Uuid,
    round: &Round,
    idle: &mut [Option<Connection>],
) -> Vec<Attempt> {
    let target = match webhooks.sender.read(&round.url) {
        Ok(target) => target,
        Err(rule) => {
            let error = format!("the address is not permitted: {rule}");
            return round.events.iter().map(|event| failed(event, &error)).collect();
        }
    };
    let nonces = std::iter::once(&round.nonce).chain(&round.old_nonce);
    let secrets: Vec<Vec<u8>> =
        nonces.flat_map(|nonce| secret::secrets(&webhooks.passwords, endpoint, nonce)).collect();
    let posts = round.events.iter().zip(idle).map(|(event, idle)| {
        let (target, secrets) = (&target, &secrets);
        async move { post(webhooks, target, secrets, event, idle).await }
    });
    join_all(posts).await
}

async fn post(
    webhooks: &Webhooks,
    target: &Target,
    secrets: &[Vec<u8>],
    event: &Event,
    idle: &mut Option<Connection>,
) -> Attempt {
    let body = body(&event.kind, event.at, &event.data);
    let headers = headers(secrets, event.id, Utc::now().timestamp(), &body);
    let begun = Instant::now();
    let answer = webhooks.sender.post(target, idle, &headers, &body).await;
    Attempt { took: begun.elapsed(), ..judge(event, answer) }
}

/// What an answer means: 2xx is a delivery, anything else is not. A redirect is not followed.
fn judge(event: &Event, answer: Result<Answer, String>) -> Attempt {
    match answer {
        Ok(Answer { status, .. }) if status.is_success() => Attempt {
            event: event.id,
            attempts: event.attempts,
            status: Some(status.as_u16()),
            error: None,
            retry_after: None,
            took: Duration::ZERO,
        },
        Ok(Answer { status, retry_after }) => {
            let status = status.as_u16();
            Attempt { status: Some(status), retry_after, ..failed(event, &format!("answered {status}")) }
        }
        Err(error) => failed(event, &error),
    }
}

fn failed(event: &Event, error: &str) -> Attempt {
    Attempt {
        event: event.id,
        attempts: event.attempts.saturating_add(1),
        status: None,
        error: Some(error.to_owned()),
        retry_after: None,
        took: Duration::ZERO,
    }
}

/// The convention's headers. The id is that of the event at every attempt; the time is the attempt's.
fn headers(secrets: &[Vec<u8>], event: Uuid, timestamp: i64, body: &[u8]) -> HeaderMap {
    let id = id_of(event);
    let signature = secret::signatures(secrets, &id, timestamp, body);
    let values =
        [("webhook-id", id), ("webhook-timestamp", timestamp.to_string()), ("webhook-signature", signature)];
    let header = |(name, value): (&'static str, String)| {
        Some((name.parse().ok()?, HeaderValue::from_str(&value).ok()?))
    };
    values.into_iter().filter_map(header).collect()
}

/// Ends the job, or lets it come again when the next delivery is due and the endpoint's pause is over; at
/// the end of the pause, if the endpoint is then tried with any delivery. It holds the endpoint's lock alone:
/// an event that is written down meanwhile waits for it, and then finds no job and enqueues one.
async fn end(context: &JobContext, delivery: &Delivery, endpoint: Uuid) -> Result<Outcome, JobError> {
    give_up(context.pool(), MAX_GIVEN_UP).await?;
    let mut tx = context.begin().await?;
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('webhook ' || $1::uuid, 0))")
        .bind(endpoint)
        .execute(&mut *tx)
        .await?;
    let next = sqlx::query_scalar!(
        r#"select case when e.failures >= $2 then coalesce(e.paused_until, now())
                       else greatest(min(d.due_at), e.paused_until) end as "at!"
           from webhook_endpoint e
           join webhook_delivery d on d.endpoint_id = e.id and d.state = 'pending' and d.give_up_at > now()
           where e.id = $1 and e.state = 'enabled'
           group by e.id"#,
        endpoint,
        PROBE_AFTER
    )
    .fetch_optional(&mut *tx)
    .await?;
    match next {
        Some(at) => context.snooze(tx, delivery, at).await,
        None => context.complete(tx, delivery, "nothing is left to send").await,
    }
}
