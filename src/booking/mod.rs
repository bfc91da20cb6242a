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
    domain::{Currency, OrderId, OrderStatus, RiderId, SeatSet, TripId},
    idempotency::IdempotencyKey,
    orders::OrderView,
    saga::{Rollback, SagaContext, SagaError, SagaResult, SagaStep, or_roll_back, step},
    statements::ClaimedSeat,
};
use claim::Claimed;
use farebox_jobs::{
    Booking, MqTag, OrderAdd, OrderAddSeats, OrderCalcMoney, OrderSeats,
    queue::{Job, NewJob},
};
use price::Prices;

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
    let mut booking = request.booking();
    let result = steps(saga, &request, &mut booking).await;
    let rollback = |step: Step| Rollback {
        undo: step.undo(&booking),
        replaces: Some((OrderAddSeats::TAG, booking.order_id.to_string())),
        key: request.key.clone(),
        subject: request.order_id.0,
        error: String::new(),
    };
    or_roll_back(saga, result, rollback).await
}

async fn steps(
    saga: &SagaContext,
    request: &Request,
    booking: &mut Booking,
) -> Result<OrderView, SagaError<Step>> {
    let faults = &saga.faults;
    let in_flight = saga.in_flight.register(request.wanted_seats());
    step(faults, Step::Check, check::run(saga, request, &in_flight)).await?;
    let claimed = step(faults, Step::Claim, claim::run(saga, request, booking)).await?;
    booking.seats = claimed.seats.iter().map(|seat| seat.number).collect();
    let prices = step(faults, Step::Price, price::run(&claimed)).await?;
    let order = request.order(&claimed, prices);
    step(faults, Step::AddOrder, add_order::run(saga, request, &order, &claimed)).await?;
    Ok(order)
}

impl Request {
    /// The order as it is about to be added.
    fn order(&self, claimed: &Claimed, prices: Prices) -> OrderView {
        let label = |seat: &ClaimedSeat| seat.label.clone().unwrap_or_else(|| seat.number.to_string());
        OrderView {
            id: self.order_id,
            trip_id: self.trip_id,
            seats: claimed.seats.iter().map(label).collect(),
            unit_price: prices.unit_price,
            prices: prices.each,
            amount: prices.amount,
            status: OrderStatus::Unpaid,
            created_at: claimed.at,
            currency: Currency::installed(),
            expires_at: claimed.expires_at,
            paid_at: None,
            closed_reason: None,
        }
    }

    /// The seats, as what no two bookings can have in common.
    fn wanted_seats(&self) -> Vec<ConflictKey> {
        self.seats.labels().iter().map(|label| ConflictKey::Seat(self.trip_id.0, label.clone())).collect()
    }

    /// The booking before its claim, which alone knows the numbers of a model's labels. Until then
    /// there are numbers only if each label is one.
    fn booking(&self) -> Booking {
        Booking {
            order_id: self.order_id,
            rider_id: self.rider_id,
            trip_id: self.trip_id,
            seats: self.seats.numbers().collect::<Option<_>>().unwrap_or_default(),
        }
    }
}
