//! Compares what the API answers with its own description, in every test that asks through [`Client`]: a
//! status or a problem that its operation does not describe fails the test.
//!
//! [`Client`]: super::Client

use super::Answer;
use reqwest::Method;
use serde_json::Value;

/// Fails if the operation of this method and path does not describe the answer.
pub fn check(method: &Method, path: &str, answer: &Answer) {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let status = answer.status.as_u16();
    // Answers of proxies are not the API's; a wrong method is no operation's.
    if !answer.headers.contains_key("x-trace-id") || status == 405 {
        return;
    }
    let Some(operation) = operation(&method.as_str().to_lowercase(), path) else { return };
    let response = &operation["responses"][status.to_string()];
    assert!(response.is_object(), "{method} {path} does not describe {status}: {}", answer.text);
    let is_problem =
        answer.headers.get("content-type").is_some_and(|kind| kind == "application/problem+json");
    if is_problem {
        let codes = response["x-problem-codes"].as_array();
        let is_known = codes.is_some_and(|codes| codes.contains(&answer.body["code"]));
        assert!(is_known, "{method} {path} describes {status} with {codes:?} only: {}", answer.text);
    }
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
