//! The ends of attempts: written down by the driver, settled by a handler, or put off by a renewal.

use super::{
    Hours,
    bench::{Bench, Worker},
    claims::lease_id,
    hours,
    life::Event,
    steps::{Ending, Pick},
};
use farebox_jobs::queue::{
    Lease,
    protocol::{self, Completion, CompletionResult, Disposition, LeaseId},
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use sqlx::Connection;
use std::{collections::BTreeMap, sync::Arc};

impl<'c> Bench<'c> {
    pub async fn end(&mut self, worker: usize, endings: Vec<(Pick, Ending)>) -> TestCaseResult {
        let mut completions: BTreeMap<LeaseId, _> = BTreeMap::new();
        for (pick, ending) in endings {
            let Some(lease) = self.workers[worker].pick(pick) else { continue };
            let (disposition, event) = disposition_of(&ending, &lease);
            completions.insert(lease_id(&lease), (lease, disposition, event));
        }
        self.write(completions.into_values().collect()).await
    }

    /// Writes down verdicts; each counts if its lease is held, and changes nothing if it is not.
    pub async fn write(&mut self, given: Vec<(Arc<Lease>, Disposition, Event)>) -> TestCaseResult {
        let completions: Vec<Completion> = given
            .iter()
            .map(|(lease, disposition, _)| Completion {
                lease: Arc::clone(lease),
                disposition: disposition.clone(),
            })
            .collect();
        let answers = protocol::complete_batch(self.conn, &completions).await.unwrap();
        prop_assert_eq!(answers.len(), completions.len());
        let answers: BTreeMap<LeaseId, CompletionResult> = answers.into_iter().collect();
        for (lease, _, event) in given {
            let held = self.model.holds(&lease);
            let expected = if held { CompletionResult::Written } else { CompletionResult::LeaseLost };
            prop_assert_eq!(answers.get(&lease_id(&lease)), Some(&expected), "{:?} of {:?}", event, lease);
            if !held {
                continue;
            }
            self.model.apply(lease.job_id, event);
            if matches!(event, Event::Done) {
                self.completed.push(lease.job_id);
            }
        }
        Ok(())
    }

    pub async fn complete(&mut self, worker: usize, lease: Pick) -> TestCaseResult {
        let Some(lease) = self.workers[worker].pick(lease) else { return Ok(()) };
        let mut tx = self.conn.begin().await.unwrap();
        let settled = lease.complete(&mut tx, None).await;
        if settled.is_ok() { tx.commit().await } else { tx.rollback().await }.unwrap();
        prop_assert_eq!(settled.is_ok(), self.model.holds(&lease), "completed by its handler");
        if settled.is_ok() {
            self.model.apply(lease.job_id, Event::Done);
            self.completed.push(lease.job_id);
        }
        Ok(())
    }

    pub async fn snooze(&mut self, worker: usize, lease: Pick, wait: Hours) -> TestCaseResult {
        let Some(lease) = self.workers[worker].pick(lease) else { return Ok(()) };
        let mut tx = self.conn.begin().await.unwrap();
        let settled = lease.snooze(&mut tx, chrono::Utc::now() + hours(wait)).await;
        if settled.is_ok() { tx.commit().await } else { tx.rollback().await }.unwrap();
        prop_assert_eq!(settled.is_ok(), self.model.holds(&lease), "put off by its handler");
        if settled.is_ok() {
            self.model.apply(lease.job_id, Event::Snoozed { wait });
        }
        Ok(())
    }

    pub async fn renew(&mut self, worker: usize) -> TestCaseResult {
        self.begin(worker).await?;
        let Worker { leases, config, .. } = &self.workers[worker];
        let lease_ids: Vec<LeaseId> = leases.iter().map(|lease| lease_id(lease)).collect();
        let renewed = protocol::heartbeat(self.conn, &lease_ids, config, false).await.unwrap();
        let renewed: BTreeMap<LeaseId, bool> =
            renewed.into_iter().map(|renewed| (renewed.lease_id, renewed.cancel_asked)).collect();
        let held = leases.iter().filter(|lease| self.model.holds(lease));
        let held: BTreeMap<LeaseId, bool> =
            held.map(|lease| (lease_id(lease), self.model.jobs[&lease.job_id].asked)).collect();
        prop_assert_eq!(&renewed, &held, "renewed, and whether somebody asks for the end");
        for (id, _) in held.into_keys() {
            self.model.apply(id, Event::Renewed);
        }
        Ok(())
    }
}

/// What the driver writes down after such an end, and what that is to the model.
fn disposition_of(ending: &Ending, lease: &Lease) -> (Disposition, Event) {
    let why = || "no luck".to_owned();
    match *ending {
        Ending::Done => (Disposition::Done(None), Event::Done),
        Ending::Failed { .. } if lease.attempt >= lease.max_attempts => {
            (Disposition::Dead("exhausted", why()), Event::Died("exhausted"))
        }
        Ending::Failed { wait } => (Disposition::Retry(why(), hours(wait)), Event::Failed { wait }),
        Ending::Fatal => (Disposition::Dead("fatal", why()), Event::Died("fatal")),
        Ending::Cancelled => (Disposition::Cancelled(None), Event::Cancelled),
        Ending::Unstarted => (Disposition::Release, Event::Released),
    }
}
