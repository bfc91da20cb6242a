//! Step 3, `pay_cancle`: unpaid becomes paid, if in time by the database's clock, and its seats are sold. The last step: it
//! retires the undo that the debit armed and takes the unpaid-order timer off.

use super::{Request, debit::Debited, reverse};
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{Error, OrderStatus},
    orders::{self, OrderView},
    saga::{JobContext, SagaContext},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag, Pay, Paying,
    queue::{Delivery, JobError, Outcome},
};
use sqlx::PgExecutor;
use std::collections::HashMap;
use uuid::Uuid;

/// Marks one order paid; `None` if it closed before, or its deadline passed.
///
/// # Errors
/// Barred by its own undo; the database's.
pub async fn run(
    saga: &SagaContext,
    request: &Request,
    debited: &Debited,
) -> Result<Option<OrderView>, Error> {
    let mark = Mark { payment: request.payment_id.0, order: request.order_id.0, armed: Some(debited.armed) };
    let at = saga.batchers.ask::<Marks>(mark).await?;
    let order = &debited.order;
    Ok(at.map(|at| OrderView { status: OrderStatus::Paid, paid_at: Some(at), ..order.clone() }))
}

/// The statement, for any number of payments.
pub struct Marks;

impl BatchStatement for Marks {
    type BatchContext = BatchContext;
    type Ask = Mark;
    type Answer = Option<DateTime<Utc>>;

    fn shared(mark: &Mark) -> Vec<ConflictKey> {
        vec![ConflictKey::Order(mark.order)]
    }

    async fn ask_all(
        ground: &BatchContext,
        marks: &[Mark],
    ) -> Result<Vec<Option<DateTime<Utc>>>, sqlx::Error> {
        let mut db = ground.db.take().await?;
        let marked: HashMap<Uuid, DateTime<Utc>> = mark_all(&mut *db, marks).await?.into_iter().collect();
        db.keep();
        Ok(marks.iter().map(|mark| marked.get(&mark.order).copied()).collect())
    }
}

/// One order to mark. Paid, it is what its client is answered again for the same key.
pub struct Mark {
    payment: Uuid,
    order: Uuid,
    /// The undo that its debit armed, if that is still to be retired.
    armed: Option<Uuid>,
}

async fn mark_all(
    db: impl PgExecutor<'_>,
    marks: &[Mark],
) -> Result<Vec<(Uuid, DateTime<Utc>)>, sqlx::Error> {
    let marked = sqlx::query!(
        r#"with due as materialized (
               select r.*
               from (select * from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as r(payment_id, order_id, armed)
                     order by order_id) as r
               cross join lateral (select from orders where id = r.order_id for update) as o
           ), read as materialized (
               -- The clock, once the row is locked, and once: what judges the payment is what is written down.
               select *, clock_timestamp() as at from due
           ), marked as (
               update orders o set status = 'paid', paid_at = r.at, payment_id = r.payment_id
               from read r
               where o.id = r.order_id and o.status = 'unpaid' and o.expires_at > r.at
               returning o.id, o.trip_id, o.seats, o.paid_at, r.payment_id, r.armed
           ), seats as materialized (
               select m.id, m.trip_id, w.seat from marked m cross join unnest(m.seats) as w(seat) order by m.trip_id, w.seat
           ), sold as (
               update seat s set held_until = null
               from seats m where s.trip_id = m.trip_id and s.seat = m.seat and s.order_id = m.id
           ), stepped as (
               insert into barrier (subject, step, done_at) select payment_id, $4, now() from marked
           ), settled as (
               update payment p set state = 'settled', changed_at = now()
               from marked m where p.id = m.payment_id and p.state = 'debited'
           ), retired as (
               -- By ids, the timers' looked up one by one: a join may read the whole queue, if it was empty when this was planned.
               delete from queue.job where lease_token is null and id = any(array(
                   select armed from marked
                   union all
                   select j.id from marked m
                   cross join lateral (select id from queue.job where tag = $5 and key = m.id::text offset 0) as j))
           )
           select id, paid_at as "paid_at!" from marked"#,
        &marks.iter().map(|m| m.payment).collect::<Vec<_>>(),
        &marks.iter().map(|m| m.order).collect::<Vec<_>>(),
        &marks.iter().map(|m| m.armed).collect::<Vec<_>>() as &[Option<Uuid>],
        MqTag::Pay.wire(),
        MqTag::OrderUnpaid.wire(),
    )
    .fetch_all(db)
    .await?;
    Ok(marked.into_iter().map(|row| (row.id, row.paid_at)).collect())
}

/// The undo: if the order can still become paid, finishes it; else gives the money back.
///
/// # Errors
/// What may be tried again.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: Pay = delivery.decode()?;
    let paying = job.paying();
    let mut tx = context.begin().await?;
    let note = if reverse::is_owed(&mut tx, paying).await? && finish(&mut tx, paying).await? {
        "finished: the order is paid"
    } else {
        reverse::payment(&mut tx, paying).await?
    };
    context.settle(tx, delivery, note).await
}

async fn finish(tx: &mut sqlx::PgConnection, paying: &Paying) -> Result<bool, sqlx::Error> {
    if orders::lock_status(tx, paying.order_id).await? != Some(OrderStatus::Unpaid) {
        return Ok(false);
    }
    let mark = Mark {
        payment: paying.payment_id.0,
        order: paying.order_id.0,
        // Raising this job retired it.
        armed: None,
    };
    Ok(!mark_all(&mut *tx, &[mark]).await?.is_empty())
}
