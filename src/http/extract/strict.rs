//! Query strings and forms, parsed strictly: unknown and repeated parameters are refused. What
//! would otherwise be ignored is usually a typing error, and its sender would not notice.

use crate::domain::FieldError;
use serde::de::DeserializeOwned;
use std::collections::HashSet;

/// The similarity from which a known name is suggested for an unknown one, 0 to 1.
const MIN_SIMILARITY: f64 = 0.75;
/// Characters of an unknown name in an error.
const MAX_NAME_CHARS: usize = 100;

/// Names and values, decoded.
pub(crate) type Pairs = Vec<(String, String)>;

/// Checks that each parameter is known, and appears once unless it may be repeated.
pub(crate) fn check_query(query: &str, known: &[&str], repeated: &[&str]) -> Result<(), FieldError> {
    let pairs = pairs(query)?;
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(unknown(name, known));
    }
    once(&pairs, repeated)
}

/// Checks that each name appears once, unless it may be repeated.
pub(crate) fn once(pairs: &Pairs, repeated: &[&str]) -> Result<(), FieldError> {
    let mut seen = HashSet::new();
    let mut again = |name: &String| !seen.insert(name.clone()) && !repeated.contains(&name.as_str());
    match pairs.iter().map(|(name, _)| name).find(|name| again(name)) {
        Some(name) => Err(FieldError::new(name, "it is there twice")),
        None => Ok(()),
    }
}

/// The error for an unknown name, with the known ones.
pub(crate) fn unknown(name: &str, known: &[&str]) -> FieldError {
    let shown: String = name.chars().take(MAX_NAME_CHARS).collect();
    let similarity = |other: &&&str| (strsim::jaro_winkler(name, other) * 1e6) as u64;
    let nearest =
        known.iter().max_by_key(similarity).filter(|near| strsim::jaro_winkler(name, near) >= MIN_SIMILARITY);
    let rule = match (nearest, known.join(", ")) {
        (Some(near), _) => format!("it is not taken here: did you mean `{near}`?"),
        (None, all) if all.is_empty() => "it is not taken here, and no other".to_owned(),
        (None, all) => format!("it is not taken here, only {all}"),
    };
    FieldError::new(shown, rule)
}

/// Parses a query string, or the body of a form, into pairs.
///
/// # Errors
/// Text that is not UTF-8 or holds control characters; the error names the parameter.
pub(crate) fn pairs(text: &str) -> Result<Pairs, FieldError> {
    parsed(text, char::is_control)
}

/// The same for the body of a form with a field of several lines.
///
/// # Errors
/// As [`pairs`], but for the ends of lines and tabulators.
pub(crate) fn pairs_of_lines(text: &str) -> Result<Pairs, FieldError> {
    parsed(text, |c| c.is_control() && !matches!(c, '\r' | '\n' | '\t'))
}

fn parsed(text: &str, is_refused: fn(char) -> bool) -> Result<Pairs, FieldError> {
    let all = text.split('&').filter(|pair| !pair.is_empty());
    all.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let shown =
            || String::from_utf8_lossy(&decoded(name)).chars().take(MAX_NAME_CHARS).collect::<String>();
        let read = |text: &str| {
            let text = String::from_utf8(decoded(text))
                .map_err(|_| FieldError::new(shown(), "text in UTF-8, percent-encoded"))?;
            if text.chars().any(is_refused) {
                return Err(FieldError::new(shown(), "no control characters"));
            }
            Ok(text)
        };
        Ok((read(name)?, read(value)?))
    })
    .collect()
}

/// The decoded bytes: `+` is a blank, `%41` an A. A `%` before anything else is literal, as in
/// browsers.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match (byte, digit(bytes.get(at)), digit(bytes.get(at + 1))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
    }
    decoded
}

/// Deserializes pairs; an error names the pair at fault.
pub(crate) fn read<T: DeserializeOwned>(pairs: &[(String, String)]) -> Result<T, FieldError> {
    let text = serde_urlencoded::to_string(pairs)
        .map_err(|error| FieldError::new("", format!("the parameters cannot be read: {error}")))?;
    let form = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(form).map_err(|error| {
        let rule = error.inner().to_string();
        // serde names the field of these errors only in their text.
        let named = |prefix: &str| rule.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
        if let Some(name) = named("missing field `") {
            return FieldError::new(name, "this field is required");
        }
        if let Some(name) = named("unknown field `") {
            return FieldError::new(name, format!("it is not taken here: {rule}"));
        }
        FieldError::new(error.path().to_string(), rule)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_at_fault(query: &str) -> String {
        check_query(query, &["date", "direction", "ids"], &["ids"])
            .map_or_else(|error| error.pointer, |()| String::new())
    }

    #[test]
    fn parameters_are_known_and_appear_once() {
        for valid in [
            "date=x",
            "date=&direction=1",
            "ids=1&ids=2",
            "&&date",
            "%64ate=1",
            "date=%E7%8E%8B+x",
            "date=100%",
        ] {
            assert_eq!(field_at_fault(valid), "", "{valid}");
        }
        for (query, name) in [
            ("data=1", "data"),
            ("date=1&date=2", "date"),
            ("date=1&%64ate=2", "date"),
            ("date=%00", "date"),
            ("date=%0a", "date"),
            ("date=%ff", "date"),
            ("date=%ed%a0%80", "date"),
            ("Date=1", "Date"),
            ("=1", ""),
            ("date[]=1", "date[]"),
        ] {
            let error = check_query(query, &["date", "direction", "ids"], &["ids"]).expect_err(query);
            assert_eq!(error.pointer, name, "{query}");
        }
        assert!(unknown("data", &["date"]).rule.contains("did you mean `date`"));
        assert!(unknown("x", &["date", "limit"]).rule.contains("only date, limit"));
    }
}
