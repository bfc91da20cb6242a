//! Request bodies: read up to a limit and in time, parsed with the field at fault in the error.

use crate::{
    domain::FieldError,
    http::{App, middleware::stale_plan::StoredBody, problem::Problem},
};
use axum::extract::{FromRequest, Request};
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::{
    Deserialize, Serialize, Serializer,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// How much of a body that is too large is read before the connection is closed, bytes.
/// A client that is still sending would otherwise not read the response.
const MAX_DRAIN_BYTES: usize = 32 * 1024 * 1024;
/// A parsed body; the caller need not be known.
pub(crate) struct Body<T>(pub(crate) T);

/// An empty body: absent, or `{}`.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmptyBody {}

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        parse(&bytes(request, app).await?).map(Self)
    }
}

/// Reads a body up to the limit. What comes beyond it is read and dropped, up to
/// [`MAX_DRAIN_BYTES`]. A client that is still sending would otherwise see a broken connection
/// instead of the response.
pub(crate) async fn bytes(request: Request, app: &App) -> Result<Vec<u8>, Problem> {
    bytes_up_to(request, app, app.settings.http.body_limit_bytes).await
}

/// As [`bytes`], up to a limit of its own.
pub(crate) async fn bytes_up_to(request: Request, app: &App, limit: usize) -> Result<Vec<u8>, Problem> {
    let time = Duration::from_millis(app.settings.http.body_timeout_ms);
    let stored = request.extensions().get::<StoredBody>().cloned();
    let reading = read(request, limit);
    let body = timeout(time, reading).await.unwrap_or_else(|_| Err(Problem::slow_body()))?;
    StoredBody::store(stored, &body);
    Ok(body)
}

async fn read(request: Request, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut stream = request.into_body().into_data_stream();
    let (mut body, mut length) = (Vec::new(), 0_usize);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("the body could not be read"))?;
        length += chunk.len();
        if length <= limit {
            body.extend_from_slice(&chunk);
        } else if length > MAX_DRAIN_BYTES {
            break;
        }
    }
    if length <= limit { Ok(body) } else { Err(Problem::too_large(limit)) }
}

/// Parses a JSON object; an empty body is an empty object.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = if bytes.is_empty() { b"{}" } else { bytes };
    // serde would also accept a list, with the fields in the order of the source. Of another value it would
    // name the type that it expects.
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::malformed("the body must be a JSON object"));
    }
    if holds_nul(text) {
        let pointer = serde_json::from_slice(text).ok().and_then(|body| nul_at(&body)).unwrap_or_default();
        return Err(Problem::field(&FieldError::new(pointer, "no text may hold U+0000")));
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| explain(&error, text))?;
    json.end().map_err(|error| Problem::malformed(&format!("the body is not one JSON value: {error}")))?;
    Ok(value)
}

/// Whether a string in this JSON text holds `\u0000`, which PostgreSQL cannot store: an escape that
/// is not itself escaped.
fn holds_nul(text: &[u8]) -> bool {
    const NUL: &[u8] = b"\\u0000";
    text.windows(NUL.len())
        .enumerate()
        .filter(|(_, window)| *window == NUL)
        .any(|(at, _)| text[..at].iter().rev().take_while(|byte| **byte == b'\\').count().is_multiple_of(2))
}

/// The pointer to the text, or the field's name, that holds U+0000.
fn nul_at(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| Some(format!("/{at}{}", nul_at(item)?)))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            let inside = if name.contains('\0') { Some(String::new()) } else { nul_at(field) };
            Some(format!("/{name}{}", inside?))
        }),
        _ => None,
    }
}

/// The problem for a parse error, with the pointer to the field at fault.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>, text: &[u8]) -> Problem {
    let inner = error.inner();
    let rule = inner.to_string();
    let rule = rule.split(" at line ").next().unwrap_or_default();
    let path: Vec<String> =
        error.path().iter().map(|segment| segment.to_string().replace(['[', ']'], "")).collect();
    let pointer = |path: &[String]| path.iter().map(|segment| format!("/{segment}")).collect::<String>();
    if !inner.is_data() {
        // serde_json also reports a number in place of a word of an enum as a syntax error.
        if serde_json::from_slice::<IgnoredAny>(text).is_ok() {
            return Problem::field(&FieldError::new(pointer(&path), "not of this field's type"));
        }
        return Problem::malformed(&format!("the body is not JSON: {inner}"));
    }
    // The field may be one of an object within the body.
    let within = |name: &str| {
        let name = name.replace('~', "~0").replace('/', "~1");
        let path = if path.last() == Some(&name) { &path[..path.len() - 1] } else { &path[..] };
        format!("{}/{name}", pointer(path))
    };
    // serde names the field of these three errors only in their text.
    let named = |prefix: &str| rule.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    if let Some(name) = named("missing field `") {
        return Problem::missing(&FieldError::new(within(name), "this field is required"));
    }
    if let Some(name) = named("duplicate field `") {
        return Problem::field(&FieldError::new(within(name), "this field is given twice"));
    }
    if let Some(name) = named("unknown field `") {
        return Problem::field(&FieldError::new(within(name), format!("this field is not taken: {rule}")));
    }
    Problem::field(&FieldError::new(pointer(&path), rule))
}

/// Serializes labels in one order: in an idempotency key they are a set.
pub(crate) fn as_a_set<S: Serializer>(labels: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    let mut labels: Vec<&String> = labels.iter().collect();
    labels.sort_unstable();
    labels.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::holds_nul;

    #[test]
    fn a_nul_differs_from_a_backslash_before_u0000() {
        assert!(holds_nul(br#"{"a":"x\u0000"}"#) && holds_nul(br#"{"a":"\\\u0000"}"#));
        assert!(!holds_nul(br#"{"a":"\\u0000"}"#) && !holds_nul(br#"{"a":"u0000"}"#));
    }
}
