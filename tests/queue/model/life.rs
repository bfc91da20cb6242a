//! The model: where each job is in its life, who has which concurrency key, and what time it is.

use super::{Hours, LEASE, steps::Spec};
use farebox_jobs::queue::{Lease, protocol::ClaimKind};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Where a job is in its life; how it ended is `done`, `cancelled`, or the reason it was given up for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    Waiting,
    Leased { token: Uuid, until: Hours },
    Ended(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub enum Event {
    Claimed(Uuid),
    Began,
    Renewed,
    Done,
    Failed { wait: Hours },
    Died(&'static str),
    Crashed,
    Released,
    Snoozed { wait: Hours },
    Asked,
    Cancelled,
    Hurried,
    Revived,
}

#[derive(Clone, Debug)]
pub struct Job {
    pub spec: Spec,
    pub state: State,
    pub due: Hours,
    pub attempt: i32,
    pub failures: i32,
    /// Somebody asked for its end.
    pub asked: bool,
    /// The attempts that a handler saw, by their tokens, save those that do not count.
    pub begun: BTreeSet<Uuid>,
}

impl Job {
    pub fn new(spec: Spec, due: Hours) -> Self {
        Self {
            spec,
            state: State::Waiting,
            due,
            attempt: 0,
            failures: 0,
            asked: false,
            begun: BTreeSet::new(),
        }
    }

    /// The whole life cycle.
    fn step(&mut self, event: Event, now: Hours) {
        let back = if self.asked { State::Ended("cancelled") } else { State::Waiting };
        match event {
            Event::Claimed(token) => {
                self.failures += i32::from(self.token().is_some()); // the attempt that went without a word
                self.attempt = (self.attempt + 1).min(self.spec.max_attempts);
                self.state = State::Leased { token, until: now + LEASE };
            }
            Event::Began => self.begun.extend(self.token()),
            Event::Renewed => {
                if let State::Leased { until, .. } = &mut self.state {
                    *until = now + LEASE;
                }
            }
            Event::Done => self.state = State::Ended("done"),
            Event::Failed { wait } => {
                (self.failures, self.due, self.state) = (self.failures + 1, now + wait, back);
            }
            Event::Died(reason) => (self.failures, self.state) = (self.failures + 1, State::Ended(reason)),
            Event::Crashed => self.state = State::Ended("crashed"),
            Event::Released => {
                self.uncount(i32::from(!self.asked));
                self.state = back;
            }
            Event::Snoozed { wait } => {
                self.uncount(1);
                (self.due, self.state) = (now + wait, State::Waiting);
            }
            Event::Asked => self.asked = true,
            Event::Cancelled => self.state = State::Ended("cancelled"),
            Event::Hurried => self.due = self.due.min(now),
            Event::Revived => *self = Self { failures: self.failures, ..Self::new(self.spec.clone(), now) },
        }
    }

    fn uncount(&mut self, attempts: i32) {
        self.attempt -= attempts;
        let token = self.token();
        self.begun.retain(|begun| Some(*begun) != token);
    }

    pub fn token(&self) -> Option<Uuid> {
        if let State::Leased { token, .. } = self.state { Some(token) } else { None }
    }

    pub fn live(&self) -> bool {
        !matches!(self.state, State::Ended(_))
    }

    fn dead(&self) -> bool {
        matches!(self.state, State::Ended(how) if how != "done" && how != "cancelled")
    }

    /// What it is to the worker that claims it next.
    pub fn claim_kind(&self) -> ClaimKind {
        match self.state {
            _ if self.asked => ClaimKind::Cancelled,
            State::Leased { .. } if self.attempt == self.spec.max_attempts => ClaimKind::Crashed,
            State::Leased { .. } => ClaimKind::Rescued,
            _ => ClaimKind::Fresh,
        }
    }
}

/// The jobs, who has which concurrency key, and what time it is.
#[derive(Debug, Default)]
pub struct Model {
    pub now: Hours,
    pub jobs: BTreeMap<Uuid, Job>,
    pub concurrency_keys: BTreeMap<&'static str, Uuid>,
    pub paused: BTreeSet<&'static str>,
}

impl Model {
    pub fn apply(&mut self, id: Uuid, event: Event) {
        let job = self.jobs.get_mut(&id).unwrap();
        job.step(event, self.now);
        if job.token().is_none() {
            self.concurrency_keys.retain(|_, holder| *holder != id);
        }
    }

    pub fn holds(&self, lease: &Lease) -> bool {
        self.jobs[&lease.job_id].token() == Some(lease.token)
    }

    pub fn live(&self, tag: &str, key: &str) -> Option<Uuid> {
        let taken = |job: &Job| job.live() && job.spec.tag == tag && job.spec.key == key;
        self.jobs.iter().find(|(_, job)| taken(job)).map(|(id, _)| *id)
    }

    /// Brings a dead letter back to life unless its key is taken.
    pub fn restore(&mut self, id: Uuid) -> bool {
        let Job { spec, .. } = &self.jobs[&id];
        let revived = self.jobs[&id].dead() && self.live(spec.tag, spec.key).is_none();
        if revived {
            self.apply(id, Event::Revived);
        }
        revived
    }

    /// What a claim may take.
    pub fn claimable(&self) -> BTreeSet<Uuid> {
        let free =
            |job: &Job| job.spec.concurrency_key.is_none_or(|key| !self.concurrency_keys.contains_key(key));
        let open = |job: &Job| match job.state {
            State::Waiting => free(job),
            State::Leased { until, .. } => until <= self.now,
            State::Ended(_) => false,
        };
        let may = |job: &Job| job.due <= self.now && open(job) && !self.paused.contains(job.spec.tag);
        self.jobs.iter().filter(|(_, job)| may(job)).map(|(id, _)| *id).collect()
    }

    /// Whether it is wrong to claim `b` and to leave `a`: a higher priority goes first, and of one
    /// tag the longest due.
    pub fn goes_before(&self, a: Uuid, b: Uuid) -> bool {
        let (a, b) = (&self.jobs[&a], &self.jobs[&b]);
        a.spec.priority < b.spec.priority
            || (a.spec.priority == b.spec.priority && a.spec.tag == b.spec.tag && a.due < b.due)
    }

    /// Whether these may have the concurrency key, of those that hold a lease and want it: its
    /// holder alone, or anyone.
    pub fn may_have(&self, key: &str, got: &[Uuid], wanted: &[Uuid]) -> bool {
        match self.concurrency_keys.get(key) {
            Some(holder) if wanted.contains(holder) => got == [*holder],
            Some(_) => got.is_empty(),
            None => got.len() == wanted.len().min(1) && got.iter().all(|id| wanted.contains(id)),
        }
    }
}
