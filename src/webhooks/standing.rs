//! How webhooks stand, for metrics.

use sqlx::PgPool;

/// Most deliveries that are counted.
const MOST_COUNTED: i64 = 10_000;

/// How webhooks stand.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// For how long every attempt at one enabled webhook has failed, seconds; of the one that fails longest.
    pub failing_secs: f64,
    /// Deliveries of enabled webhooks that wait, counted up to 10,000.
    pub pending: i64,
}

/// How webhooks stand now.
///
/// # Errors
/// The database's.
pub async fn standing(pool: &PgPool) -> Result<Standing, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"select coalesce((select extract(epoch from now() - min(failing_since))::float8
                            from webhook_endpoint where state = 'enabled'), 0) as "failing_secs!",
                  (select count(*) from (
                       select from webhook_delivery d join webhook_endpoint e on e.id = d.endpoint_id
                       where d.state = 'pending' and e.state = 'enabled' limit $1) as p) as "pending!""#,
        MOST_COUNTED
    )
    .fetch_one(pool)
    .await
}
