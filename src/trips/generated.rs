//! What making trips has made, and what it has not.

use chrono::NaiveDate;

/// Most skipped departures that a summary names.
const MAX_NAMED: usize = 5;
/// The result of making trips.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneratedTrips {
    /// Trips that were missing and were made.
    pub trips: u64,
    /// Missing departures that could not be made.
    pub skipped: Vec<SkippedDeparture>,
}

/// A departure of the timetable that could not be made on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedDeparture {
    /// The local date.
    pub day: NaiveDate,
    /// The departure.
    pub timetable_id: i32,
    /// Why not.
    pub error: String,
}

impl GeneratedTrips {
    pub(super) fn extend(&mut self, more: Self) {
        self.trips += more.trips;
        self.skipped.extend(more.skipped);
    }

    /// A sentence that names the first of the skipped departures.
    pub fn summary(&self) -> String {
        let mut summary = format!("{} trips made", self.trips);
        if self.skipped.is_empty() {
            return summary;
        }
        summary += &format!("; {} departures not made: ", self.skipped.len());
        let named = self.skipped.iter().take(MAX_NAMED);
        let named: Vec<_> = named.map(|s| format!("{} on {} ({})", s.timetable_id, s.day, s.error)).collect();
        summary += &named.join(", ");
        if self.skipped.len() > MAX_NAMED {
            summary += ", and others";
        }
        summary
    }
}
