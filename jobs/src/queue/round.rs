//! A round with the database: what ended well makes room for what is due, in one statement. Up to two are under way, each
//! on a connection of its own.

use super::{
    Delivery, Lease,
    ack::{Ack, Verdict},
    chores::lost,
    claim::{self, Claimed, How, Round, Want},
    driver::{Driver, Held, fence},
    link::{Link, refused, timed_out_on_lock},
    metrics::Counted,
    shelf::SHELF_LIMIT,
    supervise::Report,
    tags::Tags,
    worker::Phase,
};
use std::{panic::resume_unwind, sync::Arc, time::Duration};
use tokio::{task::JoinError, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The shortest wait between two looks that found nothing.
const NAP_MIN: Duration = Duration::from_millis(1);

/// How many batches are claimed ahead of the slots at the most, if attempts are so short: one that is under way, and one
/// that is worked off meanwhile.
const BATCHES_AHEAD: usize = 2;

/// What a round is asked for.
struct Errand {
    done: Vec<Ack>,
    tags: Tags,
    slots: usize,
    worker: String,
    lease: Duration,
    token: Uuid,
    begun: Instant,
}

/// A round that is back.
pub(super) struct Flight {
    link: Link,
    errand: Errand,
    answer: Result<Answer, sqlx::Error>,
    took: Duration,
}

struct Answer {
    round: Round,
    /// Claimed, but another job has their serial key.
    waiting: Vec<Claimed>,
}

impl Driver {
    /// Does what can be done now without waiting for anything but the database.
    pub(super) async fn turn(&mut self) -> Result<(), sqlx::Error> {
        self.clear_shelf();
        self.chores().await?;
        self.start_rounds();
        Ok(())
    }

    /// Gives back what has waited too long for a slot, or all once the worker is to stop.
    fn clear_shelf(&mut self) {
        let working = *self.phase.borrow() == Phase::Working;
        let then = working.then(|| Instant::now().checked_sub(SHELF_LIMIT)).flatten();
        if working && then.is_none() {
            return;
        }
        for job in self.shelf.take_back(then) {
            self.take(Report::unstarted(job.lease));
        }
    }

    /// How many jobs to claim: for the slots that are free, and those that will be when the answer is here.
    pub(super) fn room(&self) -> usize {
        if *self.phase.borrow() != Phase::Working {
            return 0;
        }
        let slots = self.config.concurrency;
        let ahead = self.pace.ends_meanwhile(slots).min(BATCHES_AHEAD * self.config.batch);
        let open = self.held.len().saturating_sub(self.done.len() + self.flying_done) + self.flying_slots;
        (slots + ahead).saturating_sub(open).min(self.config.batch)
    }

    /// A batch that has ended goes at once, if a link is idle, and so does a look for due jobs. Two looks at a time would
    /// walk over each other's jobs, so a second one goes only if somebody has just enqueued.
    fn start_rounds(&mut self) {
        loop {
            let looks = self.stirred || Instant::now() >= self.look_at;
            let may_look = looks && (self.flying_slots == 0 || self.rung);
            let slots = if may_look { self.room() } else { 0 };
            if self.done.is_empty() && slots == 0 {
                return;
            }
            let Some(link) = self.links.pop() else { return };
            let errand = self.errand(slots);
            self.flights.spawn(errand.run(link));
        }
    }

    fn errand(&mut self, slots: usize) -> Errand {
        let batch = self.done.len().min(self.config.batch);
        let done: Vec<Ack> = self.done.drain(..batch).collect();
        self.tags.take_turns();
        self.stirred &= slots == 0;
        self.rung &= slots == 0;
        self.flying_done += done.len();
        self.flying_slots += slots;
        Errand {
            done,
            tags: self.tags.clone(),
            slots,
            worker: self.config.id.clone(),
            lease: self.config.lease,
            token: Uuid::new_v4(),
            begun: Instant::now(),
        }
    }

    /// Takes in what a round brought.
    pub(super) fn land(&mut self, flight: Result<Flight, JoinError>) -> Result<(), sqlx::Error> {
        let Flight { link, mut errand, answer, took } =
            flight.unwrap_or_else(|error| resume_unwind(error.into_panic()));
        self.links.push(link);
        self.flying_done -= errand.done.len();
        self.flying_slots -= errand.slots;
        match answer {
            Ok(answer) => {
                self.calm();
                self.pace.asked(took);
                self.conclude(errand, answer);
                Ok(())
            }
            // One of the completions cannot be made now: leave them all to the statement that sorts them out.
            Err(error) if !errand.done.is_empty() && (refused(&error) || timed_out_on_lock(&error)) => {
                self.acks.append(&mut errand.done);
                Ok(())
            }
            Err(error) => {
                self.done.append(&mut errand.done);
                self.stirred = true;
                Err(error)
            }
        }
    }

    fn conclude(&mut self, errand: Errand, answer: Answer) {
        let Answer { round, waiting } = answer;
        self.completed(errand.done, round.completed.as_deref());
        self.give_back(waiting, errand.begun);
        self.shelve(round.claimed, errand.begun);
        if errand.slots == 0 {
            return;
        }
        if round.full {
            self.stirred = true;
            return;
        }
        // Nothing more is due beyond the marks; is there before them?
        self.tags.look_back();
        self.stirred |= !errand.tags.whole();
        self.look_at =
            Instant::now() + round.next.unwrap_or(self.config.poll).clamp(NAP_MIN, self.config.poll);
    }

    /// Takes the batch off the list. As a rule nothing is missing.
    fn completed(&mut self, done: Vec<Ack>, completed: Option<&[Uuid]>) {
        for ack in done {
            if completed.is_some_and(|completed| !completed.contains(&ack.lease.job_id)) {
                lost(&ack.lease, &self.config.id);
                self.meter.lost(&ack.lease.tag);
            }
            self.held.remove(&fence(&ack.lease));
        }
    }

    /// Jobs whose serial key is taken are not claimed again before whoever has it lets go.
    fn give_back(&mut self, waiting: Vec<Claimed>, begun: Instant) {
        for job in waiting {
            let lease = Arc::new(job.lease);
            self.held.insert(fence(&lease), Held::new(&lease, begun, CancellationToken::new()));
            self.acks.push(Ack { lease, verdict: Verdict::Release });
        }
    }

    fn shelve(&mut self, claimed: Vec<Claimed>, begun: Instant) {
        let mut jobs = Vec::with_capacity(claimed.len());
        for Claimed { lease, payload, priority, how } in claimed {
            self.tags.start_at(&lease, priority);
            let job = Delivery::new(lease, &payload);
            self.held.insert(fence(&job.lease), Held::new(&job.lease, begun, job.cancelled.clone()));
            if matches!(how, How::Rescued | How::Crashed) {
                self.meter.rescued(&job.lease.tag);
            }
            match how {
                How::Fresh | How::Rescued => jobs.push(job),
                How::CalledOff => self.acks.push(Ack { lease: job.lease, verdict: Verdict::Cancelled(None) }),
                How::Crashed => {
                    crash(&job.lease, &self.config.id);
                    self.meter.ended(&job.lease.tag, Counted::Dead);
                    self.acks.push(Ack { lease: job.lease, verdict: Verdict::Crashed });
                }
            }
        }
        self.shelf.put(jobs.into_iter());
    }
}

impl Errand {
    /// Safe to drop, as at a runtime's end: the link and its connection go with it; leases that it claimed run out, and what it
    /// completed is completed or not.
    async fn run(self, mut link: Link) -> Flight {
        let answer = self.ask(&mut link).await;
        Flight { link, took: self.begun.elapsed(), errand: self, answer }
    }

    async fn ask(&self, link: &mut Link) -> Result<Answer, sqlx::Error> {
        let Self { done, tags, slots, worker, lease, token, .. } = self;
        let want = Want { tags, slots: *slots, worker, lease: *lease, token: *token };
        let mut round = link.run(async |conn| claim::complete_and_claim(conn, done, &want).await).await?;
        let waiting = self.take_serials(&mut round.claimed, link).await;
        Ok(Answer { round, waiting })
    }

    /// Takes the serial keys of the jobs that are to run. Returns those that do not get theirs.
    async fn take_serials(&self, claimed: &mut Vec<Claimed>, link: &mut Link) -> Vec<Claimed> {
        let runs = |job: &Claimed| matches!(job.how, How::Fresh | How::Rescued);
        let key = |job: &Claimed| job.lease.serial.clone().map(|key| (job.lease.job_id, key));
        let wanted: Vec<(Uuid, String)> = claimed.iter().filter(|job| runs(job)).filter_map(key).collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        let taken = link.run(async |conn| claim::take_serials(conn, &wanted, self.token).await).await;
        let taken = taken.unwrap_or_else(|error| {
            tracing::warn!(worker = self.worker, %error, "serial keys not taken");
            Vec::new()
        });
        let waits =
            |job: &mut Claimed| runs(job) && job.lease.serial.is_some() && !taken.contains(&job.lease.job_id);
        claimed.extract_if(.., waits).collect()
    }
}

fn crash(lease: &Lease, worker: &str) {
    let Lease { job_id, tag, key, attempt, .. } = lease;
    tracing::error!(%job_id, %tag, %key, attempt, worker, reason = "crashed", "dead letter: its last lease ran out");
}
