//! The words of fields that have a few: their schemas for the API's description. The fields themselves
//! hold what the database or a function says; tests compare the words with both.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use std::borrow::Cow;

/// A schema of one of these words, each with its meaning.
macro_rules! words {
    ($($(#[doc = $about:literal])+ $name:ident { $($word:literal: $meaning:literal,)+ })+) => { $(
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl $name {
            /// All, in the order of the description.
            pub const ALL: &'static [&'static str] = &[$($word),+];
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let about = [$($about),+].concat();
                described(about.trim(), &[$(($word, $meaning)),+])
            }
        }
    )+ };
}

/// The schema of words, whose meanings are part of the description.
pub fn described(about: &str, words: &[(&str, &str)]) -> Schema {
    let lines = words.iter().map(|(word, meaning)| format!("\n- `{word}`: {meaning}"));
    let all: Vec<Value> = words.iter().map(|(word, _)| Value::from(*word)).collect();
    json_schema!({
        "type": "string",
        "enum": all,
        "description": format!("{about}\n{}", lines.collect::<String>()),
    })
}

words! {
    /// What a seat is to the one who asks.
    SeatState {
        "free": "It can be booked.",
        "held": "An unpaid order has it.",
        "sold": "A paid order has it.",
        "mine": "An order of the caller's has it.",
        "blocked": "It is not for sale.",
    }
    /// What a seat is to everybody.
    PublicSeatState {
        "free": "It can be booked.",
        "held": "An unpaid order has it.",
        "sold": "A paid order has it.",
        "blocked": "It is not for sale.",
    }
    /// On which side of the aisle a seat is.
    SeatSide {
        "left": "Left, in the direction of travel.",
        "right": "Right, in the direction of travel.",
    }
    /// What a trip is, by the clock.
    TripStatus {
        "scheduled": "It has not departed.",
        "in_transit": "It has departed and not arrived.",
        "arrived": "It has arrived.",
        "cancelled": "It does not run: unpaid orders are closed, paid ones are refunded.",
    }
    /// Why an order was closed.
    ClosedReason {
        "expired": "It was not paid in time.",
        "cancelled_by_rider": "Its rider cancelled it.",
        "cancelled_by_system": "Its trip was cancelled or lost its seats, an operator closed it, or its booking failed.",
    }
    /// What a ledger entry is.
    EntryKind {
        "top_up": "Money was put into the wallet.",
        "payment": "An order was paid.",
        "payment_reversed": "A payment failed, and its money came back.",
        "refund": "An order was refunded.",
        "refund_fee": "What a refund keeps by the rules of the trip.",
        "correction": "An operator corrected an earlier entry.",
    }
    /// Whether a webhook is sent events.
    WebhookState {
        "enabled": "Events are sent to it.",
        "disabled": "Nothing is sent, and no events are added for it.",
    }
    /// Why a webhook is disabled.
    DisabledBecause {
        "operator": "An operator has disabled it.",
        "gone": "Its receiver answered 410.",
    }
    /// Where a payment's money is.
    PaymentStateWord {
        "debited": "Taken from the wallet; the order is not paid yet.",
        "settled": "The order is paid.",
        "refunded": "Given back, because the order was refunded.",
    }
    /// Where the money of a payment for an order is.
    OrderPaymentState {
        "debited": "Taken from the wallet; the order is not paid yet.",
        "settled": "The order is paid.",
        "reversed": "Given back, because the payment failed.",
        "refunded": "Given back, because the order was refunded.",
    }
    /// Where a job is in its life.
    JobStateWord {
        "ready": "Due, and waits for a worker.",
        "delayed": "Not yet due.",
        "retrying": "Failed, and waits for its next attempt.",
        "running": "An attempt runs.",
        "done": "Completed.",
        "dead": "A dead letter: it has given up.",
        "cancelled": "Cancelled by an operator.",
    }
    /// Whether the jobs of a tag are claimed.
    QueueState {
        "open": "They are.",
        "draining": "The tag is paused, and attempts still run.",
        "paused": "They are not.",
    }
    /// What a worker does.
    WorkerState {
        "working": "It claims jobs.",
        "draining": "It ends what it has, and claims no more.",
        "missing": "It has not reported for a while.",
    }
    /// What becomes of an approval.
    ApprovalState {
        "waiting": "For a second operator.",
        "approved": "The money has moved, or moves.",
        "refused": "Nothing happens.",
        "expired": "Nobody decided in time.",
    }
    /// What an approval is for.
    ApprovalKind {
        "top_up": "Money into a wallet.",
        "correction": "A correction of a ledger entry.",
        "refund": "A refund of an order.",
    }
    /// How far an operation on many jobs is.
    BulkState {
        "waiting": "It has not begun.",
        "running": "It has begun.",
        "done": "All of its jobs were processed.",
        "stopped": "An operator stopped it.",
    }
    /// What an operation did with a job.
    BulkOutcome {
        "done": "What was asked for.",
        "asked": "The job ran, and was asked to end.",
        "busy": "Skipped: the job ran, was locked, or a live job had its key.",
        "gone": "Skipped: the job had ended.",
        "owes": "Skipped: to be discarded, but it owes seats or money.",
    }
    /// Where a job of an operation is now.
    BulkJobPlace {
        "live": "It waits or runs.",
        "dead": "It is a dead letter.",
        "ended": "It is done or cancelled.",
    }
    /// Who did something on the operations side.
    ActorRole {
        "viewer": "An account that reads.",
        "operator": "An account that acts.",
        "admin": "An account that also manages accounts.",
        "rider": "An account that had another role then.",
        "shell": "Somebody at the command line.",
    }
    /// The interface of an act.
    ActInterface {
        "api": "The HTTP API.",
        "console": "The console.",
        "cli": "The command line.",
    }
    /// What an event of a timeline is.
    TimelineKind {
        "request": "A client's request that was carried out.",
        "failed_request": "A client's request of which a step failed.",
        "step": "A step of a saga was done.",
        "undo": "A step was undone.",
        "state": "The order came into a state.",
        "change": "An import changed the trip.",
        "ledger": "Money moved.",
        "job": "A job that is about the order.",
        "attempt": "A failed attempt at a job.",
        "died": "A job gave up, and was redriven since.",
        "act": "An operator's act.",
        "evaluation": "The rider evaluated the trip.",
    }
    /// What becomes of a trip that is made already.
    TripEffect {
        "ends": "It ends.",
        "changes": "It gets another time, bus, stops or seats.",
        "returns": "An earlier import had ended it, and it runs after all.",
        "price": "It has another price for what is not sold yet.",
        "stays": "An extra trip, whose bus ends or gets other seats.",
        "follows": "It only follows its departure again.",
    }
    /// What changes of a departure.
    DepartureChange {
        "route": "Its route or direction.",
        "stops": "Its stops.",
        "bus": "Its bus.",
        "seats": "The seats of its bus.",
        "days": "The days on which it runs.",
        "time": "Its time.",
        "zone": "The zone of its time.",
        "legs": "How long it takes between stops.",
    }
    /// What changes of a network itself.
    NetworkChange {
        "name": "Its name.",
        "zone": "Its zone.",
        "currency": "Its currency.",
        "languages": "Its languages.",
        "addresses": "Its addresses in the web.",
        "defaults": "Its rules for routes that have none.",
    }
    /// Whether the undo of a failed step is on its way.
    RollbackState {
        "queued": "It is due now.",
        "armed": "It falls due by itself.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CloseReason, JobState, PaymentState};

    #[test]
    fn the_words_are_those_of_the_code() {
        assert_eq!(JobStateWord::ALL, JobState::ALL.map(JobState::as_str));
        let reasons = [CloseReason::Expired, CloseReason::CancelledByRider, CloseReason::CancelledBySystem];
        assert_eq!(ClosedReason::ALL, reasons.map(CloseReason::as_str));
        assert_eq!(OrderPaymentState::ALL, PaymentState::ALL.map(PaymentState::as_str));
        // Of a manifest, which has no payment that failed.
        let shown = PaymentState::ALL.into_iter().filter(|state| *state != PaymentState::Reversed);
        assert_eq!(PaymentStateWord::ALL, shown.map(PaymentState::as_str).collect::<Vec<_>>());
    }

    /// What the constraint on `kind` in this migration allows.
    fn allowed(migration: &str) -> Vec<String> {
        let words = migration.split("check (kind in (").nth(1).and_then(|rest| rest.split(')').next());
        let words = words.expect("a list").split(',');
        let mut words: Vec<String> = words.map(|word| word.trim().replace('\'', "")).collect();
        words.sort();
        words
    }

    #[test]
    fn the_words_are_those_of_the_constraints() {
        let sorted = |words: &[&str]| {
            let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            words.sort();
            words
        };
        let rules = include_str!("../../migrations/0048_rules_of_routes.sql");
        assert_eq!(sorted(EntryKind::ALL), allowed(rules));
        let approvals = include_str!("../../migrations/0053_refund_approvals.sql");
        assert_eq!(sorted(ApprovalKind::ALL), allowed(approvals));
    }
}
