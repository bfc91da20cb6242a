//! What the undos of one saga share: the facts of the booking or the payment, as the original's messages
//! carried them (order, trip, seats; rider, amount). Relative and owned: never a balance, never a seat
//! without its owner.

use crate::ids::{OrderId, PaymentId, RiderId, TripId};
use serde::{Deserialize, Serialize};

/// A booking: who takes which seats of which trip, under which order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Booking {
    /// The order, which owns the claims and names the barrier rows.
    pub order_id: OrderId,
    /// Who books.
    pub rider_id: RiderId,
    /// Where.
    pub trip_id: TripId,
    /// Seat numbers, ascending, distinct.
    pub seats: Vec<i32>,
}

/// One attempt to pay an order. The amount stays in the database, with the payment's row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paying {
    /// This attempt, which names the barrier rows.
    pub payment_id: PaymentId,
    /// What is paid.
    pub order_id: OrderId,
    /// Whose wallet pays.
    pub rider_id: RiderId,
}
