//! The jobs of an order: by their keys, its id and its payments' ids, or by what only their payloads say.

use crate::domain::OrderId;
use farebox_jobs::queue::admin::KeyFilter;
use serde_json::Value;
use sqlx::PgConnection;

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
    Ok(KeyFilter { keys, ids })
}

/// The order that a job is about, from any kind of payload.
pub fn order_of(payload: &Value) -> Option<OrderId> {
    let paths = ["/booking/order_id", "/paying/order_id", "/order_id"];
    let text = paths.iter().find_map(|path| payload.pointer(path)?.as_str())?;
    text.parse().ok().map(OrderId)
}
