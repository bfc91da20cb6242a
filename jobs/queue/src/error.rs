//! How a handler fails, and so what becomes of its job.

use std::{error::Error, fmt, time::Duration};

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// How many errors of a chain are written down.
const CHAIN_MAX: usize = 16;
/// How much text of a failure, or of a note, is written down, in characters.
const TEXT_MAX: usize = 4_000;

/// Why an attempt failed. The whole error chain is kept with the job.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Try again by the tag's policy, until the attempts are used up.
    #[error("{0}")]
    Retry(#[source] BoxError),
    /// Try again after this time, until the attempts are used up.
    #[error("{0}")]
    RetryAfter(#[source] BoxError, Duration),
    /// Trying again is pointless: a dead letter at once.
    #[error("{0}")]
    Fatal(#[source] BoxError),
    /// A person must look at it: a dead letter at once.
    #[error("{0}")]
    NeedsOperator(#[source] BoxError),
    /// The payload is not one this build can read: a dead letter at once.
    #[error("undecodable: {0}")]
    Undecodable(String),
    /// Another attempt holds the job now; this one must change nothing.
    #[error("the lease is lost")]
    LeaseLost,
    /// The handler followed [`Delivery::is_cancelled`](crate::Delivery::is_cancelled) and changed
    /// nothing: the job ends as cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl JobError {
    /// [`JobError::Retry`].
    pub fn retry(source: impl Into<BoxError>) -> Self {
        Self::Retry(source.into())
    }

    /// [`JobError::Fatal`].
    pub fn fatal(source: impl Into<BoxError>) -> Self {
        Self::Fatal(source.into())
    }

    /// [`JobError::NeedsOperator`].
    pub fn needs_operator(source: impl Into<BoxError>) -> Self {
        Self::NeedsOperator(source.into())
    }

    /// [`JobError::Undecodable`].
    pub fn undecodable(why: impl fmt::Display) -> Self {
        Self::Undecodable(why.to_string())
    }
}

impl From<sqlx::Error> for JobError {
    /// Every database error is worth another attempt: a lost connection, an exhausted pool, a
    /// deadlock, a serialization failure, a read-only server after a failover will pass. One that
    /// stays (22xxx, 23xxx) uses up the attempts and ends as a dead letter.
    fn from(error: sqlx::Error) -> Self {
        Self::Retry(error.into())
    }
}

/// An error and its sources, outermost first; a source that its parent already quotes is left out.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    for _ in 0..CHAIN_MAX {
        let Some(source) = next else { break };
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}

/// A text as the database takes it: not too long, and without the NUL it refuses.
pub(crate) fn storable(text: &str) -> String {
    text.chars().take(TEXT_MAX).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn the_chain_names_each_source_once() {
        let inner = "x".parse::<i32>().expect_err("not a number");
        let error = JobError::retry(Outer(inner));
        assert_eq!(chain(&error), "outer: invalid digit found in string");
    }

    #[test]
    fn any_text_becomes_storable() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert_eq!(storable(&"é".repeat(TEXT_MAX + 1)).chars().count(), TEXT_MAX);
    }
}
