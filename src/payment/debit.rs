//! Step 2, `pay_money_cancle`: the wallet pays. One statement for any number of payments: it locks the wallets in one
//! order everywhere, judges each payment by the balance it then sees, and for those that can pay takes the client's
//! key, uses the authorization up if there is one, writes payment, entry, balance and barrier row, and arms the undo.
//! Relative, never absolute.

use super::{Request, check, reverse};
use crate::{
    domain::{Money, Refusal},
    flow::{Desk, Flow, Ground, IdempotencyKey, Shared, StepError, Together, idempotency},
    orders::OrderView,
};
use farebox_jobs::{
    MqTag, PayMoney, Paying,
    queue::{Delivery, Job, JobError, NewJob, Outcome},
};
use rust_decimal::Decimal;
use uuid::Uuid;

/// One payment's row of the statement's result.
pub struct Verdict {
    balance: Decimal,
    enough: bool,
    keyed: bool,
    authorized: bool,
    debited: bool,
}

/// The statement, for any number of payments of different orders.
pub struct Debits;

/// One payment, and the undo that its debit arms.
pub struct Ask {
    request: Request,
    amount: Money,
    undo: NewJob,
}

impl Together for Debits {
    type Ground = Ground;
    type Ask = Ask;
    type Answer = Verdict;

    fn shared(ask: &Ask) -> Vec<Shared> {
        let order = Shared::Order(ask.request.order_id.0);
        ask.request.key.iter().map(IdempotencyKey::shared).chain([order]).collect()
    }

    async fn ask_all(ground: &Ground, asks: &[Ask]) -> Result<Vec<Verdict>, sqlx::Error> {
        debit_all(ground, asks).await
    }
}

/// Debits one payment.
///
/// # Errors
/// Balance too low, not authorized any more, another payment of the order under way, key taken; barred by its own undo;
/// the database's.
pub async fn run(
    flow: &Flow,
    request: &Request,
    paying: &Paying,
    order: &OrderView,
) -> Result<(), StepError> {
    let ask =
        || Ask { request: request.clone(), amount: order.amount, undo: NewJob::of(&PayMoney::new(paying)) };
    let mut verdict = flow.joint.ask::<Debits>(ask()).await?;
    if !verdict.enough && verdict.balance >= order.amount.decimal() {
        // The sum of several payments of this wallet was too much for it, in which others came first. They are made by
        // now, or were refused: what is left is for this one.
        verdict = flow.joint.ask::<Debits>(ask()).await?;
    }
    match verdict {
        Verdict { debited: true, .. } => Ok(()),
        Verdict { enough: false, balance, .. } => {
            // The money may be gone because another device has just paid this very order: that is the better answer.
            check::order(flow, request).await?;
            Err(Refusal::BalanceTooLow { balance: Money::from_database(balance) }.into())
        }
        Verdict { keyed: false, .. } => Err(StepError::KeyTaken),
        Verdict { authorized: false, .. } => Err(Refusal::NotAuthorized.into()),
        _ => Err(Refusal::AlreadyPaying.into()),
    }
}

async fn debit_all(ground: &Ground, asks: &[Ask]) -> Result<Vec<Verdict>, sqlx::Error> {
    let Ground { pool, rules } = ground;
    let requests = || asks.iter().map(|ask| &ask.request);
    sqlx::query_as!(
        Verdict,
        r#"with request as materialized (
               select r.* from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::numeric[], $5::text[], $6::bytea[],
                                      $7::uuid[], $8::uuid[], $9::jsonb[], $14::bytea[])
                   with ordinality
                   as r(payment_id, order_id, rider_id, amount, key, fingerprint, entry, undo, undo_payload, token_hash,
                        nr),
                   -- Marking it paid will wait for the disk, and bring this commit there.
                   set_config('synchronous_commit', 'off', true)
           ), locked as materialized (
               select w.rider_id, w.balance, w.last_entry from wallet w
               where w.rider_id in (select rider_id from request)
               order by w.rider_id for update
           ), able as materialized (
               select r.*, l.balance, l.last_entry,
                      sum(r.amount) over (partition by r.rider_id order by r.nr) <= l.balance as enough
               from request r join locked l using (rider_id)
           ), keyed as (
               insert into idempotency as i (actor, key, fingerprint, subject)
               select rider_id, key, fingerprint, payment_id from able where enough and key is not null
               on conflict (actor, key) do update
                   set subject = excluded.subject, started_at = now()
                   where i.status is null and i.fingerprint = excluded.fingerprint
                     and i.started_at < now() - make_interval(secs => $10)
               returning i.subject
           ), authorized as materialized (
               -- Locked, so that of two payments at once the second sees what the first used up.
               select a.order_id, a.token_hash from payment_authorization a
               where a.used_by is null and a.expires_at > now()
                 and (a.order_id, a.rider_id, a.token_hash) in (select order_id, rider_id, token_hash from able where enough)
               order by a.order_id for update
           ), paid as (
               insert into payment (id, order_id, rider_id, amount, state)
               select payment_id, order_id, rider_id, amount, 'debited' from able
               where enough and (key is null or payment_id in (select subject from keyed))
                 and (token_hash is null or (order_id, token_hash) in (select order_id, token_hash from authorized))
               on conflict (order_id) where state <> 'reversed' do nothing
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
           select a.balance as "balance!", a.enough as "enough!",
                  (a.key is null or a.payment_id in (select subject from keyed)) as "keyed!",
                  (a.token_hash is null
                   or (a.order_id, a.token_hash) in (select order_id, token_hash from authorized)) as "authorized!",
                  a.payment_id in (select id from paid) as "debited!"
           from able a order by a.nr"#,
        &requests().map(|r| r.payment_id.0).collect::<Vec<_>>(),
        &requests().map(|r| r.order_id.0).collect::<Vec<_>>(),
        &requests().map(|r| r.rider_id.0).collect::<Vec<_>>(),
        &asks.iter().map(|ask| ask.amount.decimal()).collect::<Vec<_>>(),
        &requests().map(|r| r.key.as_ref().map(|k| k.key.clone())).collect::<Vec<_>>()
            as &[Option<String>],
        &requests().map(|r| r.key.as_ref().map(|k| k.fingerprint.clone())).collect::<Vec<_>>()
            as &[Option<Vec<u8>>],
        &asks.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>(),
        &asks.iter().map(|ask| ask.undo.id).collect::<Vec<_>>(),
        &asks.iter().map(|ask| ask.undo.payload.clone()).collect::<Vec<_>>(),
        idempotency::stale_secs(),
        MqTag::PayMoney.wire(),
        PayMoney::RETRY.max_attempts,
        rules.undo_after().as_seconds_f64(),
        &requests().map(|r| r.proof.token_hash().map(<[u8]>::to_vec)).collect::<Vec<_>>()
            as &[Option<Vec<u8>>],
    )
    .fetch_all(pool)
    .await
}

/// The undo: one reversing entry for this payment, unless its order was marked paid.
///
/// # Errors
/// What may be tried again.
pub async fn undo(desk: &Desk, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: PayMoney = delivery.decode()?;
    let mut tx = desk.begin().await?;
    let note = reverse::payment(&mut tx, job.paying()).await?;
    desk.settle(tx, delivery, note).await
}
