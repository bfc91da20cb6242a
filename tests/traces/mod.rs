//! Traces, as a collector of the tests' own gets them.

mod context;
mod export;
mod undo;

use crate::harness::{Collector, World};

/// A world whose API sends every trace to this collector.
async fn traced(collector: &Collector) -> World {
    World::with(&all(&collector.url())).await
}

/// The settings for that.
fn all(url: &str) -> [(&str, &str); 2] {
    [("FAREBOX__OTEL__ENDPOINT", url), ("FAREBOX__OTEL__SAMPLE_PERCENT", "100")]
}
