//! Booking: check → claim → price → add order. Each step has a tag; a failure in it raises the undo of that tag.
//!
//! | step | tag | writes | undo |
//! |---|---|---|---|
//! | [`check`] | `order_seats_cancel` | nothing | bars late steps and proves it |
//! | [`claim`] | `order_add_seats_cancle` | the seats' owner; arms the undo and the unpaid-order timer | gives the seats back |
//! | [`price`] | `order_calc_money_cancle` | nothing | gives the seats back |
//! | [`add_order`] | `order_add_cancle` | the order; retires the armed undo | closes the order, gives the seats back |

pub mod add_order;
pub mod cancel;
pub mod check;
pub mod claim;
pub mod impact;
pub mod price;
mod release;
pub mod unpaid;

use crate::{
    batch::ConflictKey,
    domain::{Money, OrderId, OrderStatus, RiderId, SeatSet, TripId},
    idempotency::IdempotencyKey,
    orders::OrderView,
    saga::{Rollback, SagaContext, SagaError, SagaResult, or_roll_back, step},
};
use claim::Claimed;
use farebox_jobs::{
    Booking, MqTag, OrderAdd, OrderAddSeats, OrderCalcMoney, OrderSeats,
    queue::{Job, NewJob},
};
use std::sync::Arc;

/// The steps whose barrier rows a booking has.
const STEPS: [MqTag; 2] = [MqTag::OrderAddSeats, MqTag::OrderAdd];

/// What a rider asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The id the order will have.
    pub order_id: OrderId,
    /// Who books.
    pub rider_id: RiderId,
    /// Which trip.
    pub trip_id: TripId,
    /// Which seats.
    pub seats: SeatSet,
    /// The client's idempotency key.
    pub key: Option<IdempotencyKey>,
}

/// Books the seats: the whole flow.
///
/// # Errors
/// Why it stopped; a failure's rollback has been raised by then, and the second value says where it stands.
pub async fn book(saga: &SagaContext, request: Request) -> SagaResult<OrderView> {
    let (booking, request) = (request.booking(), Arc::new(request));
    let ended = steps(saga, &request, &booking).await;
    let owed = |tag| Rollback {
        undo: undo_of(tag, &booking),
        replaces: Some(armed_undo(&booking)),
        key: request.key.clone(),
        subject: request.order_id.0,
    };
    or_roll_back(saga, ended, owed).await
}

async fn steps(
    saga: &SagaContext,
    request: &Arc<Request>,
    booking: &Booking,
) -> Result<OrderView, SagaError> {
    let faults = &saga.faults;
    let wishes = saga.in_flight.wish(request.wishes());
    step(faults, MqTag::OrderSeats, check::run(saga, request, &wishes)).await?;
    let claimed = step(faults, MqTag::OrderAddSeats, claim::run(saga, request, booking)).await?;
    let amount = step(faults, MqTag::OrderCalcMoney, price::run(&claimed, &request.seats)).await?;
    let order = request.order(&claimed, amount);
    step(faults, MqTag::OrderAdd, add_order::run(saga, request, &order, claimed.armed)).await?;
    Ok(order)
}

impl Request {
    /// The order as it is about to be added.
    fn order(&self, claimed: &Claimed, amount: Money) -> OrderView {
        OrderView {
            id: self.order_id,
            trip_id: self.trip_id,
            seats: self.seats.numbers().iter().map(ToString::to_string).collect(),
            unit_price: claimed.unit_price,
            amount,
            status: OrderStatus::Unpaid,
            created_at: claimed.at,
            expires_at: claimed.expires_at,
            paid_at: None,
            closed_reason: None,
        }
    }

    /// The seats, as no two bookings can have them.
    fn wishes(&self) -> Vec<ConflictKey> {
        self.seats.numbers().iter().map(|seat| ConflictKey::Seat(self.trip_id.0, *seat)).collect()
    }

    fn booking(&self) -> Booking {
        Booking {
            order_id: self.order_id,
            rider_id: self.rider_id,
            trip_id: self.trip_id,
            seats: self.seats.numbers().to_vec(),
        }
    }
}

/// The undo a failure under `tag` raises. A tag outside this flow cannot fail in it; the claim's undo, which any
/// booking may owe, stands in.
fn undo_of(tag: MqTag, booking: &Booking) -> NewJob {
    match tag {
        MqTag::OrderSeats => NewJob::of(&OrderSeats::new(booking)),
        MqTag::OrderCalcMoney => NewJob::of(&OrderCalcMoney::new(booking)),
        MqTag::OrderAdd => NewJob::of(&OrderAdd::new(booking)),
        MqTag::OrderAddSeats
        | MqTag::OrderCancel
        | MqTag::PayCheck
        | MqTag::PayMoney
        | MqTag::Pay
        | MqTag::PayBack
        | MqTag::OrderUnpaid
        | MqTag::Timetable
        | MqTag::TripCancel
        | MqTag::Bulk => NewJob::of(&OrderAddSeats::new(booking)),
    }
}

/// `{1,2}`: arrays of different lengths cannot be one array of arrays in SQL, so each travels as text.
fn array_literal(seats: &[i32]) -> String {
    let mut text = String::from("{");
    for (nr, seat) in seats.iter().enumerate() {
        text.push_str(if nr == 0 { "" } else { "," });
        text.push_str(&seat.to_string());
    }
    text.push('}');
    text
}

/// The job that [`claim`] arms.
fn armed_undo(booking: &Booking) -> (&'static str, String) {
    (OrderAddSeats::TAG, booking.order_id.to_string())
}
