//! The spans of requests that share a statement. Each recorded request has its own: its trace shows how
//! long it waited for the flush, and how long the statement took that it shared.

use crate::traces::{self, Kind, Span, begin_statement, end_statement};
use tokio::time::Instant;

/// The span of one request in a batch: from its submission to its output.
pub(super) struct BatchSpan {
    span: Span,
    submitted: Instant,
}

impl BatchSpan {
    /// Begins one if the task's trace is recorded.
    pub(super) fn begin(statement: &'static str) -> Option<Self> {
        let span = traces::current()?.child(format!("batch {statement}"), Kind::Internal);
        Some(Self { span, submitted: Instant::now() })
    }

    pub(super) fn end(self, error: Option<&sqlx::Error>) {
        end_statement(&self.span, error);
    }
}

/// One execution of a statement, once for each recorded request of its batch; mostly of none.
pub(super) struct StatementSpans(Vec<Span>);

impl StatementSpans {
    pub(super) fn begin<'a>(
        statement: &'static str,
        callers: impl ExactSizeIterator<Item = Option<&'a BatchSpan>>,
    ) -> Self {
        let requests = callers.len();
        let begin = |batch: &BatchSpan| {
            batch.span.set("farebox.batch.size", requests);
            batch.span.set("farebox.batch.wait_ms", batch.submitted.elapsed().as_secs_f64() * 1_000.0);
            let span = begin_statement(&batch.span, statement);
            if requests > 1 {
                span.set("db.operation.batch.size", requests);
            }
            span
        };
        Self(callers.flatten().map(begin).collect())
    }

    pub(super) fn end(self, error: Option<&sqlx::Error>) {
        self.0.iter().for_each(|span| end_statement(span, error));
    }
}
