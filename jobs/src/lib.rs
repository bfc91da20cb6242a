//! What a job of Farebox is. The queue that carries it is a crate of its own, [`queue`].
//!
//! One file per typed job: its payload, its unique key, its retry policy. What a job *does* stands
//! beside the step it undoes, in the `farebox` crate; this crate is the contract between those who
//! enqueue and those who run.

mod bulk;
mod event_kind;
pub mod ids;
mod network_import;
mod order_add;
mod order_add_seats;
mod order_calc_money;
mod order_cancel;
mod order_seats;
mod order_unpaid;
mod pay;
mod pay_back;
mod pay_check;
mod pay_money;
mod payload;
mod retry;
mod tag;
mod timetable;
mod trip_cancel;
mod webhook_delivery;
mod webhook_event;

pub use bulk::Bulk;
pub use event_kind::{EventKind, UnknownKind};
pub use network_import::NetworkImport;
pub use order_add::OrderAdd;
pub use order_add_seats::OrderAddSeats;
pub use order_calc_money::OrderCalcMoney;
pub use order_cancel::OrderCancel;
pub use order_seats::OrderSeats;
pub use order_unpaid::OrderUnpaid;
pub use pay::Pay;
pub use pay_back::PayBack;
pub use pay_check::PayCheck;
pub use pay_money::PayMoney;
pub use payload::{Booking, Paying};
pub use tag::{MqTag, UnknownTag};
pub use timetable::Timetable;
pub use trip_cancel::TripCancel;
pub use webhook_delivery::WebhookDelivery;
pub use webhook_event::WebhookEvent;

pub use farebox_queue as queue;

use queue::{Job, RetryPolicy};

/// The retry policy of a tag's job.
pub fn retry_policy(tag: MqTag) -> RetryPolicy {
    match tag {
        MqTag::OrderSeats => OrderSeats::RETRY,
        MqTag::OrderAddSeats => OrderAddSeats::RETRY,
        MqTag::OrderCalcMoney => OrderCalcMoney::RETRY,
        MqTag::OrderAdd => OrderAdd::RETRY,
        MqTag::OrderCancel => OrderCancel::RETRY,
        MqTag::PayCheck => PayCheck::RETRY,
        MqTag::PayMoney => PayMoney::RETRY,
        MqTag::Pay => Pay::RETRY,
        MqTag::PayBack => PayBack::RETRY,
        MqTag::OrderUnpaid => OrderUnpaid::RETRY,
        MqTag::Timetable => Timetable::RETRY,
        MqTag::TripCancel => TripCancel::RETRY,
        MqTag::Bulk => Bulk::RETRY,
        MqTag::NetworkImport => NetworkImport::RETRY,
        MqTag::WebhookEvent => WebhookEvent::RETRY,
        MqTag::WebhookDelivery => WebhookDelivery::RETRY,
    }
}
