//! The rule of closing an unpaid order, and that of freeing an order's seats: functions of the database, so
//! that each stands once.

use super::array_literal;
use crate::{
    domain::{CloseReason, OrderId, TripId},
    traces,
};
use sqlx::PgConnection;
use uuid::Uuid;

/// Closes those of the orders that are unpaid (and, for [`CloseReason::Expired`], overdue by the database's
/// clock), frees their seats and writes `why` to their history. Returns the orders that it closed. Their
/// timers are the caller's to remove. The caller has locked the orders by ascending id, if there are several.
///
/// # Errors
/// The database's.
pub async fn close_orders(
    conn: &mut PgConnection,
    orders: &[OrderId],
    reason: CloseReason,
    why: &str,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let work = sqlx::query_scalar!(
        r#"select close_orders($1, $2, $3) as "id!""#,
        &orders.iter().map(|order| order.0).collect::<Vec<_>>(),
        reason.as_str(),
        why,
    )
    .fetch_all(conn);
    traces::statement("close_orders", work).await
}

/// Frees those of the trip's seats that the order owns, locking them in the order in which a claim does.
///
/// # Errors
/// The database's.
pub async fn free_seats(
    conn: &mut PgConnection,
    order: OrderId,
    trip: TripId,
    seats: &[i32],
) -> Result<(), sqlx::Error> {
    let work = sqlx::query!(
        "select free_seats(array[$1::uuid], array[$2::uuid], array[$3::text])",
        order.0,
        trip.0,
        array_literal(seats),
    )
    .execute(conn);
    traces::statement("free_seats", work).await.map(drop)
}
