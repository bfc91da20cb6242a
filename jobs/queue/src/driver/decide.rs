//! From how an attempt ended to what becomes of its job.

use super::log::{log_disposition, log_given_up};
use crate::{
    JobError, Lease, Outcome,
    error::chain,
    metrics::Event,
    outcome::{AttemptReport, AttemptResult, Disposition},
    retry_policy::RetryPolicies,
};
use std::time::Duration;

/// What is to be written, if anything is: a settled job has been written, and a lost one is another
/// attempt's.
pub(super) fn decide(report: &AttemptReport, worker: &str, policies: &RetryPolicies) -> Option<Disposition> {
    let lease = &report.lease;
    let disposition = match &report.result {
        AttemptResult::Unstarted => return Some(Disposition::Release),
        AttemptResult::Cancelled => Disposition::Cancelled(None),
        AttemptResult::Returned(Ok(Outcome::Settled)) => return None,
        AttemptResult::Returned(Ok(Outcome::Done(note))) => return Some(Disposition::Done(note.clone())),
        AttemptResult::Returned(Err(JobError::LeaseLost)) => {
            log_given_up(lease, worker);
            return None;
        }
        AttemptResult::Returned(Err(JobError::Cancelled)) => Disposition::Cancelled(None),
        AttemptResult::Returned(Err(error)) if report.cancelled => Disposition::Cancelled(Some(chain(error))),
        AttemptResult::Broken(why) if report.cancelled => Disposition::Cancelled(Some(why.clone())),
        AttemptResult::Returned(Err(error)) => failed_disposition(lease, error, policies),
        AttemptResult::Broken(why) => retry_disposition(lease, why.clone(), None, policies),
    };
    log_disposition(lease, worker, &disposition);
    Some(disposition)
}

/// The event that an attempt's end counts as; an attempt that lost its lease has none.
pub(super) fn event_of(report: &AttemptReport, disposition: Option<&Disposition>) -> Option<Event> {
    match disposition {
        Some(Disposition::Done(_)) => Some(Event::Done),
        Some(Disposition::Retry(..)) => Some(Event::Failed),
        Some(Disposition::Dead(..) | Disposition::Crashed) => Some(Event::Dead),
        Some(Disposition::Cancelled(_)) => Some(Event::Cancelled),
        Some(Disposition::Release) => Some(Event::Released),
        None => matches!(report.result, AttemptResult::Returned(Ok(_))).then_some(Event::Done),
    }
}

fn failed_disposition(lease: &Lease, error: &JobError, policies: &RetryPolicies) -> Disposition {
    let text = chain(error);
    match error {
        JobError::RetryAfter(_, wait) => retry_disposition(lease, text, Some(*wait), policies),
        JobError::Fatal(_) => Disposition::Dead("fatal", text),
        JobError::NeedsOperator(_) => Disposition::Dead("operator", text),
        JobError::Undecodable(_) => Disposition::Dead("undecodable", text),
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
) -> Disposition {
    if lease.attempt >= lease.max_attempts {
        return Disposition::Dead("exhausted", error);
    }
    let wait = wait.unwrap_or_else(|| policies(&lease.tag).wait(lease.attempt));
    Disposition::Retry(error, wait)
}
