//! Marks orders paid, and their seats sold, in one statement for any number of payments.

use crate::batch::{BatchContext, BatchStatement, ConflictKey};
use chrono::{DateTime, Utc};
use farebox_jobs::{EventKind, MqTag};
use sqlx::PgExecutor;
use std::collections::HashMap;
use uuid::Uuid;

/// The statement.
pub struct MarkPaid;

/// One order to mark. Once paid, it is what its client is answered again for the same key.
pub struct Request {
    /// The payment.
    pub payment: Uuid,
    /// The order.
    pub order: Uuid,
    /// The undo that the debit armed, if that is still to be removed: a job's id.
    pub armed: Option<Uuid>,
}

impl BatchStatement for MarkPaid {
    const NAME: &'static str = "mark_paid";
    type Context = BatchContext;
    type Request = Request;
    /// When the order was paid; `None` if it closed before, or its deadline passed.
    type Output = Option<DateTime<Utc>>;

    fn conflict_keys(request: &Request) -> Vec<ConflictKey> {
        vec![ConflictKey::Order(request.order)]
    }

    async fn execute(
        context: &BatchContext,
        batch: &[Request],
    ) -> Result<Vec<Option<DateTime<Utc>>>, sqlx::Error> {
        let mut conn = context.connections.acquire().await?;
        let marked: HashMap<Uuid, DateTime<Utc>> = mark_paid(&mut *conn, batch).await?.into_iter().collect();
        conn.release();
        Ok(batch.iter().map(|request| marked.get(&request.order).copied()).collect())
    }
}

/// Marks those of the orders that are unpaid and in time. Returns them, with the time.
///
/// # Errors
/// Barred by the payment's own undo; the database's.
pub async fn mark_paid(
    db: impl PgExecutor<'_>,
    batch: &[Request],
) -> Result<Vec<(Uuid, DateTime<Utc>)>, sqlx::Error> {
    let marked = sqlx::query!(
        r#"with due as materialized (
               select r.*
               from (select *
                     from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as r (payment_id, order_id, armed)
                     order by order_id) as r
               cross join lateral (select from orders where id = r.order_id for update) as o
           ), read as materialized (
               -- The clock is read once, when the row is locked: the time that judges the payment is stored.
               select *, clock_timestamp() as at from due
           ), marked as (
               update orders o set status = 'paid', paid_at = r.at, payment_id = r.payment_id
               from read r
               where o.id = r.order_id and o.status = 'unpaid' and o.expires_at > r.at
               returning o.id, o.trip_id, o.seats, o.paid_at, r.payment_id, r.armed
           ), seats as materialized (
               select m.id, m.trip_id, w.seat from marked m cross join unnest(m.seats) as w (seat)
               order by m.trip_id, w.seat
           ), sold as (
               update seat s set held_until = null
               from seats m where s.trip_id = m.trip_id and s.seat = m.seat and s.order_id = m.id
           ), stepped as (
               insert into barrier (subject, step, done_at) select payment_id, $4, now() from marked
           ), settled as (
               update payment p set state = 'settled', changed_at = now()
               from marked m where p.id = m.payment_id and p.state = 'debited'
           ), retired as materialized (
               -- One call for undos and timers, by ids, since each call sets up a plan of its own. The
               -- ids are of this statement's snapshot, and the queue's function has a later one: a job
               -- that was completed in between is not there to be deleted.
               select queue.retire(array(
                   select armed from marked
                   union all
                   select j.id from marked m
                   cross join lateral (
                       -- planner fence: a timer is looked up by its key, docs/decisions/0009-planner-fences.md
                       select id from queue.job where tag = $5 and key = m.id::text offset 0) as j))
           ), announced as materialized (
               select announce($6, array_agg(id), null) from marked
           )
           -- The functions are called because their results are read here.
           select id, paid_at as "paid_at!" from marked cross join (select count(*) from retired) as r
               cross join announced"#,
        &batch.iter().map(|r| r.payment).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.order).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.armed).collect::<Vec<_>>() as &[Option<Uuid>],
        MqTag::Pay.wire(),
        MqTag::OrderUnpaid.wire(),
        EventKind::OrderPaid.wire(),
    )
    .fetch_all(db)
    .await?;
    Ok(marked.into_iter().map(|row| (row.id, row.paid_at)).collect())
}
