//! What a worker's driver counts, for a scraper and for the roll-ups.

use crate::{
    Lease,
    metrics::{BOUNDS, Event, Metrics, Rollup, TagHandles},
};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

struct TagMetrics {
    handles: TagHandles,
    /// By the minute's beginning: the last heartbeat may lie in the minute before.
    rollups: BTreeMap<DateTime<Utc>, Rollup>,
}

/// The driver's book: what it counts.
pub(super) struct Recorder {
    metrics: Metrics,
    tags: HashMap<String, TagMetrics>,
}

impl Recorder {
    pub(super) fn new(metrics: Metrics, tags: &[String]) -> Self {
        let of_tag = |tag| TagMetrics { handles: metrics.of_tag(tag), rollups: BTreeMap::new() };
        let tags = tags.iter().map(|tag| (tag.clone(), of_tag(tag))).collect();
        Self { metrics, tags }
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// An attempt began after its job had been due for so long.
    pub(super) fn began(&mut self, lease: &Lease, waited: Duration) {
        let Some((metrics, rollup)) = self.of(lease) else { return };
        metrics.pickup.observe(waited.as_secs_f64());
        rollup.pickup[bucket(waited)] += 1;
        if lease.delayed {
            metrics.lateness.observe(waited.as_secs_f64());
            rollup.lateness[bucket(waited)] += 1;
        }
    }

    /// An attempt took so long.
    pub(super) fn ran(&mut self, lease: &Lease, took: Duration) {
        let Some((metrics, rollup)) = self.of(lease) else { return };
        metrics.run.observe(took.as_secs_f64());
        rollup.run[bucket(took)] += 1;
        rollup.run_secs += took.as_secs_f64();
    }

    /// An attempt ended like this.
    pub(super) fn ended(&mut self, lease: &Lease, how: Event) {
        let Some((metrics, rollup)) = self.of(lease) else { return };
        metrics.ended[how as usize].inc();
        rollup.ended[how as usize] += 1;
    }

    /// An attempt lost its lease.
    pub(super) fn lost(&mut self, lease: &Lease) {
        let Some((metrics, rollup)) = self.of(lease) else { return };
        metrics.lost.inc();
        rollup.lost += 1;
    }

    /// A claim took over a job whose lease had expired.
    pub(super) fn rescued(&mut self, lease: &Lease) {
        let Some((metrics, rollup)) = self.of(lease) else { return };
        metrics.rescued.inc();
        rollup.rescued += 1;
    }

    /// What is counted of the lease's tag, and the sums of this minute by the database's clock: a
    /// bar of the charts leads to the jobs that ended in its minute.
    fn of(&mut self, lease: &Lease) -> Option<(&TagHandles, &mut Rollup)> {
        let TagMetrics { handles, rollups } = self.tags.get_mut(&lease.tag)?;
        let now = lease.database_now();
        let minute = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
        Some((handles, rollups.entry(minute).or_default()))
    }

    /// What is to be written down now, by tag and minute; the sums begin anew.
    pub(super) fn take(&mut self) -> Vec<(String, DateTime<Utc>, Rollup)> {
        let tags = self.tags.iter_mut();
        tags.flat_map(|(tag, metrics)| {
            std::mem::take(&mut metrics.rollups).into_iter().map(|(minute, sums)| (tag.clone(), minute, sums))
        })
        .collect()
    }
}

fn bucket(took: Duration) -> usize {
    BOUNDS.iter().position(|bound| took.as_secs_f64() <= *bound).unwrap_or(BOUNDS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_is_counted_in_its_minute_of_the_databases_clock() {
        let mut recorder = Recorder::new(Metrics::default(), &["greet".to_owned()]);
        let due: DateTime<Utc> = "2026-11-30T22:42:55Z".parse().expect("a time");
        let after = |secs| Lease { waited: Duration::from_secs(secs), ..Lease::of_test("greet", due) };
        recorder.ended(&after(1), Event::Done);
        recorder.ended(&after(5), Event::Failed);
        recorder.ended(&after(60), Event::Done);
        recorder.ended(&Lease::of_test("another's", due), Event::Done);
        let counted = recorder.take().into_iter().map(|(tag, minute, sums)| (tag, minute, sums.ended));
        let minute = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        assert_eq!(
            counted.collect::<Vec<_>>(),
            [
                ("greet".to_owned(), minute("2026-11-30T22:42:00Z"), [1, 0, 0, 0, 0]),
                ("greet".to_owned(), minute("2026-11-30T22:43:00Z"), [1, 1, 0, 0, 0]),
            ]
        );
        assert!(recorder.take().is_empty());
    }
}
