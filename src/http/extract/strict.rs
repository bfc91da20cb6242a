//! What a request is held to before its handler: no header twice that may be there once, no parameter that the address does
//! not take. What would be ignored is most often a slip, and its sender would not learn of it.

use crate::domain::FieldError;
use crate::http::{openapi::described, problem::Problem};
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use std::collections::HashSet;

/// Headers of one value. Two of one of them are two readings of the request, and a proxy may have chosen the other.
const SINGLE: [HeaderName; 8] = [
    header::HOST,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("farebox-fault"),
    HeaderName::from_static("last-event-id"),
    header::ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
];
/// How like a known name another has to be to be taken for a slip of it.
const LIKE: f64 = 0.75;
/// Characters of an unknown name that are told.
const NAME_SHOWN: usize = 100;

/// Name and value, decoded.
pub(crate) type Pairs = Vec<(String, String)>;

/// [`check`] alone, for a router that has no limits.
pub(crate) async fn checked(request: Request, next: Next) -> Response {
    match check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Whether the request may go on. The console holds its pages to their parameters itself.
pub(crate) fn check(request: &Request) -> Result<(), Problem> {
    check_headers(request.headers())?;
    let Some(query) = request.uri().query().filter(|query| !query.is_empty()) else { return Ok(()) };
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let method = if *request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let is_this = |path: &str, verb: &str| Some(path) == route && method.as_str().eq_ignore_ascii_case(verb);
    match described().iter().find(|operation| is_this(operation.path, operation.method)) {
        Some(operation) => {
            let known: Vec<&str> = operation.parameters().collect();
            check_query(query, &known, &[]).map_err(|error| Problem::field(&error))
        }
        None => Ok(()),
    }
}

fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    match SINGLE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        Some(name) => Err(Problem::twice(name.as_str())),
        None => Ok(()),
    }
}

/// Whether each parameter is one of these, and there once, unless it may be repeated.
pub(crate) fn check_query(query: &str, known: &[&str], repeated: &[&str]) -> Result<(), FieldError> {
    let pairs = pairs(query)?;
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(unknown(name, known));
    }
    once(&pairs, repeated)
}

/// Whether each name is there once, unless it may be repeated.
pub(crate) fn once(pairs: &Pairs, repeated: &[&str]) -> Result<(), FieldError> {
    let mut seen = HashSet::new();
    let mut again = |name: &String| !seen.insert(name.clone()) && !repeated.contains(&name.as_str());
    match pairs.iter().map(|(name, _)| name).find(|name| again(name)) {
        Some(name) => Err(FieldError::new(name, "it is there twice")),
        None => Ok(()),
    }
}

/// A name that is not taken, with those that are.
pub(crate) fn unknown(name: &str, known: &[&str]) -> FieldError {
    let shown: String = name.chars().take(NAME_SHOWN).collect();
    let likeness = |other: &&&str| (strsim::jaro_winkler(name, other) * 1e6) as u64;
    let nearest = known.iter().max_by_key(likeness).filter(|near| strsim::jaro_winkler(name, near) >= LIKE);
    let rule = match (nearest, known.join(", ")) {
        (Some(near), _) => format!("it is not taken here: did you mean `{near}`?"),
        (None, all) if all.is_empty() => "it is not taken here, and no other".to_owned(),
        (None, all) => format!("it is not taken here, only {all}"),
    };
    FieldError::new(shown, rule)
}

/// A query string, or a form's body, as pairs.
///
/// # Errors
/// What is not UTF-8, or holds control characters, with the name that it stands under.
pub(crate) fn pairs(text: &str) -> Result<Pairs, FieldError> {
    let all = text.split('&').filter(|pair| !pair.is_empty());
    all.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let shown = || String::from_utf8_lossy(&decoded(name)).chars().take(NAME_SHOWN).collect::<String>();
        let read = |text: &str| {
            let text = String::from_utf8(decoded(text))
                .map_err(|_| FieldError::new(shown(), "text in UTF-8, percent-encoded"))?;
            if text.chars().any(char::is_control) {
                return Err(FieldError::new(shown(), "no control characters"));
            }
            Ok(text)
        };
        Ok((read(name)?, read(value)?))
    })
    .collect()
}

/// Its bytes: `+` is a blank, `%41` an A. A `%` before anything else stands for itself, as in browsers.
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

/// What the pairs say; an error names the pair at fault.
pub(crate) fn read<T: DeserializeOwned>(pairs: &[(String, String)]) -> Result<T, FieldError> {
    let text = serde_urlencoded::to_string(pairs)
        .map_err(|error| FieldError::new("", format!("the parameters cannot be read: {error}")))?;
    let form = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(form).map_err(|error| {
        let rule = error.inner().to_string();
        // serde names the field of these only in its text.
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

    fn told(query: &str) -> String {
        check_query(query, &["date", "direction", "ids"], &["ids"])
            .map_or_else(|error| error.pointer, |()| String::new())
    }

    #[test]
    fn parameters_are_known_and_there_once() {
        for fine in [
            "date=x",
            "date=&direction=1",
            "ids=1&ids=2",
            "&&date",
            "%64ate=1",
            "date=%E7%8E%8B+x",
            "date=100%",
        ] {
            assert_eq!(told(fine), "", "{fine}");
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
