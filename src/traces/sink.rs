//! The queue of ended spans.

use super::{
    export::{self, Outcome},
    record::Record,
};
use tokio::sync::mpsc;

/// Most ended spans that wait to be exported: a few seconds of a busy process, and some megabytes at
/// most. Further ones are dropped.
pub(super) const MAX_QUEUED: usize = 8_192;

/// Where ended spans go. Clones are the same queue.
#[derive(Clone)]
pub(super) struct Sink(mpsc::Sender<Record>);

impl Sink {
    /// A queue, and its other end.
    pub(super) fn new() -> (Self, mpsc::Receiver<Record>) {
        let (ended, spans) = mpsc::channel(MAX_QUEUED);
        (Self(ended), spans)
    }

    /// Puts an ended span into the queue, or drops it if the queue is full.
    pub(super) fn record(&self, record: Record) {
        if self.0.try_send(record).is_err() {
            export::count(Outcome::Dropped, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            context::{SpanContext, TraceId},
            export::{OfOutcome, SPANS},
            record::Kind,
        },
        *,
    };

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (sink, spans) = Sink::new();
        let dropped = || SPANS.get_or_create(&OfOutcome::of(Outcome::Dropped)).get();
        let before = dropped();
        for _ in 0..MAX_QUEUED + 10 {
            let context = SpanContext::new(TraceId::random(), true);
            sink.record(Record::new(context, None, "a span".into(), Kind::Internal));
        }
        assert_eq!((dropped() - before, spans.len()), (10, MAX_QUEUED));
    }
}
