//! What a process has, read when a page is written: connections of its pools, places for requests.

use super::Sources;
use crate::batch::BatchContext;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use sqlx::PgPool;
use std::{fmt, sync::Arc};
use tokio::sync::Semaphore;

/// A pool of connections whose use is shown.
pub struct WatchedPool {
    name: &'static str,
    pool: PgPool,
    /// Holds connections of the pool that are idle outside of it.
    cache: Option<Arc<BatchContext>>,
}

impl WatchedPool {
    /// The pool of steps, which share the connections of this cache, too.
    pub fn of_steps(pool: PgPool, cache: Arc<BatchContext>) -> Self {
        Self { name: "main", pool, cache: Some(cache) }
    }

    /// The pool of health, metrics and operators.
    pub fn of_operators(pool: PgPool) -> Self {
        Self { name: "operators", pool, cache: None }
    }

    /// Connections that are used, and that are idle.
    fn connections(&self) -> [i64; 2] {
        let cached = self.cache.as_ref().map_or(0, |cache| cache.connections.idle());
        let idle = self.pool.num_idle() + cached;
        let size = usize::try_from(self.pool.size()).unwrap_or(usize::MAX);
        // The numbers are read one after the other, while connections come and go.
        [size.saturating_sub(idle), idle.min(size)].map(|number| number.try_into().unwrap_or(i64::MAX))
    }
}

impl fmt::Debug for WatchedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedPool").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Requests that share places among those in flight.
#[derive(Clone, Debug)]
pub struct AdmissionClass {
    /// What the class is called in metrics.
    pub name: &'static str,
    /// How many places it has.
    pub limit: usize,
    /// Those that are free.
    pub free: Arc<Semaphore>,
}

/// Shows the pools and the places for requests.
#[derive(Debug)]
pub(super) struct ResourceMetrics(Sources);

impl ResourceMetrics {
    pub(super) fn new(sources: Sources) -> Self {
        Self(sources)
    }
}

impl Collector for ResourceMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Sources { pools, admission, .. } = &self.0;
        if !pools.is_empty() {
            let help = "Connections of the pool, used and idle";
            let mut connections =
                encoder.encode_descriptor("pool_connections", help, None, MetricType::Gauge)?;
            for pool in pools {
                for (state, number) in ["used", "idle"].into_iter().zip(pool.connections()) {
                    let labels = [("pool", pool.name), ("state", state)];
                    ConstGauge::new(number).encode(connections.encode_family(&labels)?)?;
                }
            }
            let help = "Connections that the pool may have";
            let mut limits = encoder.encode_descriptor("pool_limit", help, None, MetricType::Gauge)?;
            for WatchedPool { name, pool, .. } in pools {
                let limit = i64::from(pool.options().get_max_connections());
                ConstGauge::new(limit).encode(limits.encode_family(&[("pool", *name)])?)?;
            }
        }
        if !admission.is_empty() {
            let help = "Requests of the class that have a place";
            let mut taken =
                encoder.encode_descriptor("admission_in_flight", help, None, MetricType::Gauge)?;
            for AdmissionClass { name, limit, free } in admission {
                let number = count(limit.saturating_sub(free.available_permits()));
                ConstGauge::new(number).encode(taken.encode_family(&[("class", *name)])?)?;
            }
            let help = "Places that the class has";
            let mut limits = encoder.encode_descriptor("admission_limit", help, None, MetricType::Gauge)?;
            for AdmissionClass { name, limit, .. } in admission {
                ConstGauge::new(count(*limit)).encode(limits.encode_family(&[("class", *name)])?)?;
            }
        }
        Ok(())
    }
}

fn count(number: usize) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
