//! A trip that an import, or an operator's change of this trip alone, does something to.

use crate::{
    domain::Money,
    trips::network::{Effect, Kind, Lost},
};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// Most orders without a place that a preview lists of a trip.
const MAX_WITHOUT_PLACE: usize = 100;

/// A trip that is made already, and what becomes of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TouchedTrip {
    /// The trip.
    pub trip_id: Uuid,
    /// The code of its departure; absent for an extra trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub departure: Option<String>,
    /// Its service day; absent for an extra trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<NaiveDate>,
    /// `ends`, `changes`, `returns` or `price`; `stays` for an extra trip whose bus ends or gets other
    /// seats; `follows` if the trip only follows its departure again.
    #[schemars(with = "crate::domain::words::TripEffect")]
    pub kind: &'static str,
    /// What changes, each in words.
    pub what: Vec<String>,
    /// Seats that are paid.
    pub seats_sold: i64,
    /// Seats that are held.
    pub seats_held: i64,
    /// Riders who have one.
    pub riders: i64,
    /// What they paid.
    pub money: Money,
    /// The first 100 orders with a seat that the trip has no more. They end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_place: Vec<WithoutPlace>,
}

/// An order, or a booking under way, with a seat that the trip has no more.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WithoutPlace {
    /// The order.
    pub order_id: Uuid,
    /// Its rider's user name; absent while the booking is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rider: Option<String>,
    /// The labels of these seats.
    pub seats: Vec<String>,
    /// Whether it is paid, and so refunded; an unpaid order is closed.
    pub is_paid: bool,
    /// What is given back.
    pub money: Money,
}

impl TouchedTrip {
    /// Of an import's effect; `None` for a trip of which nothing changes that anybody sees.
    pub(super) fn of(effect: &Effect) -> Option<Self> {
        let kind = match effect.kind {
            Kind::Ends => "ends",
            Kind::Changes => "changes",
            Kind::Returns => "returns",
            Kind::Price => "price",
            Kind::Stays => "stays",
            Kind::Adopted => return None,
        };
        Some(Self::with(effect, kind))
    }

    /// Of an effect, with the word for its kind.
    pub(super) fn with(effect: &Effect, kind: &'static str) -> Self {
        Self {
            trip_id: effect.trip,
            departure: effect.code.clone(),
            day: effect.day,
            kind,
            what: effect.changes().map(str::to_owned).collect(),
            seats_sold: effect.sold.seats,
            seats_held: effect.sold.held,
            riders: effect.sold.riders,
            money: Money::from_database(effect.sold.money),
            without_place: effect.lost.iter().take(MAX_WITHOUT_PLACE).map(WithoutPlace::of).collect(),
        }
    }
}

impl WithoutPlace {
    fn of(lost: &Lost) -> Self {
        Self {
            order_id: lost.order,
            rider: lost.rider.clone(),
            seats: lost.seats.clone(),
            is_paid: lost.is_paid,
            money: Money::from_database(lost.money),
        }
    }
}
