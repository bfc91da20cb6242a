//! The spans of statements.

use super::{
    record::Kind,
    span::{Span, current},
};
use crate::storage::error_type;
use std::future::Future;

/// Begins the span of a statement within another span.
pub fn begin_statement(parent: &Span, name: &'static str) -> Span {
    let span = parent.child(name, Kind::Client);
    span.set("db.system.name", "postgresql");
    span.set("db.query.summary", name);
    span
}

/// Ends the span of a statement, or of a batch, with the kind of its error.
pub fn end_statement(span: &Span, error: Option<&sqlx::Error>) {
    if let Some(error) = error {
        span.fail(error_type(error));
    }
    span.end();
}

/// Runs a statement that no other request shares, in a span if something is recorded.
///
/// # Errors
/// The statement's.
pub async fn statement<T>(
    name: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let span = current().map(|parent| begin_statement(&parent, name));
    let done = work.await;
    if let Some(span) = span {
        end_statement(&span, done.as_ref().err());
    }
    done
}
