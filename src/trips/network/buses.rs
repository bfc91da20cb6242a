//! Buses that would be on two trips at once after an import, whatever the trips stem from.

use super::effect::{Effect, Kind, named};
use crate::network::Network;
use chrono::{DateTime, Days, Utc};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Days from a trip to the service day of one that overlaps it, at most.
const DAYS_APART: u64 = 4;

/// A trip's time on its bus.
#[derive(Clone)]
struct Use {
    bus: i32,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    trip: String,
}

/// The first bus that would be on two trips at once, as a sentence that names both.
///
/// # Errors
/// The database's.
pub(super) async fn conflict(
    conn: &mut PgConnection,
    old: Option<&Network>,
    new: &Network,
    effects: &[Effect],
) -> Result<Option<String>, sqlx::Error> {
    let by_trip: HashMap<Uuid, &Effect> = effects.iter().map(|effect| (effect.trip, effect)).collect();
    let rows = sqlx::query!(
        r#"select t.id as "id!", t.bus_id as "bus_id!", t.departs_at as "departs_at!",
                  t.arrives_at as "arrives_at!", d.code as "code?", t.service_date, now() as "now!"
           from trip t left join timetable d on d.id = t.timetable_id
           where t.arrives_at > now() and t.cancelled_at is null and not t.shares_bus"#
    )
    .fetch_all(conn)
    .await?;
    let mut uses: Vec<Use> = Vec::with_capacity(rows.len());
    for row in rows {
        let is_changed = by_trip.get(&row.id).is_some_and(|effect| effect.kind != Kind::Stays);
        if is_changed {
            continue;
        }
        let trip = named(row.id, row.code.as_deref(), row.service_date);
        let one = Use { bus: row.bus_id, from: row.departs_at, until: row.arrives_at, trip };
        // Of the trips that the network makes no others are fixed: those ahead are made by its departures.
        if (row.code.is_none() || row.departs_at <= row.now)
            && let Some(conflict) = not_made_yet(old, new, &one, row.now)
        {
            return Ok(Some(conflict));
        }
        uses.push(one);
    }
    let changed = effects.iter().filter(|effect| effect.kind != Kind::Ends);
    uses.extend(changed.filter_map(Use::of));
    Ok(overlap(uses))
}

/// A trip of a departure that is added or changed, and that could not be made because its bus is on this
/// one, which stays.
fn not_made_yet(old: Option<&Network>, new: &Network, one: &Use, now: DateTime<Utc>) -> Option<String> {
    let bus = u32::try_from(one.bus).ok()?;
    // Departures are before 48:00 of their service day and take at most a day, by clocks that may differ by
    // a day.
    let days = (0..=2 * DAYS_APART).map(|n| one.from.date_naive() - Days::new(DAYS_APART) + Days::new(n));
    let runs = |network: &Network, code: &str, day| {
        let departure = network.departures.get(code).filter(|departure| departure.bus == bus)?;
        let runs = network.calendars.get(&departure.calendar)?.runs_on(day);
        runs.then(|| network.times(departure, day)).flatten()
    };
    let days: Vec<_> = days.collect();
    new.departures.iter().filter(|(_, departure)| departure.bus == bus).find_map(|(code, _)| {
        days.iter().find_map(|&day| {
            let (from, until) = runs(new, code.as_str(), day).filter(|(departs_at, _)| *departs_at > now)?;
            if old.and_then(|old| runs(old, code.as_str(), day)) == Some((from, until)) {
                return None;
            }
            let planned = Use { bus: one.bus, from, until, trip: format!("{code} on {day}") };
            overlap(vec![one.clone(), planned])
        })
    })
}

/// The trip that is on the bus which this one gets, with the sentence that names both.
///
/// # Errors
/// The database's.
pub(super) async fn other_trip(
    conn: &mut PgConnection,
    effect: &Effect,
) -> Result<Option<(Uuid, String)>, sqlx::Error> {
    let Some(wanted) = Use::of(effect) else { return Ok(None) };
    let other = sqlx::query!(
        r#"select t.id, t.departs_at, t.arrives_at, d.code as "code?", t.service_date
           from trip t left join timetable d on d.id = t.timetable_id
           where int8range(t.bus_id, t.bus_id, '[]') && int8range($1::int, $1::int, '[]')
             and tstzrange(t.departs_at, t.arrives_at) && tstzrange($2, $3)
             and t.cancelled_at is null and not t.shares_bus and t.id <> $4
           order by t.departs_at limit 1"#,
        wanted.bus,
        wanted.from,
        wanted.until,
        effect.trip
    )
    .fetch_optional(conn)
    .await?;
    Ok(other.and_then(|row| {
        let trip = named(row.id, row.code.as_deref(), row.service_date);
        let other = Use { bus: wanted.bus, from: row.departs_at, until: row.arrives_at, trip };
        Some((row.id, overlap(vec![wanted, other])?))
    }))
}

impl Use {
    /// Of a trip that changes.
    fn of(effect: &Effect) -> Option<Self> {
        let expected = effect.expected.as_ref()?;
        let (bus, from, until) = (expected.bus, expected.departs_at, expected.arrives_at);
        Some(Self { bus, from, until, trip: effect.name() })
    }
}

/// The first two uses of one bus that overlap. A trip may depart when another arrives.
fn overlap(mut uses: Vec<Use>) -> Option<String> {
    uses.sort_by(|a, b| (a.bus, a.from, a.until, &a.trip).cmp(&(b.bus, b.from, b.until, &b.trip)));
    let mut longest: Option<&Use> = None;
    for one in &uses {
        let before = longest.filter(|before| before.bus == one.bus);
        if let Some(before) = before.filter(|before| one.from < before.until) {
            return Some(format!(
                "bus {} would be on two trips at once: {} until {}, and {} from {}",
                one.bus,
                before.trip,
                before.until.format("%F %H:%MZ"),
                one.trip,
                one.from.format("%F %H:%MZ")
            ));
        }
        if before.is_none_or(|before| one.until > before.until) {
            longest = Some(one);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(bus: i32, from: i64, until: i64, trip: &str) -> Use {
        let at = |secs| DateTime::from_timestamp(secs, 0).expect("a time");
        Use { bus, from: at(from), until: at(until), trip: trip.to_owned() }
    }

    #[test]
    fn a_trip_may_depart_when_another_arrives_and_not_before() {
        assert_eq!(overlap(vec![used(1, 0, 10, "a"), used(1, 10, 20, "b"), used(2, 5, 15, "c")]), None);
        let long = vec![used(1, 0, 100, "a"), used(1, 100, 110, "c"), used(1, 20, 30, "b")];
        assert!(overlap(long).is_some_and(|text| text.contains("a until") && text.contains("b from")));
    }
}
