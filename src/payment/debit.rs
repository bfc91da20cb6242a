//! Step 2, `pay_money_cancle`: the wallet pays. One statement for any number of payments: it locks the wallets in one
//! order everywhere, judges each payment by the order and the balance it then sees, and for those that can pay takes the
//! client's key, uses the authorization up if there is one, writes payment, entry, balance and barrier row, and arms the undo.
//! Relative, never absolute. Who cannot pay has written nothing but his key, and that only if another payment of the order is
//! under way; the check's look tells him why.

use super::{Request, check, reverse};
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{Error, Money, OrderStatus, Refusal, TripId},
    idempotency::{self, IdempotencyKey},
    orders::OrderView,
    saga::{JobContext, SagaContext},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag, PayMoney, Paying,
    queue::{Delivery, Job, JobError, NewJob, Outcome},
};
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use sqlx::types::Json;
use std::sync::Arc;
use uuid::Uuid;

/// What a debit brings for the step after it.
pub struct Debited {
    /// The order, still unpaid.
    pub order: OrderView,
    /// The undo that the debit armed: a job's id.
    pub armed: Uuid,
}

/// One payment's row of the statement's result.
pub struct Verdict {
    enough: bool,
    keyed: bool,
    authorized: bool,
    debited: bool,
    balance: Option<Decimal>,
    /// The order's, if it can be paid.
    trip_id: Option<Uuid>,
    seats: Option<Vec<i32>>,
    unit_price: Option<Decimal>,
    amount: Option<Decimal>,
    created_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
}

impl Verdict {
    /// The order, if it was paid for.
    fn order(&self, request: &Request) -> Option<OrderView> {
        let seats = self.seats.as_ref().filter(|_| self.debited)?;
        Some(OrderView {
            id: request.order_id,
            trip_id: TripId(self.trip_id?),
            seats: seats.iter().map(ToString::to_string).collect(),
            unit_price: Money::from_database(self.unit_price?),
            amount: Money::from_database(self.amount?),
            status: OrderStatus::Unpaid,
            created_at: self.created_at?,
            expires_at: self.expires_at?,
            paid_at: None,
            closed_reason: None,
        })
    }
}

/// The statement, for any number of payments of different orders.
pub struct Debits;

/// One payment, and the undo that its debit arms.
pub struct Ask {
    request: Arc<Request>,
    undo: NewJob,
}

impl BatchStatement for Debits {
    type BatchContext = BatchContext;
    type Ask = Arc<Ask>;
    type Answer = Verdict;

    fn shared(ask: &Arc<Ask>) -> Vec<ConflictKey> {
        let order = ConflictKey::Order(ask.request.order_id.0);
        ask.request.key.iter().map(IdempotencyKey::shared).chain([order]).collect()
    }

    async fn ask_all(ground: &BatchContext, asks: &[Arc<Ask>]) -> Result<Vec<Verdict>, sqlx::Error> {
        debit_all(ground, asks).await
    }
}

/// Debits one payment. One that was refused is looked at; if there is no reason (any more), it is tried once again: the sum of
/// several payments of one wallet may have been too much for it, of which others were refused then.
///
/// # Errors
/// The check's; another payment of the order under way, key taken; barred by its own undo; the database's.
pub async fn run(saga: &SagaContext, request: &Arc<Request>, paying: &Paying) -> Result<Debited, Error> {
    let ask = Arc::new(Ask { request: Arc::clone(request), undo: NewJob::of(&PayMoney::new(paying)) });
    let armed = ask.undo.id;
    let mut verdict = saga.batchers.ask::<Debits>(Arc::clone(&ask)).await?;
    if !verdict.debited {
        check::again(saga, request).await?;
        verdict = saga.batchers.ask::<Debits>(ask).await?;
    }
    match verdict.order(request) {
        Some(order) => Ok(Debited { order, armed }),
        None if verdict.amount.is_none() => Err(Refusal::OrderExpired.into()),
        None if !verdict.enough => {
            let balance = Money::from_database(verdict.balance.unwrap_or_default());
            Err(Refusal::BalanceTooLow { balance }.into())
        }
        None if !verdict.authorized => Err(Refusal::NotAuthorized.into()),
        None if !verdict.keyed => Err(Error::KeyTaken),
        None => Err(Refusal::AlreadyPaying.into()),
    }
}

async fn debit_all(ground: &BatchContext, asks: &[Arc<Ask>]) -> Result<Vec<Verdict>, sqlx::Error> {
    let rules = &ground.rules;
    let mut db = ground.db.take().await?;
    let requests = || asks.iter().map(|ask| &ask.request);
    let verdicts = sqlx::query_as!(
        Verdict,
        r#"with request as materialized (
               select r.*, o.*
               from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::uuid[], $7::uuid[],
                           $8::jsonb[], $9::bytea[])
                   with ordinality
                   as r(payment_id, order_id, rider_id, key, fingerprint, entry, undo, undo_payload, token_hash, nr)
               left join lateral (
                   select o.trip_id, o.seats, o.unit_price, o.amount, o.created_at, o.expires_at
                   from orders o join trip t on t.id = o.trip_id
                   where o.id = r.order_id and o.rider_id = r.rider_id and o.status = 'unpaid' and o.expires_at > now()
                     and t.cancelled_at is null
                   offset 0
               ) as o on true
               -- Marking it paid will wait for the disk, and bring this commit there.
               where (select set_config('synchronous_commit', 'off', true)) is not null
           ), locked as materialized (
               select w.*
               from (select distinct rider_id from request where amount is not null order by rider_id) as r
               cross join lateral (
                   select rider_id, balance, last_entry from wallet where rider_id = r.rider_id for update
               ) as w
           ), able as materialized (
               select r.*, l.balance, l.last_entry,
                      sum(r.amount) over (partition by r.rider_id order by r.nr) <= l.balance as enough
               from request r join locked l using (rider_id)
               where r.amount is not null
           ), authorized as materialized (
               -- Locked, so that of two payments at once the second sees what the first used up.
               select r.payment_id
               from (select * from able where enough and token_hash is not null order by order_id) as r
               cross join lateral (
                   select from payment_authorization
                   where order_id = r.order_id and rider_id = r.rider_id and token_hash = r.token_hash
                     and used_by is null and expires_at > now()
                   for update
               ) as a
           ), keyed as (
               insert into idempotency as i (actor, key, fingerprint, subject)
               select rider_id, key, fingerprint, payment_id from able
               where enough and key is not null and (token_hash is null or payment_id in (select payment_id from authorized))
               on conflict (actor, key) do update
                   set subject = excluded.subject, started_at = now()
                   where i.fingerprint = excluded.fingerprint
                     and (i.subject = excluded.subject and i.status is null
                          or key_is_abandoned(i.status, i.started_at, i.subject, $10))
               returning i.subject
           ), paid as (
               insert into payment (id, order_id, rider_id, amount, state)
               select payment_id, order_id, rider_id, amount, 'debited' from able
               where enough and (key is null or payment_id in (select subject from keyed))
                 and (token_hash is null or payment_id in (select payment_id from authorized))
               on conflict (order_id) where is_live do nothing
               returning id
           ), debit as materialized (
               select a.*,
                      coalesce(a.last_entry, 0) + row_number() over chain as seq,
                      a.balance - sum(a.amount) over chain as balance_after
               from able a join paid p on p.id = a.payment_id
               window chain as (partition by a.rider_id order by a.nr)
           ), used as (
               update payment_authorization a set used_by = d.payment_id from debit d
               where d.token_hash is not null and a.order_id = d.order_id and a.token_hash = d.token_hash
           ), stepped as (
               insert into barrier (subject, step, done_at) select payment_id, $11, now() from debit
           ), entered as (
               insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, order_id, payment_id)
               select rider_id, seq, entry, 'payment', -amount, balance_after, order_id, payment_id from debit
           ), moved as (
               update wallet w set balance = d.balance_after, last_entry = d.seq
               from (select distinct on (rider_id) rider_id, seq, balance_after
                     from debit order by rider_id, seq desc) as d
               where w.rider_id = d.rider_id
           ), armed as (
               insert into queue.job (id, tag, key, payload, max_attempts, run_at)
               select undo, $11, payment_id::text, undo_payload, $12::int, now() + make_interval(secs => $13) from debit
           )
           select coalesce(a.enough, false) as "enough!",
                  (r.key is null or (r.payment_id in (select subject from keyed)) is true) as "keyed!",
                  (r.token_hash is null or (r.payment_id in (select payment_id from authorized)) is true) as "authorized!",
                  (r.payment_id in (select id from paid)) is true as "debited!",
                  a.balance as "balance?", r.trip_id as "trip_id?", r.seats as "seats?", r.unit_price as "unit_price?",
                  r.amount as "amount?", r.created_at as "created_at?", r.expires_at as "expires_at?"
           from request r left join able a using (payment_id) order by r.nr"#,
        &requests().map(|r| r.payment_id.0).collect::<Vec<_>>(),
        &requests().map(|r| r.order_id.0).collect::<Vec<_>>(),
        &requests().map(|r| r.rider_id.0).collect::<Vec<_>>(),
        &requests().map(|r| r.key.as_ref().map(|k| k.key.clone())).collect::<Vec<_>>()
            as &[Option<String>],
        &requests().map(|r| r.key.as_ref().map(|k| k.fingerprint.clone())).collect::<Vec<_>>()
            as &[Option<Vec<u8>>],
        &asks.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>(),
        &asks.iter().map(|ask| ask.undo.id).collect::<Vec<_>>(),
        &asks.iter().map(|ask| ask.undo.json()).collect::<Vec<_>>() as &[Json<&RawValue>],
        &requests().map(|r| r.proof.token_hash().map(<[u8]>::to_vec)).collect::<Vec<_>>()
            as &[Option<Vec<u8>>],
        idempotency::stale_secs(),
        MqTag::PayMoney.wire(),
        PayMoney::RETRY.max_attempts,
        rules.undo_after().as_seconds_f64(),
    )
    .fetch_all(&mut *db)
    .await?;
    db.keep();
    Ok(verdicts)
}

/// The undo: one reversing entry for this payment, unless its order was marked paid.
///
/// # Errors
/// What may be tried again.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: PayMoney = delivery.decode()?;
    let mut tx = context.begin().await?;
    let note = reverse::payment(&mut tx, job.paying()).await?;
    context.settle(tx, delivery, note).await
}
