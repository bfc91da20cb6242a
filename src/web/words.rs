//! Words and times of the pages.

use super::{
    session::Visitor,
    views::{Journey, Order},
};
use crate::browser::language::Lang;
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, Utc};
use chrono_tz::Tz;
use maud::{Markup, html};

/// All of an amount, percent.
const WHOLE: u8 = 100;

/// An amount with its currency, read as one word.
pub(super) fn money(amount: &str, currency: &str) -> String {
    let (whole, rest) = amount.split_at(amount.find('.').unwrap_or(amount.len()));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("−", digits));
    let mut grouped = String::new();
    for (nr, digit) in digits.chars().enumerate() {
        if nr > 0 && (digits.len() - nr).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}\u{a0}{currency}").trim_end().to_owned()
}

/// A day: yesterday, today, tomorrow, or its date.
pub(super) fn day(visitor: &Visitor, day: NaiveDate, today: NaiveDate) -> String {
    match (day - today).num_days() {
        -1 => visitor.t("Yesterday", "昨天").to_owned(),
        0 => visitor.t("Today", "今天").to_owned(),
        1 => visitor.t("Tomorrow", "明天").to_owned(),
        _ => date(visitor, day),
    }
}

/// A day of the week with its date, which stays true on a page that is kept.
pub(super) fn date(visitor: &Visitor, day: NaiveDate) -> String {
    match visitor.lang {
        Lang::Chinese => format!("{} {}", day.format("%-m月%-d日"), weekday(day)),
        Lang::English => day.format("%a %-d %b").to_string(),
    }
}

fn weekday(day: NaiveDate) -> &'static str {
    ["周一", "周二", "周三", "周四", "周五", "周六", "周日"][day.weekday().num_days_from_monday() as usize]
}

/// Today by the clock of this zone.
pub(super) fn today(zone: &str) -> NaiveDate {
    Utc::now().with_timezone(&zone.parse::<Tz>().unwrap_or(Tz::UTC)).date_naive()
}

/// A moment by the clock of the journey's first stop.
pub(super) fn moment(visitor: &Visitor, journey: &Journey, at: DateTime<Utc>) -> Markup {
    moment_in(visitor, &journey.zone, at)
}

/// The same with its date, for pages that are kept.
pub(super) fn dated(visitor: &Visitor, journey: &Journey, at: DateTime<Utc>) -> Markup {
    let local = at.with_timezone(&journey.zone.parse::<Tz>().unwrap_or(Tz::UTC));
    html! { time datetime=(at.to_rfc3339()) { (date(visitor, local.date_naive())) " " (local.format("%H:%M")) } }
}

/// A moment by the clock of this zone.
pub(super) fn moment_in(visitor: &Visitor, zone: &str, at: DateTime<Utc>) -> Markup {
    let local = at.with_timezone(&zone.parse::<Tz>().unwrap_or(Tz::UTC));
    let (date, today) = (local.date_naive(), today(zone));
    html! { time datetime=(at.to_rfc3339()) {
        @if date != today { (day(visitor, date, today)) " " } (local.format("%H:%M"))
    } }
}

/// A duration in the one unit that fits it.
pub(super) fn duration(visitor: &Visitor, secs: i64) -> String {
    let (number, english, chinese) = match secs {
        ..90 => (secs, "s", "秒"),
        90..5_400 => ((secs + 59) / 60, "min", "分钟"),
        _ => ((secs + 3_599) / 3_600, "h", "小时"),
    };
    format!("{number} {}", visitor.t(english, chinese))
}

/// A time of a timetable.
pub(super) fn clock(at: DateTime<FixedOffset>) -> Markup {
    html! { time datetime=(at.to_rfc3339()) { (at.format("%H:%M")) } }
}

/// The bus, as people call it.
pub(super) fn bus(visitor: &Visitor, journey: &Journey) -> String {
    visitor.t(&format!("Bus {}", journey.bus_id), &format!("{} 号车", journey.bus_id)).to_owned()
}

/// Where a trip goes.
pub(super) fn way(visitor: &Visitor, journey: &Journey) -> String {
    match (&journey.from, &journey.to, &journey.direction_name) {
        (Some(from), Some(to), _) => format!("{} → {}", from.name, to.name),
        (_, _, Some(name)) => format!("→ {name}"),
        // Of the network's first days: there and back.
        (_, _, None) if journey.direction == 0 => visitor.t("Outbound", "去程").to_owned(),
        (_, _, None) if journey.direction == 1 => visitor.t("Return", "返程").to_owned(),
        _ => format!("{} {}", visitor.t("Direction", "方向"), journey.direction),
    }
}

/// The name of a trip: day, time, and where it goes.
pub(super) fn trip_title(visitor: &Visitor, journey: &Journey) -> String {
    let departs = journey.departs_local;
    format!("{} · {} {}", way(visitor, journey), date(visitor, departs.date_naive()), departs.format("%H:%M"))
}

/// That a trip is cancelled, with what its operator says to riders.
pub(super) fn cancelled(visitor: &Visitor, journey: &Journey, message: Option<&str>) -> Markup {
    let day = format!("/ride?date={}", journey.departs_local.date_naive());
    html! { div.alert {
        strong { (visitor.t("This bus is cancelled.", "该班车已取消。")) }
        @if let Some(message) = message { p.message { (message) } }
        p { a.button href=(day) { (visitor.t("Other buses of the day", "当天其他班车")) } }
    } }
}

/// Until when a ticket can be given back, and for how much of its price.
pub(super) fn refundable(visitor: &Visitor, journey: &Journey, until: DateTime<Utc>, percent: u8) -> Markup {
    html! {
        (visitor.t("Refundable until ", "可退款至 ")) strong { (dated(visitor, journey, until)) }
        @if percent < WHOLE { " · " (visitor.t(
            &format!("{percent} % of the price comes back"), &format!("退回票价的 {percent}%"))) }
    }
}

/// The state of an order, as its rider reads it.
pub(super) fn order_state(visitor: &Visitor, order: &Order) -> &'static str {
    let lang = visitor.lang;
    match (order.status.as_str(), order.closed_reason.as_deref()) {
        ("unpaid", _) => lang.t("to be paid", "待支付"),
        ("paying", _) => lang.t("being paid", "支付中"),
        ("paid", _) => lang.t("paid", "已支付"),
        ("refunding", _) => lang.t("being refunded", "退款中"),
        ("refunded", _) => lang.t("refunded", "已退款"),
        ("closed", Some("expired")) => lang.t("not paid in time", "超时未支付"),
        ("closed", Some("cancelled_by_rider")) => lang.t("cancelled by you", "您已取消"),
        _ => lang.t("cancelled", "已取消"),
    }
}

/// The kind of a ledger entry in words.
pub(super) fn entry_kind(visitor: &Visitor, kind: &str) -> &'static str {
    let lang = visitor.lang;
    match kind {
        "top_up" => lang.t("Money put in", "充值"),
        "payment" => lang.t("Ticket paid", "支付车票"),
        "payment_reversed" => lang.t("Given back: the payment did not go through", "退回：支付未完成"),
        "refund" => lang.t("Refund", "退款"),
        "refund_fee" => lang.t("Fee of a refund", "退款手续费"),
        _ => lang.t("Correction", "更正"),
    }
}

#[cfg(test)]
mod tests {
    use super::money;

    #[test]
    fn amounts_are_read_in_threes() {
        let cases =
            [("4.00", "4.00"), ("1000000968.00", "1,000,000,968.00"), ("-1234", "−1,234"), ("999", "999")];
        for (amount, words) in cases {
            assert_eq!(money(amount, "CNY"), format!("{words}\u{a0}CNY"));
        }
    }
}
