//! Step 2, `order_add_seats_cancle`: the seats get this order as their owner, all of them or none.
//!
//! One statement for any number of bookings: it locks the wanted seats in one order everywhere (so two bookings never
//! deadlock), judges each booking by what it then sees, and for those that won takes the client's key, writes the
//! barrier row, sets the owner, arms the undo and enqueues the unpaid-order timer. A lost seat is a row's result.
//! Whoever loses has written nothing; the check's look tells him why, and if it was an order past its deadline that had the
//! seat, he claims once more. No two of its bookings want one seat ([`Claims`] says so to the coalescer), so it need not
//! choose between them.
//!
//! `lateral (… offset 0)` leaves the planner one way, row by row, whatever it thinks of the tables; and it hides how few rows
//! that brings, so that the parts are joined by hashes and not each row with each.
//!
//! How many orders a rider may leave unpaid is decided here too, by his row of `open_hold`. A count would not do: under
//! read committed, of two claims at once neither sees the other's. The row is locked by the upsert and read as it then is,
//! so the second waits and finds the first's order in it. What the row lists counts unless it is seen to be settled, undone
//! or overdue; none of the three ever turns back, so a statement that sees too little can only refuse too much.

use super::{Request, check, release};
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{Error, Money, Refusal},
    idempotency::{self, IdempotencyKey},
    saga::{JobContext, SagaContext},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    Booking, MqTag, OrderAddSeats, OrderUnpaid,
    queue::{Delivery, Job, JobError, NewJob, Outcome},
};
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use sqlx::types::Json;
use std::sync::Arc;
use uuid::Uuid;

/// What a claim brings back for the steps after it.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The trip's price of one seat; never the client's.
    pub unit_price: Money,
    /// The database's time of the claim, microseconds.
    pub at: DateTime<Utc>,
    /// Until when the seats are held: the hold, but never past the trip's cut-off.
    pub expires_at: DateTime<Utc>,
    /// The undo that the claim armed: a job's id.
    pub armed: Uuid,
}

/// One booking's row of the statement's result.
pub struct Verdict {
    /// The trip is open.
    open: bool,
    /// The seats that were free.
    free: Vec<i32>,
    /// Its seats are free and its key is its own: only one unpaid order too many can still be in the way.
    able: bool,
    won: bool,
    unit_price: Option<Decimal>,
    at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
}

impl Verdict {
    fn lost(&self, request: &Request) -> Vec<i32> {
        request.seats.numbers().iter().copied().filter(|seat| !self.free.contains(seat)).collect()
    }
}

/// The statement, for any number of bookings of which no two want one seat.
pub struct Claims;

/// One booking, and the jobs that its claim enqueues.
pub struct Ask {
    request: Arc<Request>,
    undo: NewJob,
    timer: NewJob,
}

impl BatchStatement for Claims {
    type BatchContext = BatchContext;
    type Ask = Arc<Ask>;
    type Answer = Verdict;

    fn shared(ask: &Arc<Ask>) -> Vec<ConflictKey> {
        let mut shared = ask.request.wishes();
        shared.extend(ask.request.key.iter().map(IdempotencyKey::shared));
        shared
    }

    async fn ask_all(ground: &BatchContext, asks: &[Arc<Ask>]) -> Result<Vec<Verdict>, sqlx::Error> {
        claim_all(ground, asks).await
    }
}

/// Claims the seats of one booking.
///
/// # Errors
/// Seats taken, trip closed, too many unpaid orders, key taken; barred by its own undo; the database's.
pub async fn run(saga: &SagaContext, request: &Arc<Request>, booking: &Booking) -> Result<Claimed, Error> {
    let undo = NewJob::of(&OrderAddSeats::new(booking));
    let timer = NewJob::of(&OrderUnpaid::new(booking));
    let ask = Arc::new(Ask { request: Arc::clone(request), undo, timer });
    let armed = ask.undo.id;
    let mut verdict = saga.batchers.ask::<Claims>(Arc::clone(&ask)).await?;
    if !verdict.open || !verdict.lost(request).is_empty() {
        check::look(saga, request).await?;
        verdict = saga.batchers.ask::<Claims>(ask).await?;
    }
    let lost = verdict.lost(request);
    match verdict {
        Verdict { open: false, .. } => Err(Refusal::TripClosed.into()),
        _ if !lost.is_empty() => Err(Refusal::SeatsTaken(lost).into()),
        Verdict { able: true, won: false, .. } => {
            Err(Refusal::TooManyHolds { most: saga.rules.max_open_holds }.into())
        }
        Verdict { won: true, unit_price: Some(price), at, expires_at: Some(expires_at), .. } => {
            Ok(Claimed { unit_price: Money::from_database(price), at, expires_at, armed })
        }
        _ => Err(Error::KeyTaken),
    }
}

async fn claim_all(ground: &BatchContext, asks: &[Arc<Ask>]) -> Result<Vec<Verdict>, sqlx::Error> {
    let rules = &ground.rules;
    let mut db = ground.db.take().await?;
    let requests = || asks.iter().map(|ask| &ask.request);
    let orders: Vec<_> = requests().map(|r| r.order_id.0).collect();
    let riders: Vec<_> = requests().map(|r| r.rider_id.0).collect();
    let trips: Vec<_> = requests().map(|r| r.trip_id.0).collect();
    let keys: Vec<_> = requests().map(|r| r.key.as_ref().map(|k| k.key.clone())).collect();
    let prints: Vec<_> = requests().map(|r| r.key.as_ref().map(|k| k.fingerprint.clone())).collect();
    let (owners, seats): (Vec<_>, Vec<_>) =
        requests().flat_map(|r| r.seats.numbers().iter().map(|seat| (r.order_id.0, *seat))).unzip();
    let verdicts = sqlx::query_as!(
        Verdict,
        r#"with request as materialized (
               select r.*, t.price, t.expires_at
               from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[],
                           $6::uuid[], $7::jsonb[], $8::uuid[], $9::jsonb[], $21::int[])
                   with ordinality
                   as r(order_id, rider_id, trip_id, key, fingerprint, undo, undo_payload, timer, timer_payload, seats, nr)
               left join lateral (
                   select price, least(now() + make_interval(secs => $12), departs_at - make_interval(secs => $13)) as expires_at
                   from trip
                   where id = r.trip_id and cancelled_at is null and departs_at - make_interval(secs => $13) > now()
                   offset 0
               ) as t on true
               -- The order's commit will wait for the disk, and bring this one's there.
               where (select set_config('synchronous_commit', 'off', true)) is not null
           ), locked as materialized (
               select w.order_id, w.trip_id, s.seat, w.expires_at
               from (select r.order_id, r.trip_id, w.seat, r.expires_at
                     from unnest($10::uuid[], $11::int[]) as w(order_id, seat) join request r using (order_id)
                     where r.expires_at is not null
                     order by r.trip_id, w.seat) as w
               cross join lateral (
                   select seat from seat
                   where trip_id = w.trip_id and seat = w.seat
                     and order_id is null and not blocked -- once more when the lock is had
                   for update
               ) as s
           ), judged as materialized (
               select r.*, coalesce(l.free, '{}') as free, coalesce(cardinality(l.free), 0) = r.seats as all_free
               from request r
               left join (select order_id, array_agg(seat) as free from locked group by order_id) as l using (order_id)
           ), keyed as (
               insert into idempotency as i (actor, key, fingerprint, subject)
               select rider_id, key, fingerprint, order_id from judged where all_free and key is not null
               on conflict (actor, key) do update
                   set subject = excluded.subject, started_at = now()
                   where i.fingerprint = excluded.fingerprint
                     and key_is_abandoned(i.status, i.started_at, i.subject, $14)
               returning i.subject
           ), able as materialized (
               select * from judged
               where all_free and (key is null or order_id in (select subject from keyed))
           ), held as (
               insert into open_hold as h (rider_id, orders, until)
               select rider_id, (array_agg(order_id order by nr))[:$20], (array_agg(expires_at order by nr))[:$20]
               from able group by rider_id order by rider_id
               -- A function, asked only when the list is full: it would be set up every time, whether anybody's is or not.
               on conflict (rider_id) do update set
                   orders = case when cardinality(h.orders) + cardinality(excluded.orders) <= $20
                       then h.orders || excluded.orders
                       else (with_room(h.orders, h.until, excluded.orders, excluded.until, $20, $15)).orders end,
                   until = case when cardinality(h.orders) + cardinality(excluded.orders) <= $20
                       then h.until || excluded.until
                       else (with_room(h.orders, h.until, excluded.orders, excluded.until, $20, $15)).until end
               returning h.orders
           ), won as materialized (
               -- Is true: looked up in a hash, as a semi-join of so few rows would be of each with each.
               select * from able where (order_id in (select unnest(orders) from held)) is true
           ), stepped as (
               insert into barrier (subject, step, done_at) select order_id, $15, now() from won
           ), taken as (
               update seat s set order_id = l.order_id, held_until = l.expires_at
               from locked l
               where s.trip_id = l.trip_id and s.seat = l.seat and (l.order_id in (select order_id from won)) is true
           ), armed as (
               insert into queue.job (id, tag, key, payload, max_attempts, run_at)
               select undo, $15, order_id::text, undo_payload, $16::int, now() + make_interval(secs => $17) from won
               union all
               select timer, $18, order_id::text, timer_payload, $19::int, expires_at from won
           )
           select expires_at is not null as "open!", free as "free!",
                  (order_id in (select order_id from able)) is true as "able!",
                  (order_id in (select order_id from won)) is true as "won!",
                  price as "unit_price?", now() as "at!", expires_at as "expires_at?"
           from judged
           order by nr"#,
        &orders,
        &riders,
        &trips,
        &keys as &[Option<String>],
        &prints as &[Option<Vec<u8>>],
        &asks.iter().map(|ask| ask.undo.id).collect::<Vec<_>>(),
        &asks.iter().map(|ask| ask.undo.json()).collect::<Vec<_>>() as &[Json<&RawValue>],
        &asks.iter().map(|ask| ask.timer.id).collect::<Vec<_>>(),
        &asks.iter().map(|ask| ask.timer.json()).collect::<Vec<_>>() as &[Json<&RawValue>],
        &owners,
        &seats,
        rules.hold_secs,
        rules.cut_off_secs,
        idempotency::stale_secs(),
        MqTag::OrderAddSeats.wire(),
        OrderAddSeats::RETRY.max_attempts,
        rules.undo_after().as_seconds_f64(),
        MqTag::OrderUnpaid.wire(),
        OrderUnpaid::RETRY.max_attempts,
        i32::from(rules.max_open_holds),
        &requests().map(|r| i32::try_from(r.seats.numbers().len()).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
    )
    .fetch_all(&mut *db)
    .await?;
    db.keep();
    Ok(verdicts)
}

/// The undo: gives this order's seats back, unless the booking went on and its order was added.
///
/// # Errors
/// What may be tried again.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderAddSeats = delivery.decode()?;
    release::undo(context, delivery, job.booking()).await
}
