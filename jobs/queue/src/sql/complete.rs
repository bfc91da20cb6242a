//! The statement that writes whatever became of a batch of attempts. What simply ended well goes
//! with the next claim instead (claim.rs).

use crate::{
    QueueConnection,
    lease_id::LeaseId,
    outcome::{Completion, CompletionResult},
};
use uuid::Uuid;

/// Writes these completions, each only under its own token. Locked rows are passed over, so that
/// one handler's open transaction never delays the others' completions. A job whose cancellation
/// was requested is not tried again: it is cancelled. The results come in no order.
pub async fn complete_batch(
    conn: &mut (impl QueueConnection + ?Sized),
    completions: &[Completion],
) -> Result<Vec<(LeaseId, CompletionResult)>, sqlx::Error> {
    let ids: Vec<Uuid> = completions.iter().map(|completion| completion.lease.job_id).collect();
    let tokens: Vec<Uuid> = completions.iter().map(|completion| completion.lease.token).collect();
    let words: Vec<String> =
        completions.iter().map(|completion| completion.disposition.word().to_owned()).collect();
    let texts: Vec<Option<String>> =
        completions.iter().map(|completion| completion.disposition.text()).collect();
    let waits: Vec<f64> = completions.iter().map(|completion| completion.disposition.wait_secs()).collect();
    let rows = sqlx::query_file!(
        "src/sql/complete_batch.sql",
        &ids,
        &tokens,
        &words,
        &texts as &[Option<String>],
        &waits,
    )
    .fetch_all(conn.on_queue())
    .await?;
    let written = |written, held| match (written, held) {
        (true, _) => CompletionResult::Written,
        (false, true) => CompletionResult::Locked,
        (false, false) => CompletionResult::LeaseLost,
    };
    Ok(rows.into_iter().map(|row| ((row.id, row.token), written(row.written, row.held))).collect())
}
