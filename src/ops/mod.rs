//! What operators do, one function for each action, shared by `/v1/ops`, the console and the
//! command line. Each function takes the caller's transaction and writes its row of the audit log
//! in it, so that no action goes unrecorded.

pub mod accounts;
mod approve;
pub mod audit;
pub mod bulk;
pub mod chain;
mod counts;
pub mod ended;
pub mod find;
pub mod history;
pub mod impact;
pub mod jobs;
pub mod networks;
pub mod order_list;
pub mod orders;
pub mod overview;
pub mod people;
pub mod queues;
pub mod reads;
pub mod restore;
pub mod search;
pub mod setup;
pub mod trips;
pub mod undos;
pub mod verifier;
pub mod wallets;

pub use approve::approve;
pub use counts::Counted;

use crate::domain::{FieldError, Reason, Refusal};
use audit::{Action, Actor, Subject};
use serde_json::Value;
use sqlx::PgConnection;

/// Who acts, and why.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// Who.
    pub actor: Actor,
    /// Why; optional for some actions of `/v1/ops`.
    pub reason: Option<String>,
}

impl Attribution {
    /// Who and why.
    pub fn new(actor: Actor, reason: Option<String>) -> Self {
        Self { actor, reason }
    }

    /// The reason and the actor, as a note of the queue.
    pub fn note(&self) -> String {
        format!("{} ({})", self.reason.as_deref().unwrap_or("no reason given"), self.actor.describe())
    }

    /// The reason, for actions that need one.
    ///
    /// # Errors
    /// There is none, or it breaks the rule of [`Reason`].
    pub fn reason(&self) -> Result<&str, Refusal> {
        let missing = || Refusal::Invalid(FieldError::new("/reason", "a reason is needed"));
        let reason = self.reason.as_deref().ok_or_else(missing)?;
        checked(reason).map_err(Refusal::Invalid)?;
        Ok(reason)
    }

    async fn record(
        &self,
        conn: &mut PgConnection,
        action: Action,
        subject: &Subject,
        detail: &Value,
    ) -> Result<(), sqlx::Error> {
        audit::record(conn, &self.actor, action, subject, self.reason.as_deref(), detail).await
    }
}

/// Checks a reason and removes the blanks around it.
///
/// # Errors
/// It breaks the rule of [`Reason`].
pub fn checked(reason: &str) -> Result<String, FieldError> {
    Reason::read("/reason", reason).map(Reason::into_string)
}
