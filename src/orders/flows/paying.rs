//! The flows of payments: those that debited, and those that failed before.

use super::{Flow, FlowKind, Run, Step, Undo, describe_step, failed_step, failure_of};
use crate::{
    domain::{Money, PaymentState},
    orders::snapshot::{OrderSnapshot, Payment},
};
use farebox_jobs::MqTag;
use uuid::Uuid;

/// The places of the steps.
const CHECK: usize = 0;
const DEBIT: usize = 1;

pub(super) fn flow(snapshot: &OrderSnapshot, id: Uuid, payment: Option<&Payment>) -> Flow {
    let key = id.to_string();
    let failed = failed_step(snapshot, &key, &MqTag::PAYING, MqTag::PayMoney);
    let done_at = |step| snapshot.barrier(id, step).and_then(|b| b.done_at);
    let entry =
        |kind: &str| snapshot.entries.iter().find(|e| e.payment == id && e.kind == kind).map(|e| e.at);
    let debited_at = done_at(MqTag::PayMoney).or_else(|| entry("payment"));
    let state = payment.map(|payment| payment.state);
    let is_paid = matches!(state, Some(PaymentState::Settled | PaymentState::Refunded));
    // Its row is deleted long after the order was paid: the time is the order's.
    let marked_at = done_at(MqTag::Pay).or_else(|| is_paid.then(|| snapshot.event("paid")).flatten());
    let run = |nr: usize, tag: MqTag| {
        let committed = match nr {
            CHECK => None,
            DEBIT => debited_at,
            _ => marked_at,
        };
        match &failed {
            Some((at, failure)) if *at == nr => {
                return Run::Failed { committed, failure: failure.clone() };
            }
            Some((at, _)) if nr < *at => return Run::Ran { at: committed },
            _ => {}
        }
        let ran = match nr {
            CHECK | DEBIT => payment.is_some(),
            _ => is_paid,
        };
        let barred = snapshot.barrier(id, tag).filter(|b| b.done_at.is_none()).and_then(|b| b.undone_at);
        match barred {
            _ if ran => Run::Ran { at: committed },
            Some(at) if failed.is_none() => Run::Barred { at },
            _ if failed.is_some() || state == Some(PaymentState::Reversed) => Run::NotReached,
            _ => Run::Unknown,
        }
    };
    let step = |(nr, tag): (usize, MqTag)| Step {
        tag,
        does: describe_step(tag),
        run: run(nr, tag),
        after: None,
        undo: undo(snapshot, &key, tag),
    };
    let mut steps: Vec<Step> = MqTag::PAYING.into_iter().enumerate().map(step).collect();
    let reversed_at = snapshot
        .barrier(id, MqTag::PayMoney)
        .filter(|b| b.done_at.is_some())
        .and_then(|b| b.undone_at)
        .or_else(|| entry("payment_reversed"));
    let later = steps.last().map(|step| step.undo.clone());
    if let Some(debit) = steps.get_mut(DEBIT) {
        let own = std::mem::replace(&mut debit.undo, Undo::NotNeeded);
        debit.undo = match (own, reversed_at, later) {
            (undo @ Undo::Done { .. }, ..) => undo,
            (_, Some(at), Some(Undo::Done { job, .. })) => Undo::Done { at, job },
            // The request gave the money back, or an operator did.
            (_, Some(at), _) => Undo::Done { at, job: None },
            // The undo of the step after it decides about the money, too.
            (Undo::NotNeeded, None, Some(undo)) if payment.is_some() && !is_paid => undo,
            (undo, ..) => undo,
        };
    }
    let amount = payment.map(|payment| Money::from_database(payment.amount));
    Flow { kind: FlowKind::Paying { payment: id, amount }, steps }
}

/// One flow for each payment, and for each attempt whose failure left only a job, the oldest first.
pub(super) fn flows(snapshot: &OrderSnapshot, order: Uuid) -> Vec<Flow> {
    let mut ids: Vec<Uuid> = snapshot.payments.iter().map(|payment| payment.id).collect();
    let is_paying = |tag: &str| MqTag::PAYING.iter().any(|step| step.wire() == tag);
    let of_jobs =
        snapshot.jobs.iter().filter(|job| is_paying(&job.tag)).filter_map(|job| job.key.parse().ok());
    ids.extend(of_jobs.filter(|id: &Uuid| *id != order));
    ids.sort_unstable();
    ids.dedup();
    let payment = |id: Uuid| snapshot.payments.iter().find(|payment| payment.id == id);
    ids.into_iter().map(|id| flow(snapshot, id, payment(id))).collect()
}

fn undo(snapshot: &OrderSnapshot, key: &str, tag: MqTag) -> Undo {
    let job = snapshot.newest(tag, key);
    job.map_or(Undo::NotNeeded, |job| Undo::of(job, failure_of(job, MqTag::PayMoney).is_some()))
}
