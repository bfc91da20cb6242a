//! What changes of the timetable changed for an order, in its rider's language, by the clocks of the stops.
//! The API says it as it is recorded: in English phrases between commas, with times in UTC.

use crate::web::{session::Visitor, views::Order, words::date};
use chrono::{DateTime, FixedOffset, NaiveDateTime};
use maud::{Markup, html};

/// What stands before the seats of an order that the other bus does not have.
const LOST: &str = "; seats without a place: ";
/// A time in a phrase.
const TIME: &str = "%F %H:%MZ";

/// A recorded change in words.
pub(super) fn in_words(visitor: &Visitor, order: &Order, what: &str) -> Markup {
    let (changes, lost) = what.split_once(LOST).map_or((what, None), |(changes, lost)| (changes, Some(lost)));
    // The model of other seats is the operator's word.
    let phrases = changes.split(", ").filter(|phrase| !phrase.starts_with("of "));
    let mut said: Vec<Markup> = phrases.map(|phrase| in_other_words(visitor, order, phrase)).collect();
    said.extend(lost.map(|lost| html! { (visitor.t("the bus has no seat ", "该车没有座位 ")) (lost) }));
    html! { @for (nr, one) in said.iter().enumerate() { @if nr > 0 { (visitor.t("; ", "；")) } (one) } }
}

fn in_other_words(visitor: &Visitor, order: &Order, phrase: &str) -> Markup {
    let journey = &order.journey;
    let pair = |name: &str| phrase.strip_prefix(name)?.split_once(" to ");
    let at = |text: &str, stop: DateTime<FixedOffset>| {
        let time = NaiveDateTime::parse_from_str(text, TIME).ok()?;
        Some(time.and_utc().with_timezone(stop.offset()))
    };
    let times = |name: &str, stop| pair(name).and_then(|(from, to)| at(from, stop).zip(at(to, stop)));
    if let Some((from, to)) = times("departs ", journey.departs_local) {
        return other_time(visitor, ("departs ", "发车时间"), from, to);
    }
    if let Some((from, to)) = times("arrives ", journey.arrives_local) {
        return other_time(visitor, ("arrives ", "到达时间"), from, to);
    }
    if let Some((from, to)) = pair("bus ") {
        return html! { (visitor.t(&format!("bus {to} instead of bus {from}"), &format!("由 {from} 号车改为 {to} 号车"))) };
    }
    match phrase {
        "the departure does not run" => html! { (visitor.t("it does not run any more", "该班次不再运行")) },
        "other stops" => html! { (visitor.t("other stops on the way", "停靠站点有变")) },
        "other seats" => {
            html! { (visitor.t("the seats stand differently in the bus", "车内座位布局不同")) }
        }
        other => html! { span lang="en" { (other) } },
    }
}

/// Another time, with its day if that is another.
fn other_time(
    visitor: &Visitor,
    (english, chinese): (&str, &str),
    from: DateTime<FixedOffset>,
    to: DateTime<FixedOffset>,
) -> Markup {
    let day = |at: DateTime<FixedOffset>| date(visitor, at.date_naive());
    let is_other_day = from.date_naive() != to.date_naive();
    let clock = |at: DateTime<FixedOffset>| {
        if is_other_day {
            format!("{} {}", day(at), at.format("%H:%M"))
        } else {
            at.format("%H:%M").to_string()
        }
    };
    let (from, to) = (clock(from), clock(to));
    html! { (visitor.t(&format!("{english}{to} instead of {from}"), &format!("{chinese}由 {from} 改为 {to}"))) }
}
