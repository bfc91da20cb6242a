//! What is measured of batches: how many requests shared an execution, and how long each had waited.

use crate::instruments::{Buckets, Histogram};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::MetricType,
    registry::Unit,
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Requests of a batch, up to the largest one.
const SIZES: Buckets = Buckets::of_counts(&[1, 2, 4, 8, 16, 32, 64]);
/// From 1 ms to 5 s, the longest wait that a request survives several times over.
const WAITS: Buckets = Buckets::of_micros(&[
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
]);

/// The meters of all statements of this process: one entry a name, so at most as many as there are
/// statements. The lock is taken when a batcher is made and when a page is written.
static METERS: Mutex<Vec<Arc<BatchMeter>>> = Mutex::new(Vec::new());

/// What is measured of one statement's batches.
#[derive(Debug)]
pub(super) struct BatchMeter {
    name: &'static str,
    /// Requests of each execution.
    pub(super) size: Histogram,
    /// From a request's submission until its execution begins.
    pub(super) wait: Histogram,
}

impl BatchMeter {
    /// The meter of this statement, which all its batchers share.
    pub(super) fn of(name: &'static str) -> Arc<Self> {
        let mut meters = METERS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = meters.iter().find(|meter| meter.name == name) {
            return Arc::clone(meter);
        }
        let meter = Arc::new(Self { name, size: Histogram::new(SIZES), wait: Histogram::new(WAITS) });
        meters.push(Arc::clone(&meter));
        meter
    }
}

/// Shows the batches of this process: `batch_size` and `batch_wait_seconds`, each by `statement`.
#[derive(Clone, Copy, Debug)]
pub struct BatchMetrics;

impl Collector for BatchMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let meters = METERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if meters.is_empty() {
            return Ok(());
        }
        let help = "Requests that shared one execution of a statement";
        let mut sizes = encoder.encode_descriptor("batch_size", help, None, MetricType::Histogram)?;
        for meter in &meters {
            meter.size.encode(sizes.encode_family(&[("statement", meter.name)])?)?;
        }
        let help = "How long a request waited for the execution that it shared";
        let unit = Some(&Unit::Seconds);
        let mut waits = encoder.encode_descriptor("batch_wait", help, unit, MetricType::Histogram)?;
        for meter in &meters {
            meter.wait.encode(waits.encode_family(&[("statement", meter.name)])?)?;
        }
        Ok(())
    }
}
