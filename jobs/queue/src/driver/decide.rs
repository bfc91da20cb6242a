//! From how an attempt ended to what becomes of its job.

use super::log::{log_disposition, log_given_up};
use crate::{
    JobError, Lease, Outcome,
    error::chain,
    metrics::Event,
    outcome::{AttemptReport, AttemptResult, Verdict},
    retry_policy::RetryPolicies,
};
use std::time::Duration;

/// What is to be written, if anything is: a settled job has been written, and a lost one is another attempt's.
pub(super) fn decide(report: &AttemptReport, worker: &str, policies: &RetryPolicies) -> Option<Verdict> {
    let lease = &report.lease;
    let verdict = match &report.result {
        AttemptResult::Unstarted => return Some(Verdict::Release),
        AttemptResult::Cancelled => Verdict::Cancelled(None),
        AttemptResult::Returned(Ok(Outcome::Settled)) => return None,
        AttemptResult::Returned(Ok(Outcome::Done(note))) => return Some(Verdict::Done(note.clone())),
        AttemptResult::Returned(Err(JobError::LeaseLost)) => {
            log_given_up(lease, worker);
            return None;
        }
        AttemptResult::Returned(Err(JobError::Cancelled)) => Verdict::Cancelled(None),
        AttemptResult::Returned(Err(error)) if report.cancelled => Verdict::Cancelled(Some(chain(error))),
        AttemptResult::Broken(why) if report.cancelled => Verdict::Cancelled(Some(why.clone())),
        AttemptResult::Returned(Err(error)) => failed_disposition(lease, error, policies),
        AttemptResult::Broken(why) => retry_disposition(lease, why.clone(), None, policies),
    };
    log_disposition(lease, worker, &verdict);
    Some(verdict)
}

/// The event that an attempt's end counts as; an attempt that lost its lease has none.
pub(super) fn event_of(report: &AttemptReport, verdict: Option<&Verdict>) -> Option<Event> {
    match verdict {
        Some(Verdict::Done(_)) => Some(Event::Done),
        Some(Verdict::Retry(..)) => Some(Event::Failed),
        Some(Verdict::Dead(..) | Verdict::Crashed) => Some(Event::Dead),
        Some(Verdict::Cancelled(_)) => Some(Event::Cancelled),
        Some(Verdict::Release) => Some(Event::Released),
        None => matches!(report.result, AttemptResult::Returned(Ok(_))).then_some(Event::Done),
    }
}

fn failed_disposition(lease: &Lease, error: &JobError, policies: &RetryPolicies) -> Verdict {
    let text = chain(error);
    match error {
        JobError::RetryAfter(_, wait) => retry_disposition(lease, text, Some(*wait), policies),
        JobError::Fatal(_) => Verdict::Dead("fatal", text),
        JobError::NeedsOperator(_) => Verdict::Dead("operator", text),
        JobError::Undecodable(_) => Verdict::Dead("undecodable", text),
        JobError::Retry(_) | JobError::LeaseLost | JobError::Cancelled => {
            retry_disposition(lease, text, None, policies)
        }
    }
}

fn retry_disposition(
    lease: &Lease,
    error: String,
    wait: Option<Duration>,
    policies: &RetryPolicies,
) -> Verdict {
    if lease.attempt >= lease.max_attempts {
        return Verdict::Dead("exhausted", error);
    }
    let wait = wait.unwrap_or_else(|| policies(&lease.tag).wait(lease.attempt));
    Verdict::Retry(error, wait)
}
