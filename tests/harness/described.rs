//! Compares what the API answers with its own description, in every test that asks through [`Client`]: a
//! status, a problem, a header or a body that its operation does not describe fails the test.
//!
//! [`Client`]: super::Client

use super::{
    Answer,
    fits::{misfits, resolved},
};
use reqwest::Method;
use serde_json::Value;

/// Headers that an answer has only where its operation describes them.
const HEADERS: [&str; 6] =
    ["idempotent-replayed", "retry-after", "etag", "link", "ratelimit", "www-authenticate"];

/// Fails if the operation of this method and path does not describe the answer.
pub fn check(method: &Method, path: &str, answer: &Answer) {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let status = answer.status.as_u16();
    // Answers of proxies are not the API's; a wrong method is no operation's.
    if !answer.headers.contains_key("x-trace-id") || status == 405 {
        return;
    }
    let Some(operation) = operation(&method.as_str().to_lowercase(), path) else { return };
    let response = response(operation, &status.to_string());
    assert!(response.is_object(), "{method} {path} does not describe {status}: {}", answer.text);
    for header in HEADERS.into_iter().filter(|header| answer.headers.contains_key(*header)) {
        let mut described = response["headers"].as_object().into_iter().flatten();
        let is_described = described.any(|(name, _)| name.eq_ignore_ascii_case(header));
        assert!(is_described, "{method} {path} does not describe {header} of {status}: {}", answer.text);
    }
    let media = answer.headers.get("content-type").map_or("", |media| media.to_str().unwrap());
    if media == "application/problem+json" {
        let codes = response["x-problem-codes"].as_array();
        let is_known = codes.is_some_and(|codes| codes.contains(&answer.body["code"]));
        assert!(is_known, "{method} {path} describes {status} with {codes:?} only: {}", answer.text);
    }
    if media.ends_with("json") {
        let content = &response["content"][media];
        assert!(content.is_object(), "{method} {path} does not describe {media} of {status}");
        let mut misfits = misfits(&content["schema"], &answer.body);
        // Tests write failed attempts into the queue themselves, and not all of their fields.
        misfits.retain(|misfit| !(misfit.contains("/attempts/[]/") && misfit.ends_with(" is absent")));
        assert!(misfits.is_empty(), "{method} {path} {status} {misfits:?}: {}", answer.text);
    }
}

/// What the operation says of a status; null if nothing.
pub fn response<'a>(operation: &'a Value, status: &str) -> &'a Value {
    resolved(&operation["responses"][status])
}

/// The operation whose template fits best: a word goes before a parameter.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let parts: Vec<&str> = path.split('/').collect();
    let words = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        let is_word = |(part, own): (&&str, &&str)| own == part;
        let fits = |(part, own): (&&str, &&str)| own == part || (own.starts_with('{') && !part.is_empty());
        let pairs = || parts.iter().zip(&template);
        (parts.len() == template.len() && pairs().all(fits))
            .then(|| pairs().filter(|pair| is_word(*pair)).count())
    };
    let paths = farebox::http::description()["paths"].as_object()?;
    let best = paths.iter().filter_map(|(template, methods)| Some((words(template)?, methods)));
    best.max_by_key(|(words, _)| *words).and_then(|(_, methods)| methods.get(method))
}
