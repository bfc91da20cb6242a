//! Step 1, `order_seats_cancel`: is the trip open, do the seats exist, are they free? Writes nothing.
//!
//! The claim judges the same again, under its locks. So whoever wants seats that nobody else wants at this moment leaves it to
//! the claim, and looks only if that says no, to be told why; in a rush each looks first, for a look is cheaper than a
//! claim that loses.
//!
//! Seats past their deadline are given back here and now, by the code of the unpaid-order job, so that they can be
//! booked again even when no worker runs.

use super::{Request, STEPS, array_literal, unpaid};
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey, InFlightGuard},
    domain::{Error, FieldError, OrderId, Refusal, SeatSet, TripId},
    saga::{JobContext, SagaContext, barrier},
    storage::again,
};
use farebox_jobs::{
    OrderSeats,
    queue::{Delivery, JobError, Outcome},
};
use uuid::Uuid;

/// The look, for any number of bookings.
struct Checks;

/// One booking's trip and seats as they are.
struct Seen {
    exists: bool,
    cancelled: bool,
    closed: bool,
    known: Vec<i32>,
    taken: Vec<i32>,
    overdue: Vec<Uuid>,
}

impl BatchStatement for Checks {
    type BatchContext = BatchContext;
    type Ask = (TripId, SeatSet);
    type Answer = Seen;

    /// Who only looks is in nobody's way.
    fn shared(_: &Self::Ask) -> Vec<ConflictKey> {
        Vec::new()
    }

    /// Each seat is looked up by itself, whatever the table was like when this was planned (`offset 0` keeps the planner from
    /// making a join of it): a join may read a whole trip.
    async fn ask_all(ground: &BatchContext, asks: &[Self::Ask]) -> Result<Vec<Seen>, sqlx::Error> {
        let mut db = ground.db.take().await?;
        let seen = sqlx::query_as!(
            Seen,
            r#"select t.id is not null as "exists!", t.cancelled_at is not null as "cancelled!",
                      coalesce(t.departs_at - make_interval(secs => $3) <= now(), true) as "closed!",
                      s.known as "known!", s.taken as "taken!", s.overdue as "overdue!"
               from unnest($1::uuid[], $2::text[]) with ordinality as r (trip_id, seats, nr)
               left join trip t on t.id = r.trip_id
               cross join lateral (
                   select coalesce(array_agg(s.seat), '{}') as known,
                          coalesce(array_agg(s.seat)
                              filter (where s.blocked or coalesce(s.held_until > now(), s.order_id is not null)), '{}') as taken,
                          coalesce(array_agg(distinct s.order_id) filter (where s.held_until <= now()), '{}') as overdue
                   from unnest(r.seats::int[]) as w (seat)
                   cross join lateral (select * from seat where trip_id = r.trip_id and seat = w.seat offset 0) as s
               ) as s
               order by r.nr"#,
            &asks.iter().map(|(trip, _)| trip.0).collect::<Vec<_>>(),
            &asks.iter().map(|(_, seats)| array_literal(seats.numbers())).collect::<Vec<_>>(),
            ground.rules.cut_off_secs,
        )
        .fetch_all(&mut *db)
        .await?;
        db.keep();
        Ok(seen)
    }
}

/// Looks if the seats are contested; else the claim will tell.
///
/// # Errors
/// [`look`]'s.
pub async fn run(saga: &SagaContext, request: &Request, wishes: &InFlightGuard) -> Result<(), Error> {
    if wishes.contested { look(saga, request).await } else { Ok(()) }
}

/// Looks, refuses what the claim would refuse, and gives back what is overdue.
///
/// # Errors
/// Unknown, departed or cancelled trip; unknown or taken seats; the database's.
pub async fn look(saga: &SagaContext, request: &Request) -> Result<(), Error> {
    let seen = saga.batchers.ask::<Checks>((request.trip_id, request.seats.clone())).await?;
    if !seen.exists {
        return Err(Refusal::NotFound("trip").into());
    }
    if seen.cancelled {
        return Err(Refusal::TripCancelled.into());
    }
    if seen.closed {
        return Err(Refusal::TripClosed.into());
    }
    if let Some(seat) = request.seats.numbers().iter().find(|seat| !seen.known.contains(seat)) {
        return Err(
            Refusal::Invalid(FieldError::new("/seats", format!("the trip has no seat {seat}"))).into()
        );
    }
    if !seen.taken.is_empty() {
        let mut taken = seen.taken;
        taken.sort_unstable();
        return Err(Refusal::SeatsTaken(taken).into());
    }
    for order in seen.overdue {
        Box::pin(again(|| unpaid::evict(saga, OrderId(order), request))).await?;
    }
    Ok(())
}

/// The undo: bars the flow's writing steps and proves that none ran.
///
/// # Errors
/// Needs an operator if a seat is held after all; else what may be tried again.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderSeats = delivery.decode()?;
    let booking = job.booking();
    let mut tx = context.begin().await?;
    barrier::bar(&mut tx, booking.order_id.0, &STEPS).await?;
    let held = sqlx::query_scalar!(
        r#"select count(*) as "held!" from seat where trip_id = $1 and seat = any($2) and order_id = $3"#,
        booking.trip_id.0,
        &booking.seats,
        booking.order_id.0
    )
    .fetch_one(&mut *tx)
    .await?;
    if held > 0 {
        return Err(JobError::needs_operator(format!(
            "the check of order {} failed, yet {held} seats are held for it",
            booking.order_id
        )));
    }
    context.settle(tx, delivery, "barred; nothing was written").await
}
