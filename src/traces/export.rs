//! Exporting: one task that takes ended spans out of their queue and posts them, batch by batch.
//!
//! A batch is posted once. Spans that a collector does not take are lost and counted: while it is
//! away, trying again would only fill the queue, whose newer spans say more about what is wrong now.

use super::{client::Client, endpoint::Endpoint, otlp, record::Record};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use std::{sync::LazyLock, time::Duration};
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Most spans of one request.
const MAX_BATCH: usize = 512;
/// How long a span waits for others to share its request.
const INTERVAL: Duration = Duration::from_millis(1_000);
/// How long a request to the collector may take, with connecting.
const EXPORT_LIMIT: Duration = Duration::from_millis(4_000);

/// What became of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A collector has taken them.
    Sent,
    /// The queue was full, or the process had stopped.
    Dropped,
    /// No collector took them.
    Failed,
}

/// The label of [`SPANS`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfOutcome {
    outcome: &'static str,
}

/// The spans of this process that were recorded, by what became of them. Each outcome is there from the
/// start: `increase` of a series that begins with its first span is 0.
pub static SPANS: LazyLock<Family<OfOutcome, Counter>> = LazyLock::new(|| {
    let spans = Family::default();
    for outcome in [Outcome::Sent, Outcome::Dropped, Outcome::Failed] {
        drop(spans.get_or_create(&OfOutcome::of(outcome)));
    }
    spans
});

impl OfOutcome {
    pub(super) fn of(outcome: Outcome) -> Self {
        let outcome = match outcome {
            Outcome::Sent => "sent",
            Outcome::Dropped => "dropped",
            Outcome::Failed => "failed",
        };
        Self { outcome }
    }
}

/// Counts spans.
pub(super) fn count(outcome: Outcome, spans: usize) {
    SPANS.get_or_create(&OfOutcome::of(outcome)).inc_by(spans as u64);
}

/// Posts the spans of one process.
pub(super) struct Exporter {
    client: Client,
    resource: Resource,
    /// Whether the last batch failed: each outage is logged once.
    is_failing: bool,
}

impl Exporter {
    /// An exporter of the spans of `service`.
    ///
    /// # Errors
    /// Those of [`Client::new`].
    pub(super) fn new(endpoint: Endpoint, service: &str) -> Result<Self, String> {
        Ok(Self { client: Client::new(endpoint)?, resource: otlp::resource(service), is_failing: false })
    }

    /// Exports until `stop`, then what is left in the queue. Safe to drop: what it holds is lost.
    pub(super) async fn run(mut self, mut spans: Receiver<Record>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while let Some(first) = stop.run_until_cancelled(spans.recv()).await.flatten() {
            batch.push(first);
            let until = Instant::now() + INTERVAL;
            while batch.len() < MAX_BATCH {
                let room = MAX_BATCH - batch.len();
                let more = spans.recv_many(&mut batch, room);
                let more = timeout_at(until, stop.run_until_cancelled(more)).await;
                if !matches!(more, Ok(Some(1..))) {
                    break;
                }
            }
            self.export(std::mem::take(&mut batch)).await;
        }
        // What ends from now on is dropped, so this ends too.
        spans.close();
        while spans.recv_many(&mut batch, MAX_BATCH).await > 0 {
            self.export(std::mem::take(&mut batch)).await;
        }
    }

    async fn export(&mut self, batch: Vec<Record>) {
        let many = batch.len();
        let lost = Lost(many);
        let body = otlp::encode(&self.resource, batch);
        let error = match timeout(EXPORT_LIMIT, self.client.post(&body)).await {
            Ok(Ok((status, answer))) if status.is_success() => {
                let rejected = usize::try_from(otlp::rejected(answer)).unwrap_or(many).min(many);
                lost.only(rejected);
                self.note_success(rejected);
                return;
            }
            Ok(Ok((status, _))) => format!("the collector answered {status}"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {EXPORT_LIMIT:?}"),
        };
        // Once for each outage, not once a second.
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(error, spans = many, "traces are not exported; their spans are lost");
        }
    }

    fn note_success(&mut self, rejected: usize) {
        if rejected > 0 {
            tracing::warn!(spans = rejected, "the collector rejected spans");
        }
        if std::mem::replace(&mut self.is_failing, false) {
            tracing::info!("traces are exported again");
        }
    }
}

/// Spans that count as failed unless the collector takes them: also if the export is aborted.
struct Lost(usize);

impl Lost {
    /// All but these were sent.
    fn only(mut self, rejected: usize) {
        count(Outcome::Sent, self.0 - rejected);
        self.0 = rejected;
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        if self.0 > 0 {
            count(Outcome::Failed, self.0);
        }
    }
}
