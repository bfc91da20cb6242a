//! Which of the logged changes the database has: its keys and histories are read once, row by row.

use super::log::RestoreLog;
use crate::{
    domain::{CloseReason, RiderId},
    idempotency::{ChangeId, Effect},
};
use chrono::Duration;
use farebox_jobs::queue::admin::first_id;
use futures_util::TryStreamExt;
use sqlx::PgConnection;

/// Removes from the log what the database has. A response may have been repeated for as long as keys are
/// stored, `key_hours`: histories are read from that long before the log on.
///
/// # Errors
/// The database's.
pub(super) async fn remove_present(
    conn: &mut PgConnection,
    log: &mut RestoreLog,
    key_hours: u32,
) -> Result<(), sqlx::Error> {
    if log.named.is_empty() {
        return Ok(());
    }
    remove_keys(conn, log).await?;
    let from = log.from() - Duration::hours(key_hours.into());
    let mut booked =
        sqlx::query_scalar!("select id from orders where id >= $1", first_id(from)).fetch(&mut *conn);
    while let Some(order) = booked.try_next().await? {
        log.named.remove(&ChangeId::of_effect(Effect::Booked, order));
    }
    drop(booked);
    let mut paid = sqlx::query_scalar!(
        "select p.id from payment p join orders o on o.id = p.order_id and o.payment_id = p.id where p.id >= $1",
        first_id(from)
    )
    .fetch(&mut *conn);
    while let Some(payment) = paid.try_next().await? {
        log.named.remove(&ChangeId::of_effect(Effect::Paid, payment));
    }
    drop(paid);
    let mut ended = sqlx::query!(
        "select order_id, status from order_event
         where at >= $1 and (status = 'refunding' or status = 'closed' and reason = $2)",
        from,
        CloseReason::CancelledByRider.as_str()
    )
    .fetch(&mut *conn);
    while let Some(event) = ended.try_next().await? {
        let effect = if event.status == "closed" { Effect::Cancelled } else { Effect::Refunded };
        log.named.remove(&ChangeId::of_effect(effect, event.order_id));
    }
    Ok(())
}

/// Removes what was done under a key. A key that a booking or a payment has reserved counts if the order
/// is there, or paid: the response is made of that.
async fn remove_keys(conn: &mut PgConnection, log: &mut RestoreLog) -> Result<(), sqlx::Error> {
    let mut keys = sqlx::query!(
        r#"select i.actor, i.key from idempotency i
           where i.status between 200 and 299
              or i.status is null
                 and (exists(select from orders o where o.id = i.subject)
                      or exists(select from payment p join orders o on o.id = p.order_id and o.payment_id = p.id
                                where p.id = i.subject))"#
    )
    .fetch(conn);
    while let Some(key) = keys.try_next().await? {
        log.named.remove(&ChangeId::of_key(RiderId(key.actor), &key.key));
    }
    Ok(())
}
