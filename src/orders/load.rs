//! Reading the rows of orders.

use super::view::{OrderRow, OrderView, query_orders, read_status};
use crate::{
    batch::{BatchContext, BatchStatement, Batcher, ConflictKey},
    domain::{OrderId, OrderStatus, RiderId},
};
use sqlx::{PgConnection, PgExecutor};
use std::collections::HashMap;
use uuid::Uuid;

/// The order, if it is this rider's (or any rider's, for `None`).
///
/// # Errors
/// The database's.
pub async fn find(
    db: impl PgExecutor<'_>,
    order: OrderId,
    rider: Option<RiderId>,
) -> Result<Option<OrderView>, sqlx::Error> {
    let row = query_orders!(
        OrderRow: "",
        " from order_shown o where o.id = $1 and ($2::uuid is null or o.rider_id = $2)",
        order.0,
        rider.map(|r| r.0)
    )
    .fetch_optional(db)
    .await?;
    row.map(OrderView::try_from).transpose()
}

/// The rider's order, read in one statement with other requests.
///
/// # Errors
/// The database's.
pub async fn find_batched(
    batcher: &Batcher<FindOrders>,
    order: OrderId,
    rider: RiderId,
) -> Result<Option<OrderView>, sqlx::Error> {
    batcher.submit((order.0, rider.0)).await
}

/// [`find`]'s statement, for any number of orders.
pub struct FindOrders;

impl BatchStatement for FindOrders {
    const NAME: &'static str = "find_orders";
    type Context = BatchContext;
    /// The order, and whose it must be.
    type Request = (Uuid, Uuid);
    type Output = Option<OrderView>;

    /// An order is in a batch once, so that the row of an order belongs to one request.
    fn conflict_keys((order, _): &(Uuid, Uuid)) -> Vec<ConflictKey> {
        vec![ConflictKey::Order(*order)]
    }

    async fn execute(
        context: &BatchContext,
        batch: &[(Uuid, Uuid)],
    ) -> Result<Vec<Option<OrderView>>, sqlx::Error> {
        let mut conn = context.connections.acquire().await?;
        let (orders, riders): (Vec<_>, Vec<_>) = batch.iter().copied().unzip();
        let rows = query_orders!(
            OrderRow: "",
            " from unnest($1::uuid[], $2::uuid[]) as r (order_id, rider_id)
               cross join lateral (
                   select * from order_shown where id = r.order_id and rider_id = r.rider_id
                   -- planner fence: an order is looked up by its id, docs/decisions/0009-planner-fences.md
                   offset 0) as o",
            &orders,
            &riders,
        )
        .fetch_all(&mut *conn)
        .await?;
        conn.release();
        let mut found: HashMap<Uuid, OrderRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        batch.iter().map(|(order, _)| found.remove(order).map(OrderView::try_from).transpose()).collect()
    }
}

/// Rebuilds the response to the request that booked this order, or made this payment: the order as it
/// was then. The fields that are not constants here never change.
///
/// # Errors
/// The database's.
pub async fn rebuild_response(
    db: impl PgExecutor<'_>,
    subject: Uuid,
) -> Result<Option<OrderView>, sqlx::Error> {
    let row = sqlx::query_as!(
        OrderRow,
        r#"select id as "id!", trip_id as "trip_id!", seats as "seats!", labels, unit_price, prices as "prices: Vec<rust_decimal::Decimal>",
            amount as "amount!",
                  'unpaid' as "status!", created_at as "created_at!", expires_at as "expires_at!",
                  null::timestamptz as paid_at, null as closed_reason
           from orders where id = $1
           union all
           select o.id, o.trip_id, o.seats, o.labels, o.unit_price, o.prices, o.amount, 'paid', o.created_at, o.expires_at,
               o.paid_at, null
           from payment p join orders o on o.id = p.order_id and o.payment_id = p.id
           where p.id = $1"#,
        subject
    )
    .fetch_optional(db)
    .await?;
    row.map(OrderView::try_from).transpose()
}

/// Locks the order's row and returns its stored state, for an undo to decide by.
///
/// # Errors
/// The database's.
pub async fn lock_status(
    conn: &mut PgConnection,
    order: OrderId,
) -> Result<Option<OrderStatus>, sqlx::Error> {
    let status = sqlx::query_scalar!("select status from orders where id = $1 for update", order.0)
        .fetch_optional(conn)
        .await?;
    status.as_deref().map(read_status).transpose()
}
