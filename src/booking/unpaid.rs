//! Closing an unpaid order: at its deadline (the unpaid-order job, `order_unpaid`), by its rider, or by the system.
//!
//! One compare-and-set decides: whoever turns `unpaid` into something else first, paying or closing, has won.
//!
//! Orders that fall due together are closed together, their jobs ended in the same transaction ([`Expiries`]): after an hour
//! without workers there are a hundred thousand of them.

use super::{Request, release};
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{CloseReason, Error, OrderId, RiderId, TripId},
    saga::{JobContext, SagaContext},
    storage::begin_async_commit,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    Booking, OrderUnpaid,
    queue::{self, Delivery, Job, JobError, Lease, Outcome},
};
use sqlx::PgConnection;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Closes the order if it is unpaid (and, for [`CloseReason::Expired`], overdue by the database's clock), frees its
/// seats and takes its timer off, in one statement. Returns whether it did.
///
/// # Errors
/// The database's.
pub async fn close(
    conn: &mut PgConnection,
    order: OrderId,
    reason: CloseReason,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with closed as (
               update orders set status = 'closed', closed_reason = $2, closed_at = now()
               where id = $1 and status = 'unpaid' and ($2 <> 'expired' or expires_at <= now())
               returning id, trip_id, seats
           ), mine as materialized (
               select s.trip_id, s.seat
               from seat s join closed c on s.trip_id = c.trip_id and s.seat = any(c.seats) and s.order_id = c.id
               order by s.trip_id, s.seat for update of s
           ), freed as (
               update seat s set order_id = null, held_until = null
               from mine m where s.trip_id = m.trip_id and s.seat = m.seat and s.order_id = $1
           ), told as (
               insert into order_event (order_id, status, reason) select id, 'closed', $2 from closed
           ), retired as (
               delete from queue.job j using closed c
               where j.tag = $3 and j.key = c.id::text and j.lease_token is null
           )
           select exists(select from closed) as "closed!""#,
        order.0,
        reason.as_str(),
        OrderUnpaid::TAG
    )
    .fetch_one(conn)
    .await
}

/// Closes those of the orders that are unpaid, frees their seats and takes their timers off, telling `why` in their
/// history. The caller has locked the orders by ascending id.
///
/// # Errors
/// The database's.
pub async fn close_all(
    conn: &mut PgConnection,
    orders: &[OrderId],
    reason: CloseReason,
    why: &str,
) -> Result<(), sqlx::Error> {
    let closed = close_but_timers(conn, orders, reason, why).await?;
    let timers: Vec<_> = closed.iter().map(|order| (OrderUnpaid::TAG, order.to_string())).collect();
    queue::take_off(conn, &timers).await.map(drop)
}

/// The same, but for the timers, which the caller has ended or takes off; says which it closed.
async fn close_but_timers(
    conn: &mut PgConnection,
    orders: &[OrderId],
    reason: CloseReason,
    why: &str,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with closed as (
               update orders set status = 'closed', closed_reason = $2, closed_at = now()
               where id = any($1) and status = 'unpaid'
               returning id, trip_id, seats
           ), mine as materialized (
               select s.trip_id, s.seat, c.id
               from seat s join closed c on s.trip_id = c.trip_id and s.seat = any(c.seats) and s.order_id = c.id
               order by s.trip_id, s.seat for update of s
           ), freed as (
               update seat s set order_id = null, held_until = null
               from mine m where s.trip_id = m.trip_id and s.seat = m.seat and s.order_id = m.id
           ), told as (
               insert into order_event (order_id, status, reason) select id, 'closed', $3 from closed
           )
           select id from closed"#,
        &orders.iter().map(|order| order.0).collect::<Vec<_>>(),
        reason.as_str(),
        why,
    )
    .fetch_all(conn)
    .await
}

/// The unpaid-order job. For a paid order, a closed one, or one that is gone it does nothing; early, it waits on.
///
/// # Errors
/// What may be tried again.
pub async fn expire(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderUnpaid = delivery.decode()?;
    let order = job.booking().order_id;
    if delivery.lease.waited() > LATE {
        context.backlog().turn().await;
    }
    if context.ask::<Expiries>(Expiry { order, lease: Arc::clone(&delivery.lease) }).await? {
        tracing::info!(%order, note = CLOSED, "job done");
        return Ok(Outcome::Settled);
    }
    let mut tx = context.begin().await?;
    // Without an order there may be a claim to give back. Barring waits for an order that is being added just now,
    // and only what comes after it sees that order: so the closing comes last.
    let released = match standing(&mut tx, order).await? {
        None => match held_until(&mut tx, job.booking()).await? {
            Some(held_until) => return context.snooze(tx, delivery, held_until).await,
            None => Some(release::claims(&mut tx, job.booking()).await?),
        },
        Some(_) => None,
    };
    let note = if close(&mut tx, order, CloseReason::Expired).await? {
        CLOSED
    } else {
        match standing(&mut tx, order).await? {
            Some(Standing { open: true, expires_at }) => {
                return context.snooze(tx, delivery, expires_at).await;
            }
            Some(_) => "nothing to do: the order is settled",
            None => released.unwrap_or("nothing to do: there is no such order"),
        }
    };
    context.settle(tx, delivery, note).await
}

/// A job that was due for longer was not simply a little late: workers were away, or cannot follow.
const LATE: Duration = Duration::from_secs(5);

/// What an unpaid-order job says that closed its order.
const CLOSED: &str = "closed: not paid in time";

/// Closes those orders that are due, and ends their jobs; says which. The others, be they paid, early, gone, or another
/// worker's by now, are left as they are, for [`expire`] to look at one by one.
struct Expiries;

struct Expiry {
    order: OrderId,
    lease: Arc<Lease>,
}

impl BatchStatement for Expiries {
    type BatchContext = BatchContext;
    type Ask = Expiry;
    type Answer = bool;

    fn shared(expiry: &Expiry) -> Vec<ConflictKey> {
        vec![ConflictKey::Order(expiry.order.0)]
    }

    async fn ask_all(ground: &BatchContext, expiries: &[Expiry]) -> Result<Vec<bool>, sqlx::Error> {
        let mut tx = begin_async_commit(ground.db.pool()).await?;
        let due = lock_due(&mut tx, expiries).await?;
        if due.is_empty() {
            return Ok(vec![false; expiries.len()]);
        }
        let leases: Vec<&Lease> =
            expiries.iter().filter(|e| due.contains(&e.order.0)).map(|e| e.lease.as_ref()).collect();
        let ended = Lease::complete_all(&mut tx, &leases, Some(CLOSED)).await?;
        let ended = |expiry: &Expiry| ended.contains(&expiry.lease.job_id);
        let orders: Vec<OrderId> = expiries.iter().filter(|e| ended(e)).map(|e| e.order).collect();
        let reason = CloseReason::Expired;
        close_but_timers(&mut tx, &orders, reason, reason.as_str()).await?;
        tx.commit().await?;
        Ok(expiries.iter().map(ended).collect())
    }
}

/// Locks those orders that are unpaid and overdue, in the order in which all do.
async fn lock_due(conn: &mut PgConnection, expiries: &[Expiry]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from orders where id = any($1) and status = 'unpaid' and expires_at <= now() order by id for update",
        &expiries.iter().map(|expiry| expiry.order.0).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await
}

struct Standing {
    open: bool,
    expires_at: DateTime<Utc>,
}

async fn standing(conn: &mut PgConnection, order: OrderId) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
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

/// Gives back what an overdue order holds of the seats that `request` wants: its timer's work, done early because no
/// worker may be running. An order that was claimed and never added is barred from being added.
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

/// Gives back what an overdue order holds of the trip's seats, in the caller's transaction, for `by` who wants them. An order
/// that is not overdue, or was paid, keeps its seats.
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
        && standing(&mut *conn, overdue).await?.is_none()
    {
        let seats = whole_claim(&mut *conn, overdue, trip).await?;
        let orphan = Booking { order_id: overdue, rider_id: by, trip_id: trip, seats };
        release::claims(conn, &orphan).await?;
    }
    Ok(())
}

/// All seats of the trip that the orphan holds: its undo's barrier can be passed once, so it must free them all.
async fn whole_claim(
    conn: &mut PgConnection,
    orphan: OrderId,
    trip: TripId,
) -> Result<Vec<i32>, sqlx::Error> {
    sqlx::query_scalar!(
        "select seat from seat where trip_id = $1 and order_id = $2 order by seat",
        trip.0,
        orphan.0
    )
    .fetch_all(conn)
    .await
}
