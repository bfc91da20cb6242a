//! Acts upon trips.

use super::By;
use crate::{
    domain::{Error, Refusal, RiderId, SeatSet, TripId},
    ops::audit::{Act, Subject},
    trips::{
        self, Made, NewTrip, TripDetail,
        cancel::{self, Progress},
        seats::{self, Blocked, Keep},
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
pub async fn add(conn: &mut PgConnection, by: &By, new: &NewTrip) -> Result<TripDetail, Error> {
    let id = trips::add(&mut *conn, new).await?;
    let detail = json!({
        "bus_id": new.bus_id, "direction": new.direction, "departs_at": new.departs_at,
        "arrives_at": new.arrives_at, "price": new.price,
        "capacity": new.capacity,
    });
    by.write(&mut *conn, Act::TripAdd, &Subject::of("trip", &id), &detail).await?;
    trips::detail(conn, id, None).await?.ok_or_else(|| Refusal::NotFound("trip").into())
}

/// Makes the timetable's trips of `days` days from `first` on; says how many were missing, and what could not be made.
///
/// # Errors
/// The database's.
pub async fn generate(
    conn: &mut PgConnection,
    by: &By,
    zone: Tz,
    first: NaiveDate,
    days: u16,
) -> Result<Made, Error> {
    let made = trips::generate(&mut *conn, zone, first, days).await?;
    let detail = json!({ "first": first, "days": days, "made": made.trips, "not_made": made.skipped.len() });
    by.write(conn, Act::TripsGenerate, &Subject::of("timetable", &"days"), &detail).await?;
    Ok(made)
}

/// Blocks or releases seats, for a reason.
///
/// # Errors
/// As [`seats::keep`]; no reason.
pub async fn keep(
    conn: &mut PgConnection,
    by: &By,
    trip: TripId,
    seats: &SeatSet,
    keep: Keep,
) -> Result<Blocked, Error> {
    let blocked = seats::keep(&mut *conn, trip, seats, keep, by.reason()?, operator(by)).await?;
    let act = if keep == Keep::Block { Act::SeatsBlock } else { Act::SeatsRelease };
    by.write(conn, act, &Subject::of("trip", &trip), &json!({ "seats": seats.numbers() })).await?;
    Ok(blocked)
}

/// Cancels a trip, for a reason.
///
/// # Errors
/// As [`cancel::cancel`]; no reason.
pub async fn cancel(conn: &mut PgConnection, by: &By, trip: TripId) -> Result<Progress, Error> {
    let progress = cancel::cancel(&mut *conn, trip, by.reason()?, operator(by)).await?;
    let detail = json!({ "orders": progress.orders, "left": progress.left });
    by.write(conn, Act::TripCancel, &Subject::of("trip", &trip), &detail).await?;
    Ok(progress)
}

/// The account that the trip's own history names; no command of the command line gets here.
fn operator(by: &By) -> RiderId {
    by.actor.rider.unwrap_or(RiderId(uuid::Uuid::nil()))
}
