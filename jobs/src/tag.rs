//! The tags: what a step is called on the wire, and so which undo a failure in it raises.

use crate::{Timetable, queue::NewJob};
use std::{fmt, str::FromStr};

/// A step's tag. The spelling on the wire is the original system's, typing slips included, because messages,
/// dashboards and people know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MqTag {
    /// Booking: are the seats free?
    OrderSeats,
    /// Booking: claim the seats.
    OrderAddSeats,
    /// Booking: work out the price.
    OrderCalcMoney,
    /// Booking: add the order.
    OrderAdd,
    /// Cancelling an unpaid order.
    OrderCancel,
    /// Paying: pay password, order and balance.
    PayCheck,
    /// Paying: debit the wallet.
    PayMoney,
    /// Paying: mark the order paid.
    Pay,
    /// Refunding a paid order.
    PayBack,
    /// The unpaid-order timer. This tag and those below belong to no failure.
    OrderUnpaid,
    /// Making the coming days' trips.
    Timetable,
    /// Closing and refunding the orders of a cancelled trip.
    TripCancel,
    /// An operator's act upon many jobs.
    Bulk,
}

/// A tag this build does not know.
#[derive(Debug, thiserror::Error)]
#[error("unknown tag {0:?}; known are {known}", known = MqTag::ALL.map(MqTag::wire).join(", "))]
pub struct UnknownTag(String);

impl MqTag {
    /// Every tag, in the order of the flows.
    pub const ALL: [Self; 13] = [
        Self::OrderSeats,
        Self::OrderAddSeats,
        Self::OrderCalcMoney,
        Self::OrderAdd,
        Self::OrderCancel,
        Self::PayCheck,
        Self::PayMoney,
        Self::Pay,
        Self::PayBack,
        Self::OrderUnpaid,
        Self::Timetable,
        Self::TripCancel,
        Self::Bulk,
    ];

    /// The tags whose job owes somebody seats or money from when it is due until it is done: the undos, the refund that was
    /// begun, and the end of a cancelled trip's orders. The undos of the two checks are none: they bar a flow that has written
    /// nothing. Nor is the timer: whoever wants an overdue seat gets it without.
    pub const DEBTS: [Self; 8] = [
        Self::OrderAddSeats,
        Self::OrderCalcMoney,
        Self::OrderAdd,
        Self::OrderCancel,
        Self::PayMoney,
        Self::Pay,
        Self::PayBack,
        Self::TripCancel,
    ];

    /// Whether a job of it is a debt while it is due and not done ([`Self::DEBTS`]).
    pub fn is_debt(self) -> bool {
        Self::DEBTS.contains(&self)
    }

    /// The tag as it is written in the queue, in faults and in the API.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::OrderSeats => "order_seats_cancel",
            Self::OrderAddSeats => "order_add_seats_cancle",
            Self::OrderCalcMoney => "order_calc_money_cancle",
            Self::OrderAdd => "order_add_cancle",
            Self::OrderCancel => "order_cancel",
            Self::PayCheck => "pay_check_cancle",
            Self::PayMoney => "pay_money_cancle",
            Self::Pay => "pay_cancle",
            Self::PayBack => "pay_back_cancle",
            Self::OrderUnpaid => "order_unpaid",
            Self::Timetable => "timetable",
            Self::TripCancel => "trip_cancel",
            Self::Bulk => "bulk",
        }
    }

    /// The tag's job, if it is a recurring one: each run enqueues the next, so one that goes missing comes back only if
    /// somebody puts it back. A tag that is not named here is never put back.
    pub fn recurring(self) -> Option<NewJob> {
        match self {
            Self::Timetable => Some(NewJob::of(&Timetable {})),
            Self::OrderSeats
            | Self::OrderAddSeats
            | Self::OrderCalcMoney
            | Self::OrderAdd
            | Self::OrderCancel
            | Self::PayCheck
            | Self::PayMoney
            | Self::Pay
            | Self::PayBack
            | Self::OrderUnpaid
            | Self::TripCancel
            | Self::Bulk => None,
        }
    }
}

impl fmt::Display for MqTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wire())
    }
}

impl FromStr for MqTag {
    type Err = UnknownTag;

    fn from_str(text: &str) -> Result<Self, UnknownTag> {
        Self::ALL.into_iter().find(|tag| tag.wire() == text).ok_or_else(|| UnknownTag(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_is_what_moves_seats_or_money() {
        let others = MqTag::ALL.into_iter().filter(|tag| !tag.is_debt()).collect::<Vec<_>>();
        assert_eq!(
            others,
            [MqTag::OrderSeats, MqTag::PayCheck, MqTag::OrderUnpaid, MqTag::Timetable, MqTag::Bulk]
        );
    }

    #[test]
    fn every_tag_reads_back_as_itself() {
        for tag in MqTag::ALL {
            assert_eq!(tag.wire().parse::<MqTag>().ok(), Some(tag));
        }
        assert!("order_add_cancel".parse::<MqTag>().is_err(), "the wire keeps the original's spelling");
    }
}
