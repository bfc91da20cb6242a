//! The picture of an order: its flows, each with its steps in their order and what became of the undo of
//! each.
//!
//! Only steps that write leave a row of their own. What the other steps did follows from the rest: the
//! order, its payments, the ledger, the jobs and the failures that the jobs' payloads keep. A state that
//! follows from nothing is [`Run::Unknown`], and is shown as such.

mod booking;
mod ending;
mod paying;
#[cfg(test)]
mod tests;
mod undo;
mod words;

pub use undo::{Undo, UndoJob};
pub use words::{describe_ending, describe_step, describe_undo};

use super::snapshot::OrderSnapshot;
use crate::domain::{Localized, Money};
use chrono::{DateTime, TimeDelta, Utc};
use farebox_jobs::{MqTag, queue::admin::JobView};
use serde_json::Value;
use uuid::Uuid;

/// A flow of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowKind {
    /// The booking.
    Booking,
    /// One attempt to pay.
    Paying {
        /// The payment's id.
        payment: Uuid,
        /// Its amount; none if nothing was debited.
        amount: Option<Money>,
    },
    /// The rider's cancelling of the unpaid order.
    Cancelling,
    /// The refund of the paid order.
    Refunding,
}

/// A flow with its steps, in their order.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Which flow.
    pub kind: FlowKind,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// A step, and the undo below it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its tag. The parts of a refund share one.
    pub tag: MqTag,
    /// What the step does.
    pub does: Localized,
    /// What became of the step.
    pub run: Run,
    /// How long after the recorded step before it the step committed.
    pub after: Option<TimeDelta>,
    /// What became of its undo.
    pub undo: Undo,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Run {
    /// It ran. A step that writes nothing leaves no time.
    Ran {
        /// When it committed.
        at: Option<DateTime<Utc>>,
    },
    /// The request failed in this step.
    Failed {
        /// When the step committed, if it failed only after that, or was carried on by its job.
        committed: Option<DateTime<Utc>>,
        /// What is known of the failure.
        failure: Failure,
    },
    /// The flow ended before it.
    NotReached,
    /// It never ran, and since this time it never can.
    Barred {
        /// When its undo barred it.
        at: DateTime<Utc>,
    },
    /// Not recorded: the request still runs, or its process stopped between two steps.
    Unknown,
}

/// What is known of the failure of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failure {
    /// When.
    pub at: Option<DateTime<Utc>>,
    /// The error with its causes; none of a failure that an older build recorded.
    pub error: Option<String>,
    /// The trace id of the request.
    pub trace: Option<String>,
}

impl OrderSnapshot {
    /// The flows of the order: the booking, each payment, and its end.
    pub fn flows(&self, order: Uuid) -> Vec<Flow> {
        let mut flows = vec![booking::flow(self, order)];
        flows.extend(paying::flows(self, order));
        flows.extend(ending::cancelling(self, order));
        flows.extend(ending::refunding(self, order));
        for flow in &mut flows {
            measure(&mut flow.steps);
        }
        flows
    }

    /// The newest job of this tag and key.
    fn newest(&self, tag: MqTag, key: &str) -> Option<&JobView> {
        self.jobs
            .iter()
            .filter(|job| job.tag == tag.wire() && job.key == key)
            .max_by_key(|job| job.created_at)
    }
}

/// The failure that raised a job. An undo that its step armed before it failed knows of one only if the
/// build that ran the step keeps failures.
fn failure_of(job: &JobView, armed: MqTag) -> Option<Failure> {
    let failed = job.payload.get("failed");
    if failed.is_none() && job.tag == armed.wire() {
        return None;
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let kept = |field: &str| failed.and_then(|failed| failed.get(field));
    let at = text(kept("at")).and_then(|at| DateTime::parse_from_rfc3339(&at).ok());
    Some(Failure {
        at: Some(at.map_or(job.created_at, |at| at.with_timezone(&Utc))),
        error: text(kept("error")),
        trace: text(job.payload.get("trace")),
    })
}

/// The step in which a flow failed, with its failure: the newest job of the flow that knows one.
fn failed_step(
    snapshot: &OrderSnapshot,
    key: &str,
    steps: &[MqTag],
    armed: MqTag,
) -> Option<(usize, Failure)> {
    let mut failed: Vec<_> = (steps.iter().enumerate())
        .filter_map(|(nr, step)| Some((nr, failure_of(snapshot.newest(*step, key)?, armed)?)))
        .collect();
    failed.sort_by_key(|(_, failure)| failure.at);
    failed.pop()
}

/// Sets how long each recorded step came after the one before it.
fn measure(steps: &mut [Step]) {
    let mut before: Option<DateTime<Utc>> = None;
    for step in steps {
        let at = match &step.run {
            Run::Ran { at } => *at,
            Run::Failed { committed, failure } => committed.or(failure.at),
            Run::NotReached | Run::Barred { .. } | Run::Unknown => None,
        };
        if let (Some(before), Some(at)) = (before, at) {
            step.after = Some((at - before).max(TimeDelta::zero()));
        }
        before = at.or(before);
    }
}
