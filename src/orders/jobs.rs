//! The jobs of an order: by their keys, its id and its payments' ids, or by what only their payloads say.

use crate::domain::OrderId;
use chrono::TimeDelta;
use farebox_jobs::queue::admin::{KeyFilter, first_id};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// How much a request may outlast the time in which its order can be paid, and clocks may differ.
const LATE: TimeDelta = TimeDelta::minutes(1);

/// The jobs of this order, as the queue finds them.
///
/// # Errors
/// The database's.
pub async fn of(conn: &mut PgConnection, order: OrderId) -> Result<KeyFilter, sqlx::Error> {
    let keys = sqlx::query_scalar!(
        r#"select $1::uuid::text as "key!" union all select id::text from payment where order_id = $1"#,
        order.0
    )
    .fetch_all(&mut *conn)
    .await?;
    // A payment that failed before it was written down: its job's key is its own, and only the payload
    // names the order.
    let ids = sqlx::query_scalar!(
        r#"select id as "id!" from queue.job
           where tag = 'pay_check_cancle' and order_of(payload) = $1::uuid::text
           union all
           select id from queue.dead_letter where order_of(payload) = $1::uuid::text
           union all
           select id from queue.finished where tag = 'pay_check_cancle'
               and order_of(payload) = $1::uuid::text"#,
        order.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids = ids.into_iter().chain(undone_debits(&mut *conn, order).await?).collect();
    Ok(KeyFilter { keys, ids })
}

/// The undos of debits that failed before they committed, and so left no payment. No index of ended jobs
/// has their orders: these are looked for among the jobs of the tag that were made while the order could
/// be paid. Successful payments leave none.
async fn undone_debits(conn: &mut PgConnection, order: OrderId) -> Result<Vec<Uuid>, sqlx::Error> {
    let payable = sqlx::query!("select created_at, expires_at from orders where id = $1", order.0);
    let Some(payable) = payable.fetch_optional(&mut *conn).await? else { return Ok(Vec::new()) };
    sqlx::query_scalar!(
        r#"select id as "id!" from queue.job
           where tag = 'pay_money_cancle' and id >= $2 and id < $3 and order_of(payload) = $1::uuid::text
           union all
           select id from queue.finished
           where tag = 'pay_money_cancle' and id >= $2 and id < $3 and order_of(payload) = $1::uuid::text"#,
        order.0,
        first_id(payable.created_at - LATE),
        first_id(payable.expires_at + LATE)
    )
    .fetch_all(conn)
    .await
}

/// The order that a job is about, from any kind of payload.
pub fn order_of(payload: &Value) -> Option<OrderId> {
    let paths = ["/booking/order_id", "/paying/order_id", "/order_id"];
    let text = paths.iter().find_map(|path| payload.pointer(path)?.as_str())?;
    text.parse().ok().map(OrderId)
}
