//! Giving up what was tried for long enough, and deleting what is old.

use sqlx::PgPool;

/// Marks deliveries as failed whose time is over and that wait for an attempt: their endpoints were paused or
/// disabled, or no worker ran. At most `batch`; returns how many.
///
/// # Errors
/// The database's.
pub async fn give_up(pool: &PgPool, batch: u32) -> Result<u64, sqlx::Error> {
    let over = sqlx::query!(
        "with over as (
             select endpoint_id, event_id from webhook_delivery
             where state = 'pending' and give_up_at <= now()
             order by give_up_at limit $1 for update skip locked
         )
         update webhook_delivery d
         set state = 'failed', due_at = null, last_error = coalesce(last_error, 'not attempted in time')
         from over o where d.endpoint_id = o.endpoint_id and d.event_id = o.event_id",
        i64::from(batch)
    );
    Ok(over.execute(pool).await?.rows_affected())
}

/// Deletes events that are older than `days`, with their deliveries, and then the endpoints that were removed
/// and have none left. At most `batch` events; returns how many.
///
/// # Errors
/// The database's.
pub async fn prune(pool: &PgPool, days: u64, batch: u32) -> Result<u64, sqlx::Error> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let mut tx = crate::storage::begin(pool).await?;
    let old = sqlx::query_scalar!(
        "select id from webhook_event where created_at < now() - make_interval(days => $1)
         order by created_at limit $2",
        days,
        i64::from(batch)
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!("delete from webhook_delivery where event_id = any($1)", &old).execute(&mut *tx).await?;
    sqlx::query!("delete from webhook_event where id = any($1)", &old).execute(&mut *tx).await?;
    sqlx::query!(
        "delete from webhook_endpoint e
         where e.state = 'removed' and not exists(select from webhook_delivery d where d.endpoint_id = e.id)"
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(old.len() as u64)
}
