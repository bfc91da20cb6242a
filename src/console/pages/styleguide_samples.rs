//! What the components of the styleguide show: made up, the same each time but for the clock.

use crate::{
    domain::{Localized, Money},
    ops::{
        history::{History, Mark, Pause, Range},
        undos::UndoBacklog,
    },
    orders::flows::{Failure, Flow, FlowKind, Run, Step, Undo, UndoJob, describe_step},
};
use chrono::{TimeDelta, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{QueueView, WorkerView},
};
use rust_decimal::Decimal;
use uuid::Uuid;

/// A tag with as many ready, retrying and dead jobs.
pub(super) fn queue(tag: MqTag, many: i64, dead: i64) -> QueueView {
    QueueView {
        tag: tag.wire().to_owned(),
        ready: many,
        delayed: many,
        retrying: dead,
        most_failures: i32::try_from(dead).unwrap_or_default(),
        running: many / 100,
        dead,
        oldest_ready_secs: (many > 0).then_some(75.0),
        oldest_due_secs: None,
        paused: false,
        done_last_hour: many,
        failed_last_hour: dead,
    }
}

pub(super) fn worker() -> WorkerView {
    let now = Utc::now();
    WorkerView {
        id: "worker-1".to_owned(),
        name: "worker".to_owned(),
        host: "host".to_owned(),
        pid: 1,
        build: "0.0.0".to_owned(),
        tags: vec![MqTag::PayMoney.wire().to_owned()],
        slots: 8,
        held: 2,
        state: "working".to_owned(),
        started_at: now,
        last_seen_at: now,
    }
}

pub(super) fn owed(some: bool) -> UndoBacklog {
    if !some {
        return UndoBacklog::default();
    }
    UndoBacklog {
        due: 1_000,
        failing: 7,
        failures: 8,
        amount: Decimal::from(1_234),
        more: true,
        ..UndoBacklog::default()
    }
}

pub(super) fn pauses() -> Vec<Pause> {
    let tag = MqTag::PayBack.wire().to_owned();
    let since = Utc::now() - TimeDelta::minutes(13);
    vec![Pause { tag, since, who: "ops".to_owned(), why: "maintenance".to_owned() }]
}

/// An hour with a pause and a new build.
pub(super) fn history() -> History {
    let now = Utc::now();
    let mark = |kind: &str, subject: &str, mins: i64| Mark {
        at: now - TimeDelta::minutes(mins),
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        who: "ops".to_owned(),
        why: "maintenance".to_owned(),
    };
    let tag = MqTag::PayBack.wire();
    let marks = vec![mark("build", "0.0.0", 50), mark("paused", tag, 30), mark("resumed", tag, 20)];
    History { beginnings: Range::Hour.beginnings(now), marks, ..History::default() }
}

/// Bars up to a height, some of them empty.
pub(super) fn failures(history: &History, most: f64) -> Vec<f64> {
    (0..history.beginnings.len()).map(|bar| (most * (bar % 12) as f64 / 11.0).floor()).collect()
}

/// A flow for each way in which steps and undos end.
pub(super) fn flows() -> Vec<Flow> {
    let now = Utc::now();
    let job = |failures: i32| UndoJob {
        id: Uuid::nil(),
        tag: MqTag::PayMoney.wire().to_owned(),
        failures,
        at: now,
        took: Some(TimeDelta::milliseconds(12)),
        error: (failures > 0).then(|| "the bank is closed".to_owned()),
        note: None,
    };
    let ran = |tag: MqTag, undo: Undo| Step {
        tag,
        does: describe_step(tag),
        run: Run::Ran { at: Some(now) },
        after: Some(TimeDelta::milliseconds(250)),
        undo,
    };
    let failure = Failure { at: Some(now), error: Some("the bank is closed".to_owned()), trace: None };
    let step = |run: Run, undo: Undo| {
        let does = Localized::new("what a step does", "步骤的作用");
        Step { tag: MqTag::Pay, does, run, after: None, undo }
    };
    let amount = Some(Money::of_minor(123_456_789));
    vec![
        Flow {
            kind: FlowKind::Booking,
            steps: vec![
                ran(MqTag::OrderAddSeats, Undo::NotNeeded),
                ran(MqTag::OrderCalcMoney, Undo::Armed(job(0))),
                ran(MqTag::OrderAdd, Undo::Done { at: now, job: Some(job(0)) }),
            ],
        },
        Flow {
            kind: FlowKind::Paying { payment: Uuid::nil(), amount },
            steps: vec![
                ran(MqTag::PayMoney, Undo::Retrying(job(3))),
                step(Run::Failed { committed: None, failure }, Undo::Dead(job(25))),
                step(Run::NotReached, Undo::NotNeeded),
            ],
        },
        Flow {
            kind: FlowKind::Refunding,
            steps: vec![
                step(Run::Barred { at: now }, Undo::NothingToUndo(job(0))),
                step(Run::Unknown, Undo::Running(job(0))),
            ],
        },
    ]
}
