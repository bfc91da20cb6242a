//! Events of changes that no batched statement makes. The rule is a function of the database, `announce`: it
//! enqueues a job only if a webhook takes events of the kind.

use crate::traces;
use farebox_jobs::{EventKind, queue::Delivery};
use sqlx::PgConnection;

/// Announces that the undo of a failed step has ended, in the transaction that completes its job.
///
/// # Errors
/// The database's.
pub async fn announce_rollback(
    conn: &mut PgConnection,
    delivery: &Delivery,
    result: &str,
) -> Result<(), sqlx::Error> {
    let work = sqlx::query!(
        "select announce($1, array[$2::uuid], array[jsonb_build_object('tag', $3::text, 'key', $4::text,
                    'order_id', order_of($5::text::jsonb), 'result', $6::text)])",
        EventKind::RollbackDone.wire(),
        delivery.lease.job_id,
        delivery.lease.tag,
        delivery.lease.key,
        &*delivery.payload,
        result,
    )
    .fetch_one(conn);
    traces::statement("announce", work).await.map(drop)
}
