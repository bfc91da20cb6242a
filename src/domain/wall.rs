//! From the wall time of a zone to a time. When clocks change, a wall time may not exist, or exist
//! twice. A wall time that does not exist is taken by the clock of before the change, and so is
//! later by the gap (RFC 5545, GTFS). Of two, the first is taken. Each departure of a timetable is
//! therefore made exactly once each day.

use chrono::{DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// The longest gap that a change of the clock has left, hours: Samoa went without a whole day.
const MAX_GAP: i64 = 25;

/// The time at `minute` minutes after the midnight with which `day` begins, by the clocks of
/// `zone`; 1440 is the next day's midnight. `None` outside of the calendar.
pub fn instant(zone: Tz, day: NaiveDate, minute: i32) -> Option<DateTime<Utc>> {
    let wall = day.and_time(NaiveTime::MIN).checked_add_signed(TimeDelta::minutes(minute.into()))?;
    at(zone, wall).map(|at| at.with_timezone(&Utc))
}

fn at(zone: Tz, wall: NaiveDateTime) -> Option<DateTime<Tz>> {
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Some(at),
        MappedLocalTime::None => (1..=MAX_GAP).map(TimeDelta::hours).find_map(|back| {
            let before = zone.from_local_datetime(&wall.checked_sub_signed(back)?).latest()?;
            before.checked_add_signed(back)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{America::Havana, Asia::Beirut, Asia::Shanghai, Europe::Berlin, Pacific::Apia};

    fn utc(zone: Tz, day: &str, minute: i32) -> String {
        let at = instant(zone, day.parse().expect("a day"), minute).expect("a time");
        at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    #[test]
    fn a_wall_time_in_a_gap_is_later_by_the_gap_and_of_two_the_first_is_meant() {
        for (zone, day, minute, expected) in [
            (Shanghai, "2026-03-01", 480, "2026-03-01T00:00:00Z"),
            (Shanghai, "2026-03-01", 1440, "2026-03-01T16:00:00Z"),
            // 28 March: 02:00 is 03:00. 31 October: 03:00 is 02:00.
            (Berlin, "2027-03-28", 119, "2027-03-28T00:59:00Z"),
            (Berlin, "2027-03-28", 120, "2027-03-28T01:00:00Z"),
            (Berlin, "2027-03-28", 150, "2027-03-28T01:30:00Z"),
            (Berlin, "2027-03-28", 210, "2027-03-28T01:30:00Z"),
            (Berlin, "2027-03-27", 1440 + 150, "2027-03-28T01:30:00Z"),
            (Berlin, "2027-10-31", 150, "2027-10-31T00:30:00Z"),
            (Berlin, "2027-10-31", 180, "2027-10-31T02:00:00Z"),
            // Here midnight is one o'clock once a year; in Havana it comes twice in autumn.
            (Havana, "2027-03-14", 0, "2027-03-14T05:00:00Z"),
            (Havana, "2027-03-13", 1440, "2027-03-14T05:00:00Z"),
            (Havana, "2027-03-14", 30, "2027-03-14T05:30:00Z"),
            (Havana, "2027-11-06", 1440, "2027-11-07T04:00:00Z"),
            (Havana, "2027-11-07", 30, "2027-11-07T04:30:00Z"),
            (Beirut, "2027-03-28", 0, "2027-03-27T22:00:00Z"),
            (Beirut, "2027-03-27", 1440, "2027-03-27T22:00:00Z"),
            // The thirtieth of December 2011 did not exist.
            (Apia, "2011-12-30", 600, "2011-12-30T20:00:00Z"),
        ] {
            assert_eq!(utc(zone, day, minute), expected, "{zone} {day} {minute}");
        }
    }
}
