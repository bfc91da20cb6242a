//! Words and times of the pages.

use super::{
    session::Visitor,
    views::{Journey, Order},
};
use crate::browser::language::Lang;
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, Utc};
use chrono_tz::Tz;
use maud::{Markup, html};

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
    format!("{sign}{grouped}{rest}\u{a0}{currency}")
}

/// A day: today, tomorrow, or the day of the week with the date.
pub(super) fn day(visitor: &Visitor, day: NaiveDate, today: NaiveDate) -> String {
    let date = match visitor.lang {
        Lang::Chinese => format!("{} {}", day.format("%-m月%-d日"), weekday(day)),
        Lang::English => day.format("%a %-d %b").to_string(),
    };
    match (day - today).num_days() {
        0 => format!("{}, {date}", visitor.t("Today", "今天")),
        1 => format!("{}, {date}", visitor.t("Tomorrow", "明天")),
        _ => date,
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
    let zone = journey.zone.parse::<Tz>().unwrap_or(Tz::UTC);
    let local = at.with_timezone(&zone);
    let day = day(visitor, local.date_naive(), today(&journey.zone));
    html! { time datetime=(at.to_rfc3339()) { (day) " " (local.format("%H:%M")) } }
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
        _ => format!("{} {}", visitor.t("direction", "方向"), journey.direction),
    }
}

/// The name of a trip: day, time, and where it goes.
pub(super) fn trip_title(visitor: &Visitor, journey: &Journey) -> String {
    let departs = journey.departs_local;
    let day = day(visitor, departs.date_naive(), today(&journey.zone));
    format!("{} · {day} {}", way(visitor, journey), departs.format("%H:%M"))
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
