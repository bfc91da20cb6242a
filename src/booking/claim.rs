//! Step 2, `order_add_seats_cancle`: the seats get this order as their owner, all of them or none.
//!
//! One statement for any number of bookings: it locks the wanted seats in one order everywhere (so two bookings never
//! deadlock), judges each booking by what it then sees, and for those that won takes the client's key, writes the
//! barrier row, sets the owner, arms the undo and enqueues the unpaid-order timer. A lost seat is a row's result.
//! Whoever loses has written nothing; the check's look tells him why, and if it was an order past its deadline that had the
//! seat, he claims once more. No two of its bookings want one seat ([`Claims`] says so to the coalescer), so it need not
//! choose between them.
//!
//! How many orders a rider may leave unpaid is decided here too, by his row of `open_hold`. A count would not do: under
//! read committed, of two claims at once neither sees the other's. The row is locked by the upsert and read as it then is,
//! so the second waits and finds the first's order in it. What the row lists counts unless it is seen to be settled, undone
//! or overdue; none of the three ever turns back, so a statement that sees too little can only refuse too much.

use super::{Request, check, release};
use crate::{
    domain::{Money, Refusal},
    flow::{Desk, Flow, Ground, IdempotencyKey, Shared, StepError, Together, idempotency},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    Booking, MqTag, OrderAddSeats, OrderUnpaid,
    queue::{Delivery, Job, JobError, NewJob, Outcome},
};
use rust_decimal::Decimal;

/// What a claim brings back for the steps after it.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The trip's price of one seat; never the client's.
    pub unit_price: Money,
    /// The database's time of the claim, microseconds.
    pub at: DateTime<Utc>,
    /// Until when the seats are held: the hold, but never past the trip's cut-off.
    pub expires_at: DateTime<Utc>,
}

/// One booking's row of the statement's result.
pub struct Verdict {
    won: bool,
    known: bool,
    /// One unpaid order too many.
    over: bool,
    lost: Vec<i32>,
    unit_price: Option<Decimal>,
    at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
}

impl Verdict {
    /// For a reason that a look can tell.
    fn loses(&self) -> bool {
        !self.known || !self.lost.is_empty()
    }
}

/// The statement, for any number of bookings of which no two want one seat.
pub struct Claims;

/// One booking, and the jobs that its claim enqueues.
#[derive(Clone)]
pub struct Ask {
    request: Request,
    undo: NewJob,
    timer: NewJob,
}

impl Together for Claims {
    type Ground = Ground;
    type Ask = Ask;
    type Answer = Verdict;

    fn shared(ask: &Ask) -> Vec<Shared> {
        let mut shared = ask.request.wishes();
        shared.extend(ask.request.key.iter().map(IdempotencyKey::shared));
        shared
    }

    async fn ask_all(ground: &Ground, asks: &[Ask]) -> Result<Vec<Verdict>, sqlx::Error> {
        claim_all(ground, asks).await
    }
}

/// Claims the seats of one booking.
///
/// # Errors
/// Seats taken, trip closed, too many unpaid orders, key taken; barred by its own undo; the database's.
pub async fn run(flow: &Flow, request: &Request, booking: &Booking) -> Result<Claimed, StepError> {
    let undo = NewJob::of(&OrderAddSeats::new(booking));
    let timer = NewJob::of(&OrderUnpaid::new(booking));
    let ask = Ask { request: request.clone(), undo, timer };
    let mut verdict = flow.joint.ask::<Claims>(ask.clone()).await?;
    if verdict.loses() {
        check::look(flow, request).await?;
        verdict = flow.joint.ask::<Claims>(ask).await?;
    }
    match verdict {
        Verdict { known: false, .. } => Err(Refusal::TripClosed.into()),
        Verdict { lost, .. } if !lost.is_empty() => Err(Refusal::SeatsTaken(lost).into()),
        Verdict { over: true, .. } => Err(Refusal::TooManyHolds { most: flow.rules.max_open_holds }.into()),
        Verdict { won: true, unit_price: Some(price), at, expires_at: Some(expires_at), .. } => {
            Ok(Claimed { unit_price: Money::from_database(price), at, expires_at })
        }
        _ => Err(StepError::KeyTaken),
    }
}

async fn claim_all(ground: &Ground, asks: &[Ask]) -> Result<Vec<Verdict>, sqlx::Error> {
    let Ground { pool, rules } = ground;
    let requests = || asks.iter().map(|ask| &ask.request);
    let orders: Vec<_> = requests().map(|r| r.order_id.0).collect();
    let riders: Vec<_> = requests().map(|r| r.rider_id.0).collect();
    let trips: Vec<_> = requests().map(|r| r.trip_id.0).collect();
    let keys: Vec<_> = requests().map(|r| r.key.as_ref().map(|k| k.key.clone())).collect();
    let prints: Vec<_> = requests().map(|r| r.key.as_ref().map(|k| k.fingerprint.clone())).collect();
    let (owners, seats): (Vec<_>, Vec<_>) =
        requests().flat_map(|r| r.seats.numbers().iter().map(|seat| (r.order_id.0, *seat))).unzip();
    sqlx::query_as!(
        Verdict,
        r#"with request as materialized (
               select r.* from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[],
                                      $6::uuid[], $7::jsonb[], $8::uuid[], $9::jsonb[])
                   with ordinality
                   as r(order_id, rider_id, trip_id, key, fingerprint, undo, undo_payload, timer, timer_payload, nr),
                   -- The order's commit will wait for the disk, and bring this one's there.
                   set_config('synchronous_commit', 'off', true)
           ), open as materialized (
               select r.*, t.price,
                      least(now() + make_interval(secs => $12), t.departs_at - make_interval(secs => $13)) as expires_at
               from request r join trip t on t.id = r.trip_id
               where t.cancelled_at is null and t.departs_at - make_interval(secs => $13) > now()
           ), wanted as materialized (
               select o.order_id, o.trip_id, w.seat
               from unnest($10::uuid[], $11::int[]) as w(order_id, seat) join open o using (order_id)
           ), locked as materialized (
               select s.trip_id, s.seat
               from seat s
               where (s.trip_id, s.seat) in (select w.trip_id, w.seat from wanted w)
                 and s.order_id is null and not s.blocked -- once more when the lock is had
               order by s.trip_id, s.seat
               for update
           ), verdict as materialized (
               select w.order_id, coalesce(array_agg(w.seat order by w.seat) filter (where l.seat is null), '{}') as lost
               from wanted w left join locked l using (trip_id, seat)
               group by w.order_id
           ), judged as materialized (
               select o.*, v.lost from open o join verdict v using (order_id)
           ), keyed as (
               insert into idempotency as i (actor, key, fingerprint, subject)
               select rider_id, key, fingerprint, order_id from judged where lost = '{}' and key is not null
               on conflict (actor, key) do update
                   set subject = excluded.subject, started_at = now()
                   where i.status is null and i.fingerprint = excluded.fingerprint
                     and i.started_at < now() - make_interval(secs => $14)
               returning i.subject
           ), able as materialized (
               select * from judged
               where lost = '{}' and (key is null or order_id in (select subject from keyed))
           ), held as (
               insert into open_hold as h (rider_id, orders, until)
               select rider_id, (array_agg(order_id order by nr))[:$20], (array_agg(expires_at order by nr))[:$20]
               from able group by rider_id order by rider_id
               on conflict (rider_id) do update set (orders, until) = (
                   select coalesce(array_agg(order_id order by nr), '{}'), coalesce(array_agg(until order by nr), '{}')
                   from (select e.*, row_number() over (order by e.nr) as place
                         from (select x.order_id, x.until, x.nr - 1000000 as nr
                               from unnest(h.orders, h.until) with ordinality as x(order_id, until, nr)
                               where x.until > now()
                                 -- Who has room for one more is not asked what became of the others.
                                 and (cardinality(h.orders) + cardinality(excluded.orders) <= $20
                                      or not exists (select from orders o where o.id = x.order_id and o.status <> 'unpaid')
                                         and not exists (select from barrier b where b.subject = x.order_id and b.step = $15
                                                                                 and b.undone_at is not null))
                               union all
                               select x.order_id, x.until, x.nr
                               from unnest(excluded.orders, excluded.until) with ordinality as x(order_id, until, nr)
                              ) as e) as every
                   where nr < 0 or place <= $20)
               returning h.orders
           ), won as materialized (
               -- Is true: looked up in a hash; a join of so few rows, as the planner takes them for, would be of each with each.
               select a.* from able a where (a.order_id in (select unnest(orders) from held)) is true
           ), stepped as (
               insert into barrier (subject, step, done_at) select order_id, $15, now() from won
           ), taken as (
               update seat s set order_id = w.order_id, held_until = w.expires_at
               from wanted p join won w using (order_id)
               where s.trip_id = p.trip_id and s.seat = p.seat
           ), armed as (
               insert into queue.job (id, tag, key, payload, max_attempts, run_at)
               select undo, $15, order_id::text, undo_payload, $16::int, now() + make_interval(secs => $17) from won
               union all
               select timer, $18, order_id::text, timer_payload, $19::int, expires_at from won
           )
           select w.order_id is not null as "won!", j.order_id is not null as "known!",
                  a.order_id is not null and w.order_id is null as "over!",
                  coalesce(j.lost, '{}') as "lost!", j.price as "unit_price?", now() as "at!", j.expires_at as "expires_at?"
           from request r
           left join judged j using (order_id)
           left join able a using (order_id)
           left join won w using (order_id)
           order by r.nr"#,
        &orders,
        &riders,
        &trips,
        &keys as &[Option<String>],
        &prints as &[Option<Vec<u8>>],
        &asks.iter().map(|ask| ask.undo.id).collect::<Vec<_>>(),
        &asks.iter().map(|ask| ask.undo.payload.clone()).collect::<Vec<_>>(),
        &asks.iter().map(|ask| ask.timer.id).collect::<Vec<_>>(),
        &asks.iter().map(|ask| ask.timer.payload.clone()).collect::<Vec<_>>(),
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
    )
    .fetch_all(pool)
    .await
}

/// The undo: gives this order's seats back, unless the booking went on and its order was added.
///
/// # Errors
/// What may be tried again.
pub async fn undo(desk: &Desk, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderAddSeats = delivery.decode()?;
    let mut tx = desk.begin().await?;
    let note = release::claims(&mut tx, job.booking()).await?;
    desk.settle(tx, delivery, note).await
}
