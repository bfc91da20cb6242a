//! Errors of the application as problems.

use super::{
    Problem,
    catalogue::{
        APPROVAL_OVER, BALANCE, BULK_CHANGED, BULK_OVER, BUS_TAKEN, CODE, CODE_NEEDED, CONFIRM, CREDENTIALS,
        EVALUATED, EXPIRED, LOCKED, NAME_TAKEN, NO_PAY_PASSWORD, NO_SECOND_FACTOR, NOT_AUTHORIZED,
        NOT_DEPARTED, OWN_WALLET, PASSWORD, PAY_PASSWORD, PAYING, PREVIEW_STALE, REFERENCE_USED, RESET_CODE,
        SEATS_TAKEN, SECOND_PERSON, STATE, STILL_OWED, TOO_LATE, TOO_MANY_HOLDS, TRIP_CANCELLED, TRIP_CLOSED,
        TRIP_OVER, UNKNOWN,
    },
};
use crate::{
    accounts::passwords::Busy,
    domain::{Currency, Error, Money, Refusal, RiderId, TripId},
    storage::{is_contended, is_stale_plan, is_stopped, is_unfit, met_stale_plan, note_outage},
};
use chrono::Utc;
use serde_json::json;
use uuid::Uuid;

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(error) => Self::field(&error),
            Refusal::NotFound(what) => Self::new(&UNKNOWN, format!("there is no such {what}")),
            Refusal::WrongCredentials
            | Refusal::WrongPassword
            | Refusal::WrongResetCode
            | Refusal::NotConfirmed
            | Refusal::SessionOver
            | Refusal::CodeNeeded
            | Refusal::WrongCode
            | Refusal::SecondFactorMissing
            | Refusal::UserNameTaken
            | Refusal::NotAllowed => Self::of_account(&refusal),
            Refusal::TooSoon { retry_after_secs } => Self::limited(retry_after_secs),
            Refusal::SeatsTaken(seats) => Self::seats_taken(&seats),
            Refusal::TripClosed => {
                Self::new(&TRIP_CLOSED, "the trip departed, or leaves too soon to be booked")
            }
            Refusal::TripCancelled => Self::new(&TRIP_CANCELLED, "the trip was cancelled"),
            Refusal::TripOver => Self::new(&TRIP_OVER, "the trip has arrived"),
            Refusal::BusTaken { bus, trip } => Self::bus_taken(bus, trip),
            Refusal::WrongPayPassword { tries_left } => {
                Self::new(&PAY_PASSWORD, format!("{tries_left} tries left"))
                    .with("tries_left", json!(tries_left))
            }
            Refusal::PayPasswordLocked { until } => {
                let secs = (until - Utc::now()).num_seconds().max(1);
                Self::new(&LOCKED, "too many wrong tries").with("retry_after", json!(secs))
            }
            Refusal::PayPasswordMissing => {
                Self::new(&NO_PAY_PASSWORD, "set one: PUT /v1/riders/me/pay-password")
            }
            Refusal::BalanceTooLow { balance } => Self::balance_too_low(balance),
            Refusal::ReferenceUsed { rider, entry } => Self::reference_used(rider, entry),
            Refusal::OwnWallet | Refusal::OwnOrder | Refusal::SecondPerson | Refusal::ApprovalOver { .. } => {
                Self::of_approval(&refusal)
            }
            Refusal::OrderExpired => {
                Self::new(&EXPIRED, "the order was not paid in time; nothing was charged")
            }
            Refusal::WrongState(status) => Self::new(&STATE, format!("the order is {}", status.as_str()))
                .with("order_status", json!(status)),
            Refusal::AlreadyPaying => Self::new(&PAYING, "another payment of this order is under way"),
            Refusal::TooLateToRefund => Self::new(&TOO_LATE, "refunding has ended for this trip"),
            Refusal::TooManyHolds { most } => Self::too_many_holds(most),
            Refusal::NotDeparted => {
                Self::new(&NOT_DEPARTED, "an order is evaluated once its trip has departed")
            }
            Refusal::NotAuthorized => {
                Self::new(&NOT_AUTHORIZED, "it is unknown, used, past its end, or for something else")
                    .with("field", json!("/authorization"))
            }
            Refusal::JobBusy => Self::busy_job(),
            Refusal::StillOwed => Self::new(&STILL_OWED, "a dead letter that owes something is redriven"),
            Refusal::PreviewStale => {
                Self::new(&PREVIEW_STALE, "what it shows has changed since: look at it again")
            }
            Refusal::BulkOver => Self::new(&BULK_OVER, "all of it is done, or it was stopped before"),
            Refusal::BulkChanged { covers } => Self::new(
                &BULK_CHANGED,
                format!("it would cover {covers} jobs now: look at the preview again"),
            )
            .with("covers", json!(covers)),
            Refusal::AlreadyEvaluated => Self::new(&EVALUATED, "an order is evaluated once"),
        }
    }
}

impl Problem {
    fn seats_taken(labels: &[String]) -> Self {
        Self::new(&SEATS_TAKEN, format!("taken: {}", labels.join(", "))).with("seats", json!(labels))
    }

    /// `most`: the orders that one rider may leave unpaid.
    fn too_many_holds(most: u16) -> Self {
        let detail = format!("at most {most} orders may be unpaid at a time; pay or cancel one first");
        Self::new(&TOO_MANY_HOLDS, detail).with("most", json!(most))
    }

    /// Refusals about the account that calls.
    fn of_account(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::WrongCredentials => Self::new(&CREDENTIALS, "user name or password is wrong"),
            Refusal::WrongPassword => Self::new(&PASSWORD, "the account's password is another one"),
            Refusal::WrongResetCode => {
                Self::new(&RESET_CODE, "it is wrong, used, or past its end: have another one made")
                    .with("field", json!("/code"))
            }
            Refusal::NotConfirmed => {
                Self::new(&CONFIRM, "give the password again: POST /v1/sessions/current/confirmation")
            }
            Refusal::CodeNeeded => Self::new(&CODE_NEEDED, "sign in with a code of the second factor too")
                .with("field", json!("/code")),
            Refusal::WrongCode => {
                Self::new(&CODE, "the code is wrong, or was used").with("field", json!("/code"))
            }
            Refusal::SecondFactorMissing => {
                Self::new(&NO_SECOND_FACTOR, "set it up in the console: sign in at /console/sign-in")
            }
            Refusal::UserNameTaken => {
                Self::new(&NAME_TAKEN, "choose another user name").with("field", json!("/user_name"))
            }
            Refusal::SessionOver => Self::token(),
            _ => Self::denied(),
        }
    }

    fn balance_too_low(balance: Money) -> Self {
        Self::new(&BALANCE, format!("the wallet holds {}", balance.with_code()))
            .with("balance", json!(balance))
            .with("currency", json!(Currency::installed()))
    }

    /// Refusals about money that a second operator must move or approve.
    fn of_approval(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::OwnWallet => Self::new(&OWN_WALLET, "another operator must change this wallet"),
            Refusal::OwnOrder => Self::new(&OWN_WALLET, "another operator must refund this order"),
            Refusal::ApprovalOver { state } => {
                Self::new(&APPROVAL_OVER, format!("it is {state}")).with("approval_state", json!(state))
            }
            _ => Self::new(&SECOND_PERSON, "who asked for the change cannot approve it"),
        }
    }

    fn bus_taken(bus: i32, trip: Option<TripId>) -> Self {
        let other = trip.map_or_else(|| "another trip".to_owned(), |trip| format!("trip {trip}"));
        let problem = Self::new(&BUS_TAKEN, format!("bus {bus} is on {other} at that time"))
            .with("field", json!("/bus_id"));
        match trip {
            Some(trip) => problem.with("trip_id", json!(trip)),
            None => problem,
        }
    }

    fn reference_used(rider: RiderId, entry: Uuid) -> Self {
        let detail = format!("the reference is that of top-up {entry} of rider {rider}");
        Self::new(&REFERENCE_USED, detail)
            .with("field", json!("/reference"))
            .with("rider_id", json!(rider))
            .with("entry_id", json!(entry))
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if is_stale_plan(&error) {
            met_stale_plan(&error, false);
            return Self::stale();
        }
        if note_outage(&error) {
            tracing::warn!(%error, "database unavailable");
            let exhausted = matches!(error, sqlx::Error::PoolTimedOut);
            return if exhausted { Self::pool_exhausted() } else { Self::outage() };
        }
        if is_unfit(&error) {
            return Self::unfit(&error);
        }
        if is_contended(&error) {
            tracing::warn!(%error, "transaction failed: locks were held for too long");
            return Self::overloaded();
        }
        if is_stopped(&error) {
            tracing::warn!(%error, "a statement took too long");
            return Self::stopped();
        }
        tracing::error!(%error, "database error");
        Self::broken()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::KeyTaken => Self::running(),
            Error::Broken(cause) => match cause.downcast::<sqlx::Error>() {
                Ok(error) => Self::from(*error),
                Err(cause) if cause.is::<Busy>() => Self::overloaded(),
                Err(cause) => {
                    tracing::error!(error = %cause, "request failed");
                    Self::broken()
                }
            },
        }
    }
}
