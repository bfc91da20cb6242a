//! Requests by route, method and status, and how long they took. A request costs two searches in
//! small tables and three atomic additions; nothing is locked or allocated once a route was seen.

use crate::instruments::{Buckets, Histogram};
use axum::http::Method;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
    registry::Unit,
};
use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// The route of a request that no route of the table fits.
const OTHER: &str = "other";
/// How many pairs of route and method are counted apart. More than the router has: what comes
/// later is counted as [`OTHER`].
const SLOTS: usize = 512;
/// The statuses that are counted apart, ascending. 499 is a request whose client hung up before its
/// response; other statuses are counted as 0.
const STATUSES: [u16; 34] = [
    0, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410,
    411, 412, 413, 414, 415, 421, 422, 429, 431, 499, 500, 503, 504,
];
/// The status of a request without a response.
const HUNG_UP: u16 = 499;
/// From 5 ms to 20 s, the longest request by default.
const TIMES: Buckets = Buckets::of_micros(&[
    5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
    20_000_000,
]);

/// The requests of one route and method.
struct Series {
    route: Box<str>,
    method: &'static str,
    statuses: [AtomicU64; STATUSES.len()],
    took: Histogram,
}

/// All series of this process. A slot is filled once and read without a lock.
static SERIES: [OnceLock<Box<Series>>; SLOTS] = [const { OnceLock::new() }; SLOTS];
/// What finds no slot.
static NO_SLOT: OnceLock<Box<Series>> = OnceLock::new();

impl Series {
    fn new(route: &str, method: &'static str) -> Box<Self> {
        let statuses = [const { AtomicU64::new(0) }; STATUSES.len()];
        Box::new(Self { route: route.into(), method, statuses, took: Histogram::new(TIMES) })
    }

    /// The series of a route of the router, and never of a path: so there are only as many as routes.
    fn of(route: &str, method: &'static str) -> &'static Self {
        let mut hasher = DefaultHasher::new();
        (route, method).hash(&mut hasher);
        #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
        let first = hasher.finish() as usize;
        for step in 0..SLOTS {
            let slot = &SERIES[(first.wrapping_add(step)) % SLOTS];
            let series = slot.get_or_init(|| Self::new(route, method));
            if *series.route == *route && series.method == method {
                return series;
            }
        }
        NO_SLOT.get_or_init(|| Self::new(OTHER, OTHER))
    }
}

/// The methods that are counted apart.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}

/// A request that is being served. One that is dropped before its response has status 499: its
/// client hung up.
pub struct CountedRequest {
    series: &'static Series,
    began: Instant,
    status: u16,
}

impl CountedRequest {
    /// Begins with the request; `route` is the router's pattern, if one fits.
    pub fn begin(route: Option<&str>, method: &Method) -> Self {
        let series = Series::of(route.unwrap_or(OTHER), method_name(method));
        Self { series, began: Instant::now(), status: HUNG_UP }
    }

    /// Ends with the head of the response.
    pub fn end(mut self, status: u16) {
        self.status = status;
    }
}

impl Drop for CountedRequest {
    fn drop(&mut self) {
        let status = STATUSES.binary_search(&self.status).unwrap_or_default();
        self.series.statuses[status].fetch_add(1, Relaxed);
        self.series.took.observe_time(self.began.elapsed());
    }
}

/// Shows `http_requests_total` and `http_request_duration_seconds` of this process.
#[derive(Clone, Copy, Debug)]
pub struct RequestMetrics;

impl Collector for RequestMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut series: Vec<&Series> =
            SERIES.iter().chain([&NO_SLOT]).filter_map(OnceLock::get).map(Box::as_ref).collect();
        if series.is_empty() {
            return Ok(());
        }
        series.sort_by_key(|series| (&series.route, series.method));
        let help = "Requests, by route, method and status; docs/operators/metrics.md says more";
        let mut requests = encoder.encode_descriptor("http_requests", help, None, MetricType::Counter)?;
        for series in &series {
            let Series { route, method, statuses, .. } = series;
            for (status, count) in STATUSES.iter().zip(statuses) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let status = status.to_string();
                    let labels = [("route", &**route), ("method", *method), ("status", &*status)];
                    ConstCounter::new(count).encode(requests.encode_family(&labels)?)?;
                }
            }
        }
        let help = "How long requests took until the head of their response";
        let unit = Some(&Unit::Seconds);
        let mut times =
            encoder.encode_descriptor("http_request_duration", help, unit, MetricType::Histogram)?;
        for Series { route, method, took, .. } in series {
            took.encode(times.encode_family(&[("route", &**route), ("method", *method)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statuses_can_be_searched() {
        assert!(STATUSES.is_sorted());
        assert!(STATUSES.contains(&HUNG_UP));
        assert_eq!(STATUSES[0], 0, "what is not found is counted there");
    }

    #[test]
    fn a_route_has_one_series_and_more_routes_than_slots_share_one() {
        let first = Series::of("/once/{id}", "GET");
        assert!(std::ptr::eq(first, Series::of("/once/{id}", "GET")));
        assert!(!std::ptr::eq(first, Series::of("/once/{id}", "POST")));
        let made_up = (0..2 * SLOTS).map(|n| Series::of(&format!("/made-up/{n}"), "GET"));
        let last = made_up.fold(first, |_, series| series);
        assert_eq!(&*last.route, OTHER);
        assert!(std::ptr::eq(first, Series::of("/once/{id}", "GET")), "what was there stays");
    }
}
