//! What a worker measures: for a scraper as Prometheus metrics, for the roll-ups as sums since the
//! last heartbeat.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The upper bounds of the buckets of waits and run times, seconds; one more bucket holds what is
/// longer. Those that end `queue.tally` counts in are the same, in this order.
pub const BOUNDS: [f64; 14] =
    [0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0];
/// How many buckets there are.
pub(crate) const BUCKETS: usize = BOUNDS.len() + 1;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByTag {
    tag: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    tag: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByConnection {
    line: &'static str,
}

type Histograms = Family<ByTag, Histogram, fn() -> Histogram>;

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

/// What workers of this process have done since it began. Cloning it shares it.
#[derive(Clone, Debug)]
pub struct Metrics {
    attempts: Family<ByOutcome, Counter>,
    pickup: Histograms,
    lateness: Histograms,
    run: Histograms,
    leases_lost: Family<ByTag, Counter>,
    rescued: Family<ByTag, Counter>,
    reconnects: Family<ByConnection, Counter>,
    errors: Counter,
    held: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let reconnects = Family::<ByConnection, Counter>::default();
        // There from the start: `increase` of a series that begins with its first loss is 0.
        for line in ["driver", "listener"] {
            drop(reconnects.get_or_create(&ByConnection { line }));
        }
        Self {
            attempts: Family::default(),
            pickup: Family::new_with_constructor(histogram),
            lateness: Family::new_with_constructor(histogram),
            run: Family::new_with_constructor(histogram),
            leases_lost: Family::default(),
            rescued: Family::default(),
            reconnects,
            errors: Counter::default(),
            held: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Puts them into a registry.
    pub fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("queue");
        r.register("attempts", "Attempts that ended, by outcome", self.attempts.clone());
        let help = "From when a job was due to when its attempt began; of all attempts";
        r.register_with_unit("pickup", help, Unit::Seconds, self.pickup.clone());
        let help = "The same, of jobs that were enqueued for later";
        r.register_with_unit("lateness", help, Unit::Seconds, self.lateness.clone());
        r.register_with_unit("run", "How long attempts took", Unit::Seconds, self.run.clone());
        r.register(
            "leases_lost",
            "Attempts whose lease ran out or whose job was settled",
            self.leases_lost.clone(),
        );
        r.register("rescued", "Claims of jobs whose last attempt's lease had run out", self.rescued.clone());
        r.register(
            "reconnects",
            "Lost connections of the driver and of the listener",
            self.reconnects.clone(),
        );
        r.register("errors", "Statements of the driver that failed", self.errors.clone());
        r.register("held", "Jobs that this process holds", self.held.clone());
    }

    /// What is counted of a tag.
    pub(crate) fn of_tag(&self, tag: &str) -> TagHandles {
        let label = ByTag { tag: tag.to_owned() };
        let outcome = |how: Event| ByOutcome { tag: tag.to_owned(), outcome: how.name() };
        TagHandles {
            ended: Event::ALL.map(|how| self.attempts.get_or_create(&outcome(how)).clone()),
            pickup: self.pickup.get_or_create(&label).clone(),
            lateness: self.lateness.get_or_create(&label).clone(),
            run: self.run.get_or_create(&label).clone(),
            lost: self.leases_lost.get_or_create(&label).clone(),
            rescued: self.rescued.get_or_create(&label).clone(),
        }
    }

    /// A connection was lost: `driver` or `listener`.
    pub(crate) fn reconnect(&self, line: &'static str) {
        self.reconnects.get_or_create(&ByConnection { line }).inc();
    }

    /// A statement of the driver failed.
    pub(crate) fn error(&self) {
        self.errors.inc();
    }

    /// The number of jobs that the driver holds now.
    pub(crate) fn holds(&self, jobs: usize) {
        self.held.set(i64::try_from(jobs).unwrap_or(i64::MAX));
    }
}

/// One tag's handles, looked up once.
pub(crate) struct TagHandles {
    pub(crate) ended: [Counter; 5],
    pub(crate) pickup: Histogram,
    pub(crate) lateness: Histogram,
    pub(crate) run: Histogram,
    pub(crate) lost: Counter,
    pub(crate) rescued: Counter,
}

/// How an attempt ended, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Done,
    Failed,
    Dead,
    Cancelled,
    Released,
}

impl Event {
    const ALL: [Self; 5] = [Self::Done, Self::Failed, Self::Dead, Self::Cancelled, Self::Released];

    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Released => "released",
        }
    }
}

/// One tag's sums of one minute since they were last written down, as `queue.tally` has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rollup {
    pub(crate) ended: [i64; 5],
    pub(crate) rescued: i64,
    pub(crate) lost: i64,
    pub(crate) run_secs: f64,
    pub(crate) pickup: [i64; BUCKETS],
    pub(crate) lateness: [i64; BUCKETS],
    pub(crate) run: [i64; BUCKETS],
}
