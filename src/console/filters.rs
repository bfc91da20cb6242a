//! The filters of a list: read by name from the address, and refused by name inside the page, with
//! the form and what was typed kept. A page that is refused so lists nothing.

use super::{
    parameters::parameters,
    session::PageContext,
    time::{presets, time_field},
};
use crate::{
    domain::{Currency, Day, Error, Id, Instant, Localized, Money},
    http::{App, extract::strict},
    storage,
};
use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use chrono::NaiveDate;
use maud::{Markup, html};
use std::{collections::HashSet, convert::Infallible, ops::RangeInclusive};
use uuid::Uuid;

/// Longest value of a filter, characters.
pub(crate) const MAX_CHARS: usize = 200;
/// Characters of an unknown name in a refusal.
const MAX_NAME_CHARS: usize = 100;
/// Length of a date.
const DATE: usize = 10;

/// What an address gives to the filters of its page, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Given {
    pairs: strict::Pairs,
    fault: Option<Fault>,
}

/// A filter that is refused: its name in the address and the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) name: String,
    pub(crate) rule: Localized,
}

impl FromRequestParts<App> for Given {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        let known = route.map(parameters).unwrap_or_default();
        Ok(Self::of(parts.uri.query().unwrap_or_default(), &known))
    }
}

impl Given {
    /// Reads a query string; the fault is the first that its text has, whatever the values mean.
    pub(crate) fn of(query: &str, known: &[&str]) -> Self {
        let decoded = form_urlencoded::parse(query.as_bytes());
        let pairs: strict::Pairs =
            decoded.map(|(name, value)| (name.into_owned(), value.trim().to_owned())).collect();
        let mut given = Self { pairs, fault: None };
        if let Err(error) = strict::pairs(query) {
            let rule = Localized::new(error.rule, "必须是 UTF-8 文本，不含控制字符");
            given.refuse(&error.pointer, rule);
        }
        let mut seen = HashSet::new();
        for (name, value) in given.pairs.clone() {
            let shown: String = name.chars().take(MAX_NAME_CHARS).collect();
            if !known.contains(&name.as_str()) {
                let zh = format!("此页没有这个条件，只有 {}", known.join("、"));
                given.refuse(&shown, Localized::new(strict::unknown(&name, known).rule, zh));
            } else if !seen.insert(name) {
                given.refuse(&shown, Localized::new("it is there twice", "出现了两次"));
            } else if value.chars().count() > MAX_CHARS && shown != "q" {
                let length = value.chars().count();
                let en = format!("at most {MAX_CHARS} characters, this has {length}");
                given
                    .refuse(&shown, Localized::new(en, format!("最多 {MAX_CHARS} 个字符，现有 {length} 个")));
            }
        }
        // What is shown again is text for a form's field.
        for (_, value) in &mut given.pairs {
            value.retain(|c| !c.is_control());
        }
        given
    }

    /// Refuses a filter, unless one is refused already.
    pub(crate) fn refuse(&mut self, name: &str, rule: Localized) {
        self.fault.get_or_insert_with(|| Fault { name: name.to_owned(), rule });
    }

    /// Refuses what took the database too long; passes any other error on.
    pub(crate) fn refuse_stopped(&mut self, error: impl Into<Error>) -> Result<(), Error> {
        let error = error.into();
        let is_stopped = matches!(&error, Error::Broken(cause)
            if cause.downcast_ref::<sqlx::Error>().is_some_and(storage::is_stopped));
        if !is_stopped {
            return Err(error);
        }
        let en = "this searches too much and was stopped: add a filter, or a time";
        self.refuse("", Localized::new(en, "查找范围过大，已停止：请增加条件或缩小时间范围"));
        Ok(())
    }

    /// What is refused.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// The text of a filter; empty if it is not given.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The text of a filter that is given.
    pub(crate) fn some(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn read<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, Localized>) -> Option<T> {
        let text = self.some(name)?;
        read(&text).map_err(|rule| self.refuse(name, rule)).ok()
    }

    /// A whole id.
    pub(crate) fn id(&mut self, name: &str) -> Option<Uuid> {
        self.read(name, |text| {
            text.parse().map(|Id(id)| id).map_err(|_| {
                Localized::new(
                    "a whole id, like 0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511; the search box finds shortened ones",
                    "完整编号，如 0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511；缩短的编号请用搜索框",
                )
            })
        })
    }

    /// One of these words.
    pub(crate) fn choice(&mut self, name: &str, words: &[&str]) -> Option<String> {
        self.read(name, |text| {
            let all = words.join(", ");
            words.contains(&text).then(|| text.to_owned()).ok_or_else(|| {
                Localized::new(format!("one of {all}"), format!("只能是：{}", words.join("、")))
            })
        })
    }

    /// A day.
    pub(crate) fn day(&mut self, name: &str) -> Option<NaiveDate> {
        self.read(name, |text| {
            let rule = |_| Localized::new("a day, like 2026-01-31", "日期，如 2026-01-31");
            text.parse().map(Day::date).map_err(rule)
        })
    }

    /// A time: as RFC 3339 writes it, as the console prints it, or a day's first moment, in UTC.
    pub(crate) fn time(&mut self, name: &str) -> Option<Instant> {
        self.read(name, |text| {
            instant(text).ok_or_else(|| {
                Localized::new(
                    "a day, or a day and a time in UTC, like 2026-01-31 or 2026-01-31 07:50:00",
                    "日期，或日期与时间（UTC），如 2026-01-31 或 2026-01-31 07:50:00",
                )
            })
        })
    }

    /// An amount in the installation's currency.
    pub(crate) fn amount(&mut self, name: &str) -> Option<Money> {
        self.read(name, |text| {
            let currency = Currency::installed();
            let zh = || format!("{currency} 金额，如 {}", Money::of_minor(400));
            Money::read(text, currency).map_err(|en| Localized::new(en, zh()))
        })
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: &str, bounds: RangeInclusive<i32>) -> Option<i32> {
        self.read(name, |text| {
            let (least, most) = (bounds.start(), bounds.end());
            let rule = || {
                let zh = format!("{least} 至 {most} 的整数");
                Localized::new(format!("a whole number from {least} to {most}"), zh)
            };
            text.parse().ok().filter(|number| bounds.contains(number)).ok_or_else(rule)
        })
    }
}

/// A moment in any of the forms that people copy.
fn instant(text: &str) -> Option<Instant> {
    let text = text.trim();
    let (date, time) = match text.get(..DATE) {
        Some(date) if text.len() > DATE => (date, text[DATE..].trim_start_matches([' ', 'T', 't'])),
        _ => (text, "00:00:00Z"),
    };
    let has_zone = time.ends_with(['Z', 'z']) || time.contains('+') || time.contains('-');
    let seconds = if time.len() == "07:50".len() { ":00" } else { "" };
    format!("{date}T{time}{seconds}{}", if has_zone { "" } else { "Z" }).parse().ok()
}

/// A field of a form of filters.
pub(crate) struct Field<'a> {
    pub(crate) name: &'static str,
    pub(crate) label: String,
    pub(crate) kind: Kind<'a>,
}

/// What a field asks for.
pub(crate) enum Kind<'a> {
    /// A text, with an example.
    Text(&'a str),
    /// A day.
    Day,
    /// A time by the viewer's clock.
    Time,
    /// One of these words, each with what is shown for it.
    Choice(Vec<(&'a str, &'a str)>),
}

impl<'a> Field<'a> {
    pub(crate) fn new(name: &'static str, label: impl Into<String>, kind: Kind<'a>) -> Self {
        Self { name, label: label.into(), kind }
    }
}

/// The form with these filters, what was typed in them, and what is refused of it.
pub(crate) fn form(
    context: &PageContext,
    action: &str,
    fields: &[Field<'_>],
    given: &Given,
    button: &str,
) -> Markup {
    let is_given = fields.iter().any(|field| !given.text(field.name).is_empty());
    html! {
        form.card.search_filters action=(action) {
            (refusal(context, fields, given))
            div.filters { @for field in fields {
                @if is_time(field, given) { (time_field(context, field.name, &field.label, given.text(field.name))) }
                @else { div {
                    label for=(field.name) { (field.label) }
                    (input(context, field, given))
                } }
            } }
            @if fields.iter().any(|field| matches!(field.kind, Kind::Time)) { (presets(context)) }
            button.primary type="submit" { (button) }
            @if is_given || given.fault.is_some() { " " a href=(action) { (context.t("Without filters", "清除筛选")) } }
        }
    }
}

/// Whether a field is shown as a picker of times: one that holds anything else is a text, which a browser
/// would empty.
fn is_time(field: &Field<'_>, given: &Given) -> bool {
    let value = given.text(field.name);
    matches!(field.kind, Kind::Time) && (value.is_empty() || value.parse::<Instant>().is_ok())
}

/// Which field is refused, and its rule.
fn refusal(context: &PageContext, fields: &[Field<'_>], given: &Given) -> Markup {
    let Some(Fault { name, rule }) = &given.fault else { return html! {} };
    let label = fields.iter().find(|field| field.name == name).map_or(name.as_str(), |field| &field.label);
    html! {
        p.notice.bad #refused role="alert" {
            @if !name.is_empty() { strong { (label) } }
            @if label != name { " (" code { (name) } ")" }
            @if !name.is_empty() { ": " } (context.t(&rule.en, &rule.zh))
        }
    }
}

fn input(context: &PageContext, field: &Field<'_>, given: &Given) -> Markup {
    let (name, value) = (field.name, given.text(field.name));
    let is_refused = given.fault.as_ref().is_some_and(|fault| fault.name == name);
    let (invalid, why) = (is_refused.then_some("true"), is_refused.then_some("refused"));
    html! { @match &field.kind {
        Kind::Choice(words) => { select id=(name) name=(name) aria-invalid=[invalid] aria-describedby=[why] {
            option value="" { (context.t("any", "任意")) }
            @for (word, shown) in words { option value=(word) selected[*word == value] { (shown) } }
            // What was sent stays, also if it is none of the words.
            @if !value.is_empty() && words.iter().all(|(word, _)| *word != value) { option value=(value) selected { (value) } }
        } }
        // A browser empties a field for days that holds anything else.
        Kind::Day if value.is_empty() || value.parse::<Day>().is_ok() => {
            input id=(name) name=(name) type="date" value=(value);
        }
        kind => {
            @let example = match kind { Kind::Text(example) => example, Kind::Time => "2026-01-31 07:50:00", _ => "2026-01-31" };
            input id=(name) name=(name) type="text" value=(value) autocomplete="off" aria-invalid=[invalid]
                aria-describedby=[why] placeholder=[Some(example).filter(|example| !example.is_empty())];
        }
    } }
}

/// A page with its filters refused has the status of a refusal.
pub(crate) fn answered(given: &Given, page: Response) -> Response {
    if given.fault.is_some() { (StatusCode::UNPROCESSABLE_ENTITY, page).into_response() } else { page }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(query: &str) -> Given {
        Given::of(query, &["state", "day", "q"])
    }

    #[test]
    fn the_first_fault_is_named_and_what_was_typed_is_kept() {
        for (query, name) in [
            ("statee=paid", "statee"),
            ("state=paid&state=paid", "state"),
            ("day=%00", "day"),
            ("state=%ff", "state"),
            (&*format!("state={}", "x".repeat(MAX_CHARS + 1)), "state"),
        ] {
            assert_eq!(given(query).fault.map(|fault| fault.name).as_deref(), Some(name), "{query}");
        }
        let mut odd = given("day=today&state=+paid+");
        assert_eq!(odd.fault, None);
        assert_eq!(odd.choice("state", &["paid"]).as_deref(), Some("paid"));
        assert_eq!(odd.day("day"), None);
        assert_eq!(odd.fault().map(|fault| fault.name.as_str()), Some("day"));
        assert_eq!(odd.text("day"), "today");
    }

    #[test]
    fn times_are_read_in_each_form_that_the_console_prints() {
        for text in ["2026-11-28", "2026-11-28 00:00:00", "2026-11-28T00:00", "2026-11-28T08:00:00+08:00"] {
            let at = instant(text).map(|at| at.utc().to_rfc3339());
            assert_eq!(at.as_deref(), Some("2026-11-28T00:00:00+00:00"), "{text}");
        }
        for text in ["2026-11-31", "28.11.2026", "today", "2026-11-28 25:00", "", "王王王王"] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
