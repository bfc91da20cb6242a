//! Which of the two languages a client prefers, by the weights of RFC 9110 (12.4.2 and 12.5.4).

use crate::network::Language;
use axum::http::{HeaderMap, HeaderName, header};

/// Most ranges of a header that are read; browsers send fewer.
const MAX_RANGES: usize = 64;

/// Whether Chinese is preferred to English; English is the default.
pub(crate) fn prefers_chinese(headers: &HeaderMap) -> bool {
    let ranges = ranges(headers, &header::ACCEPT_LANGUAGE);
    let (chinese, english) = (weight(&ranges, "zh"), weight(&ranges, "en"));
    // Of two with the same weight, the one that is named first.
    let named_first = chinese.0 == english.0 && chinese.0 > 0 && chinese.1 < english.1;
    chinese.0 > english.0 || named_first
}

/// The language of those offered that a client prefers; the first if it wants none of them. Of tags with
/// the same weight the one whose range says more, then the one that is named first.
pub(crate) fn preferred(headers: &HeaderMap, offered: &[Language]) -> Option<Language> {
    let ranges = ranges(headers, &header::ACCEPT_LANGUAGE);
    let starts = |text: &str, start: &str| {
        let rest = text
            .get(start.len()..)
            .filter(|_| text.as_bytes()[..start.len()].eq_ignore_ascii_case(start.as_bytes()));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let fit = |range: &str, tag: &str| match range {
        "*" => Some(0),
        _ if starts(tag, range) || starts(range, tag) => Some(range.len().min(tag.len())),
        _ => None,
    };
    let place = |tag: &Language| {
        let fitting = ranges.iter().enumerate();
        let fitting =
            fitting.filter_map(|(at, (range, weight))| Some((fit(range, tag.as_str())?, *weight, at)));
        // The range that says most about a tag decides its weight.
        let (says, weight, at) = fitting.max_by_key(|(says, _, at)| (*says, usize::MAX - at))?;
        (weight > 0).then_some((weight, says, usize::MAX - at))
    };
    let wanted = offered.iter().filter_map(|tag| Some((place(tag)?, tag)));
    let best = wanted.rev().max_by_key(|(place, _)| *place).map(|(_, tag)| tag);
    best.or(offered.first()).cloned()
}

/// The weight of a language in thousandths and the position of its range: the heaviest of its own
/// ranges, else `*`.
fn weight(ranges: &[(&str, u16)], language: &str) -> (u16, usize) {
    let of = |wanted: &str| {
        let primary = |range: &str| range.split('-').next().unwrap_or_default().eq_ignore_ascii_case(wanted);
        let fitting = ranges.iter().enumerate().filter(|(_, (range, _))| primary(range));
        fitting.map(|(at, (_, weight))| (*weight, at)).max_by_key(|(weight, at)| (*weight, usize::MAX - at))
    };
    of(language).or_else(|| of("*")).unwrap_or((0, usize::MAX))
}

/// The ranges of a header like `Accept` or `Accept-Language`, with their weights in thousandths.
pub(super) fn ranges<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<(&'a str, u16)> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).take(MAX_RANGES).filter_map(parse_range).collect()
}

/// Parses a range with its weight, thousandths.
fn parse_range(item: &str) -> Option<(&str, u16)> {
    let mut parts = item.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let Some(parameter) = parts.next() else { return Some((range, 1_000)) };
    let (name, value) = parameter.split_once('=')?;
    let weight = Some(value).filter(|_| name.eq_ignore_ascii_case("q") && parts.next().is_none())?;
    Some((range, thousandths(weight)?))
}

/// Parses a weight from 0 to 1 with at most three places.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, places) = weight.split_once('.').unwrap_or((weight, ""));
    let plain = matches!(whole, "0" | "1") && places.len() <= 3 && places.bytes().all(|b| b.is_ascii_digit());
    let places: u16 = format!("{places:0<3}").parse().ok().filter(|_| plain)?;
    let weight = if whole == "1" { 1_000 + places } else { places };
    (weight <= 1_000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn languages_are_weighted() {
        let chinese = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::ACCEPT_LANGUAGE, HeaderValue::from_static(line));
            }
            prefers_chinese(&headers)
        };
        for line in [
            "zh",
            "zh-CN,zh;q=0.9",
            "en;q=0.5, zh-CN;q=0.9",
            "ZH-hans-CN",
            "fr, zh;q=0.1",
            "zh, en",
            "en;q=0, *",
            "zh;q=1.000,en;q=0.999",
            "en ; q=0.2 , zh ; Q=0.3",
            "de, zh;q=0.8, en;q=0.7",
            "en;q=0.3, *;q=0.5",
        ] {
            assert!(chinese(&[line]), "{line}");
        }
        for line in [
            "",
            "en",
            "zh;q=0, en",
            "zh;q=0",
            "en, zh",
            "*",
            "fr",
            "zhx",
            "en-GB, zh;q=0.9",
            "zh;q=0.5, en;q=0.9",
            "zh;q=2, en;q=0.1",
            "zh;q=x",
            "zh;level=1",
            "zh;q=0.0001, en;q=0.1",
            ";q=1",
            "zh;q=0, *",
            "*;q=0.5, zh;q=0.4",
        ] {
            assert!(!chinese(&[line]), "{line}");
        }
        assert!(chinese(&["en;q=0.5", "zh"]) && !chinese(&[]), "several lines are one list");
    }
}
