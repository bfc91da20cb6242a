//! Counting without locks: a histogram of atomic buckets, for code that runs in every request.
//!
//! The histogram of `prometheus-client` takes a lock for each observation.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The number of buckets that a histogram may have, the one without a bound included.
const MAX_BUCKETS: usize = 16;

/// The upper bounds of a histogram's buckets, and how many of their units are one of the metric's.
#[derive(Clone, Copy, Debug)]
pub struct Buckets {
    bounds: &'static [u64],
    per_unit: f64,
}

impl Buckets {
    /// Bounds in microseconds, in ascending order, at most 15; the metric is in seconds.
    pub const fn of_micros(bounds: &'static [u64]) -> Self {
        assert!(bounds.len() < MAX_BUCKETS);
        Self { bounds, per_unit: 1e6 }
    }

    /// Bounds of a plain number, in ascending order, at most 15.
    pub const fn of_counts(bounds: &'static [u64]) -> Self {
        assert!(bounds.len() < MAX_BUCKETS);
        Self { bounds, per_unit: 1.0 }
    }
}

/// A histogram. An observation is two atomic additions.
pub struct Histogram {
    buckets: Buckets,
    /// The observations of each bucket; the last one has no bound. The rest is unused.
    counts: [AtomicU64; MAX_BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    /// An empty histogram.
    pub const fn new(buckets: Buckets) -> Self {
        Self { buckets, counts: [const { AtomicU64::new(0) }; MAX_BUCKETS], sum: AtomicU64::new(0) }
    }

    /// Counts a number, in the unit of the bounds.
    pub fn observe(&self, value: u64) {
        let bounds = self.buckets.bounds;
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// Counts a time, for bounds in microseconds.
    pub fn observe_time(&self, took: Duration) {
        self.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many observations there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        let Buckets { bounds, per_unit } = self.buckets;
        // The count is the sum of what was read, so that one page agrees with itself.
        #[expect(clippy::cast_precision_loss, reason = "bounds and sums stay far below 2^53")]
        let in_unit = |value: u64| value as f64 / per_unit;
        let bounds = bounds.iter().map(|bound| in_unit(*bound)).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            bounds.zip(&self.counts).map(|(bound, count)| (bound, count.load(Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(in_unit(self.sum.load(Relaxed)), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::{encoding::text, registry::Registry};

    #[test]
    fn a_histogram_is_shown_in_the_metrics_unit() {
        static TOOK: Histogram = Histogram::new(Buckets::of_micros(&[5_000, 250_000]));
        #[derive(Debug)]
        struct Shown;
        impl EncodeMetric for Shown {
            fn encode(&self, encoder: MetricEncoder) -> Result<(), fmt::Error> {
                TOOK.encode(encoder)
            }
            fn metric_type(&self) -> MetricType {
                Histogram::TYPE
            }
        }
        for took in [5_000, 5_001, 2_000_000] {
            TOOK.observe_time(Duration::from_micros(took));
        }
        let mut registry = Registry::default();
        registry.register("took", "How long it took", Shown);
        let mut page = String::new();
        text::encode(&mut page, &registry).expect("a string");
        for line in [
            "took_bucket{le=\"0.005\"} 1",
            "took_bucket{le=\"0.25\"} 2",
            "took_bucket{le=\"+Inf\"} 3",
            "took_sum 2.010001",
            "took_count 3",
        ] {
            assert!(page.lines().any(|shown| shown == line), "no {line} in {page}");
        }
    }
}
