//! Closes unpaid orders that are overdue, and completes their jobs, in one transaction for any number of
//! orders: after an hour without workers there may be a hundred thousand of them.

use super::close_orders::close_orders;
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{CloseReason, OrderId},
    storage::begin_async_commit,
};
use farebox_jobs::queue::Lease;
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// The note of a job that closed its order.
pub const CLOSED: &str = "closed: not paid in time";

/// The statements. Orders that are paid, early or gone, and those whose lease is lost, are left as they are.
pub struct ExpireOrders;

/// One order, and the attempt that closes it.
pub struct Request {
    /// Which order.
    pub order: OrderId,
    /// The lease of the job.
    pub lease: Arc<Lease>,
}

impl BatchStatement for ExpireOrders {
    const NAME: &'static str = "expire_orders";
    type Context = BatchContext;
    type Request = Request;
    /// Whether the order was closed.
    type Output = bool;

    fn conflict_keys(request: &Request) -> Vec<ConflictKey> {
        vec![ConflictKey::Order(request.order.0)]
    }

    async fn execute(context: &BatchContext, batch: &[Request]) -> Result<Vec<bool>, sqlx::Error> {
        let mut tx = begin_async_commit(context.connections.pool()).await?;
        let due = lock_due(&mut tx, batch).await?;
        if due.is_empty() {
            return Ok(vec![false; batch.len()]);
        }
        let leases: Vec<&Lease> =
            batch.iter().filter(|r| due.contains(&r.order.0)).map(|r| r.lease.as_ref()).collect();
        let completed = Lease::complete_all(&mut tx, &leases, Some(CLOSED)).await?;
        let is_completed = |request: &Request| completed.contains(&request.lease.job_id);
        let orders: Vec<OrderId> = batch.iter().filter(|r| is_completed(r)).map(|r| r.order).collect();
        let reason = CloseReason::Expired;
        close_orders(&mut tx, &orders, reason, reason.as_str()).await?;
        tx.commit().await?;
        Ok(batch.iter().map(is_completed).collect())
    }
}

/// Locks those orders that are unpaid and overdue, by ascending id as everywhere.
async fn lock_due(conn: &mut PgConnection, batch: &[Request]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from orders where id = any($1) and status = 'unpaid' and expires_at <= now()
            order by id for update",
        &batch.iter().map(|request| request.order.0).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await
}
