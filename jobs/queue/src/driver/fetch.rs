//! Requests to the database: what ended well makes place for what is due, in one statement.

use super::{
    Driver,
    connection::{is_lock_timeout, is_refused},
    log::{log_crashed, log_lease_lost},
    request::{DbRequest, DbResponse, Fetched},
};
use crate::{
    Delivery,
    metrics::Event,
    outcome::{AttemptReport, Completion, Disposition},
    prefetch::MAX_WAIT,
    sql::claim::{ClaimKind, Claimed},
};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How many batches are claimed ahead of the free slots, if attempts are that short: one that is
/// under way, and one that runs meanwhile.
const BATCHES_AHEAD: usize = 2;

impl Driver {
    /// Releases what has waited too long for a slot, or all once the worker is to stop.
    pub(super) fn release_overdue(&mut self) {
        let working = self.is_working();
        let claimed_by = working.then(|| Instant::now().checked_sub(MAX_WAIT)).flatten();
        if working && claimed_by.is_none() {
            return;
        }
        for job in self.prefetch.take_back(claimed_by) {
            self.on_report(AttemptReport::unstarted(job.lease));
        }
    }

    /// How many jobs to claim: for the slots that are free, and those that will be when the answer
    /// is here.
    pub(super) fn slots_to_claim(&self) -> usize {
        if !self.is_working() {
            return 0;
        }
        let slots = self.config.concurrency;
        let ahead = self.estimator.expected_completions(slots).min(BATCHES_AHEAD * self.config.batch);
        let ended = self.outbox.done() + self.connections.completing();
        let open = self.leases.len().saturating_sub(ended) + self.connections.slots_requested();
        (slots + ahead).saturating_sub(open).min(self.config.batch)
    }

    /// Sends a batch that has ended, and polls, while a connection is idle.
    pub(super) fn start_requests(&mut self) {
        loop {
            let polling = self.connections.slots_requested() > 0;
            let slots = if self.schedule.may_poll(polling) { self.slots_to_claim() } else { 0 };
            if self.outbox.done() == 0 && slots == 0 {
                return;
            }
            let Some(conn) = self.connections.take_idle() else { return };
            let request = self.request(slots);
            self.connections.start(request, conn);
        }
    }

    fn request(&mut self, slots: usize) -> DbRequest {
        self.cursor.rotate();
        if slots > 0 {
            self.schedule.on_poll_started();
        }
        DbRequest {
            done: self.outbox.take_done(self.config.batch),
            cursor: self.cursor.clone(),
            slots,
            worker: self.config.id.clone(),
            lease: self.config.lease,
            token: Uuid::new_v4(),
            begun: Instant::now(),
        }
    }

    /// Takes in what a request brought.
    pub(super) fn on_response(&mut self, response: DbResponse) -> Result<(), sqlx::Error> {
        let DbResponse { conn, request, result, took } = response;
        self.connections.put_back(conn);
        match result {
            Ok(fetched) => {
                self.schedule.reset_backoff();
                self.estimator.record_statement(took);
                self.on_fetched(request, fetched);
                Ok(())
            }
            Err(error) if !request.done.is_empty() && (is_refused(&error) || is_lock_timeout(&error)) => {
                self.outbox.write_carefully(request.done);
                Ok(())
            }
            Err(error) => {
                self.outbox.put_back_done(request.done);
                self.schedule.poll_soon();
                Err(error)
            }
        }
    }

    fn on_fetched(&mut self, request: DbRequest, fetched: Fetched) {
        let Fetched { claim, blocked } = fetched;
        self.on_completed(request.done, claim.completed.as_deref());
        self.release_blocked(blocked, request.begun);
        self.accept(claim.claimed, request.begun);
        if request.slots == 0 {
            return;
        }
        if claim.full {
            self.schedule.poll_soon();
            return;
        }
        // Nothing more is due after the cursor's positions; a job before them is found only from
        // the beginning.
        self.cursor.reset();
        if !request.cursor.is_at_start() {
            self.schedule.poll_soon();
        }
        self.schedule.poll_after(claim.next, self.config.poll);
    }

    /// Removes the leases of a batch that is written. As a rule nothing is missing.
    fn on_completed(&mut self, done: Vec<Completion>, completed: Option<&[Uuid]>) {
        for completion in done {
            if completed.is_some_and(|completed| !completed.contains(&completion.lease.job_id)) {
                log_lease_lost(&completion.lease, &self.config.id);
                self.recorder.lost(&completion.lease);
            }
            self.leases.remove(&completion.lease);
        }
    }

    /// Jobs whose concurrency key is taken are not claimed again before its holder lets go.
    fn release_blocked(&mut self, blocked: Vec<Claimed>, begun: Instant) {
        for job in blocked {
            let lease = Arc::new(job.lease);
            self.leases.insert(&lease, begun, CancellationToken::new());
            self.outbox.push(Completion { lease, disposition: Disposition::Release });
        }
    }

    /// Hands the claimed jobs over to the worker.
    fn accept(&mut self, claimed: Vec<Claimed>, begun: Instant) {
        let mut jobs = Vec::with_capacity(claimed.len());
        for Claimed { lease, payload, priority, kind } in claimed {
            self.cursor.advance_to(&lease, priority);
            let job = Delivery::new(lease, &payload);
            self.leases.insert(&job.lease, begun, job.cancelled.clone());
            if matches!(kind, ClaimKind::Rescued | ClaimKind::Crashed) {
                self.recorder.rescued(&job.lease);
            }
            match kind {
                ClaimKind::Fresh | ClaimKind::Rescued => jobs.push(job),
                ClaimKind::Cancelled => {
                    self.outbox
                        .push(Completion { lease: job.lease, disposition: Disposition::Cancelled(None) });
                }
                ClaimKind::Crashed => {
                    log_crashed(&job.lease, &self.config.id);
                    self.recorder.ended(&job.lease, Event::Dead);
                    self.outbox.push(Completion { lease: job.lease, disposition: Disposition::Crashed });
                }
            }
        }
        self.prefetch.push(jobs.into_iter());
    }
}
