//! Each state of each flow, derived from rows as the flows leave them.

use super::{Flow, FlowKind, Run, Step, Undo};
use crate::{
    domain::{OrderStatus, PaymentState},
    orders::snapshot::{
        Barrier, OrderFacts, OrderSnapshot, Payment, PaymentEntry, StatusEvent, TripCancellation,
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use farebox_jobs::{MqTag, queue::admin::JobView};
use serde_json::{Value, json};
use uuid::Uuid;

const ORDER: Uuid = Uuid::from_u128(1);
const PAYMENT: Uuid = Uuid::from_u128(2);

/// Milliseconds after the beginning of the story.
fn at(millis: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::milliseconds(millis)
}

fn empty() -> OrderSnapshot {
    OrderSnapshot {
        facts: None,
        barriers: Vec::new(),
        payments: Vec::new(),
        events: Vec::new(),
        entries: Vec::new(),
        jobs: Vec::new(),
        claimed_labels: Vec::new(),
        trip_cancellation: TripCancellation::None,
    }
}

/// An order in this state, booked at 10 ms.
fn order(status: OrderStatus) -> OrderSnapshot {
    let facts = OrderFacts {
        rider_id: Uuid::nil(),
        rider: "ann".to_owned(),
        trip_id: Uuid::nil(),
        departs_at: at(1_000_000),
        seats: vec!["1".to_owned()],
        owns: vec![1],
        owned_labels: Vec::new(),
        amount: 4.into(),
        status,
        created_at: at(10),
        expires_at: at(100_000),
        overdue: false,
    };
    let claim = barrier(ORDER, MqTag::OrderAddSeats, Some(10), None);
    let add = barrier(ORDER, MqTag::OrderAdd, Some(14), None);
    OrderSnapshot { facts: Some(facts), barriers: vec![claim, add], ..empty() }
}

fn barrier(subject: Uuid, step: MqTag, done: Option<i64>, undone: Option<i64>) -> Barrier {
    Barrier { subject, step: step.wire().to_owned(), done_at: done.map(at), undone_at: undone.map(at) }
}

/// A job of this tag in this state, enqueued at 20 ms and due or ended at 30 ms.
fn job(tag: MqTag, key: Uuid, state: &str) -> JobView {
    let has_ended = matches!(state, "done" | "dead" | "cancelled");
    JobView {
        id: Uuid::from_u128(9),
        tag: tag.wire().to_owned(),
        key: key.to_string(),
        state: state.to_owned(),
        priority: None,
        concurrency_key: None,
        attempt: if matches!(state, "ready" | "delayed") { 0 } else { 1 },
        max_attempts: 25,
        run_at: at(30),
        first_due_at: None,
        created_at: at(20),
        started_at: matches!(state, "running" | "done").then(|| at(25)),
        lease_until: None,
        ended_at: has_ended.then(|| at(30)),
        payload: json!({"trace": "4bf92f3577b34da6a3ce929d0e0e4736"}),
        attempts: json!([]),
        note: (state == "done").then(|| "seats given back".to_owned()),
        worker: None,
        fingerprint: None,
    }
}

/// The job of a step that failed at 20 ms.
fn raised(tag: MqTag, key: Uuid, state: &str) -> JobView {
    let mut job = job(tag, key, state);
    job.payload["failed"] = json!({"at": at(20).to_rfc3339(), "error": "simulated"});
    job
}

fn of(snapshot: &OrderSnapshot, kind: impl Fn(FlowKind) -> bool) -> Vec<Step> {
    let flows: Vec<Flow> = snapshot.flows(ORDER);
    flows.into_iter().find(|flow| kind(flow.kind)).expect("the flow").steps
}

fn booking(snapshot: &OrderSnapshot) -> Vec<Step> {
    of(snapshot, |kind| kind == FlowKind::Booking)
}

fn paying(snapshot: &OrderSnapshot) -> Vec<Step> {
    of(snapshot, |kind| matches!(kind, FlowKind::Paying { .. }))
}

fn refund(snapshot: &OrderSnapshot) -> Vec<Step> {
    of(snapshot, |kind| kind == FlowKind::Refunding)
}

/// The states in one word each, the steps and then the undos.
fn words(steps: &[Step]) -> (Vec<&'static str>, Vec<&'static str>) {
    let run = |step: &Step| match step.run {
        Run::Ran { at: Some(_) } => "ran at",
        Run::Ran { at: None } => "ran",
        Run::Failed { committed: Some(_), .. } => "failed after",
        Run::Failed { committed: None, .. } => "failed",
        Run::NotReached => "not reached",
        Run::Barred { .. } => "barred",
        Run::Unknown => "unknown",
    };
    let undo = |step: &Step| match step.undo {
        Undo::NotNeeded => "-",
        Undo::Armed(_) => "armed",
        Undo::Waiting(_) => "waiting",
        Undo::Retrying(_) => "retrying",
        Undo::Running(_) => "running",
        Undo::Dead(_) => "dead",
        Undo::Cancelled(_) => "cancelled",
        Undo::Done { job: Some(_), .. } => "done",
        Undo::Done { job: None, .. } => "done otherwise",
        Undo::NothingToUndo(_) => "nothing",
    };
    (steps.iter().map(run).collect(), steps.iter().map(undo).collect())
}

/// What a failed claim leaves: the barrier's rows.
fn claimed(undone: Option<i64>) -> OrderSnapshot {
    let mut left =
        OrderSnapshot { barriers: vec![barrier(ORDER, MqTag::OrderAddSeats, Some(10), undone)], ..empty() };
    if undone.is_some() {
        left.barriers.push(barrier(ORDER, MqTag::OrderAdd, None, undone));
    }
    left
}

#[test]
fn a_booking_that_went_well_ran_in_every_step() {
    let (run, undo) = words(&booking(&order(OrderStatus::Unpaid)));
    assert_eq!(run, ["ran", "ran at", "ran", "ran at"]);
    assert_eq!(undo, ["-"; 4]);
    let steps = booking(&order(OrderStatus::Paid));
    assert_eq!(steps[3].after, Some(TimeDelta::milliseconds(4)), "four after the claim");
    assert_eq!(steps[1].after, None, "the check leaves no time");

    let mut pruned = order(OrderStatus::Refunded);
    pruned.barriers.clear();
    assert_eq!(words(&booking(&pruned)).0, ["ran", "ran at", "ran", "ran"], "long after it has ended");
}

#[test]
fn a_booking_shows_the_step_that_failed() {
    let tags = MqTag::BOOKING;
    let expected = [
        ["failed", "not reached", "not reached", "not reached"],
        ["ran", "failed", "not reached", "not reached"],
        ["ran", "ran", "failed", "not reached"],
        ["ran", "ran", "ran", "failed"],
    ];
    for (tag, expected) in tags.into_iter().zip(expected) {
        let snapshot = OrderSnapshot { jobs: vec![raised(tag, ORDER, "ready")], ..empty() };
        let steps = booking(&snapshot);
        assert_eq!(words(&steps).0, expected, "{tag}");
        let failed = steps.iter().find_map(|step| match &step.run {
            Run::Failed { failure, .. } => Some(failure.clone()),
            _ => None,
        });
        let failed = failed.expect("one failed");
        assert_eq!((failed.at, failed.error.as_deref()), (Some(at(20)), Some("simulated")), "{tag}");
        assert_eq!(failed.trace.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"), "{tag}");
    }
}

#[test]
fn the_undo_of_a_failed_booking_is_shown_in_each_of_its_states() {
    let states = [
        ("ready", None, "waiting"),
        ("delayed", None, "waiting"),
        ("retrying", None, "retrying"),
        ("running", None, "running"),
        ("dead", None, "dead"),
        ("cancelled", None, "cancelled"),
        ("done", Some(28), "done"),
    ];
    for (state, undone, word) in states {
        let after = |tag| {
            let snapshot = OrderSnapshot { jobs: vec![raised(tag, ORDER, state)], ..claimed(undone) };
            words(&booking(&snapshot))
        };
        let (run, undo) = after(MqTag::OrderAddSeats);
        assert_eq!(run[1], "failed after", "{state}: the claim was committed");
        assert_eq!(undo, ["-", word, "-", "-"], "{state}");
        // The job of the step that failed gives the claim back, too.
        let (run, undo) = after(MqTag::OrderCalcMoney);
        assert_eq!(run, ["ran", "ran at", "failed", if undone.is_some() { "barred" } else { "not reached" }]);
        assert_eq!(undo, ["-", word, word, "-"], "{state}");
        let (run, undo) = after(MqTag::OrderAdd);
        assert_eq!(run, ["ran", "ran at", "ran", "failed"], "{state}");
        assert_eq!(undo, ["-", word, "-", word], "{state}");
    }
}

#[test]
fn a_booking_whose_order_was_added_before_the_failure_is_closed_by_its_undo() {
    let mut snapshot = order(OrderStatus::Closed);
    snapshot.barriers = vec![
        barrier(ORDER, MqTag::OrderAddSeats, Some(10), Some(28)),
        barrier(ORDER, MqTag::OrderAdd, Some(14), Some(28)),
    ];
    snapshot.jobs = vec![raised(MqTag::OrderAdd, ORDER, "done")];
    let (run, undo) = words(&booking(&snapshot));
    assert_eq!(run, ["ran", "ran at", "ran", "failed after"]);
    assert_eq!(undo, ["-", "done", "-", "done"]);
}

#[test]
fn an_undo_that_found_nothing_says_so() {
    for note in [
        "nothing to undo: the order was added",
        "barred; nothing was written",
        "refused: the order has been paid since",
        "the order was closed already",
    ] {
        let mut snapshot = order(OrderStatus::Paid);
        let mut job = raised(MqTag::OrderAdd, ORDER, "done");
        job.note = Some(note.to_owned());
        snapshot.jobs = vec![job];
        assert_eq!(words(&booking(&snapshot)).1[3], "nothing", "{note}");
    }
}

#[test]
fn what_is_not_recorded_is_not_invented() {
    // The process stopped after the claim, or the request still runs.
    let armed = OrderSnapshot { jobs: vec![job(MqTag::OrderAddSeats, ORDER, "delayed")], ..claimed(None) };
    let (run, undo) = words(&booking(&armed));
    assert_eq!(run, ["ran", "ran at", "unknown", "unknown"]);
    assert_eq!(undo, ["-", "armed", "-", "-"]);
    // The armed undo fell due by itself.
    let done = OrderSnapshot { jobs: vec![job(MqTag::OrderAddSeats, ORDER, "done")], ..claimed(Some(28)) };
    let (run, undo) = words(&booking(&done));
    assert_eq!(run, ["ran", "ran at", "unknown", "barred"]);
    assert_eq!(undo, ["-", "done", "-", "-"]);
    // The timer gave the seats back.
    let (run, undo) = words(&booking(&claimed(Some(28))));
    assert_eq!(run, ["ran", "ran at", "unknown", "barred"]);
    assert_eq!(undo, ["-", "done otherwise", "-", "-"]);
    // A build from before kept no errors: the tag alone says where it failed.
    let before = OrderSnapshot { jobs: vec![job(MqTag::OrderAdd, ORDER, "ready")], ..claimed(None) };
    let steps = booking(&before);
    assert!(
        matches!(&steps[3].run, Run::Failed { failure, .. } if failure.error.is_none() && failure.at == Some(at(20)))
    );
}

/// A payment in this state, debited at 50 ms.
fn paid(state: PaymentState, pay: Option<i64>, undone: Option<i64>) -> OrderSnapshot {
    let status = match state {
        PaymentState::Settled => OrderStatus::Paid,
        PaymentState::Refunded => OrderStatus::Refunded,
        _ => OrderStatus::Unpaid,
    };
    let mut snapshot = order(status);
    snapshot.payments = vec![Payment { id: PAYMENT, amount: 4.into(), state }];
    snapshot.barriers.push(barrier(PAYMENT, MqTag::PayMoney, Some(50), undone));
    if pay.is_some() || undone.is_some() {
        snapshot.barriers.push(barrier(PAYMENT, MqTag::Pay, pay, undone.filter(|_| pay.is_none())));
    }
    snapshot
}

#[test]
fn a_payment_that_went_well_ran_in_every_step() {
    let steps = paying(&paid(PaymentState::Settled, Some(57), None));
    let (run, undo) = words(&steps);
    assert_eq!((run, undo), (vec!["ran", "ran at", "ran at"], vec!["-"; 3]));
    assert_eq!(steps[2].after, Some(TimeDelta::milliseconds(7)));
    let (run, undo) = words(&paying(&paid(PaymentState::Refunded, Some(57), None)));
    assert_eq!((run, undo), (vec!["ran", "ran at", "ran at"], vec!["-"; 3]), "refunded later");
}

#[test]
fn a_failed_payment_shows_its_step_and_the_undo_of_the_debit() {
    for (state, word, undone, left) in [
        ("ready", "waiting", None, PaymentState::Debited),
        ("retrying", "retrying", None, PaymentState::Debited),
        ("dead", "dead", None, PaymentState::Debited),
        ("done", "done", Some(90), PaymentState::Reversed),
    ] {
        let mut snapshot = paid(left, None, undone);
        snapshot.jobs = vec![raised(MqTag::PayMoney, PAYMENT, state)];
        let (run, undo) = words(&paying(&snapshot));
        assert_eq!(run, ["ran", "failed after", "not reached"], "{state}");
        assert_eq!(undo, ["-", word, "-"], "{state}");
        snapshot.jobs = vec![raised(MqTag::Pay, PAYMENT, state)];
        let (run, undo) = words(&paying(&snapshot));
        assert_eq!(run, ["ran", "ran at", "failed"], "{state}");
        assert_eq!(undo, ["-", word, word], "{state}");
    }
    let mut check = order(OrderStatus::Unpaid);
    check.jobs = vec![raised(MqTag::PayCheck, PAYMENT, "ready")];
    let (run, undo) = words(&paying(&check));
    assert_eq!((run, undo), (vec!["failed", "not reached", "not reached"], vec!["waiting", "-", "-"]));
}

#[test]
fn a_payment_that_was_late_or_stopped_is_shown_as_it_is() {
    let (run, undo) = words(&paying(&paid(PaymentState::Reversed, None, Some(60))));
    assert_eq!((run, undo), (vec!["ran", "ran at", "barred"], vec!["-", "done otherwise", "-"]));
    let mut stopped = paid(PaymentState::Debited, None, None);
    stopped.jobs = vec![job(MqTag::PayMoney, PAYMENT, "delayed")];
    let (run, undo) = words(&paying(&stopped));
    assert_eq!((run, undo), (vec!["ran", "ran at", "unknown"], vec!["-", "armed", "-"]));
}

fn event(status: &str, millis: i64) -> StatusEvent {
    StatusEvent { status: status.to_owned(), reason: "refunded by its rider".to_owned(), at: at(millis) }
}

#[test]
fn a_refund_shows_how_far_it_came() {
    let money = PaymentEntry { payment: PAYMENT, kind: "refund".to_owned(), at: at(12) };
    let mut whole = order(OrderStatus::Refunded);
    whole.events = vec![event("refunding", 11), event("refunded", 13)];
    whole.entries = vec![money];
    assert_eq!(words(&refund(&whole)), (vec!["ran at"; 3], vec!["-"; 3]));
    whole.jobs = vec![raised(MqTag::PayBack, ORDER, "done")];
    let (run, undo) = words(&refund(&whole));
    assert_eq!((run, undo), (vec!["ran at", "ran at", "failed after"], vec!["-", "-", "done"]), "after all");

    let mut half = order(OrderStatus::Refunding);
    half.events = vec![event("refunding", 11)];
    half.jobs = vec![raised(MqTag::PayBack, ORDER, "retrying")];
    let (run, undo) = words(&refund(&half));
    assert_eq!((run, undo), (vec!["ran at", "failed", "not reached"], vec!["-", "retrying", "-"]));
    half.jobs = vec![job(MqTag::PayBack, ORDER, "delayed")];
    let (run, undo) = words(&refund(&half));
    assert_eq!((run, undo), (vec!["ran at", "unknown", "unknown"], vec!["-", "armed", "-"]));

    let mut none = order(OrderStatus::Paid);
    assert!(none.flows(ORDER).iter().all(|flow| flow.kind != FlowKind::Refunding));
    none.jobs = vec![raised(MqTag::PayBack, ORDER, "ready")];
    assert_eq!(words(&refund(&none)).0, ["failed", "not reached", "not reached"]);
}

#[test]
fn a_cancelling_is_one_step() {
    let mut closed = order(OrderStatus::Closed);
    closed.events = vec![StatusEvent {
        status: "closed".to_owned(),
        reason: "cancelled_by_rider".to_owned(),
        at: at(40),
    }];
    let steps = of(&closed, |kind| kind == FlowKind::Cancelling);
    assert_eq!(words(&steps), (vec!["ran at"], vec!["-"]));
    let mut failed = order(OrderStatus::Unpaid);
    failed.jobs = vec![raised(MqTag::OrderCancel, ORDER, "dead")];
    let steps = of(&failed, |kind| kind == FlowKind::Cancelling);
    assert_eq!(words(&steps), (vec!["failed"], vec!["dead"]));
    let value: &Value = &failed.jobs[0].payload;
    assert_eq!(value["failed"]["error"], "simulated");
}
