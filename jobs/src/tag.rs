//! The tags: what a step is called on the wire, and so which undo a failure in it raises.

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
    /// The unpaid-order timer. This tag and those below are no steps.
    OrderUnpaid,
    /// Creating the trips of the coming days.
    Timetable,
    /// Closing and refunding the orders of a cancelled trip.
    TripCancel,
    /// An operator's change of many jobs.
    Bulk,
    /// Moving and refunding the riders of trips that an import changed.
    NetworkImport,
    /// Writing down an event for webhooks.
    WebhookEvent,
    /// Sending events to an endpoint.
    WebhookDelivery,
}

/// A tag this build does not know.
#[derive(Debug, thiserror::Error)]
#[error("unknown tag {0:?}; known are {known}", known = MqTag::ALL.map(MqTag::wire).join(", "))]
pub struct UnknownTag(String);

impl MqTag {
    /// Every tag, in the order of the sagas.
    pub const ALL: [Self; 16] = [
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
        Self::NetworkImport,
        Self::WebhookEvent,
        Self::WebhookDelivery,
    ];

    /// The steps of sagas, in their order. A failure in one of them schedules the job of its tag. The
    /// other tags are timers, recurring jobs and operators' jobs.
    pub const STEPS: [Self; 9] = [
        Self::OrderSeats,
        Self::OrderAddSeats,
        Self::OrderCalcMoney,
        Self::OrderAdd,
        Self::OrderCancel,
        Self::PayCheck,
        Self::PayMoney,
        Self::Pay,
        Self::PayBack,
    ];

    /// The steps of a booking, in their order.
    pub const BOOKING: [Self; 4] =
        [Self::OrderSeats, Self::OrderAddSeats, Self::OrderCalcMoney, Self::OrderAdd];

    /// The steps of a payment, in their order. The key of their jobs is the payment's id.
    pub const PAYING: [Self; 3] = [Self::PayCheck, Self::PayMoney, Self::Pay];

    /// The undos that give back the seats of a booking which left no order.
    pub const RELEASES: [Self; 3] = [Self::OrderAddSeats, Self::OrderCalcMoney, Self::OrderAdd];

    /// The steps of a booking that write, and so have a barrier row. The last one decides whether it is
    /// finished.
    pub const BOOKING_BARRIERS: [Self; 2] = [Self::OrderAddSeats, Self::OrderAdd];

    /// The steps of a payment that write, and so have a barrier row, the latest first: an undo bars from
    /// the end.
    pub const PAYING_BARRIERS: [Self; 2] = [Self::Pay, Self::PayMoney];

    /// The tags whose job has seats or money to give back from when it is due until it is done: the
    /// undos, the refund that was begun, the end of a cancelled trip's orders, and an import that
    /// riders wait for. The undos of the two
    /// checks have none: they bar a saga that has written nothing. Nor has the timer: a booking that
    /// wants an overdue seat gets it without.
    pub const DEBTS: [Self; 9] = [
        Self::OrderAddSeats,
        Self::OrderCalcMoney,
        Self::OrderAdd,
        Self::OrderCancel,
        Self::PayMoney,
        Self::Pay,
        Self::PayBack,
        Self::TripCancel,
        Self::NetworkImport,
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
            Self::NetworkImport => "network_import",
            Self::WebhookEvent => "webhook_event",
            Self::WebhookDelivery => "webhook_delivery",
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
            [
                MqTag::OrderSeats,
                MqTag::PayCheck,
                MqTag::OrderUnpaid,
                MqTag::Timetable,
                MqTag::Bulk,
                MqTag::WebhookEvent,
                MqTag::WebhookDelivery
            ]
        );
    }

    /// A new variant does not compile until it has a row here; the row says in which sets it must be.
    #[test]
    fn every_tag_is_in_the_sets_that_it_belongs_to() {
        for tag in MqTag::ALL {
            // step, booking, paying, release, has a barrier row
            let (step, booking, paying, release, barrier) = match tag {
                MqTag::OrderSeats => (true, true, false, false, false),
                MqTag::OrderAddSeats | MqTag::OrderAdd => (true, true, false, true, true),
                MqTag::OrderCalcMoney => (true, true, false, true, false),
                MqTag::OrderCancel | MqTag::PayBack => (true, false, false, false, false),
                MqTag::PayCheck => (true, false, true, false, false),
                MqTag::PayMoney | MqTag::Pay => (true, false, true, false, true),
                MqTag::OrderUnpaid
                | MqTag::Timetable
                | MqTag::TripCancel
                | MqTag::Bulk
                | MqTag::NetworkImport
                | MqTag::WebhookEvent
                | MqTag::WebhookDelivery => (false, false, false, false, false),
            };
            assert_eq!(MqTag::STEPS.contains(&tag), step, "{tag}");
            assert_eq!(MqTag::BOOKING.contains(&tag), booking, "{tag}");
            assert_eq!(MqTag::PAYING.contains(&tag), paying, "{tag}");
            assert_eq!(MqTag::RELEASES.contains(&tag), release, "{tag}");
            let has_barrier = MqTag::BOOKING_BARRIERS.contains(&tag) || MqTag::PAYING_BARRIERS.contains(&tag);
            assert_eq!(has_barrier, barrier, "{tag}");
        }
    }

    /// `wire` is exhaustive, so its arms are counted: a new variant is in the list, too.
    #[test]
    fn all_lists_every_tag_once() {
        let source = include_str!("tag.rs");
        let wire = source.split_once("pub const fn wire").and_then(|(_, rest)| rest.split_once("\n    }\n"));
        let variants = wire.expect("the function").0.matches("Self::").count();
        assert_eq!(MqTag::ALL.map(|tag| tag as usize).to_vec(), (0..variants).collect::<Vec<_>>());
    }

    #[test]
    fn every_tag_reads_back_as_itself() {
        for tag in MqTag::ALL {
            assert_eq!(tag.wire().parse::<MqTag>().ok(), Some(tag));
        }
        assert!("order_add_cancel".parse::<MqTag>().is_err(), "the wire keeps the original's spelling");
    }
}
