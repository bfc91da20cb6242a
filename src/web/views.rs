//! What the pages read of the API's answers.

use chrono::{DateTime, FixedOffset, Utc};
use serde::Deserialize;

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// A thing of the network.
#[derive(Clone, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

/// Where and when a trip goes.
#[derive(Clone, Deserialize)]
pub(super) struct Journey {
    pub(super) bus_id: i32,
    pub(super) direction: i16,
    pub(super) route: Option<Named>,
    pub(super) direction_name: Option<String>,
    pub(super) from: Option<Named>,
    pub(super) to: Option<Named>,
    pub(super) zone: String,
    /// By the clocks of the stops.
    pub(super) departs_local: DateTime<FixedOffset>,
    pub(super) arrives_local: DateTime<FixedOffset>,
}

/// The price of a class.
#[derive(Clone, Deserialize)]
pub(super) struct ClassPrice {
    pub(super) class: String,
    pub(super) price: String,
}

/// A trip.
#[derive(Clone, Deserialize)]
pub(super) struct Trip {
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) journey: Journey,
    pub(super) price: String,
    pub(super) prices: Vec<ClassPrice>,
    pub(super) currency: String,
    pub(super) capacity: u32,
    pub(super) free_seats: u32,
    /// `scheduled`, `in_transit`, `arrived` or `cancelled`.
    pub(super) status: String,
    pub(super) bookable_until: DateTime<Utc>,
    pub(super) refundable_until: DateTime<Utc>,
    pub(super) refund_percent: u8,
    /// What the operator says to the riders of a cancelled trip.
    pub(super) cancelled_message: Option<String>,
}

/// A trip with its seats.
#[derive(Deserialize)]
pub(super) struct TripMap {
    #[serde(flatten)]
    pub(super) trip: Trip,
    pub(super) bus: Bus,
    pub(super) layout: Layout,
    pub(super) seats: Vec<Seat>,
    #[serde(default)]
    pub(super) stops: Vec<Stop>,
}

/// Who drives; only riders with a paid seat learn it.
#[derive(Deserialize)]
pub(super) struct Bus {
    pub(super) driver_name: Option<String>,
    pub(super) driver_phone: Option<String>,
}

/// How the seats stand in the bus.
#[derive(Deserialize)]
pub(super) struct Layout {
    pub(super) rows: u32,
    pub(super) left: u32,
    pub(super) right: u32,
    #[serde(default)]
    pub(super) decks: Vec<Deck>,
}

/// A deck as a grid.
#[derive(Deserialize)]
pub(super) struct Deck {
    pub(super) rows: u32,
    pub(super) columns: u32,
}

/// A seat.
#[derive(Deserialize)]
pub(super) struct Seat {
    pub(super) seat: String,
    pub(super) row: u32,
    pub(super) side: Option<String>,
    pub(super) state: String,
    pub(super) deck: Option<u32>,
    pub(super) column: Option<u32>,
    pub(super) class: Option<String>,
    pub(super) price: Option<String>,
}

/// A stop with its times.
#[derive(Deserialize)]
pub(super) struct Stop {
    pub(super) name: String,
    pub(super) arrives_local: Option<DateTime<FixedOffset>>,
    pub(super) departs_local: Option<DateTime<FixedOffset>>,
}

/// An order.
#[derive(Deserialize)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) trip_id: String,
    #[serde(flatten)]
    pub(super) journey: Journey,
    pub(super) seats: Vec<String>,
    pub(super) amount: String,
    pub(super) currency: String,
    /// `unpaid`, `paying`, `paid`, `refunding`, `refunded` or `closed`.
    pub(super) status: String,
    pub(super) closed_reason: Option<String>,
    /// Of a cancelled trip: what its operator says to riders.
    pub(super) cancelled_message: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) departs_at: DateTime<Utc>,
    pub(super) refundable_until: DateTime<Utc>,
    pub(super) refund_percent: u8,
    pub(super) refund_fee: Option<String>,
    #[serde(default)]
    pub(super) changes: Vec<Changed>,
    pub(super) evaluation: Option<Evaluation>,
    /// The payments for it, also those that failed.
    #[serde(default)]
    pub(super) payments: Vec<Payment>,
}

impl Order {
    /// Whether its seats are the rider's.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "unpaid" | "paying" | "paid")
    }
}

/// A payment for an order.
#[derive(Deserialize)]
pub(super) struct Payment {
    pub(super) amount: String,
    /// `debited`, `settled`, `reversed` or `refunded`.
    pub(super) state: String,
    /// When it came into its state.
    pub(super) at: DateTime<Utc>,
}

/// What a change of the timetable changed.
#[derive(Deserialize)]
pub(super) struct Changed {
    pub(super) what: String,
}

/// What the rider thought of the trip.
#[derive(Deserialize)]
pub(super) struct Evaluation {
    pub(super) rating: u8,
    pub(super) comment: Option<String>,
}

/// The wallet.
#[derive(Deserialize)]
pub(super) struct Wallet {
    pub(super) balance: String,
    pub(super) currency: String,
}

/// A ledger entry.
#[derive(Deserialize)]
pub(super) struct Entry {
    pub(super) kind: String,
    pub(super) amount: String,
    pub(super) currency: String,
    pub(super) balance_after: String,
    pub(super) order_id: Option<String>,
    pub(super) at: DateTime<Utc>,
}

/// The account.
#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) user_name: String,
    pub(super) phone: Option<String>,
    pub(super) email: Option<String>,
    pub(super) has_pay_password: bool,
}
