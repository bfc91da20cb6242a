//! The flows that end an order: its rider's cancelling, and the refund.

use super::{Failure, Flow, FlowKind, Run, Step, Undo, describe_ending, describe_step, failure_of};
use crate::{domain::CloseReason, orders::snapshot::OrderSnapshot};
use chrono::{DateTime, Utc};
use farebox_jobs::MqTag;
use uuid::Uuid;

/// The cancelling, if its rider asked for it.
pub(super) fn cancelling(snapshot: &OrderSnapshot, order: Uuid) -> Option<Flow> {
    let tag = MqTag::OrderCancel;
    let job = snapshot.newest(tag, &order.to_string());
    let by_rider = CloseReason::CancelledByRider.as_str();
    let closed = snapshot.events.iter().find(|e| e.status == "closed" && e.reason == by_rider).map(|e| e.at);
    if job.is_none() && closed.is_none() {
        return None;
    }
    // No step arms this job: only a failure raises it.
    let run = match job.map(|job| failure_of(job, MqTag::OrderUnpaid).unwrap_or_default()) {
        Some(failure) => Run::Failed { committed: closed, failure },
        None => Run::Ran { at: closed },
    };
    let undo = job.map_or(Undo::NotNeeded, |job| Undo::of(job, true));
    let step = Step { tag, does: describe_step(tag), run, after: None, undo };
    Some(Flow { kind: FlowKind::Cancelling, steps: vec![step] })
}

/// The refund, if one began or failed to begin.
pub(super) fn refunding(snapshot: &OrderSnapshot, order: Uuid) -> Option<Flow> {
    let tag = MqTag::PayBack;
    let job = snapshot.newest(tag, &order.to_string());
    let money_at = snapshot.entries.iter().find(|e| e.kind == "refund").map(|e| e.at);
    let at = [snapshot.event("refunding"), money_at, snapshot.event("refunded")];
    if job.is_none() && at.iter().all(Option::is_none) {
        return None;
    }
    let failure = job.and_then(|job| failure_of(job, tag));
    let failed_in = failure.as_ref().and_then(|failure| failed_part(&at, failure));
    let run = |nr: usize, at: Option<DateTime<Utc>>| match (&failure, at) {
        (Some(failure), _) if failed_in == Some(nr) => {
            Run::Failed { committed: at, failure: failure.clone() }
        }
        (_, Some(_)) => Run::Ran { at },
        (Some(_), None) => Run::NotReached,
        (None, None) => Run::Unknown,
    };
    let undo = job.map_or(Undo::NotNeeded, |job| Undo::of(job, failure.is_some()));
    // One job carries the whole refund on. It stands under the part that needs it.
    let needs_job = failed_in.or_else(|| at.iter().position(Option::is_none)).unwrap_or(at.len() - 1);
    let parts = describe_ending().into_iter().zip(at).enumerate();
    let steps = parts.map(|(nr, (does, at))| Step {
        tag,
        does,
        run: run(nr, at),
        after: None,
        undo: if nr == needs_job { undo.clone() } else { Undo::NotNeeded },
    });
    Some(Flow { kind: FlowKind::Refunding, steps: steps.collect() })
}

/// The first part that had not committed when the request failed; the last one if all had.
fn failed_part(at: &[Option<DateTime<Utc>>; 3], failure: &Failure) -> Option<usize> {
    let failed_at = failure.at?;
    let open = at.iter().position(|at| at.is_none_or(|at| at > failed_at));
    Some(open.unwrap_or(at.len() - 1))
}
