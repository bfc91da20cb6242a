//! The job of an import: it goes through the trips with riders that the import touches.
//!
//! Each trip that changes gets one transaction, which moves its seats, writes what changed for each order
//! and marks the trip as done. Before it, orders whose seats have no place end in a transaction of their
//! own, as those of a cancelled trip do. Until the trip is done, everything that was not committed is
//! done again, and what was committed finds nothing left to do. So the job may be killed at any time.
//!
//! Somebody may be in the way: a booking, a payment or a refund under way, which knows the numbers of the
//! seats that it began with. Then the trip is left for a later pass. All of these end by themselves or by
//! their armed undo.

use crate::{
    booking::unpaid,
    domain::{CloseReason, OrderId, OrderStatus},
    payment::refund,
    saga::JobContext,
    trips::passes,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    NetworkImport, OrderUnpaid,
    queue::{self, Delivery, Job, JobError, Outcome},
};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Trips of one attempt; after them, the job yields its slot to others.
const TRIPS_PER_ATTEMPT: i64 = 100;
/// Orders that one transaction ends. A trip with more ends them in several passes.
const ORDERS_PER_PASS: i64 = 500;

/// A trip that is not done.
struct Item {
    trip_id: Uuid,
    what: String,
    model_id: Option<i64>,
    /// Whether the trip has ended, by the import or by an operator since.
    is_cancelled: bool,
}

/// The job: one pass over the trips that are left, then the end, or another pass later.
///
/// # Errors
/// A failure, after which the job is retried.
pub async fn run(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let import = delivery.decode::<NetworkImport>()?.import_id();
    let mut any_done = false;
    for item in open(context.pool(), import).await? {
        if delivery.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        if process(context, import, &item).await? {
            any_done = true;
        } else {
            put_behind(context.pool(), import, item.trip_id).await?;
        }
    }
    let mut tx = context.begin().await?;
    if let Some(at) = next_pass(&mut tx, import, any_done).await? {
        return context.snooze(tx, delivery, at).await;
    }
    sqlx::query!(
        "update network_import set finished_at = now() where id = $1 and finished_at is null",
        import
    )
    .execute(&mut *tx)
    .await?;
    context.complete(tx, delivery, "every trip is done").await
}

/// The trips that are left, those that were tried least first.
async fn open(pool: &PgPool, import: Uuid) -> Result<Vec<Item>, sqlx::Error> {
    sqlx::query_as!(
        Item,
        r#"select x.trip_id, x.what, x.model_id, t.cancelled_at is not null as "is_cancelled!"
           from network_import_trip x join trip t on t.id = x.trip_id
           where x.import_id = $1 and x.done_at is null
           order by x.tries, x.trip_id limit $2"#,
        import,
        TRIPS_PER_ATTEMPT
    )
    .fetch_all(pool)
    .await
}

/// Does what is left for the trip. Returns whether it is done; otherwise somebody is in the way.
async fn process(context: &JobContext, import: Uuid, item: &Item) -> Result<bool, sqlx::Error> {
    if item.is_cancelled {
        return record_ended(context, import, item).await;
    }
    if let Some(model) = item.model_id {
        block(context.pool(), item.trip_id, model).await?;
        end_without_place(context, import, item, model).await?;
    }
    let mut tx = context.begin().await?;
    let is_free = match item.model_id {
        Some(_) => {
            let word = sqlx::query_scalar!("select move_seats($1, $2)", import, item.trip_id);
            word.fetch_one(&mut *tx).await?.as_deref() == Some("moved")
        }
        None => lock_orders(&mut tx, item.trip_id).await?,
    };
    if !is_free {
        return Ok(false);
    }
    record_changed(&mut tx, import, item).await?;
    shorten_holds(&mut tx, item.trip_id, context.booking().cut_off_secs).await?;
    tx.commit().await?;
    Ok(true)
}

/// Unpaid orders never outlive the end of booking, which may be earlier now. Their timers are due now, and
/// wait on until the new deadline. The caller has locked the orders.
async fn shorten_holds(conn: &mut PgConnection, trip: Uuid, cut_off_secs: f64) -> Result<(), sqlx::Error> {
    let shortened = sqlx::query_scalar!(
        "with late as materialized (
             -- A deadline is after the order's creation, even one that has passed.
             select o.id, greatest(e.ends_at, o.created_at + interval '1 ms') as until
             from trip t
             cross join lateral (
                 select t.departs_at - make_interval(secs => coalesce(t.cut_off_secs, $2::float8)) as ends_at) as e
             join orders o on o.status = 'unpaid' and o.expires_at > e.ends_at
                 and o.id in (select s.order_id from seat s where s.trip_id = t.id and s.order_id is not null)
             where t.id = $1
         ), held as (
             update seat s set held_until = l.until from late l where s.trip_id = $1 and s.order_id = l.id
         )
         update orders o set expires_at = l.until from late l where o.id = l.id returning o.id",
        trip,
        cut_off_secs
    )
    .fetch_all(&mut *conn)
    .await?;
    let timers: Vec<_> = shortened.iter().map(|order| (OrderUnpaid::TAG, order.to_string())).collect();
    queue::expedite(conn, &timers).await.map(drop)
}

/// Locks the orders that own seats of the trip; returns whether each owner is an order.
async fn lock_orders(conn: &mut PgConnection, trip: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "select from orders o
         where o.id in (select s.order_id from seat s where s.trip_id = $1 and s.order_id is not null)
         order by o.id for update of o",
        trip
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar!(
        r#"select not exists(select from seat s where s.trip_id = $1 and s.order_id is not null
                             and not exists(select from orders o where o.id = s.order_id)) as "all_are_orders!""#,
        trip
    )
    .fetch_one(conn)
    .await
}

/// Blocks the free seats that have no place, as a claim may have left them since. Not in the transaction of
/// [`end_without_place`]: one that holds seats of orders and then locks others could deadlock with a claim.
async fn block(pool: &PgPool, trip: Uuid, model: i64) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with free as materialized (
             select trip_id, seat from seat
             where trip_id = $1 and order_id is null and not blocked
               and seat in (select seats_without_place($1, $2))
             order by trip_id, seat for update)
         update seat s set blocked = true from free f where s.trip_id = f.trip_id and s.seat = f.seat",
        trip,
        model
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Closes the orders with a seat that has no place, or begins their refunds, and writes that down.
async fn end_without_place(
    context: &JobContext,
    import: Uuid,
    item: &Item,
    model: i64,
) -> Result<(), sqlx::Error> {
    let mut tx = context.begin().await?;
    let lost = sqlx::query!(
        r#"select o.id, o.status, l.labels as "labels!" from orders o join (
               select s.order_id, string_agg(coalesce(was.label, s.seat::text), ', ' order by s.seat) as labels
               from seat s join trip t on t.id = s.trip_id
               left join model_seat was on was.model_id = t.model_id and was.number = s.seat
               where s.trip_id = $1 and s.order_id is not null
                 and s.seat in (select seats_without_place($1, $2))
               group by s.order_id
           ) as l on l.order_id = o.id
           where o.status in ('unpaid', 'paid')
           order by o.id limit $3 for update of o"#,
        item.trip_id,
        model,
        ORDERS_PER_PASS
    )
    .fetch_all(&mut *tx)
    .await?;
    if lost.is_empty() {
        return Ok(());
    }
    let reason = sqlx::query_scalar!("select reason from network_import where id = $1", import)
        .fetch_one(&mut *tx)
        .await?;
    let why = format!("no such seat on the other bus: {reason}");
    let of = |status: OrderStatus| -> Vec<OrderId> {
        lost.iter().filter(|order| order.status == status.as_str()).map(|order| OrderId(order.id)).collect()
    };
    unpaid::close_all(&mut tx, &of(OrderStatus::Unpaid), CloseReason::CancelledBySystem, &why).await?;
    refund::begin_all(&mut tx, &of(OrderStatus::Paid), &why).await?;
    let words = lost.iter().map(|order| format!("{}; seats without a place: {}", item.what, order.labels));
    sqlx::query!(
        "insert into order_change (order_id, import_id, what)
         select id, $1, what from unnest($2::uuid[], $3::text[]) as o (id, what)
         on conflict (order_id, import_id) do nothing",
        import,
        &lost.iter().map(|order| order.id).collect::<Vec<_>>(),
        &words.collect::<Vec<_>>(),
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Writes down what changed for the orders that own seats of the trip, and that it is done. Their riders may
/// refund until departure.
async fn record_changed(conn: &mut PgConnection, import: Uuid, item: &Item) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with stay as materialized (
             select o.id, o.status from orders o
             where o.id in (select s.order_id from seat s where s.trip_id = $2 and s.order_id is not null)
               and o.status in ('unpaid', 'paid', 'refunding')
               -- Who booked since then read the change before, but for that of the seats.
               and ($4 or o.created_at < (select started_at from network_import where id = $1))
         ), recorded as (
             insert into order_change (order_id, import_id, what) select id, $1, $3 from stay
             on conflict (order_id, import_id) do nothing
         ), freed as (
             update orders o set free_refund = true from stay
             where o.id = stay.id and stay.status in ('unpaid', 'paid') and not o.free_refund
         )
         update network_import_trip set done_at = now(),
             moved = (select count(*) from stay where status in ('unpaid', 'paid')),
             refunded = ended.refunded, closed = ended.closed
         from (select count(*) filter (where o.status = 'refunded') as refunded,
                      count(*) filter (where o.status = 'closed') as closed
               from order_change c join orders o on o.id = c.order_id
               where c.import_id = $1 and o.trip_id = $2) as ended
         where import_id = $1 and trip_id = $2 and done_at is null",
        import,
        item.trip_id,
        item.what,
        item.model_id.is_some()
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Writes down what became of the orders of a trip that has ended. Returns whether all of them have.
async fn record_ended(context: &JobContext, import: Uuid, item: &Item) -> Result<bool, sqlx::Error> {
    let mut tx = context.begin().await?;
    let done = sqlx::query!(
        "with ended as materialized (
             select o.id, o.status from trip_cancellation c
             join trip_cancellation_order x on x.trip_id = c.trip_id join orders o on o.id = x.order_id
             where c.trip_id = $2
         ), recorded as (
             insert into order_change (order_id, import_id, what) select id, $1, $3 from ended
             on conflict (order_id, import_id) do nothing
         )
         update network_import_trip set done_at = now(),
             refunded = (select count(*) from ended where status = 'refunded'),
             closed = (select count(*) from ended where status = 'closed')
         where import_id = $1 and trip_id = $2 and done_at is null
           and not exists(select from trip_cancellation c where c.trip_id = $2 and c.finished_at is null)",
        import,
        item.trip_id,
        item.what
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        // The trip's own job goes on; what was written here is written at the end.
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}

/// Trips for which somebody is in the way come after the others.
async fn put_behind(pool: &PgPool, import: Uuid, trip: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update network_import_trip set tries = tries + 1 where import_id = $1 and trip_id = $2",
        import,
        trip
    )
    .execute(pool)
    .await
    .map(drop)
}

/// When the next pass is due, if a trip is left: at once if this pass has done one.
async fn next_pass(
    conn: &mut PgConnection,
    import: Uuid,
    any_done: bool,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let left = sqlx::query!(
        r#"select now() as "now!", i.started_at from network_import i
           where i.id = $1
             and exists(select from network_import_trip x where x.import_id = i.id and x.done_at is null)"#,
        import
    )
    .fetch_optional(conn)
    .await?;
    let at = |now, began| if any_done { now } else { passes::next_pass(now, began) };
    Ok(left.map(|import| at(import.now, import.started_at)))
}
