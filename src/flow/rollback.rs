//! Raising a rollback: the failed step's undo becomes due now.

use super::{Flow, IdempotencyKey, Stop, idempotency};
use farebox_jobs::{
    MqTag,
    queue::{self, NewJob},
};
use uuid::Uuid;

/// What a failed flow owes.
pub struct Rollback<'a> {
    /// The failed tag's typed job.
    pub undo: NewJob,
    /// The undo that an earlier step armed and that `undo` replaces, as (tag, key).
    pub replaces: Option<(&'static str, String)>,
    /// The client's key, freed so that the request may be tried again.
    pub key: Option<&'a IdempotencyKey>,
    /// The order or payment the key was taken for.
    pub subject: Uuid,
}

/// Where the rollback stands when the client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// In the queue, due now.
    Queued,
    /// It could not be sent. What the steps armed when they committed falls due by itself.
    Armed,
}

impl Raised {
    /// The word for it in an answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Armed => "armed",
        }
    }
}

/// A flow's end: what it brought, or why it stopped; after a failure also where its rollback stands.
pub type Ending<T> = Result<T, (Stop, Option<Raised>)>;

/// Ends a flow: a failed step raises its tag's rollback, which `owed` knows.
///
/// # Errors
/// Why the flow stopped.
pub async fn or_roll_back<'a, T>(
    flow: &Flow,
    ended: Result<T, Stop>,
    owed: impl FnOnce(MqTag) -> Rollback<'a>,
) -> Ending<T> {
    match ended {
        Ok(done) => Ok(done),
        Err(Stop::Failed(failure)) => {
            let raised = Box::pin(raise(flow, owed(failure.tag))).await;
            Err((Stop::Failed(failure), Some(raised)))
        }
        Err(stop) => Err((stop, None)),
    }
}

/// Makes the undo due now. That this may fail is no danger: see [`Raised::Armed`].
async fn raise(flow: &Flow, rollback: Rollback<'_>) -> Raised {
    let (tag, key) = (rollback.undo.tag, rollback.undo.key.clone());
    match send(flow, rollback).await {
        Ok(()) => Raised::Queued,
        Err(error) => {
            tracing::warn!(tag, key, %error, "rollback not sent; the armed undo will fall due");
            Raised::Armed
        }
    }
}

async fn send(flow: &Flow, rollback: Rollback<'_>) -> Result<(), sqlx::Error> {
    let mut tx = flow.pool.begin().await?;
    queue::hurry(&mut tx, &rollback.undo).await?;
    if let Some(armed) = rollback.replaces.filter(|(tag, _)| *tag != rollback.undo.tag) {
        queue::take_off(&mut tx, &[armed]).await?;
    }
    if let Some(key) = rollback.key {
        idempotency::forget(&mut *tx, key, rollback.subject).await?;
    }
    tx.commit().await?;
    flow.bell.ring();
    Ok(())
}
