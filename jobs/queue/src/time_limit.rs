//! A bound on the time that a statement or a connection may take.

use std::time::Duration;
use tokio::time::timeout;

/// The work's result, or an error of input and output once it has taken longer than `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    timeout(limit, work).await.unwrap_or_else(|late| Err(sqlx::Error::Io(std::io::Error::other(late))))
}
