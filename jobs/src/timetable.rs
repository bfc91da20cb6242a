//! `timetable`: keeping the coming days' trips made.

use crate::{
    MqTag,
    queue::{Job, RetryPolicy},
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
