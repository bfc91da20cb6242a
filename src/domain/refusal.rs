//! Business answers that are a "no". A refusal is an answer, not a failure: it rolls nothing back.

use super::{Money, OrderStatus, RiderId, TripId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// A JSON pointer into the body, or the name of a query or path parameter.
    pub pointer: String,
    /// The rule, as a sentence for the client's developer.
    pub rule: String,
}

impl FieldError {
    /// Field and rule.
    pub fn new(pointer: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), rule: rule.into() }
    }
}

/// Why a request that was understood is not carried out. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A field breaks a rule.
    Invalid(FieldError),
    /// There is no such thing, or it is somebody else's.
    NotFound(&'static str),
    /// The user name or the password is wrong.
    WrongCredentials,
    /// Wrong passwords came before, and it is too soon for another try.
    TooSoon {
        /// How long to wait, seconds.
        retry_after_secs: u64,
    },
    /// The user name is taken.
    UserNameTaken,
    /// These seats are somebody else's.
    SeatsTaken(Vec<i32>),
    /// The trip departed, or booking it has closed.
    TripClosed,
    /// The trip was cancelled.
    TripCancelled,
    /// The trip has arrived.
    TripOver,
    /// The bus is on another trip at that time.
    BusTaken {
        /// The bus.
        bus: i32,
        /// That trip, if it is still there.
        trip: Option<TripId>,
    },
    /// The pay password is wrong; so many tries are left.
    WrongPayPassword {
        /// Tries left before it is locked.
        tries_left: i32,
    },
    /// Too many wrong pay passwords.
    PayPasswordLocked {
        /// When it opens again.
        until: DateTime<Utc>,
    },
    /// No pay password was ever set.
    PayPasswordMissing,
    /// The wallet holds less than the amount.
    BalanceTooLow {
        /// What it holds.
        balance: Money,
    },
    /// The reference of a top-up belongs to another rider's: one payment tops one wallet up.
    ReferenceUsed {
        /// Whose top-up it is.
        rider: RiderId,
        /// That top-up's ledger entry.
        entry: Uuid,
    },
    /// The order was not paid in time.
    OrderExpired,
    /// The order is in a state that does not allow this.
    WrongState(OrderStatus),
    /// Another payment for the order is under way.
    AlreadyPaying,
    /// The trip leaves too soon, or has left.
    TooLateToRefund,
    /// The rider has as many unpaid orders as he may have.
    TooManyHolds {
        /// How many those are.
        most: u16,
    },
    /// The trip has not departed yet.
    NotDeparted,
    /// The order was evaluated before.
    AlreadyEvaluated,
    /// The payment authorization is unknown, used up, past its end, or for another order.
    NotAuthorized,
    /// An attempt at the job is running, or a live job has its key.
    JobBusy,
    /// The operation upon many jobs has ended.
    BulkOver,
    /// The operation would cover another number of jobs than was previewed.
    BulkChanged {
        /// How many it would cover now.
        covers: i64,
    },
}
