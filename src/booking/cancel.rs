//! Cancelling an unpaid order, `order_cancel`: one step that closes the order and frees its seats. If it fails, its
//! job finishes it.
//!
//! The order is looked at first, without a lock: none of its fields changes but its state, so the answer is known before the
//! statement that makes it true, and is kept under the client's key by that very statement ([`Cancels`]).

use super::unpaid;
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{CloseReason, Error, OrderStatus, Refusal},
    idempotency::IdempotencyKey,
    orders::{self, Command, OrderView},
    saga::{JobContext, Rollback, SagaContext, SagaResult, or_roll_back, step},
};
use farebox_jobs::{
    MqTag, OrderCancel, OrderUnpaid,
    queue::{Delivery, Job, JobError, NewJob, Outcome},
};
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Cancels the rider's unpaid order.
///
/// # Errors
/// Not his, or not unpaid; on a failure the job that finishes the cancelling has been raised.
pub async fn cancel(saga: &SagaContext, command: &Command) -> SagaResult<OrderView> {
    let ended = step(&saga.faults, MqTag::OrderCancel, run(saga, command)).await;
    let owed = |_| Rollback {
        undo: NewJob::of(&OrderCancel::new(command.order_id)),
        replaces: None,
        key: command.key.clone(),
        subject: command.attempt,
    };
    or_roll_back(saga, ended, owed).await
}

async fn run(saga: &SagaContext, command: &Command) -> Result<OrderView, Error> {
    let closed = OrderView {
        status: OrderStatus::Closed,
        closed_reason: Some(CloseReason::CancelledByRider.as_str().to_owned()),
        ..still_unpaid(saga, command).await?
    };
    let ask = Ask { command: command.clone(), answer: command.key.as_ref().map(|_| closed.to_json()) };
    match saga.batchers.ask::<Cancels>(ask).await? {
        Some(Verdict { closed: true, .. }) => Ok(closed),
        Some(_) => Err(Error::KeyTaken),
        // Somebody was first: the next look tells who.
        None => {
            let order = still_unpaid(saga, command).await?;
            Err(Refusal::WrongState(order.status).into())
        }
    }
}

/// The rider's order, if nothing has settled it.
async fn still_unpaid(saga: &SagaContext, command: &Command) -> Result<OrderView, Error> {
    let order = orders::find_together(saga, command.order_id, command.rider_id).await?;
    let order = order.ok_or(Refusal::NotFound("order"))?;
    match order.status {
        OrderStatus::Unpaid | OrderStatus::Paying => Ok(order),
        status => Err(Refusal::WrongState(status).into()),
    }
}

/// The statement, for any number of orders.
struct Cancels;

/// One order to cancel, and what is kept under the client's key.
struct Ask {
    command: Command,
    answer: Option<Value>,
}

/// Of an order that was unpaid.
struct Verdict {
    attempt: Uuid,
    /// Not if the key was another's.
    closed: bool,
}

impl BatchStatement for Cancels {
    type BatchContext = BatchContext;
    type Ask = Ask;
    /// Nothing of an order that is not his, or no longer unpaid.
    type Answer = Option<Verdict>;

    fn shared(ask: &Ask) -> Vec<ConflictKey> {
        let order = ConflictKey::Order(ask.command.order_id.0);
        ask.command.key.iter().map(IdempotencyKey::shared).chain([order]).collect()
    }

    async fn ask_all(ground: &BatchContext, asks: &[Ask]) -> Result<Vec<Option<Verdict>>, sqlx::Error> {
        let mut db = ground.db.take().await?;
        let verdicts = cancel_all(&mut db, asks).await?;
        db.keep();
        let mut verdicts: HashMap<Uuid, Verdict> = verdicts.into_iter().map(|v| (v.attempt, v)).collect();
        Ok(asks.iter().map(|ask| verdicts.remove(&ask.command.attempt)).collect())
    }
}

async fn cancel_all(db: &mut PgConnection, asks: &[Ask]) -> Result<Vec<Verdict>, sqlx::Error> {
    let commands = || asks.iter().map(|ask| &ask.command);
    let keys = || commands().map(|command| command.key.as_ref());
    sqlx::query_as!(
        Verdict,
        r#"with due as materialized (
               select r.*
               from (select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::jsonb[])
                         as r(order_id, rider_id, attempt, key, fingerprint, answer)
                     order by order_id) as r
               cross join lateral (
                   select from orders where id = r.order_id and rider_id = r.rider_id and status = 'unpaid' for update
               ) as o
           ), keyed as (
               insert into idempotency (actor, key, fingerprint, subject, status, body)
               select rider_id, key, fingerprint, attempt, 200, answer from due where key is not null order by rider_id, key
               on conflict (actor, key) do nothing
               returning subject
           ), able as materialized (
               select * from due where key is null or attempt in (select subject from keyed)
           ), closed as (
               update orders o set status = 'closed', closed_reason = $7, closed_at = now()
               from able a where o.id = a.order_id
               returning o.id, o.trip_id, o.seats
           ), mine as materialized (
               select w.id, w.trip_id, w.seat
               from (select id, trip_id, unnest(seats) as seat from closed order by trip_id, seat) as w
               cross join lateral (
                   select from seat where trip_id = w.trip_id and seat = w.seat and order_id = w.id for update
               ) as s
           ), freed as (
               update seat s set order_id = null, held_until = null
               from mine m where s.trip_id = m.trip_id and s.seat = m.seat and s.order_id = m.id
           ), told as (
               insert into order_event (order_id, status, reason) select id, 'closed', $7 from closed
           ), untimed as (
               delete from queue.job where lease_token is null and id = any(array(
                   select j.id from closed c
                   cross join lateral (select id from queue.job where tag = $8 and key = c.id::text offset 0) as j))
           )
           select attempt as "attempt!", (attempt in (select attempt from able)) is true as "closed!" from due"#,
        &commands().map(|command| command.order_id.0).collect::<Vec<_>>(),
        &commands().map(|command| command.rider_id.0).collect::<Vec<_>>(),
        &commands().map(|command| command.attempt).collect::<Vec<_>>(),
        &keys().map(|key| key.map(|key| key.key.clone())).collect::<Vec<_>>() as &[Option<String>],
        &keys().map(|key| key.map(|key| key.fingerprint.clone())).collect::<Vec<_>>() as &[Option<Vec<u8>>],
        &asks.iter().map(|ask| ask.answer.clone()).collect::<Vec<_>>() as &[Option<Value>],
        CloseReason::CancelledByRider.as_str(),
        OrderUnpaid::TAG,
    )
    .fetch_all(db)
    .await
}

/// The undo finishes the cancelling; refused once the order is paid.
///
/// # Errors
/// What may be tried again.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderCancel = delivery.decode()?;
    let mut tx = context.begin().await?;
    let note = match orders::lock_status(&mut tx, job.order_id()).await? {
        Some(OrderStatus::Unpaid) => {
            unpaid::close(&mut tx, job.order_id(), CloseReason::CancelledByRider).await?;
            "cancelled"
        }
        Some(OrderStatus::Closed) => "nothing to do: the order is closed",
        Some(_) => "refused: the order has been paid since",
        None => "nothing to do: there is no such order",
    };
    context.settle(tx, delivery, note).await
}
