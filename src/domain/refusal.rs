//! Business refusals. A refusal is a response, not a failure: it rolls nothing back.

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

/// Why a valid request is not carried out. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A field breaks a rule.
    Invalid(FieldError),
    /// It does not exist, or belongs to another account.
    NotFound(&'static str),
    /// The user name or the password is wrong.
    WrongCredentials,
    /// The present password, which a change needs, is wrong.
    WrongPassword,
    /// The one-time code of a password reset is wrong, used, or past its end.
    WrongResetCode,
    /// The password was given too long ago for this act.
    NotConfirmed,
    /// The session has ended.
    SessionOver,
    /// The account signs in with a code of its second factor too.
    CodeNeeded,
    /// The code of the second factor is wrong, or was used.
    WrongCode,
    /// The account must set up a second factor first.
    SecondFactorMissing,
    /// The account's role does not allow this.
    NotAllowed,
    /// After wrong passwords, the next attempt comes too soon.
    TooSoon {
        /// How long to wait, seconds.
        retry_after_secs: u64,
    },
    /// The user name is taken.
    UserNameTaken,
    /// Other orders own these seats, by their labels.
    SeatsTaken(Vec<String>),
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
        /// That trip, if it still exists.
        trip: Option<TripId>,
    },
    /// The pay password is wrong.
    WrongPayPassword {
        /// Tries left before it is locked.
        tries_left: i32,
    },
    /// Too many wrong pay passwords.
    PayPasswordLocked {
        /// When it is unlocked.
        until: DateTime<Utc>,
    },
    /// No pay password was ever set.
    PayPasswordMissing,
    /// The balance is lower than the amount.
    BalanceTooLow {
        /// The balance.
        balance: Money,
    },
    /// The reference belongs to another rider's top-up: one payment tops up one wallet.
    ReferenceUsed {
        /// Whose top-up it is.
        rider: RiderId,
        /// That top-up's ledger entry.
        entry: Uuid,
    },
    /// The wallet is the operator's own.
    OwnWallet,
    /// The order is the operator's own.
    OwnOrder,
    /// Who asked for a change of a wallet cannot approve it.
    SecondPerson,
    /// The approval was given or refused before, or its deadline has passed.
    ApprovalOver {
        /// Its state.
        state: &'static str,
    },
    /// The order was not paid in time.
    OrderExpired,
    /// The order is in a state that does not allow this.
    WrongState(OrderStatus),
    /// Another payment for the order is under way.
    AlreadyPaying,
    /// The trip leaves too soon, or has left.
    TooLateToRefund,
    /// The rider has as many unpaid orders as allowed.
    TooManyHolds {
        /// How many are allowed.
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
    /// The dead letter still owes seats or money, and so may not be discarded.
    StillOwed,
    /// What an act would change is not what its preview showed.
    PreviewStale,
    /// The operation upon many jobs has ended.
    BulkOver,
    /// The operation would cover another number of jobs than was previewed.
    BulkChanged {
        /// How many it would cover now.
        covers: i64,
    },
}
