//! Refunding, `pay_back_cancle`: paid → refunding → money back → seats free → refunded. Every step moves
//! forward and can be repeated; a refund that stops half way is carried on by its job, which its first
//! step armed.

use super::reverse::{self, GiveBack};
use crate::{
    domain::{Error, Money, OrderId, OrderStatus, PaymentId, Refusal, RiderId},
    idempotency,
    orders::{self, Command, OrderView},
    saga::{JobContext, Rollback, SagaContext, SagaResult, or_roll_back, step},
    storage::{self, again, begin_async_commit},
    traces,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    EventKind, MqTag, PayBack, Paying,
    queue::{self, Delivery, Due, Job, JobError, NewJob, Outcome},
};
use sqlx::PgConnection;

/// Refunds the rider's paid order, by the rules that it was sold by.
///
/// # Errors
/// Not the rider's, not paid, too late; on a failure the job that carries the refund on has been scheduled.
pub async fn refund(saga: &SagaContext, command: &Command) -> SagaResult<OrderView> {
    let result = step(&saga.faults, MqTag::PayBack, run(saga, command)).await;
    let rollback = |_| Rollback {
        undo: NewJob::of(&PayBack::new(command.order_id)),
        replaces: None,
        key: command.key.clone(),
        subject: command.attempt,
        error: String::new(),
    };
    or_roll_back(saga, result, rollback).await
}

/// Three transactions, each of which may be made again. Should it stop between two, the job that the
/// first armed goes on.
async fn run(saga: &SagaContext, command: &Command) -> Result<OrderView, Error> {
    again(|| begin(saga, command)).await?;
    again(|| async { money_back(&mut *saga.pool.acquire().await?, command.order_id).await }).await?;
    again(|| end(saga, command)).await
}

/// Frees the seats and stores the response.
async fn end(saga: &SagaContext, command: &Command) -> Result<OrderView, Error> {
    let Command { attempt, order_id, rider_id, ref key } = *command;
    let mut tx = storage::begin(&saga.pool).await?;
    free_seats(&mut tx, order_id).await?;
    queue::remove(&mut tx, &[(PayBack::TAG, order_id.to_string())]).await?;
    let order = orders::find(&mut *tx, order_id, Some(rider_id)).await?.ok_or(Refusal::NotFound("order"))?;
    idempotency::save_in(&mut tx, key.as_ref(), attempt, 200, &order.to_json()).await?;
    tx.commit().await?;
    Ok(order)
}

/// Takes the client's key, makes paid refunding, and arms the job that carries the refund on.
async fn begin(saga: &SagaContext, command: &Command) -> Result<(), Error> {
    let mut tx = begin_async_commit(&saga.pool).await?;
    idempotency::reserve(&mut tx, command.key.as_ref(), command.attempt).await?;
    let beginning = Beginning {
        order: command.order_id,
        rider: Some(command.rider_id),
        exceptions: Exceptions::default(),
        cut_off_secs: saga.rules.refund_cut_off_secs,
        why: "refunded by its rider",
    };
    make_refunding(&mut tx, &beginning).await?;
    let due = Due::In(saga.undo_after().to_std().unwrap_or_default());
    queue::enqueue(&mut tx, &[NewJob::of(&PayBack::new(command.order_id))], due).await?;
    tx.commit().await?;
    Ok(())
}

/// How a refund departs from the rules that the order was sold by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exceptions {
    /// It may begin after the time for refunds.
    pub late: bool,
    /// No fee is kept.
    pub without_fee: bool,
}

/// Begins an operator's refund of a paid order in the caller's transaction; its job, due now, carries it on.
///
/// # Errors
/// No such order, not paid, too late without the exception; the database's.
pub async fn begin_by_operator(
    conn: &mut PgConnection,
    order: OrderId,
    exceptions: Exceptions,
    cut_off_secs: f64,
) -> Result<(), Error> {
    let why = "refunded by an operator";
    make_refunding(&mut *conn, &Beginning { order, rider: None, exceptions, cut_off_secs, why }).await?;
    queue::enqueue(conn, &[NewJob::of(&PayBack::new(order))], Due::Now).await?;
    Ok(())
}

/// What begins a refund.
struct Beginning<'a> {
    order: OrderId,
    /// Whose the order must be; none for any rider's.
    rider: Option<RiderId>,
    exceptions: Exceptions,
    /// How long before departure refunding ends for an order without a rule of its own, seconds.
    cut_off_secs: f64,
    /// For the order's history.
    why: &'a str,
}

/// Paid becomes refunding, if the time for it has not ended or does not count. The fee is settled here,
/// before any other transaction: what the order's rules leave of the amount. What is given back is rounded
/// to a minor unit, half up. What an import changed, or is changing, is refunded until departure, without a
/// fee.
async fn make_refunding(conn: &mut PgConnection, beginning: &Beginning<'_>) -> Result<(), Error> {
    let Beginning { order, rider, exceptions, cut_off_secs, why } = *beginning;
    let rider = rider.map(|rider| rider.0);
    let work = sqlx::query!(
        "with begun as (
             update orders o set status = 'refunding',
                 refund_fee = case when not $5 and not o.free_refund and c.import_id is null then
                     nullif(o.amount - round(o.amount * coalesce(o.refund_percent, 100) / 100, 2), 0) end
             from orders w
             join trip t on t.id = w.trip_id
             left join lateral change_under_way(w.trip_id, w.created_at) as c on true
             where w.id = $1 and o.id = w.id and ($2::uuid is null or o.rider_id = $2) and o.status = 'paid'
              and ($4 or t.departs_at
                         - case when o.free_refund or c.import_id is not null then interval '0'
                                else make_interval(secs => coalesce(o.refund_secs, $3::float8)) end > now())
             returning o.id, c.import_id, c.what
         ), changed as (
             insert into order_change (order_id, import_id, what)
             select id, import_id, what from begun where import_id is not null
             on conflict (order_id, import_id) do nothing
         )
         insert into order_event (order_id, status, reason) select id, 'refunding', $6 from begun",
        order.0,
        rider,
        cut_off_secs,
        exceptions.late,
        exceptions.without_fee,
        why,
    )
    .execute(&mut *conn);
    let begun = traces::statement("begin_refund", work).await?;
    if begun.rows_affected() == 0 {
        let found = orders::find(conn, order, rider.map(RiderId)).await?.ok_or(Refusal::NotFound("order"))?;
        return Err(match found.status {
            OrderStatus::Paid => Refusal::TooLateToRefund.into(),
            status => Refusal::WrongState(status).into(),
        });
    }
    Ok(())
}

/// What a refund of a paid order would give back now, by its rules.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What the rider paid.
    pub amount: Money,
    /// What is kept of it; zero for a refund of all.
    pub fee: Money,
    /// Until when its rider may have it refunded.
    pub until: DateTime<Utc>,
    /// Whether that has passed, by the database's clock.
    pub is_late: bool,
}

/// The terms on which a paid order would be refunded now; none for an order that is not paid.
///
/// # Errors
/// The database's.
pub async fn terms(
    conn: &mut PgConnection,
    order: OrderId,
    cut_off_secs: f64,
) -> Result<Option<Terms>, sqlx::Error> {
    // As in `make_refunding`; the view knows what an import changed, or is changing.
    let row = sqlx::query!(
        r#"select o.amount as "amount!", u.at as "until!", u.at <= now() as "is_late!",
                  o.amount - round(o.amount * coalesce(o.refund_percent, 100) / 100, 2) as "fee!"
           from order_shown o join trip t on t.id = o.trip_id
           cross join lateral (
               select t.departs_at - make_interval(secs => coalesce(o.refund_secs, $2::float8)) as at
           ) u
           where o.id = $1 and o.status = 'paid'"#,
        order.0,
        cut_off_secs,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Terms {
        amount: Money::from_database(row.amount),
        fee: Money::from_database(row.fee),
        until: row.until,
        is_late: row.is_late,
    }))
}

/// Begins to refund those of the orders that are paid, without a fee and however late it is, with `why` in
/// their history. Their jobs, due now, carry the refunds on. The caller has locked the orders by ascending
/// id.
///
/// # Errors
/// The database's.
pub async fn begin_all(conn: &mut PgConnection, orders: &[OrderId], why: &str) -> Result<(), sqlx::Error> {
    let begun = sqlx::query_scalar!(
        "with begun as (
             update orders set status = 'refunding' where id = any($1) and status = 'paid' returning id
         )
         insert into order_event (order_id, status, reason) select id, 'refunding', $2 from begun
         returning order_id",
        &orders.iter().map(|order| order.0).collect::<Vec<_>>(),
        why,
    )
    .fetch_all(&mut *conn)
    .await?;
    let jobs: Vec<_> = begun.into_iter().map(|order| NewJob::of(&PayBack::new(OrderId(order)))).collect();
    queue::enqueue(conn, &jobs, Due::Now).await.map(drop)
}

/// The money goes back with one entry, and a fee is taken with another; a repeat moves none.
async fn money_back(conn: &mut PgConnection, order: OrderId) -> Result<(), sqlx::Error> {
    let row = sqlx::query!(
        r#"select payment_id as "payment_id!", rider_id, coalesce(refund_fee, 0) as "fee!"
           from orders where id = $1 and status = 'refunding'"#,
        order.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let paying =
        Paying { payment_id: PaymentId(row.payment_id), order_id: order, rider_id: RiderId(row.rider_id) };
    reverse::give_back(conn, &paying, GiveBack::Refund { fee: row.fee }).await.map(drop)
}

/// Refunding becomes refunded and the seats are free, once the money is back.
async fn free_seats(conn: &mut PgConnection, order: OrderId) -> Result<(), sqlx::Error> {
    let work = sqlx::query!(
        "with refunded as (
             update orders o set status = 'refunded', closed_at = now() from payment p
             where o.id = $1 and o.status = 'refunding' and p.id = o.payment_id and p.state = 'refunded'
             returning o.id, o.trip_id, o.seats
         ), freed as materialized (
             select free_seats(array_agg(id), array_agg(trip_id), array_agg(seats::text)) from refunded
         ), announced as materialized (
             select announce($2, array_agg(id), null) from refunded
         )
         insert into order_event (order_id, status, reason)
         select id, 'refunded', 'money back, seats free' from refunded cross join freed cross join announced",
        order.0,
        EventKind::OrderRefunded.wire(),
    )
    .execute(conn);
    traces::statement("end_refund", work).await.map(drop)
}

/// The undo carries a begun refund to its end. Of one that never began it does nothing.
///
/// # Errors
/// Errors that may pass: the job is retried.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: PayBack = delivery.decode()?;
    let order = job.order_id();
    money_back(&mut *context.pool().acquire().await?, order).await?;
    let mut tx = context.begin().await?;
    free_seats(&mut tx, order).await?;
    let note = match orders::lock_status(&mut tx, order).await? {
        Some(OrderStatus::Refunded) => "refunded",
        // Begun after this job read the money to give back: no other job may be there to carry it on.
        Some(OrderStatus::Refunding) => return Err(JobError::retry("the refund began meanwhile")),
        _ => "nothing to do: no refund was begun",
    };
    context.complete(tx, delivery, note).await
}
