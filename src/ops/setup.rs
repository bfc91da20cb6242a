//! What is done to a whole database.

use super::{Attribution, audit::Action};
use crate::{accounts::secret_check, domain::Error, ops::audit::Subject, settings::Secrets, storage};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

/// Whether the database holds no account, trip, order or ledger entry.
///
/// # Errors
/// The database's.
pub async fn is_empty(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select not exists(select from rider) and not exists(select from trip)
              and not exists(select from orders) and not exists(select from ledger_entry) as "empty!""#
    )
    .fetch_one(conn)
    .await
}

/// [`is_empty`] on a connection of the pool.
///
/// # Errors
/// The database's.
pub async fn is_empty_database(pool: &PgPool) -> Result<bool, sqlx::Error> {
    is_empty(&mut *pool.acquire().await?).await
}

/// Records that demo data was added.
///
/// # Errors
/// The database's.
pub async fn record_demo_data(
    conn: &mut PgConnection,
    by: &Attribution,
    trips: u64,
    accounts: usize,
) -> Result<(), sqlx::Error> {
    let detail = json!({ "trips": trips, "accounts": accounts });
    by.record(conn, Action::DemoData, &Subject::of("database", &"demo"), &detail).await
}

/// Makes the secrets those of the database, whatever they were.
///
/// # Errors
/// The database's.
pub async fn accept_secrets(pool: &PgPool, by: &Attribution, secrets: &Secrets) -> Result<(), Error> {
    let mut tx = storage::begin(pool).await?;
    secret_check::accept(&mut tx, secrets).await?;
    by.record(&mut tx, Action::SecretsAccept, &Subject::of("database", &"secrets"), &json!({})).await?;
    Ok(tx.commit().await?)
}
