//! Times on pages. Events are shown by the viewer's clock with its offset, departures by the clock of
//! their timetable with its zone, and both carry the exact time in UTC as their title.
//!
//! The viewer's zone is the one chosen in the preferences, else the browser's, else the timetable's.

use super::{
    preferences::{Preferences, timetable_zone},
    session::PageContext,
};
use crate::browser::language::Lang;
use crate::{domain::Instant, http::App};
use axum::{
    extract::{Request, State},
    http::{Method, Uri},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use chrono::{
    DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;
use maud::{Markup, html};

/// The parameters that hold times.
const TIMES: [&str; 2] = ["since", "before"];
/// How long a local time may be missing because clocks were put forward.
const MAX_GAP: TimeDelta = TimeDelta::hours(2);
/// The steps in which the end of such a time is searched.
const GAP_STEP: TimeDelta = TimeDelta::minutes(15);

/// An event: date, time and offset by the viewer's clock, and how long ago it was.
pub(crate) fn when(context: &PageContext, at: DateTime<Utc>) -> Markup {
    let exact = exact(at);
    html! {
        time datetime=(exact) title=(exact) { (stamp(context.zone, at)) }
        " " span.quiet.ago { (ago(context.lang, at)) }
    }
}

/// An event to the millisecond: several share a second.
pub(crate) fn moment(context: &PageContext, at: DateTime<Utc>) -> Markup {
    let (exact, local) = (exact(at), at.with_timezone(&context.zone));
    html! {
        time datetime=(exact) title=(exact) { (local.format("%Y-%m-%d %H:%M:%S%.3f")) " " (offset(context.zone, at)) }
    }
}

/// A departure by the clock of this zone, with the day of the week and the zone.
pub(crate) fn departure(context: &PageContext, at: DateTime<Utc>, zone: Tz) -> Markup {
    let (exact, local) = (exact(at), at.with_timezone(&zone));
    html! {
        time datetime=(exact) title=(exact) {
            @if context.lang == Lang::Chinese { (local.format("%Y-%m-%d ")) (weekday(local.date_naive())) (local.format(" %H:%M")) "（" (zone) "）" }
            @else { (local.format("%a %-d %b %Y %H:%M")) " (" (zone) ")" }
        }
    }
}

/// A day as people say it: the day of the week, the day and the month.
pub(crate) fn day_words(context: &PageContext, day: NaiveDate) -> String {
    match context.lang {
        Lang::Chinese => format!("{} {}", day.format("%-m月%-d日"), weekday(day)),
        Lang::English => day.format("%a %-d %b").to_string(),
    }
}

fn weekday(day: NaiveDate) -> &'static str {
    ["周一", "周二", "周三", "周四", "周五", "周六", "周日"][day.weekday().num_days_from_monday() as usize]
}

/// The minute of the day by the viewer's clock.
pub(crate) fn minute(context: &PageContext, at: DateTime<Utc>) -> String {
    at.with_timezone(&context.zone).format("%H:%M").to_string()
}

/// The offset of a zone's clock at that time: `+08:00`, or `UTC`.
pub(crate) fn offset(zone: Tz, at: DateTime<Utc>) -> String {
    if zone == Tz::UTC {
        return "UTC".to_owned();
    }
    at.with_timezone(&zone).format("%:z").to_string()
}

/// Date, time and offset as text.
pub(crate) fn stamp(zone: Tz, at: DateTime<Utc>) -> String {
    format!("{} {}", at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S"), offset(zone, at))
}

/// Time and offset as text, for a time that is seconds ago.
pub(crate) fn clock(zone: Tz, at: DateTime<Utc>) -> String {
    format!("{} {}", at.with_timezone(&zone).format("%H:%M:%S"), offset(zone, at))
}

fn exact(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// How long ago it was, or how far ahead it is, in one unit. The script has the same rule.
fn ago(lang: Lang, at: DateTime<Utc>) -> String {
    let secs = (Utc::now() - at).num_seconds();
    let (number, en, zh) = match secs.abs() {
        0..60 if secs < 0 => return lang.t("in less than 1 min", "不到 1 分钟后").to_owned(),
        0..60 => return lang.t("less than 1 min ago", "不到 1 分钟前").to_owned(),
        size @ 60..3_600 => (size / 60, "min", "分钟"),
        size @ 3_600..172_800 => (size / 3_600, "h", "小时"),
        size => (size / 86_400, "days", "天"),
    };
    match (lang, secs < 0) {
        (Lang::Chinese, true) => format!("{number} {zh}后"),
        (Lang::Chinese, false) => format!("{number} {zh}前"),
        (Lang::English, true) => format!("in {number} {en}"),
        (Lang::English, false) => format!("{number} {en} ago"),
    }
}

/// A field for a time by the viewer's clock. `value` is what the address holds, in RFC 3339.
pub(crate) fn time_field(context: &PageContext, name: &str, label: &str, value: &str) -> Markup {
    let at = value.parse::<Instant>().ok().map(Instant::utc);
    let local = at.map(|at| at.with_timezone(&context.zone).format("%Y-%m-%dT%H:%M:%S").to_string());
    let now = offset(context.zone, at.unwrap_or_else(Utc::now));
    html! { div {
        label for=(name) { (label) " (" (now) ")" }
        input id=(name) name=(name) type="datetime-local" step="1" value=(local.unwrap_or_default());
    } }
}

/// Links to this page since a time: the last hour, today by the viewer's clock, 24 h, 7 days.
pub(crate) fn presets(context: &PageContext) -> Markup {
    let now = Utc::now();
    let today = now.with_timezone(&context.zone).date_naive().and_time(chrono::NaiveTime::MIN);
    let since = [
        (Some(now - TimeDelta::hours(1)), context.t("Last hour", "最近一小时")),
        (utc_of(context.zone, today, false), context.t("Today", "今天")),
        (Some(now - TimeDelta::hours(24)), context.t("Last 24 h", "最近 24 小时")),
        (Some(now - TimeDelta::days(7)), context.t("Last 7 days", "最近 7 天")),
    ];
    let page = without(context, &["since", "before", "after"]);
    html! { div.acts role="group" aria-label=(context.t("Time", "时间")) {
        @for (at, words) in since { @if let Some(at) = at {
            a.button href=(format!("{page}since={}", at.to_rfc3339_opts(SecondsFormat::Secs, true))) { (words) }
        } }
    } }
}

/// The address of this page without these parameters, for one more at its end.
pub(crate) fn without(context: &PageContext, names: &[&str]) -> String {
    let (path, query) = context.path.split_once('?').unwrap_or((&context.path, ""));
    let is_named = |pair: &str| names.contains(&pair.split('=').next().unwrap_or_default());
    let others = query.split('&').filter(|pair| !pair.is_empty() && !is_named(pair));
    format!("{path}?{}", others.flat_map(|pair| [pair, "&"]).collect::<String>())
}

/// The moment of a local time. Of the two of an hour that is repeated, the later one if `later`. A
/// time that was skipped is the end of the gap; `None` where there is none.
fn utc_of(zone: Tz, local: NaiveDateTime, later: bool) -> Option<DateTime<Utc>> {
    let mut at = local;
    while at - local <= MAX_GAP {
        match zone.from_local_datetime(&at) {
            LocalResult::Single(found) => return Some(found.to_utc()),
            LocalResult::Ambiguous(first, last) => return Some(if later { last } else { first }.to_utc()),
            LocalResult::None => at = at.checked_add_signed(GAP_STEP)?,
        }
    }
    None
}

/// Redirects an address with local times, as a form sends them, to the same with RFC 3339: such an
/// address means the same to another viewer. What is no local time is left to the page.
pub(super) async fn local_times(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET && request.uri().query().is_some_and(has_time) {
        let preferences = Preferences::of(request.headers(), request.uri().path());
        let zone = match preferences.zone {
            Some(zone) => zone,
            None => timetable_zone(&app).await,
        };
        if let Some(address) = absolute(request.uri(), zone) {
            return Redirect::to(&address).into_response();
        }
    }
    next.run(request).await
}

fn has_time(query: &str) -> bool {
    query.split('&').any(|pair| TIMES.iter().any(|name| pair.split('=').next() == Some(name)))
}

/// The address without local times, if it has any.
fn absolute(uri: &Uri, zone: Tz) -> Option<String> {
    let mut pairs: Vec<(String, String)> = serde_urlencoded::from_str(uri.query()?).ok()?;
    let mut changed = false;
    for (name, value) in pairs.iter_mut().filter(|(name, _)| TIMES.contains(&name.as_str())) {
        let Some(local) = local(value) else { continue };
        let at = utc_of(zone, local, name == "before")?;
        *value = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        changed = true;
    }
    // A browser also sends the empty fields of a form.
    pairs.retain(|(_, value)| !value.is_empty());
    let query = serde_urlencoded::to_string(pairs).ok()?.replace("%3A", ":");
    changed.then(|| format!("{}?{query}", uri.path()))
}

fn local(text: &str) -> Option<NaiveDateTime> {
    let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text.trim(), format).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW_YORK: Tz = Tz::America__New_York;

    fn address(query: &'static str, zone: Tz) -> Option<String> {
        absolute(&format!("/console/jobs?{query}").parse().ok()?, zone)
    }

    #[test]
    fn local_times_become_absolute_ones() {
        let shanghai =
            address("tag=&since=2026-11-30T08%3A00&before=2026-11-30T09:00:30", Tz::Asia__Shanghai);
        let expected = "/console/jobs?since=2026-11-30T00:00:00Z&before=2026-11-30T01:00:30Z";
        assert_eq!(shanghai.as_deref(), Some(expected));
        for other in ["tag=a", "since=2026-11-30T08:00:00Z", "since=yesterday", "since="] {
            assert_eq!(address(other, Tz::Asia__Shanghai), None, "{other}");
        }
    }

    #[test]
    fn clocks_that_change_lose_no_hour() {
        // 01:30 comes twice on 1 November 2026; 02:30 does not come on 8 March.
        let both = address("since=2026-11-01T01:30&before=2026-11-01T01:30", NEW_YORK);
        let expected = "/console/jobs?since=2026-11-01T05:30:00Z&before=2026-11-01T06:30:00Z";
        assert_eq!(both.as_deref(), Some(expected));
        let gap = address("since=2026-03-08T02:30", NEW_YORK);
        assert_eq!(gap.as_deref(), Some("/console/jobs?since=2026-03-08T07:00:00Z"));
    }

    #[test]
    fn a_time_has_the_offset_of_its_day() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap_or_default();
        let of = |text: &str| stamp(NEW_YORK, at(text));
        assert_eq!(of("2026-11-01T05:30:00Z"), "2026-11-01 01:30:00 -04:00");
        assert_eq!(of("2026-11-01T06:30:00Z"), "2026-11-01 01:30:00 -05:00");
        assert_eq!(stamp(Tz::Asia__Shanghai, at("2026-11-29T16:00:00Z")), "2026-11-30 00:00:00 +08:00");
        assert_eq!(stamp(Tz::UTC, at("2026-11-29T16:00:00Z")), "2026-11-29 16:00:00 UTC");
    }

    #[test]
    fn how_long_ago_is_one_unit() {
        let of = |secs: i64| ago(Lang::English, Utc::now() - TimeDelta::seconds(secs));
        assert_eq!(of(5), "less than 1 min ago");
        assert_eq!((of(200), of(-210)), ("3 min ago".to_owned(), "in 3 min".to_owned()));
        assert_eq!((of(7_300), of(200_000)), ("2 h ago".to_owned(), "2 days ago".to_owned()));
        assert_eq!(ago(Lang::Chinese, Utc::now() - TimeDelta::seconds(200)), "3 分钟前");
    }
}
