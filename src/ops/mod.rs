//! What operators do, one function an act: for `/v1/ops`, the console and the command line alike. Each takes the
//! caller's transaction and writes its row of the audit log in it, so that nothing is done without being told.

pub mod accounts;
pub mod audit;
pub mod bulk;
pub mod debts;
pub mod find;
pub mod impact;
pub mod jobs;
pub mod overview;
pub mod queues;
pub mod search;
pub mod trips;
pub mod wallets;

use crate::domain::{FieldError, Reason, Refusal};
use audit::{Act, Actor, Subject};
use serde_json::Value;
use sqlx::PgConnection;

/// Who acts, and why.
#[derive(Clone, Debug)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// Why. `/v1/ops` may leave it out where it always could.
    pub reason: Option<String>,
}

impl By {
    /// Who and why.
    pub fn new(actor: Actor, reason: Option<String>) -> Self {
        Self { actor, reason }
    }

    /// The reason with who gives it, as the queue keeps it.
    pub fn told(&self) -> String {
        format!("{} ({})", self.reason.as_deref().unwrap_or("no reason given"), self.actor.told())
    }

    /// The reason, where one must be given.
    ///
    /// # Errors
    /// There is none, or it breaks the rule of [`Reason`].
    pub fn reason(&self) -> Result<&str, Refusal> {
        let missing = || Refusal::Invalid(FieldError::new("/reason", "a reason is needed"));
        let reason = self.reason.as_deref().ok_or_else(missing)?;
        checked(reason).map_err(Refusal::Invalid)?;
        Ok(reason)
    }

    async fn write(
        &self,
        conn: &mut PgConnection,
        act: Act,
        subject: &Subject,
        detail: &Value,
    ) -> Result<(), sqlx::Error> {
        audit::write(conn, &self.actor, act, subject, self.reason.as_deref(), detail).await
    }
}

/// A reason without the blanks around it, if it is one.
///
/// # Errors
/// It breaks the rule of [`Reason`].
pub fn checked(reason: &str) -> Result<String, FieldError> {
    Reason::read("/reason", reason).map(Reason::into_string)
}
