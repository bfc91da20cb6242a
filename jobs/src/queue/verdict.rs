//! From how an attempt ended to what becomes of its job.

use super::{
    JobError, Lease, Outcome, RetryPolicy,
    ack::Verdict,
    error::chain,
    metrics::Counted,
    supervise::{Ending, Report},
};
use std::time::Duration;

/// The policy of a tag.
pub(super) type Policies = dyn Fn(&str) -> RetryPolicy + Send + Sync;

/// What is to be written down, if anything is: a settled job has been, and a lost one is no longer ours.
pub(super) fn verdict(report: &Report, worker: &str, policies: &Policies) -> Option<Verdict> {
    let lease = &report.lease;
    let verdict = match &report.ending {
        Ending::Unstarted => return Some(Verdict::Release),
        Ending::CalledOff => Verdict::Cancelled(None),
        Ending::Returned(Ok(Outcome::Settled)) => return None,
        Ending::Returned(Ok(Outcome::Done(note))) => return Some(Verdict::Done(note.clone())),
        Ending::Returned(Err(JobError::LeaseLost)) => {
            let Lease { job_id, tag, key, attempt, .. } = &**lease;
            tracing::warn!(%job_id, %tag, %key, attempt, worker, "the lease was lost; the attempt was given up");
            return None;
        }
        Ending::Returned(Err(JobError::Cancelled)) => Verdict::Cancelled(None),
        Ending::Returned(Err(error)) if report.cancelled => Verdict::Cancelled(Some(chain(error))),
        Ending::Broken(why) if report.cancelled => Verdict::Cancelled(Some(why.clone())),
        Ending::Returned(Err(error)) => failed(lease, error, policies),
        Ending::Broken(why) => again(lease, why.clone(), None, policies),
    };
    log(lease, worker, &verdict);
    Some(verdict)
}

/// How an attempt with this end is counted; one that lost its lease is not.
pub(super) fn counted(report: &Report, verdict: Option<&Verdict>) -> Option<Counted> {
    match verdict {
        Some(Verdict::Done(_)) => Some(Counted::Done),
        Some(Verdict::Retry(..)) => Some(Counted::Failed),
        Some(Verdict::Dead(..) | Verdict::Crashed) => Some(Counted::Dead),
        Some(Verdict::Cancelled(_)) => Some(Counted::Cancelled),
        Some(Verdict::Release) => Some(Counted::Released),
        None => matches!(report.ending, Ending::Returned(Ok(_))).then_some(Counted::Done),
    }
}

fn failed(lease: &Lease, error: &JobError, policies: &Policies) -> Verdict {
    let text = chain(error);
    match error {
        JobError::RetryAfter(_, wait) => again(lease, text, Some(*wait), policies),
        JobError::Fatal(_) => Verdict::Dead("fatal", text),
        JobError::NeedsOperator(_) => Verdict::Dead("operator", text),
        JobError::Undecodable(_) => Verdict::Dead("undecodable", text),
        JobError::Retry(_) | JobError::LeaseLost | JobError::Cancelled => again(lease, text, None, policies),
    }
}

fn again(lease: &Lease, error: String, wait: Option<Duration>, policies: &Policies) -> Verdict {
    if lease.attempt >= lease.max_attempts {
        return Verdict::Dead("exhausted", error);
    }
    let wait = wait.unwrap_or_else(|| policies(&lease.tag).wait(lease.attempt));
    Verdict::Retry(error, wait)
}

fn log(lease: &Lease, worker: &str, verdict: &Verdict) {
    let Lease { job_id, tag, key, attempt, .. } = lease;
    match verdict {
        Verdict::Dead(reason, error) => {
            tracing::error!(%job_id, %tag, %key, attempt, worker, reason, error, "dead letter");
        }
        Verdict::Retry(error, wait) => {
            tracing::warn!(%job_id, %tag, %key, attempt, worker, error, ?wait, "attempt failed");
        }
        Verdict::Cancelled(error) => tracing::info!(%job_id, %tag, %key, attempt, worker, error, "cancelled"),
        Verdict::Done(_) | Verdict::Crashed | Verdict::Release => {}
    }
}
