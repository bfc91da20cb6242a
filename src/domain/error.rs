//! Errors of the application.

use super::Refusal;

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call of the application failed.
#[derive(Debug)]
pub enum Error {
    /// A business rule refuses the request. Nothing was written.
    Refused(Refusal),
    /// Another request has reserved the client's idempotency key. Nothing was written.
    KeyTaken,
    /// An internal failure; whether the step committed may be unknown.
    Broken(BoxError),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Broken(Box::new(error))
    }
}
