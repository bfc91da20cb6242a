//! Claims: what a worker gets, in what order, and what it begins of it.

use super::{
    CONCURRENCY_KEYS,
    bench::{Bench, Worker},
    life::Event,
    sorted,
    steps::Pick,
};
use farebox_jobs::queue::{
    Lease,
    protocol::{self, ClaimKind, ClaimRequest, Claimed, Completion, Disposition, LeaseId},
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use uuid::Uuid;

impl<'c> Bench<'c> {
    /// As the driver: after a claim that did not see every due job and did not come back full,
    /// another that does.
    pub async fn claim(&mut self, worker: usize, done: &[Pick], slots: usize) -> TestCaseResult {
        self.begin(worker).await?;
        let whole = self.workers[worker].whole;
        let done = self.done(worker, done);
        let left = self.round(worker, &done, slots).await?;
        if left > 0 && !whole {
            self.begin(worker).await?;
            self.round(worker, &[], left).await?;
        }
        Ok(())
    }

    /// What the driver completes with its next claim: no job with a concurrency key.
    fn done(&self, worker: usize, picks: &[Pick]) -> Vec<Completion> {
        let picks: BTreeSet<Pick> = picks.iter().copied().collect();
        let leases = picks.into_iter().filter_map(|pick| self.workers[worker].pick(pick));
        let leases: BTreeMap<LeaseId, Arc<Lease>> = leases.map(|lease| (lease_id(&lease), lease)).collect();
        let plain = |lease: &Arc<Lease>| self.model.jobs[&lease.job_id].spec.concurrency_key.is_none();
        let done = leases.into_values().filter(plain);
        done.map(|lease| Completion { lease, disposition: Disposition::Done(None) }).collect()
    }

    /// One statement of the driver. Returns how many slots it left.
    async fn round(
        &mut self,
        worker: usize,
        done: &[Completion],
        slots: usize,
    ) -> Result<usize, TestCaseError> {
        let Worker { config, cursor, whole, .. } = &self.workers[worker];
        let (token, whole) = (Uuid::new_v4(), *whole);
        let request = ClaimRequest { cursor, slots, worker: &config.id, lease: config.lease, token };
        let result = protocol::complete_and_claim(self.conn, done, &request).await.unwrap();
        // What this very statement completes may have been due again: it then takes up a slot all the same.
        let before = self.model.claimable();
        self.completed(done, result.completed)?;
        let late = before.difference(&self.model.claimable()).count();
        self.check_claim(&result.claimed, slots, late, whole)?;
        let claimed = result.claimed.len();
        prop_assert!(result.full || claimed < slots, "full");
        prop_assert!(!result.full || claimed + late >= slots, "not full");
        for Claimed { lease, kind, .. } in &result.claimed {
            prop_assert_eq!(kind, &self.model.jobs[&lease.job_id].claim_kind());
            self.model.apply(lease.job_id, Event::Claimed(token));
            prop_assert_eq!(lease.attempt, self.model.jobs[&lease.job_id].attempt);
        }
        let left = if result.full { 0 } else { slots - claimed };
        let worker = &mut self.workers[worker];
        for Claimed { lease, priority, .. } in &result.claimed {
            worker.cursor.advance_to(lease, *priority);
            worker.whole = false;
        }
        worker.arrived = result.claimed;
        if !result.full {
            worker.reset();
        }
        Ok(left)
    }

    fn completed(&mut self, done: &[Completion], completed: Option<Vec<Uuid>>) -> TestCaseResult {
        let leases = done.iter().map(|completion| &completion.lease);
        let held: Vec<Uuid> =
            leases.filter(|lease| self.model.holds(lease)).map(|lease| lease.job_id).collect();
        let expected = (held.len() < done.len()).then(|| sorted(&held));
        prop_assert_eq!(completed.map(|ids| sorted(&ids)), expected, "completed with the claim");
        for id in held {
            self.model.apply(id, Event::Done);
            self.completed.push(id);
        }
        Ok(())
    }

    /// Nothing is claimed that may not be; and unless the worker looked at a part only: as much as
    /// may be, and nothing before its turn. Which of several that are due equally is left open.
    fn check_claim(&self, claimed: &[Claimed], slots: usize, late: usize, whole: bool) -> TestCaseResult {
        let ids: BTreeSet<Uuid> = claimed.iter().map(|job| job.lease.job_id).collect();
        let allowed = self.model.claimable();
        prop_assert_eq!(ids.len(), claimed.len(), "claimed twice");
        prop_assert!(ids.is_subset(&allowed), "claimed {ids:?} of {allowed:?}");
        prop_assert!(ids.len() <= slots, "claimed {ids:?} for {slots} slots");
        let turn = |job: &Claimed| (job.priority, self.model.jobs[&job.lease.job_id].due);
        prop_assert!(claimed.is_sorted_by_key(turn), "in the order of priority and due");
        if whole {
            prop_assert!(
                ids.len() + late >= slots.min(allowed.len() + late),
                "claimed {ids:?} of {allowed:?}"
            );
            let passed_over =
                |left: &&Uuid| ids.iter().any(|claimed| self.model.goes_before(**left, *claimed));
            prop_assert_eq!(allowed.difference(&ids).find(passed_over), None, "passed over");
        }
        Ok(())
    }

    /// As the driver: takes the concurrency keys of what arrived, gives back what did not get its
    /// own, writes down what is not to be run, and begins the rest.
    pub async fn begin(&mut self, worker: usize) -> TestCaseResult {
        let arrived = std::mem::take(&mut self.workers[worker].arrived);
        let got = self.take_concurrency_keys(&arrived).await?;
        let mut completions = Vec::new();
        for Claimed { lease, kind, .. } in arrived {
            let lease = Arc::new(lease);
            let has_its_key =
                self.model.jobs[&lease.job_id].spec.concurrency_key.is_none() || got.contains(&lease.job_id);
            match kind {
                _ if !has_its_key => completions.push((lease, Disposition::Release, Event::Released)),
                ClaimKind::Cancelled => {
                    completions.push((lease, Disposition::Cancelled(None), Event::Cancelled));
                }
                ClaimKind::Crashed => completions.push((lease, Disposition::Crashed, Event::Crashed)),
                ClaimKind::Fresh | ClaimKind::Rescued => {
                    if self.model.holds(&lease) {
                        self.model.apply(lease.job_id, Event::Began);
                    }
                    self.workers[worker].leases.push(lease);
                }
            }
        }
        self.write(completions).await
    }

    async fn take_concurrency_keys(&mut self, arrived: &[Claimed]) -> Result<Vec<Uuid>, TestCaseError> {
        let key = |lease: &Lease| self.model.jobs[&lease.job_id].spec.concurrency_key;
        let leases = arrived.iter().map(|job| &job.lease);
        let wanted: Vec<(Uuid, String)> =
            leases.clone().filter_map(|lease| Some((lease.job_id, key(lease)?.to_owned()))).collect();
        let Some(token) = arrived.first().map(|job| job.lease.token).filter(|_| !wanted.is_empty()) else {
            return Ok(Vec::new());
        };
        let got = protocol::take_concurrency_keys(self.conn, &wanted, token).await.unwrap();
        for concurrency_key in CONCURRENCY_KEYS {
            let of_key = |lease: &&Lease| key(lease) == Some(concurrency_key);
            let able = leases.clone().filter(of_key).filter(|lease| self.model.holds(lease));
            let able: Vec<Uuid> = able.map(|lease| lease.job_id).collect();
            let got: Vec<Uuid> = got
                .iter()
                .copied()
                .filter(|id| self.model.jobs[id].spec.concurrency_key == Some(concurrency_key))
                .collect();
            prop_assert!(
                self.model.may_have(concurrency_key, &got, &able),
                "{concurrency_key}: {got:?} of {able:?}"
            );
        }
        for id in &got {
            self.model
                .concurrency_keys
                .extend(self.model.jobs[id].spec.concurrency_key.map(|key| (key, *id)));
        }
        Ok(got)
    }
}

pub fn lease_id(lease: &Lease) -> LeaseId {
    (lease.job_id, lease.token)
}
