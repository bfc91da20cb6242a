//! The life cycle of a job against a model of it. Random interleavings of everything that workers,
//! handlers, operators and time can do to a handful of jobs are run through the queue's real
//! statements on real tables; after each step the tables must say what the model says. No job is
//! lost, none is in two places, none is completed twice, none is begun more often than it may be.
//!
//! `PROPTEST_CASES` sets how many interleavings are tried,
//! `PROPTEST_RNG_SEED` repeats the ones of a failed run.

use crate::harness::Database;
use farebox_jobs::queue::{
    self, Due, Enqueued, Lease, NewJob, Priority, WorkerConfig,
    admin::{self, AdminOutcome, DeadFilter, JobRef},
    protocol::{
        self, ClaimCursor, ClaimKind, ClaimRequest, Claimed, Completion, CompletionResult, Disposition,
        LeaseId,
    },
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{RngSeed, TestCaseResult, TestRunner},
};
use serde_json::value::RawValue;
use sqlx::{Connection, PgConnection};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

/// Interleavings that are tried, unless the environment says otherwise.
const CASES: u32 = 128;
/// Steps of one interleaving at most.
const STEPS: usize = 60;

/// Time passes in whole hours, and only by [`Op::Jump`]: the moments that pass in truth never matter.
type Hours = i64;
/// How long a lease lasts.
const LEASE: Hours = 2;

const TAGS: [&str; 2] = ["letter", "parcel"];
const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const CONCURRENCY_KEYS: [&str; 2] = ["north", "south"];
const WORKERS: usize = 3;

#[test]
fn the_tables_say_what_the_model_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let conn = runtime.block_on(async {
        let db = Database::fresh().await;
        RefCell::new(PgConnection::connect(&db.url).await.unwrap())
    });
    let outcome = TestRunner::new(config()).run(&vec(op(), 1..=STEPS), |ops| {
        let mut conn = conn.borrow_mut();
        runtime.block_on(interleaving(&mut conn, ops))
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The seed is drawn here so that a failed run tells it.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(rand::random());
    }
    if let RngSeed::Fixed(seed) = config.rng_seed {
        println!("PROPTEST_RNG_SEED={seed}");
    }
    config
}

async fn interleaving(conn: &mut PgConnection, ops: Vec<Op>) -> TestCaseResult {
    let mut bench = Bench::new(conn).await;
    for op in ops {
        bench.run(op).await?;
        bench.compare().await?;
    }
    Ok(())
}

/// A step. In `Claim` the driver completes what ended well as well, and one that hesitates takes
/// the concurrency keys at its next step only. In `Write` the driver writes down the rest; in
/// `Complete` and `Snooze` a handler settles the job in its own transaction. In `Crash` a worker's
/// process ends without a word, and starts anew.
#[derive(Clone, Debug)]
enum Op {
    Enqueue { job: Spec, delay: Hours },
    Claim { worker: usize, done: Vec<Pick>, slots: usize, hesitates: bool },
    Write { worker: usize, endings: Vec<(Pick, Ending)> },
    Complete { worker: usize, lease: Pick },
    Snooze { worker: usize, lease: Pick, wait: Hours },
    Renew { worker: usize },
    Crash { worker: usize },
    CancelId { job: Pick },
    CancelKey { tag: &'static str, key: &'static str },
    Pause { tag: &'static str },
    Resume { tag: &'static str },
    Retry { job: Pick },
    Redrive,
    Jump { hours: Hours },
}

#[derive(Clone, Debug)]
struct Spec {
    tag: &'static str,
    key: &'static str,
    priority: Priority,
    concurrency_key: Option<&'static str>,
    max_attempts: i32,
}

/// How an attempt ended, for the driver.
#[derive(Clone, Debug)]
enum Ending {
    Done,
    Failed { wait: Hours },
    Fatal,
    Cancelled,
    Unstarted,
}

/// One of a list, counted from its end. Of leases, the list holds all that a worker ever had: those
/// that are lost or settled as well, for a late worker does not know.
type Pick = usize;

fn picked<T>(all: &[T], pick: Pick) -> Option<&T> {
    all.iter().rev().nth(pick % all.len().max(1))
}

fn op() -> impl Strategy<Value = Op> {
    let worker = || 0..WORKERS;
    let lease = || 0..5_usize;
    let job = || 0..8_usize;
    let tag = || prop::sample::select(&TAGS[..]);
    let wait = || 0..=3_i64;
    prop_oneof![
        6 => (spec(), prop_oneof![3 => Just(0), 1 => wait()]).prop_map(|(job, delay)| Op::Enqueue { job, delay }),
        8 => (worker(), vec(lease(), 0..3), 0..=4_usize, prop::bool::weighted(0.3))
            .prop_map(|(worker, done, slots, hesitates)| Op::Claim { worker, done, slots, hesitates }),
        4 => (worker(), vec((lease(), ending()), 1..4)).prop_map(|(worker, endings)| Op::Write { worker, endings }),
        2 => (worker(), lease()).prop_map(|(worker, lease)| Op::Complete { worker, lease }),
        1 => (worker(), lease(), wait()).prop_map(|(worker, lease, wait)| Op::Snooze { worker, lease, wait }),
        2 => worker().prop_map(|worker| Op::Renew { worker }),
        1 => worker().prop_map(|worker| Op::Crash { worker }),
        1 => job().prop_map(|job| Op::CancelId { job }),
        1 => (tag(), prop::sample::select(&KEYS[..])).prop_map(|(tag, key)| Op::CancelKey { tag, key }),
        1 => tag().prop_map(|tag| Op::Pause { tag }),
        2 => tag().prop_map(|tag| Op::Resume { tag }),
        1 => job().prop_map(|job| Op::Retry { job }),
        1 => Just(Op::Redrive),
        4 => prop_oneof![1 => Just(1), 3 => Just(LEASE), 1 => Just(5), 1 => Just(-1)]
            .prop_map(|hours| Op::Jump { hours }),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    let concurrency_key = prop::option::of(prop::sample::select(&CONCURRENCY_KEYS[..]));
    let (tag, key) = (prop::sample::select(&TAGS[..]), prop::sample::select(&KEYS[..]));
    (tag, key, prop::sample::select(&Priority::ALL[..]), concurrency_key, 1..=3).prop_map(
        |(tag, key, priority, concurrency_key, max_attempts)| Spec {
            tag,
            key,
            priority,
            concurrency_key,
            max_attempts,
        },
    )
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        2 => Just(Ending::Done),
        3 => (0..=3_i64).prop_map(|wait| Ending::Failed { wait }),
        1 => Just(Ending::Fatal),
        1 => Just(Ending::Cancelled),
        1 => Just(Ending::Unstarted),
    ]
}

/// Where a job is in its life; how it ended is `done`, `cancelled`, or the reason it was given up for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting,
    Leased { token: Uuid, until: Hours },
    Ended(&'static str),
}

#[derive(Clone, Copy, Debug)]
enum Event {
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
struct Job {
    spec: Spec,
    state: State,
    due: Hours,
    attempt: i32,
    failures: i32,
    /// Somebody asked for its end.
    asked: bool,
    /// The attempts that a handler saw, by their tokens, save those that do not count.
    begun: BTreeSet<Uuid>,
}

impl Job {
    fn new(spec: Spec, due: Hours) -> Self {
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

    fn token(&self) -> Option<Uuid> {
        if let State::Leased { token, .. } = self.state { Some(token) } else { None }
    }

    fn live(&self) -> bool {
        !matches!(self.state, State::Ended(_))
    }

    fn dead(&self) -> bool {
        matches!(self.state, State::Ended(how) if how != "done" && how != "cancelled")
    }

    /// What it is to the worker that claims it next.
    fn claim_kind(&self) -> ClaimKind {
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
struct Model {
    now: Hours,
    jobs: BTreeMap<Uuid, Job>,
    concurrency_keys: BTreeMap<&'static str, Uuid>,
    paused: BTreeSet<&'static str>,
}

impl Model {
    fn apply(&mut self, id: Uuid, event: Event) {
        let job = self.jobs.get_mut(&id).unwrap();
        job.step(event, self.now);
        if job.token().is_none() {
            self.concurrency_keys.retain(|_, holder| *holder != id);
        }
    }

    fn holds(&self, lease: &Lease) -> bool {
        self.jobs[&lease.job_id].token() == Some(lease.token)
    }

    fn live(&self, tag: &str, key: &str) -> Option<Uuid> {
        let taken = |job: &Job| job.live() && job.spec.tag == tag && job.spec.key == key;
        self.jobs.iter().find(|(_, job)| taken(job)).map(|(id, _)| *id)
    }

    /// Brings a dead letter back to life unless its key is taken.
    fn restore(&mut self, id: Uuid) -> bool {
        let Job { spec, .. } = &self.jobs[&id];
        let revived = self.jobs[&id].dead() && self.live(spec.tag, spec.key).is_none();
        if revived {
            self.apply(id, Event::Revived);
        }
        revived
    }

    /// What a claim may take.
    fn claimable(&self) -> BTreeSet<Uuid> {
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
    fn goes_before(&self, a: Uuid, b: Uuid) -> bool {
        let (a, b) = (&self.jobs[&a], &self.jobs[&b]);
        a.spec.priority < b.spec.priority
            || (a.spec.priority == b.spec.priority && a.spec.tag == b.spec.tag && a.due < b.due)
    }

    /// Whether these may have the concurrency key, of those that hold a lease and want it: its
    /// holder alone, or anyone.
    fn may_have(&self, key: &str, got: &[Uuid], wanted: &[Uuid]) -> bool {
        match self.concurrency_keys.get(key) {
            Some(holder) if wanted.contains(holder) => got == [*holder],
            Some(_) => got.is_empty(),
            None => got.len() == wanted.len().min(1) && got.iter().all(|id| wanted.contains(id)),
        }
    }
}

/// A job as the tables have it, or as the model thinks they do. Times are counted from now.
#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Row {
    id: Uuid,
    state: String,
    attempt: i32,
    failures: i32,
    token: Option<Uuid>,
    until: Option<Hours>,
    due: Option<Hours>,
    asked: bool,
}

impl Row {
    fn of(id: Uuid, job: &Job, now: Hours) -> Self {
        let (state, until) = match job.state {
            State::Waiting => ("waiting", None),
            State::Leased { until, .. } => ("leased", Some(until - now)),
            State::Ended(how) => (how, None),
        };
        Self {
            id,
            state: state.to_owned(),
            attempt: job.attempt,
            failures: job.failures,
            token: job.token(),
            until,
            due: job.live().then_some(job.due - now),
            asked: job.live() && job.asked,
        }
    }
}

const ROWS: &str = "
    select id, case when lease_token is null then 'waiting' else 'leased' end as state, attempt,
           jsonb_array_length(failures) as failures, lease_token as token,
           round(extract(epoch from lease_until - clock_timestamp()) / 3600)::bigint as until,
           round(extract(epoch from run_at - clock_timestamp()) / 3600)::bigint as due,
           cancel_asked is not null as asked
    from queue.job
    union all
    select id, outcome, attempt, jsonb_array_length(failures), null, null, null, false from queue.finished
    union all
    select id, reason, attempt, jsonb_array_length(failures), null, null, null, false from queue.dead_letter
    order by id";

const CLEAR: &str = "delete from queue.job; delete from queue.finished; delete from queue.dead_letter;
                     delete from queue.concurrency_key; delete from queue.paused; delete from queue.worker";

/// What a later or an earlier hour is to the queue: all that it knows of time lies further back, or less far.
const JUMP: &str = "
    update queue.job
    set run_at = run_at - make_interval(hours => $1), created_at = created_at - make_interval(hours => $1),
        leased_at = leased_at - make_interval(hours => $1), lease_until = lease_until - make_interval(hours => $1)";

/// A worker as its driver sees it.
struct Worker {
    config: WorkerConfig,
    cursor: ClaimCursor,
    /// Whether the next claim sees every due job.
    whole: bool,
    /// Claimed, and not yet begun.
    arrived: Vec<Claimed>,
    /// All it ever began.
    leases: Vec<Arc<Lease>>,
}

impl Worker {
    fn new() -> Self {
        let config = WorkerConfig { lease: hours(LEASE), ..WorkerConfig::new("model", &TAGS) };
        let cursor = ClaimCursor::new(&config.tags);
        Self { config, cursor, whole: true, arrived: Vec::new(), leases: Vec::new() }
    }

    /// Its next claim starts from the beginning of each tag, another tag first.
    fn reset(&mut self) {
        self.config.tags.rotate_left(1);
        self.cursor = ClaimCursor::new(&self.config.tags);
        self.whole = true;
    }

    fn pick(&self, pick: Pick) -> Option<Arc<Lease>> {
        picked(&self.leases, pick).cloned()
    }
}

/// The tables, the workers, and the model.
struct Bench<'c> {
    conn: &'c mut PgConnection,
    model: Model,
    workers: Vec<Worker>,
    /// In the order they were enqueued in.
    enqueued: Vec<Uuid>,
    /// Each time the queue said that a job is done.
    completed: Vec<Uuid>,
}

impl<'c> Bench<'c> {
    async fn new(conn: &'c mut PgConnection) -> Self {
        sqlx::raw_sql(CLEAR).execute(&mut *conn).await.unwrap();
        let workers = std::iter::repeat_with(Worker::new).take(WORKERS).collect();
        Self { conn, model: Model::default(), workers, enqueued: Vec::new(), completed: Vec::new() }
    }

    async fn run(&mut self, op: Op) -> TestCaseResult {
        match op {
            Op::Enqueue { job, delay } => self.enqueue(job, delay).await,
            Op::Claim { worker, done, slots, hesitates } => {
                self.claim(worker, &done, slots).await?;
                if hesitates { Ok(()) } else { self.begin(worker).await }
            }
            Op::Write { worker, endings } => self.end(worker, endings).await,
            Op::Complete { worker, lease } => self.complete(worker, lease).await,
            Op::Snooze { worker, lease, wait } => self.snooze(worker, lease, wait).await,
            Op::Renew { worker } => self.renew(worker).await,
            Op::Crash { worker } => {
                self.begin(worker).await?; // no worker dies between a claim and its concurrency keys
                self.workers[worker] = Worker::new();
                Ok(())
            }
            Op::CancelId { job } => self.cancel_id(job).await,
            Op::CancelKey { tag, key } => self.cancel(JobRef::Key(tag, key), self.model.live(tag, key)).await,
            Op::Pause { tag } => {
                admin::pause(&mut *self.conn, tag, "the test", "a whim").await.unwrap();
                self.model.paused.insert(tag);
                Ok(())
            }
            Op::Resume { tag } => {
                admin::resume(&mut *self.conn, tag).await.unwrap();
                self.model.paused.remove(tag);
                Ok(())
            }
            Op::Retry { job } => self.retry(job).await,
            Op::Redrive => self.redrive().await,
            Op::Jump { hours } => self.jump(hours).await,
        }
    }

    /// The tables say what the model says, and what must hold whatever it says.
    async fn compare(&mut self) -> TestCaseResult {
        let rows: Vec<Row> = sqlx::query_as(ROWS).fetch_all(&mut *self.conn).await.unwrap();
        let concurrency_keys: Vec<(String, Uuid)> =
            sqlx::query_as("select key, job_id from queue.concurrency_key order by key")
                .fetch_all(&mut *self.conn)
                .await
                .unwrap();
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        prop_assert_eq!(&ids, &sorted(&self.enqueued), "each job is in exactly one place");
        let done: Vec<Uuid> = rows.iter().filter(|row| row.state == "done").map(|row| row.id).collect();
        prop_assert_eq!(&done, &sorted(&self.completed), "what was said to be done is done once");
        let expected: Vec<Row> =
            self.model.jobs.iter().map(|(id, job)| Row::of(*id, job, self.model.now)).collect();
        prop_assert_eq!(rows, expected, "the tables are as the model");
        let held = self.model.concurrency_keys.iter().map(|(key, id)| ((*key).to_owned(), *id));
        prop_assert_eq!(concurrency_keys, held.collect::<Vec<_>>(), "concurrency keys are as the model's");
        for job in self.model.jobs.values() {
            let begun = i32::try_from(job.begun.len()).unwrap();
            prop_assert!(begun <= job.spec.max_attempts, "begun too often: {job:?}");
        }
        Ok(())
    }

    async fn enqueue(&mut self, spec: Spec, delay: Hours) -> TestCaseResult {
        let job = NewJob {
            id: Uuid::now_v7(),
            tag: spec.tag,
            key: spec.key.to_owned(),
            priority: spec.priority,
            concurrency_key: spec.concurrency_key.map(str::to_owned),
            payload: RawValue::from_string("{}".to_owned()).unwrap(),
            max_attempts: spec.max_attempts,
        };
        let due = if delay == 0 { Due::Now } else { Due::In(hours(delay)) };
        let answers = queue::enqueue(self.conn, std::slice::from_ref(&job), due).await.unwrap();
        match self.model.live(spec.tag, spec.key) {
            Some(live) => prop_assert_eq!(answers, [Enqueued::AlreadyQueued(live)]),
            None => {
                prop_assert_eq!(answers, [Enqueued::New(job.id)]);
                self.model.jobs.insert(job.id, Job::new(spec, self.model.now + delay));
                self.enqueued.push(job.id);
            }
        }
        Ok(())
    }

    /// As the driver: after a claim that did not see every due job and did not come back full,
    /// another that does.
    async fn claim(&mut self, worker: usize, done: &[Pick], slots: usize) -> TestCaseResult {
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
    async fn begin(&mut self, worker: usize) -> TestCaseResult {
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

    async fn end(&mut self, worker: usize, endings: Vec<(Pick, Ending)>) -> TestCaseResult {
        let mut completions: BTreeMap<LeaseId, _> = BTreeMap::new();
        for (pick, ending) in endings {
            let Some(lease) = self.workers[worker].pick(pick) else { continue };
            let (disposition, event) = disposition_of(&ending, &lease);
            completions.insert(lease_id(&lease), (lease, disposition, event));
        }
        self.write(completions.into_values().collect()).await
    }

    /// Writes down verdicts; each counts if its lease is held, and changes nothing if it is not.
    async fn write(&mut self, given: Vec<(Arc<Lease>, Disposition, Event)>) -> TestCaseResult {
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

    async fn complete(&mut self, worker: usize, lease: Pick) -> TestCaseResult {
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

    async fn snooze(&mut self, worker: usize, lease: Pick, wait: Hours) -> TestCaseResult {
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

    async fn renew(&mut self, worker: usize) -> TestCaseResult {
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

    async fn cancel_id(&mut self, job: Pick) -> TestCaseResult {
        let Some(id) = picked(&self.enqueued, job).copied() else { return Ok(()) };
        self.cancel(JobRef::Id(id), Some(id)).await
    }

    async fn cancel(&mut self, which: JobRef<'_>, id: Option<Uuid>) -> TestCaseResult {
        let changed = admin::cancel(self.conn, which, "a whim").await.unwrap();
        let (expected, event) = match id.map(|id| self.model.jobs[&id].state) {
            Some(State::Waiting) => (AdminOutcome::Changed, Some(Event::Cancelled)),
            Some(State::Leased { .. }) => (AdminOutcome::CancelRequested, Some(Event::Asked)),
            Some(State::Ended(_)) | None => (AdminOutcome::Gone, None),
        };
        prop_assert_eq!(changed, expected, "cancel");
        if let (Some(id), Some(event)) = (id, event) {
            self.model.apply(id, event);
        }
        Ok(())
    }

    async fn retry(&mut self, job: Pick) -> TestCaseResult {
        let Some(id) = picked(&self.enqueued, job).copied() else { return Ok(()) };
        let changed = admin::retry(self.conn, id).await.unwrap();
        let expected = match self.model.jobs[&id].state {
            State::Waiting => {
                self.model.apply(id, Event::Hurried);
                AdminOutcome::Changed
            }
            State::Leased { .. } => AdminOutcome::Busy,
            State::Ended("done" | "cancelled") => AdminOutcome::Gone,
            State::Ended(_) => {
                if self.model.restore(id) {
                    AdminOutcome::Changed
                } else {
                    AdminOutcome::Busy
                }
            }
        };
        prop_assert_eq!(changed, expected, "retry");
        Ok(())
    }

    async fn redrive(&mut self) -> TestCaseResult {
        let redriven = admin::redrive(self.conn, &DeadFilter::default()).await.unwrap();
        let revived = self.enqueued.iter().filter(|id| self.model.restore(**id)).count();
        prop_assert_eq!(redriven, u64::try_from(revived).unwrap(), "redriven");
        Ok(())
    }

    /// What a worker skips over while its claims come back full, it skips for moments only: not after a jump.
    async fn jump(&mut self, hours: Hours) -> TestCaseResult {
        sqlx::query(JUMP).bind(i32::try_from(hours).unwrap()).execute(&mut *self.conn).await.unwrap();
        self.model.now += hours;
        self.workers.iter_mut().for_each(Worker::reset);
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

fn lease_id(lease: &Lease) -> LeaseId {
    (lease.job_id, lease.token)
}

fn hours(hours: Hours) -> Duration {
    Duration::from_secs(3_600 * hours.unsigned_abs())
}

fn sorted(ids: &[Uuid]) -> Vec<Uuid> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}
