//! Errors of the application as problems.

use super::{
    Problem,
    catalogue::{
        APPROVAL_OVER, BALANCE, BULK_CHANGED, BULK_OVER, BUS_TAKEN, CREDENTIALS, EVALUATED, EXPIRED, LOCKED,
        NAME_TAKEN, NO_PAY_PASSWORD, NOT_AUTHORIZED, NOT_DEPARTED, OWN_WALLET, PAY_PASSWORD, PAYING,
        REFERENCE_USED, SEATS_TAKEN, SECOND_PERSON, STATE, TOO_LATE, TOO_MANY_HOLDS, TRIP_CANCELLED,
        TRIP_CLOSED, TRIP_OVER, UNKNOWN,
    },
};
use crate::{
    accounts::passwords::Busy,
    domain::{Error, Refusal, RiderId, TripId},
    storage::{is_contended, is_stale_plan, is_unfit, met_stale_plan, note_outage},
};
use chrono::Utc;
use serde_json::json;
use uuid::Uuid;

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(error) => Self::field(&error),
            Refusal::NotFound(what) => Self::new(&UNKNOWN, format!("there is no such {what}")),
            Refusal::WrongCredentials => Self::new(&CREDENTIALS, "user name or password is wrong"),
            Refusal::TooSoon { retry_after_secs } => Self::limited(retry_after_secs),
            Refusal::UserNameTaken => {
                Self::new(&NAME_TAKEN, "choose another user name").with("field", json!("/user_name"))
            }
            Refusal::SeatsTaken(seats) => {
                let labels: Vec<String> = seats.iter().map(ToString::to_string).collect();
                Self::new(&SEATS_TAKEN, format!("taken: {}", labels.join(", "))).with("seats", json!(labels))
            }
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
            Refusal::BalanceTooLow { balance } => {
                Self::new(&BALANCE, format!("the wallet holds {balance}")).with("balance", json!(balance))
            }
            Refusal::ReferenceUsed { rider, entry } => Self::reference_used(rider, entry),
            Refusal::OwnWallet => Self::new(&OWN_WALLET, "another operator must change this wallet"),
            Refusal::SecondPerson => Self::new(&SECOND_PERSON, "who asked for the change cannot approve it"),
            Refusal::ApprovalOver { state } => {
                Self::new(&APPROVAL_OVER, format!("it is {state}")).with("approval_state", json!(state))
            }
            Refusal::OrderExpired => {
                Self::new(&EXPIRED, "the order was not paid in time; nothing was charged")
            }
            Refusal::WrongState(status) => Self::new(&STATE, format!("the order is {}", status.as_str()))
                .with("order_status", json!(status)),
            Refusal::AlreadyPaying => Self::new(&PAYING, "another payment of this order is under way"),
            Refusal::TooLateToRefund => Self::new(&TOO_LATE, "refunding has ended for this trip"),
            Refusal::TooManyHolds { most } => Self::new(
                &TOO_MANY_HOLDS,
                format!("at most {most} orders may be unpaid at a time; pay or cancel one first"),
            )
            .with("most", json!(most)),
            Refusal::NotDeparted => {
                Self::new(&NOT_DEPARTED, "an order is evaluated once its trip has departed")
            }
            Refusal::NotAuthorized => {
                Self::new(&NOT_AUTHORIZED, "it is unknown, used, past its end, or for something else")
                    .with("field", json!("/authorization"))
            }
            Refusal::JobBusy => Self::busy_job(),
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
            return Self::outage();
        }
        if is_unfit(&error) {
            return Self::unfit(&error);
        }
        if is_contended(&error) {
            tracing::warn!(%error, "transaction failed: locks were held for too long");
            return Self::overloaded();
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
