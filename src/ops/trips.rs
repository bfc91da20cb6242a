//! Actions upon trips.

use super::Attribution;
use crate::{
    domain::{Error, Localized, Refusal, RiderId, RiderMessage, SeatSet, TripId},
    ops::audit::{Action, Subject},
    trips::{
        self, GeneratedTrips, NewTrip, TripDetail, Viewer,
        cancel::{self, Progress},
        seats::{self, BlockedSeats, SeatBlock},
    },
};
use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::json;
use sqlx::PgConnection;

/// Adds an extra trip.
///
/// # Errors
/// As [`trips::add`].
pub async fn add(conn: &mut PgConnection, by: &Attribution, new: &NewTrip) -> Result<TripDetail, Error> {
    let id = trips::add(&mut *conn, new).await?;
    let detail = json!({
        "bus_id": new.bus_id, "direction": new.direction, "departs_at": new.departs_at,
        "arrives_at": new.arrives_at, "price": new.price,
        "prices": new.prices, "capacity": new.capacity,
    });
    by.record(&mut *conn, Action::TripAdd, &Subject::of("trip", &id), &detail).await?;
    trips::detail(&mut *conn, id, Viewer::Staff).await?.ok_or_else(|| Refusal::NotFound("trip").into())
}

/// Generates the timetable's missing trips of `days` days from `first` on.
///
/// # Errors
/// The database's.
pub async fn generate(
    conn: &mut PgConnection,
    by: &Attribution,
    zone: Tz,
    first: NaiveDate,
    days: u16,
) -> Result<GeneratedTrips, Error> {
    let generated = trips::generate(&mut *conn, zone, first, days).await?;
    let detail =
        json!({ "first": first, "days": days, "made": generated.trips, "not_made": generated.skipped.len() });
    if generated.trips > 0 {
        by.record(conn, Action::TripsGenerate, &Subject::of("timetable", &"days"), &detail).await?;
    }
    Ok(generated)
}

/// Blocks or releases seats, for a reason.
///
/// # Errors
/// As [`seats::set_blocked`]; no reason.
pub async fn set_blocked(
    conn: &mut PgConnection,
    by: &Attribution,
    trip: TripId,
    seats: &SeatSet,
    block: SeatBlock,
) -> Result<BlockedSeats, Error> {
    let done = seats::set_blocked(&mut *conn, trip, seats, block, by.reason()?, operator(by)).await?;
    if !done.changed {
        return Ok(done.blocked);
    }
    let action = if block == SeatBlock::Block { Action::SeatsBlock } else { Action::SeatsRelease };
    let mut detail = json!({ "seats": done.numbers });
    if let Some(labels) = done.labels {
        detail["labels"] = json!(labels);
    }
    by.record(conn, action, &Subject::of("trip", &trip), &detail).await?;
    Ok(done.blocked)
}

/// Cancels a trip, for a reason. Riders read `message`, and never the reason.
///
/// # Errors
/// As [`cancel::cancel`]; no reason.
pub async fn cancel(
    conn: &mut PgConnection,
    by: &Attribution,
    trip: TripId,
    message: Option<&RiderMessage>,
) -> Result<Progress, Error> {
    let (progress, changed) = cancel::cancel(&mut *conn, trip, by.reason()?, message, operator(by)).await?;
    if !changed {
        return Ok(progress);
    }
    let mut detail = json!({ "orders": progress.orders, "left": progress.left });
    if let Some(message) = &progress.message {
        detail["message"] = json!(message);
    }
    by.record(conn, Action::TripCancel, &Subject::of("trip", &trip), &detail).await?;
    Ok(progress)
}

/// What riders read of a cancelled trip.
pub fn riders_read(message: Option<&RiderMessage>) -> Localized {
    let after = |mark: &str| message.map(|message| format!("{mark}{}", message.as_str())).unwrap_or_default();
    Localized::new(
        format!("Riders read: the trip is cancelled{}", after(": ")),
        format!("乘客看到：班次已取消{}", after("：")),
    )
}

/// The account that the trip's history names; none at the command line.
fn operator(by: &Attribution) -> RiderId {
    by.actor.rider.unwrap_or(RiderId(uuid::Uuid::nil()))
}
