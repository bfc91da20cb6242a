//! The flow of a booking.

use super::{Flow, FlowKind, Run, Step, Undo, describe_step, failed_step, failure_of};
use crate::orders::snapshot::{Barrier, OrderSnapshot};
use farebox_jobs::MqTag;
use uuid::Uuid;

/// The places of the steps.
const CHECK: usize = 0;
const CLAIM: usize = 1;
const PRICE: usize = 2;

pub(super) fn flow(snapshot: &OrderSnapshot, order: Uuid) -> Flow {
    let key = order.to_string();
    let failed = failed_step(snapshot, &key, &MqTag::BOOKING, MqTag::OrderAddSeats);
    let barrier = |step: MqTag| snapshot.barrier(order, step);
    let (claim, add) = (barrier(MqTag::OrderAddSeats), barrier(MqTag::OrderAdd));
    let facts = snapshot.facts.as_ref();
    // The claim's row is deleted long after the order has ended. Its time is the order's.
    let claimed_at = claim.and_then(|b| b.done_at).or(facts.map(|facts| facts.created_at));
    let added = facts.is_some();
    let run = |nr: usize| {
        let committed = match nr {
            CLAIM => claimed_at,
            CHECK | PRICE => None,
            _ => add.and_then(|b| b.done_at),
        };
        match &failed {
            Some((at, failure)) if *at == nr => {
                return Run::Failed { committed, failure: failure.clone() };
            }
            Some((at, _)) if nr < *at => return Run::Ran { at: committed },
            Some(_) if !added => return barred_or(nr, claim, add, Run::NotReached),
            _ => {}
        }
        let ran = added || committed.is_some() || (nr == CHECK && claimed_at.is_some());
        if ran { Run::Ran { at: committed } } else { barred_or(nr, claim, add, Run::Unknown) }
    };
    let step = |(nr, tag): (usize, MqTag)| Step {
        tag,
        does: describe_step(tag),
        run: run(nr),
        after: None,
        undo: undo(snapshot, &key, tag),
    };
    let mut steps: Vec<Step> = MqTag::BOOKING.into_iter().enumerate().map(step).collect();
    steps[CLAIM].undo = undo_of_claim(snapshot, &key, claim, &steps);
    Flow { kind: FlowKind::Booking, steps }
}

/// A step that an undo barred before it ran.
fn barred_or(nr: usize, claim: Option<&Barrier>, add: Option<&Barrier>, else_: Run) -> Run {
    let barrier = match nr {
        CLAIM => claim,
        CHECK | PRICE => None,
        _ => add,
    };
    match barrier.filter(|b| b.done_at.is_none()).and_then(|b| b.undone_at) {
        Some(at) => Run::Barred { at },
        None => else_,
    }
}

/// The state of this step's own job.
fn undo(snapshot: &OrderSnapshot, key: &str, tag: MqTag) -> Undo {
    let job = snapshot.newest(tag, key);
    job.map_or(Undo::NotNeeded, |job| Undo::of(job, failure_of(job, MqTag::OrderAddSeats).is_some()))
}

/// The claim is undone by its own job, or by that of the step that failed after it.
fn undo_of_claim(snapshot: &OrderSnapshot, key: &str, claim: Option<&Barrier>, steps: &[Step]) -> Undo {
    let own = snapshot.newest(MqTag::OrderAddSeats, key).map(|_| steps[CLAIM].undo.clone());
    let later = || steps[PRICE..].iter().rev().map(|step| &step.undo).find(|undo| undo.job().is_some());
    let undone_at = claim.filter(|b| b.done_at.is_some()).and_then(|b| b.undone_at);
    let job = own.or_else(|| claim.and_then(|b| b.done_at).and_then(|_| later().cloned()));
    match (job, undone_at) {
        (Some(undo @ Undo::Done { .. }), _) => undo,
        // The timer, or a booking that wanted the same seats.
        (_, Some(at)) => Undo::Done { at, job: None },
        (Some(undo), None) => undo,
        (None, None) => Undo::NotNeeded,
    }
}
