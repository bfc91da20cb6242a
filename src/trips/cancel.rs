//! Cancelling a trip. One statement marks the trip, so that nothing more is booked or paid. One job
//! then ends its orders: unpaid ones are closed, paid ones are refunded by the refund's own job.
//!
//! The job goes through the trip's seats, since an open order owns its seats, and is done when
//! every seat is blocked and so has no owner. This is safe against a booking that begins before the
//! cancellation and ends after it. Its claim either takes seats before the job blocks them, and the
//! next pass finds them, or finds them blocked, since it checks the locked rows. The job waits for
//! a claim whose order is not added yet: either the order is added, or the armed undo frees the
//! seats. An order that is paid meanwhile is refunded by the next pass. If an order is closed while
//! money is debited for it, the payment's own undo gives the money back.
//!
//! Each window of seats is a transaction of its own and a compare-and-set, so the job may be killed
//! at any time and then begins again at the first seat.

use super::passes;
use crate::{
    booking::unpaid,
    domain::{CloseReason, Error, OrderId, OrderStatus, Refusal, RiderId, RiderMessage, TripId},
    payment::refund,
    saga::JobContext,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    TripCancel,
    queue::{self, Delivery, Due, Enqueued, JobError, NewJob, Outcome},
};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

/// Seats that one transaction of the job processes, and so the most orders that it ends.
const WINDOW: i32 = 500;
/// The reason in the history of its orders.
const REASON: &str = "trip cancelled";

/// The progress of a trip's cancellation.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Progress {
    /// The trip.
    pub trip_id: TripId,
    /// Why it was cancelled.
    pub reason: String,
    /// What riders read of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub cancelled_at: DateTime<Utc>,
    /// When the last order had ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub finished_at: Option<DateTime<Utc>>,
    /// All orders that were open: ended or left.
    pub orders: i64,
    /// Ended with the money back.
    pub refunded: i64,
    /// Ended without having been charged.
    pub closed: i64,
    /// Orders, and bookings under way, that still own seats.
    pub left: i64,
}

/// Cancels a trip that has not arrived yet, and enqueues the job that ends its orders, in the
/// caller's transaction. Riders read `message`, never the reason. Of a cancelled trip it returns the
/// progress, and enqueues the job again if it is missing; the first message stays. Also returns whether
/// it did either of the two.
///
/// # Errors
/// An unknown trip, one that has arrived; the database's.
pub async fn cancel(
    conn: &mut PgConnection,
    trip: TripId,
    reason: &str,
    message: Option<&RiderMessage>,
    operator: RiderId,
) -> Result<(Progress, bool), Error> {
    let marked = sqlx::query!(
        r#"with marked as (
               update trip set cancelled_at = coalesce(cancelled_at, now())
               where id = $1 and (cancelled_at is not null or arrives_at > now())
               returning id
           ), begun as (
               insert into trip_cancellation (trip_id, reason, message, order_ids)
               select id, $2, $4, array(select distinct s.order_id from seat s where s.trip_id = id and s.order_id is not null)
               from marked
               on conflict (trip_id) do nothing
               returning trip_id
           ), recorded as (
               insert into trip_event (trip_id, what, reason, operator) select trip_id, 'cancelled', $2, $3 from begun
           )
           select exists(select from marked) as "known!", exists(select from begun) as "begun!""#,
        trip.0,
        reason,
        operator.0,
        message.map(RiderMessage::as_str),
    )
    .fetch_one(&mut *conn)
    .await?;
    if !marked.known {
        let known =
            sqlx::query_scalar!(r#"select exists(select from trip where id = $1) as "known!""#, trip.0)
                .fetch_one(&mut *conn)
                .await?;
        return Err(if known { Refusal::TripOver } else { Refusal::NotFound("trip") }.into());
    }
    let progress = progress(&mut *conn, trip).await?.ok_or(sqlx::Error::RowNotFound)?;
    let mut changed = marked.begun;
    if progress.finished_at.is_none() {
        let enqueued = queue::enqueue(conn, &[NewJob::of(&TripCancel::new(trip))], Due::Now).await?;
        changed |= enqueued.iter().any(|job| matches!(job, Enqueued::New(_)));
    }
    Ok((progress, changed))
}

/// The progress of the cancellation, if the trip was cancelled.
///
/// # Errors
/// The database's.
pub async fn progress(conn: &mut PgConnection, trip: TripId) -> Result<Option<Progress>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select c.reason, c.message, t.cancelled_at as "cancelled_at!", c.finished_at, ended.refunded as "refunded!",
                  ended.closed as "closed!",
                  (select count(distinct s.order_id) from seat s where s.trip_id = c.trip_id) as "left!"
           from trip_cancellation c join trip t on t.id = c.trip_id, lateral (
               select count(*) filter (where o.status = 'refunded') as refunded,
                      count(*) filter (where o.status = 'closed') as closed
               from trip_cancellation_order x join orders o on o.id = x.order_id where x.trip_id = c.trip_id
           ) as ended
           where c.trip_id = $1"#,
        trip.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Progress {
        trip_id: trip,
        reason: row.reason,
        message: row.message,
        cancelled_at: row.cancelled_at,
        finished_at: row.finished_at,
        orders: row.refunded + row.closed + row.left,
        refunded: row.refunded,
        closed: row.closed,
        left: row.left,
    }))
}

/// The job: one pass over the trip's seats, then the end, or another pass later.
///
/// # Errors
/// A failure, after which the job is retried.
pub async fn run(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let trip = delivery.decode::<TripCancel>()?.trip_id();
    let last = sqlx::query_scalar!(r#"select max(seat) as last from seat where trip_id = $1"#, trip.0)
        .fetch_one(context.pool())
        .await?;
    let windows = (0..last.unwrap_or(0)).step_by(WINDOW.unsigned_abs() as usize);
    for after in windows {
        end_orders(context, trip, after).await?;
        block(context.pool(), trip, after).await?;
    }
    let mut tx = context.begin().await?;
    if let Some(at) = next_pass(&mut tx, trip).await? {
        return context.snooze(tx, delivery, at).await;
    }
    sqlx::query!(
        "update trip_cancellation set finished_at = now() where trip_id = $1 and finished_at is null",
        trip.0
    )
    .execute(&mut *tx)
    .await?;
    context.complete(tx, delivery, "every order has ended, every seat is blocked").await
}

/// Closes the orders that own seats of the window, or begins their refunds, once each, and records
/// them.
async fn end_orders(context: &JobContext, trip: TripId, after: i32) -> Result<(), sqlx::Error> {
    let mut tx = context.begin().await?;
    let live = sqlx::query!(
        "select o.id, o.status from orders o
         where o.id in (select s.order_id from seat s
                        where s.trip_id = $1 and s.seat > $2 and s.seat <= $3 and s.order_id is not null)
           and o.status in ('unpaid', 'paid', 'refunding')
           and not exists (select from trip_cancellation_order x where x.trip_id = $1 and x.order_id = o.id)
         order by o.id for update of o",
        trip.0,
        after,
        after + WINDOW
    )
    .fetch_all(&mut *tx)
    .await?;
    if live.is_empty() {
        return Ok(());
    }
    let of = |status: OrderStatus| -> Vec<OrderId> {
        live.iter().filter(|order| order.status == status.as_str()).map(|order| OrderId(order.id)).collect()
    };
    unpaid::close_all(&mut tx, &of(OrderStatus::Unpaid), CloseReason::CancelledBySystem, REASON).await?;
    refund::begin_all(&mut tx, &of(OrderStatus::Paid), REASON).await?;
    sqlx::query!(
        "insert into trip_cancellation_order (trip_id, order_id) select $1, id from unnest($2::uuid[]) as o(id)
         on conflict (trip_id, order_id) do nothing",
        trip.0,
        &live.iter().map(|order| order.id).collect::<Vec<_>>()
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Blocks the free seats of the window. Not in the transaction of [`end_orders`]: one that holds
/// seats of orders and then locks others could deadlock with a claim.
async fn block(pool: &PgPool, trip: TripId, after: i32) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with free as materialized (
             select trip_id, seat from seat
             where trip_id = $1 and seat > $2 and seat <= $3 and order_id is null and not blocked
             order by trip_id, seat for update)
         update seat s set blocked = true from free f where s.trip_id = f.trip_id and s.seat = f.seat",
        trip.0,
        after,
        after + WINDOW
    )
    .execute(pool)
    .await
    .map(drop)
}

/// When the next pass is due, if there is a seat that is not blocked.
async fn next_pass(conn: &mut PgConnection, trip: TripId) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let left = sqlx::query!(
        r#"select now() as "now!", c.started_at from trip_cancellation c
           where c.trip_id = $1 and exists(select from seat s where s.trip_id = c.trip_id and not s.blocked)"#,
        trip.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(left.map(|cancelled| passes::next_pass(cancelled.now, cancelled.started_at)))
}
