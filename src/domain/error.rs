//! How a call of the application ends when it does not succeed.

use super::Refusal;

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why nothing came of a call.
#[derive(Debug)]
pub enum Error {
    /// The business answer is no. Nothing was written.
    Refused(Refusal),
    /// The client's idempotency key was taken by another request meanwhile. Nothing was written.
    KeyTaken,
    /// Something broke; whether the step committed may be unknown.
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
