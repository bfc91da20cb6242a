//! Step 3, `order_calc_money_cancle`: the total is the sum of the seats' prices, exactly. Writes nothing.

use super::{claim::Claimed, release};
use crate::{
    domain::{Error, Money},
    saga::JobContext,
};
use farebox_jobs::{
    OrderCalcMoney,
    queue::{Delivery, JobError, Outcome},
};

/// What the seats of an order cost.
#[derive(Clone, Debug)]
pub struct Prices {
    /// All of them.
    pub amount: Money,
    /// Each of them, if they cost the same.
    pub unit_price: Option<Money>,
    /// Each of them, in the order of the seats, if they do not.
    pub each: Option<Vec<Money>>,
}

/// The prices of the claimed seats.
///
/// # Errors
/// An amount beyond what the database can hold.
pub async fn run(claimed: &Claimed) -> Result<Prices, Error> {
    let each: Vec<Money> = claimed.seats.iter().map(|seat| seat.price).collect();
    let unit_price = each.first().copied().filter(|first| each.iter().all(|price| price == first));
    let amount = unit_price.map_or_else(|| Money::sum(&each), |price| price.times(each.len()));
    let amount = amount.ok_or_else(|| Error::Broken("the amount of the order is out of range".into()))?;
    Ok(Prices { amount, unit_price, each: Some(each).filter(|_| unit_price.is_none()) })
}

/// The undo: gives this order's seats back.
///
/// # Errors
/// Errors that may pass: the job is retried.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderCalcMoney = delivery.decode()?;
    release::undo(context, delivery, job.booking()).await
}
