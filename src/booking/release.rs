//! What the undos of the claim, of the price and of an order that was never added share: giving back the claim's seats.
//!
//! Nearly always the claim stands, the order was not added, and this is the first undo to come. That is done in one statement,
//! its job ended with it, for all bookings whose undos run at this moment ([`Returns`]); whatever it finds otherwise it leaves,
//! but barred, to the transaction of [`claims`], each of whose statements sees what the one before it waited for.

use super::{STEPS, array_literal};
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    saga::{
        JobContext,
        barrier::{self, Undoing},
    },
};
use farebox_jobs::{
    Booking, MqTag,
    queue::{Delivery, JobError, Lease, Outcome},
};
use sqlx::PgConnection;
use std::sync::Arc;

/// What an undo says that gave seats back.
const GIVEN_BACK: &str = "seats given back";

/// The undo of the claim and of the price: gives this order's seats back, unless its order was added.
///
/// # Errors
/// What may be tried again.
pub(super) async fn undo(
    context: &JobContext,
    delivery: &Delivery,
    booking: &Booking,
) -> Result<Outcome, JobError> {
    if at_once(context, delivery, booking).await? {
        return Ok(Outcome::Settled);
    }
    let mut tx = context.begin().await?;
    let note = claims(&mut tx, booking).await?;
    context.settle(tx, delivery, note).await
}

/// Gives the claim's seats back and ends the job, if that is all there is to do; says whether it was.
///
/// # Errors
/// The database's.
pub(super) async fn at_once(
    context: &JobContext,
    delivery: &Delivery,
    booking: &Booking,
) -> Result<bool, sqlx::Error> {
    let due = Return { booking: booking.clone(), lease: Arc::clone(&delivery.lease) };
    let done = context.ask::<Returns>(due).await?;
    if done {
        context.tell(delivery, GIVEN_BACK);
    }
    Ok(done)
}

/// The statement, for any number of undos.
struct Returns;

/// A claim to give back, and the attempt that is at it.
struct Return {
    booking: Booking,
    lease: Arc<Lease>,
}

impl BatchStatement for Returns {
    type BatchContext = BatchContext;
    type Ask = Return;
    /// Whether it was done.
    type Answer = bool;

    fn shared(due: &Return) -> Vec<ConflictKey> {
        vec![ConflictKey::Order(due.booking.order_id.0)]
    }

    /// The step that adds the order is barred here: whose bar this statement wrote has no order, and never will have. Where the
    /// bar stood already, or the claim does not show yet, nothing else is done.
    async fn ask_all(ground: &BatchContext, dues: &[Return]) -> Result<Vec<bool>, sqlx::Error> {
        let mut db = ground.db.take().await?;
        let bookings = || dues.iter().map(|due| &due.booking);
        let done = sqlx::query_scalar!(
            r#"with undo as materialized (
                   select u.*
                   from (select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[])
                             as u(order_id, trip_id, seats, job, token)
                         order by order_id) as u
                   cross join lateral (
                       select from queue.job where id = u.job and lease_token = u.token for update
                   ) as held
                   -- A crash that takes this takes the job's end with it.
                   where (select set_config('synchronous_commit', 'off', true)) is not null
               ), barred as (
                   insert into barrier (subject, step, undone_at)
                   select order_id, step, now() from undo cross join unnest($6::text[]) as s(step)
                   on conflict (subject, step) do nothing
                   returning subject, step
               ), due as materialized (
                   select * from undo where order_id in (select subject from barred where step = $8)
               ), undone as (
                   update barrier b set undone_at = now() from due
                   where b.subject = due.order_id and b.step = $7 and b.done_at is not null and b.undone_at is null
                   returning b.subject
               ), back as materialized (
                   select * from due where order_id in (select subject from undone)
               ), mine as materialized (
                   select w.order_id, w.trip_id, w.seat
                   from (select order_id, trip_id, unnest(seats::int[]) as seat from back order by trip_id, seat) as w
                   cross join lateral (
                       select from seat where trip_id = w.trip_id and seat = w.seat and order_id = w.order_id for update
                   ) as s
               ), freed as (
                   update seat s set order_id = null, held_until = null
                   from mine m where s.trip_id = m.trip_id and s.seat = m.seat and s.order_id = m.order_id
               ), untimed as (
                   delete from queue.job where lease_token is null and id = any(array(
                       select j.id from back b cross join lateral (
                           select id from queue.job where tag = $9 and key = b.order_id::text offset 0) as j))
               )
               select queue.complete(array_agg(job), array_agg(token), $10) as "job!" from back"#,
            &bookings().map(|booking| booking.order_id.0).collect::<Vec<_>>(),
            &bookings().map(|booking| booking.trip_id.0).collect::<Vec<_>>(),
            &bookings().map(|booking| array_literal(&booking.seats)).collect::<Vec<_>>(),
            &dues.iter().map(|due| due.lease.job_id).collect::<Vec<_>>(),
            &dues.iter().map(|due| due.lease.token).collect::<Vec<_>>(),
            &STEPS.map(|step| step.wire().to_owned())[..],
            MqTag::OrderAddSeats.wire(),
            MqTag::OrderAdd.wire(),
            MqTag::OrderUnpaid.wire(),
            GIVEN_BACK,
        )
        .fetch_all(&mut *db)
        .await?;
        db.keep();
        Ok(dues.iter().map(|due| done.contains(&due.lease.job_id)).collect())
    }
}

/// Bars the flow and gives back this order's seats, unless its order was added; says what it did.
///
/// # Errors
/// The database's.
pub(super) async fn claims(tx: &mut PgConnection, booking: &Booking) -> Result<&'static str, sqlx::Error> {
    barrier::bar(tx, booking.order_id.0, &STEPS).await?;
    barred_claims(tx, booking).await
}

/// The same, of a flow that is barred.
///
/// # Errors
/// The database's.
pub(super) async fn barred_claims(
    tx: &mut PgConnection,
    booking: &Booking,
) -> Result<&'static str, sqlx::Error> {
    match barrier::begin_undo(tx, booking.order_id.0, MqTag::OrderAddSeats, MqTag::OrderAdd).await? {
        Undoing::Finished => Ok("nothing to undo: the order was added"),
        Undoing::Nothing => Ok("nothing to undo: the seats were never claimed, or given back already"),
        Undoing::Due => {
            free(tx, booking).await?;
            Ok(GIVEN_BACK)
        }
    }
}

/// Frees the seats that this order owns, locking them in the order in which a claim does, and takes its timer off.
async fn free(tx: &mut PgConnection, booking: &Booking) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with mine as materialized (
             select trip_id, seat from seat
             where trip_id = $1 and seat = any($2) and order_id = $3
             order by trip_id, seat for update
         ), freed as (
             update seat s set order_id = null, held_until = null
             from mine m where s.trip_id = m.trip_id and s.seat = m.seat and s.order_id = $3
         )
         delete from queue.job where tag = $4 and key = $3::uuid::text and lease_token is null",
        booking.trip_id.0,
        &booking.seats,
        booking.order_id.0,
        MqTag::OrderUnpaid.wire(),
    )
    .execute(tx)
    .await
    .map(drop)
}
