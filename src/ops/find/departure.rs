//! A departure in people's words: `bus 3 tomorrow 8:00`, `3 08:00`, `2026-12-01 bus 3`,
//! `3路 明天 8:00`.

use crate::domain::{Day, TripId, wall};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use sqlx::PgConnection;
use uuid::Uuid;

/// Most words of a departure.
const MAX_WORDS: usize = 6;
/// Longest code of a route, characters.
const MAX_CODE_CHARS: usize = 40;
/// Words that say nothing about which departure.
const IDLE: [&str; 6] = ["bus", "route", "line", "at", "on", "the"];

/// Which departures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedDeparture {
    /// The number of the bus, or the code of the route.
    pub bus: Option<String>,
    /// The days.
    pub days: Vec<NaiveDate>,
    /// The minute of the day.
    pub minute: Option<i32>,
}

impl WantedDeparture {
    /// Reads a text that names a day or a time, and nothing that it does not know but one word for
    /// the bus or the route. Without a day, today and tomorrow are meant.
    pub(super) fn of(text: &str, today: NaiveDate) -> Option<Self> {
        let spaced = spaced(text);
        let words: Vec<&str> = spaced.split_whitespace().collect();
        if words.len() > MAX_WORDS {
            return None;
        }
        let (mut bus, mut day, mut minute) = (None, None, None);
        let mut names_a_bus = false;
        for word in words {
            if let Some(read) = day_of(word, today) {
                day.replace(read).is_none().then_some(())?;
            } else if let Some(read) = minute_of(word) {
                minute.replace(read).is_none().then_some(())?;
            } else if IDLE.contains(&word) {
                names_a_bus |= matches!(word, "bus" | "route" | "line");
            } else {
                (word.chars().count() <= MAX_CODE_CHARS).then_some(())?;
                bus.replace(word.to_owned()).is_none().then_some(())?;
            }
        }
        let is_number = |bus: &String| bus.parse::<u32>().is_ok();
        let says_when = day.is_some() || minute.is_some();
        // A name and a date may be anything; a number and a date are a bus and its day.
        if !(says_when || names_a_bus && bus.as_ref().is_some_and(is_number)) {
            return None;
        }
        let days = match day {
            Some(day) => vec![day],
            None => [Some(today), today.succ_opt()].into_iter().flatten().collect(),
        };
        Some(Self { bus, days, minute })
    }
}

/// In lower case, with blanks around numbers and the Chinese words.
fn spaced(text: &str) -> String {
    let mut spaced = text.to_lowercase().replace('：', ":").replace([',', '，', '、'], " ");
    for word in ["今天", "明天", "后天", "昨天"] {
        spaced = spaced.replace(word, &format!(" {word} "));
    }
    for word in ["号车", "路车", "路", "次", "公交", "班车"] {
        spaced = spaced.replace(word, " bus ");
    }
    spaced = spaced.replace("点半", ":30 ").replace('点', ":00 ");
    // `bus3`
    let number = |word: &str| word.strip_prefix("bus").filter(|rest| !rest.is_empty()).map(str::to_owned);
    let words = spaced.split_whitespace().map(|word| match number(word) {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("bus {number}"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn day_of(word: &str, today: NaiveDate) -> Option<NaiveDate> {
    let ahead = |days| today.checked_add_days(Days::new(days));
    match word {
        "today" | "今天" => Some(today),
        "tomorrow" | "明天" => ahead(1),
        "后天" => ahead(2),
        "yesterday" | "昨天" => today.pred_opt(),
        _ => word.parse().ok().map(Day::date),
    }
}

/// `8:00` or `08:00`; 24:00 is the midnight at the day's end.
fn minute_of(word: &str) -> Option<i32> {
    let (hour, minute) = word.split_once(':')?;
    let digits = |text: &str, most: usize| {
        let plain = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<i32>().ok()).flatten()
    };
    let (hour, minute) = (digits(hour, 2)?, digits(minute, 2).filter(|_| minute.len() == 2)?);
    (minute < 60 && (hour < 24 || hour == 24 && minute == 0)).then_some(hour * 60 + minute)
}

/// A departure that was found.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FoundTrip {
    /// The trip.
    pub id: Uuid,
    /// Its bus.
    pub bus_id: i32,
    /// Its route; none for a trip of no network.
    pub route: Option<String>,
    /// The number of its direction.
    pub direction: i16,
    /// When it departs.
    pub departs_at: DateTime<Utc>,
    /// Whether it was cancelled.
    pub is_cancelled: bool,
}

impl FoundTrip {
    /// The id.
    pub fn trip(&self) -> TripId {
        TripId(self.id)
    }
}

/// Departures of these days, soonest first, at most `limit`. The index of departures bounds the rows
/// to the days, or to the minute.
///
/// # Errors
/// The database's.
pub(super) async fn departures(
    conn: &mut PgConnection,
    zone: Tz,
    wanted: &WantedDeparture,
    limit: i64,
) -> Result<Vec<FoundTrip>, sqlx::Error> {
    let bounds = |day: NaiveDate| match wanted.minute {
        Some(minute) => {
            let from = wall::instant(zone, day, minute)?;
            Some((from, from + TimeDelta::minutes(1)))
        }
        None => wall::instant(zone, day, 0).zip(wall::instant(zone, day.succ_opt()?, 0)),
    };
    let (from, to): (Vec<_>, Vec<_>) = wanted.days.iter().filter_map(|day| bounds(*day)).unzip();
    let number = wanted.bus.as_ref().and_then(|bus| bus.parse::<i32>().ok());
    sqlx::query_as!(
        FoundTrip,
        r#"select t.id, t.bus_id, t.route, t.direction, t.departs_at,
                  t.cancelled_at is not null as "is_cancelled!"
           from unnest($1::timestamptz[], $2::timestamptz[]) as day (began, ended) cross join lateral (
               select * from trip
               where departs_at >= day.began and departs_at < day.ended
                 and ($3::text is null or bus_id = $4 or lower(route) = $3)
               order by departs_at, id limit $5
           ) as t
           order by t.departs_at, t.id limit $5"#,
        &from,
        &to,
        wanted.bus,
        number,
        limit
    )
    .fetch_all(&mut *conn)
    .await
}

/// These trips, newest first.
pub(super) async fn trips(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<FoundTrip>, sqlx::Error> {
    sqlx::query_as!(
        FoundTrip,
        r#"select id, bus_id, route, direction, departs_at, cancelled_at is not null as "is_cancelled!"
           from trip where id = any($1) order by id desc"#,
        ids
    )
    .fetch_all(&mut *conn)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    fn read(text: &str) -> Option<WantedDeparture> {
        WantedDeparture::of(text, day("2026-11-30"))
    }

    #[test]
    fn people_name_departures_in_many_ways() {
        for (text, bus, days, minute) in [
            ("bus 3 tomorrow 8:00", Some("3"), &["2026-12-01"][..], Some(480)),
            ("Bus3 TOMORROW 08:00", Some("3"), &["2026-12-01"], Some(480)),
            ("tomorrow 08:00 bus3", Some("3"), &["2026-12-01"], Some(480)),
            ("3 08:00", Some("3"), &["2026-11-30", "2026-12-01"], Some(480)),
            ("2026-12-01 bus 3", Some("3"), &["2026-12-01"], None),
            ("3路 明天 8:00", Some("3"), &["2026-12-01"], Some(480)),
            ("明天8点半3路", Some("3"), &["2026-12-01"], Some(510)),
            ("3号车，后天 8：00", Some("3"), &["2026-12-02"], Some(480)),
            ("R12 yesterday", Some("r12"), &["2026-11-29"], None),
            ("tomorrow 24:00", None, &["2026-12-01"], Some(1440)),
            ("bus 3", Some("3"), &["2026-11-30", "2026-12-01"], None),
        ] {
            let days: Vec<NaiveDate> = days.iter().map(|text| day(text)).collect();
            let wanted = WantedDeparture { bus: bus.map(str::to_owned), days, minute };
            assert_eq!(read(text), Some(wanted), "{text}");
        }
        for other in ["3", "bus", "ann lee", "bus three", "3 4 8:00", "8:60", "25:00", "8:00 9:00", "", ":"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
