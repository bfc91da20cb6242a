//! `timetable`: keeping the coming days' trips made.

use crate::{
    MqTag,
    queue::{Job, NewJob, RetryPolicy},
    retry::TIMER,
};
use serde::{Deserialize, Serialize};

/// Makes the trips of the coming days from the timetable, and enqueues itself for the next local
/// midnight. What is to be made it reads off the clock and the tables, so a late run makes up for all
/// that were missed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Timetable {}

impl Job for Timetable {
    const TAG: &'static str = MqTag::Timetable.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = TIMER;

    /// One for all workers.
    fn key(&self) -> String {
        "horizon".to_owned()
    }
}

impl MqTag {
    /// The tag's job, if it is a recurring one. Each run enqueues the next, so a job that goes missing
    /// stays missing until a worker puts it back. Jobs of the other tags are never put back.
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
            | Self::Bulk
            | Self::NetworkImport
            | Self::WebhookEvent
            | Self::WebhookDelivery => None,
        }
    }
}
