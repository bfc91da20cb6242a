//! Traces: what a request, its steps and the undos that repair it did, as spans of OpenTelemetry.
//!
//! A request, a step, a batch, a statement, a raised rollback and an attempt at a job are a [`Span`]
//! each. A span that is recorded is a task's [`current`] span while its work runs, and what begins
//! meanwhile becomes its child. Where no span is current nothing is recorded: that is one look at a
//! task-local, and so all that unsampled requests and processes without a [`Tracer`] pay.
//!
//! A job keeps the span that enqueued it. Each attempt at the job is a trace of its own, with a link to
//! that span: attempts come later than the request, on another machine, and as often as it takes.
//!
//! An ended span goes into a bounded queue. One task exports the queue in batches, by OTLP over HTTP.
//! A full queue drops spans and counts them, so that exporting delays nothing else.
//!
//! Attributes hold ids, tags, seats, amounts and kinds of errors: no texts of errors, which may quote
//! what somebody typed, and nothing of a person.

mod client;
mod context;
mod endpoint;
mod export;
mod otlp;
mod record;
mod sink;
mod span;
mod statement;
mod tracer;

pub use context::{SpanContext, TraceId};
pub use endpoint::Endpoint;
pub use export::SPANS;
pub use record::Kind;
pub use span::{Span, current, in_current_trace, within};
pub use statement::{begin_statement, end_statement, statement};
pub use tracer::Tracer;
