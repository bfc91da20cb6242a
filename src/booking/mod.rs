//! Booking: check → claim → price → add order. Each step has a tag; a failure in it schedules the undo
//! of that tag.
//!
//! | step | tag | writes | undo |
//! |---|---|---|---|
//! | [`check`] | `order_seats_cancel` | nothing | bars late steps and proves it |
//! | [`claim`] | `order_add_seats_cancle` | the seats' owner; arms the undo and the unpaid-order timer | gives the seats back |
//! | [`price`] | `order_calc_money_cancle` | nothing | gives the seats back |
//! | [`add_order`] | `order_add_cancle` | the order; removes the armed undo | closes the order, gives the seats back |

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
    saga::{Rollback, SagaContext, SagaError, SagaResult, SagaStep, or_roll_back, step},
};
use claim::Claimed;
use farebox_jobs::{
    Booking, MqTag, OrderAdd, OrderAddSeats, OrderCalcMoney, OrderSeats,
    queue::{Job, NewJob},
};

/// The steps of a booking, in their order.
#[derive(Clone, Copy)]
enum Step {
    Check,
    Claim,
    Price,
    AddOrder,
}

impl SagaStep for Step {
    fn tag(self) -> MqTag {
        match self {
            Self::Check => MqTag::OrderSeats,
            Self::Claim => MqTag::OrderAddSeats,
            Self::Price => MqTag::OrderCalcMoney,
            Self::AddOrder => MqTag::OrderAdd,
        }
    }
}

impl Step {
    /// The job that undoes a booking which failed in this step.
    fn undo(self, booking: &Booking) -> NewJob {
        match self {
            Self::Check => NewJob::of(&OrderSeats::new(booking)),
            Self::Claim => NewJob::of(&OrderAddSeats::new(booking)),
            Self::Price => NewJob::of(&OrderCalcMoney::new(booking)),
            Self::AddOrder => NewJob::of(&OrderAdd::new(booking)),
        }
    }
}

/// What a rider wants to book.
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

/// Books the seats: the whole saga.
///
/// # Errors
/// Why it stopped. A failure's rollback has been scheduled by then; the second value is its status.
pub async fn book(saga: &SagaContext, request: Request) -> SagaResult<OrderView> {
    let booking = request.booking();
    let result = steps(saga, &request, &booking).await;
    let rollback = |step: Step| Rollback {
        undo: step.undo(&booking),
        replaces: Some((OrderAddSeats::TAG, booking.order_id.to_string())),
        key: request.key.clone(),
        subject: request.order_id.0,
    };
    or_roll_back(saga, result, rollback).await
}

async fn steps(
    saga: &SagaContext,
    request: &Request,
    booking: &Booking,
) -> Result<OrderView, SagaError<Step>> {
    let faults = &saga.faults;
    let in_flight = saga.in_flight.register(request.wanted_seats());
    step(faults, Step::Check, check::run(saga, request, &in_flight)).await?;
    let claimed = step(faults, Step::Claim, claim::run(saga, request, booking)).await?;
    let amount = step(faults, Step::Price, price::run(&claimed, &request.seats)).await?;
    let order = request.order(&claimed, amount);
    step(faults, Step::AddOrder, add_order::run(saga, request, &order, claimed.armed)).await?;
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

    /// The seats, as what no two bookings can have in common.
    fn wanted_seats(&self) -> Vec<ConflictKey> {
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
