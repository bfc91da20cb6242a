//! Closing an unpaid order: at its deadline (the unpaid-order job, `order_unpaid`), by its rider, or by the
//! system.
//!
//! One compare-and-set decides: the first that turns `unpaid` into another state, paying or closing, has won.

use super::{Request, release};
use crate::{
    domain::{CloseReason, Error, OrderId, RiderId, TripId},
    saga::{JobContext, SagaContext},
    statements::{CLOSED, ExpireRequest, close_orders},
    storage::begin_async_commit,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    Booking, OrderUnpaid,
    queue::{self, Delivery, Job, JobError, Outcome},
};
use sqlx::PgConnection;
use std::{sync::Arc, time::Duration};

/// Closes the order if it is unpaid (and, for [`CloseReason::Expired`], overdue by the database's
/// clock), frees its seats and removes its timer. Returns whether it did.
///
/// # Errors
/// The database's.
pub async fn close(
    conn: &mut PgConnection,
    order: OrderId,
    reason: CloseReason,
) -> Result<bool, sqlx::Error> {
    close_all(conn, &[order], reason, reason.as_str()).await
}

/// Closes those of the orders that are unpaid, frees their seats and removes their timers, with `why` in
/// their history. Returns whether there was one. The caller has locked the orders by ascending id.
///
/// # Errors
/// The database's.
pub async fn close_all(
    conn: &mut PgConnection,
    orders: &[OrderId],
    reason: CloseReason,
    why: &str,
) -> Result<bool, sqlx::Error> {
    let closed = close_orders(conn, orders, reason, why).await?;
    if closed.is_empty() {
        return Ok(false);
    }
    let timers: Vec<_> = closed.iter().map(|order| (OrderUnpaid::TAG, order.to_string())).collect();
    queue::remove(conn, &timers).await?;
    Ok(true)
}

/// The unpaid-order job. For a paid order, a closed one, or one that is gone it does nothing; early, it
/// waits on.
///
/// # Errors
/// Errors that may pass: the job is retried.
pub async fn expire(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderUnpaid = delivery.decode()?;
    let order = job.booking().order_id;
    if delivery.lease.waited() > LATE {
        context.pacer().acquire().await;
    }
    let request = ExpireRequest { order, lease: Arc::clone(&delivery.lease) };
    if context.batchers().expire_orders.submit(request).await? {
        context.log_done(delivery, CLOSED);
        return Ok(Outcome::Settled);
    }
    let mut tx = context.begin().await?;
    // Without an order there may be a claim to give back. Barring waits for an order that is being added
    // just now, and only what comes after it sees that order: so the closing comes last.
    let released = match order_state(&mut tx, order).await? {
        None => match held_until(&mut tx, job.booking()).await? {
            Some(held_until) => return context.snooze(tx, delivery, held_until).await,
            None => Some(release::release(&mut tx, job.booking()).await?),
        },
        Some(_) => None,
    };
    let note = if close(&mut tx, order, CloseReason::Expired).await? {
        CLOSED
    } else {
        match order_state(&mut tx, order).await? {
            Some(OrderState { open: true, expires_at }) => {
                return context.snooze(tx, delivery, expires_at).await;
            }
            Some(_) => "nothing to do: the order is settled",
            None => released.unwrap_or("nothing to do: there is no such order"),
        }
    };
    context.complete(tx, delivery, note).await
}

/// A job that waited longer was not simply a little late: workers were away, or cannot follow.
const LATE: Duration = Duration::from_secs(5);

struct OrderState {
    open: bool,
    expires_at: DateTime<Utc>,
}

async fn order_state(conn: &mut PgConnection, order: OrderId) -> Result<Option<OrderState>, sqlx::Error> {
    sqlx::query_as!(
        OrderState,
        r#"select status = 'unpaid' as "open!", expires_at from orders where id = $1"#,
        order.0
    )
    .fetch_optional(conn)
    .await
}

/// Until when the booking's claim holds, if it has not lapsed yet.
async fn held_until(
    conn: &mut PgConnection,
    booking: &Booking,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        "select max(held_until) from seat
         where trip_id = $1 and seat = any($2) and order_id = $3 and held_until > now()",
        booking.trip_id.0,
        &booking.seats,
        booking.order_id.0
    )
    .fetch_one(conn)
    .await
}

/// Gives back what an overdue order holds of the seats that `request` wants: its timer's work, done
/// early because no worker may be running. An order that was claimed and never added is barred from
/// being added.
///
/// # Errors
/// The database's.
pub async fn evict(saga: &SagaContext, overdue: OrderId, request: &Request) -> Result<(), Error> {
    let mut tx = begin_async_commit(&saga.pool).await?;
    give_back(&mut tx, overdue, request.trip_id, request.rider_id).await?;
    tx.commit().await?;
    tracing::info!(order = %overdue, "overdue seats given back to book them again");
    Ok(())
}

/// Gives back what an overdue order holds of the trip's seats, in the caller's transaction, for the
/// rider `by`, who wants them. An order that is not overdue, or was paid, keeps its seats.
///
/// # Errors
/// The database's.
pub async fn give_back(
    conn: &mut PgConnection,
    overdue: OrderId,
    trip: TripId,
    by: RiderId,
) -> Result<(), sqlx::Error> {
    if !close(&mut *conn, overdue, CloseReason::Expired).await?
        && order_state(&mut *conn, overdue).await?.is_none()
    {
        let seats = release::whole_claim(&mut *conn, overdue, trip).await?;
        let orphan = Booking { order_id: overdue, rider_id: by, trip_id: trip, seats };
        release::release(conn, &orphan).await?;
    }
    Ok(())
}
