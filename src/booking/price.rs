//! Step 3, `order_calc_money_cancle`: the total is the trip's price times the seats, exactly. Writes nothing.

use super::{claim::Claimed, release};
use crate::{
    domain::{Error, Money, SeatSet},
    saga::JobContext,
};
use farebox_jobs::{
    OrderCalcMoney,
    queue::{Delivery, JobError, Outcome},
};

/// The amount of the order.
///
/// # Errors
/// An amount beyond what the database can hold.
pub async fn run(claimed: &Claimed, seats: &SeatSet) -> Result<Money, Error> {
    let amount = claimed.unit_price.times(seats.numbers().len());
    amount.ok_or_else(|| Error::Broken("the amount of the order is out of range".into()))
}

/// The undo: gives this order's seats back.
///
/// # Errors
/// Errors that may pass: the job is retried.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderCalcMoney = delivery.decode()?;
    release::undo(context, delivery, job.booking()).await
}
