//! The preamble of a handler as one argument: who calls, the body, the idempotency key, the armed faults.

pub(crate) mod strict;

use super::{
    App,
    keyed_hash::keyed_hash,
    middleware::{admission::Place, stale_plan::KeptBody},
    problem::Problem,
};
use crate::{
    accounts::{Caller, NewRider, user_name},
    domain::{FieldError, Id, OrderId, Refusal, RiderId, TripId},
    idempotency::IdempotencyKey,
    saga::{Faults, SagaContext},
};
use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
};
use futures_util::StreamExt;
use hmac::Mac;
use schemars::JsonSchema;
use serde::{
    Deserialize, Serialize, Serializer,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;
use std::{str::FromStr, sync::Arc, time::Duration};
use tokio::time::timeout;
use uuid::Uuid;

/// Longest idempotency key.
const LONGEST_KEY: usize = 200;
/// How much of a body that is too large is read before the connection is given up, bytes.
const DRAIN: usize = 32 * 1024 * 1024;
/// Items of a page when the client names no limit, and at the most.
const PAGE: (u16, u16) = (20, 100);

/// Any signed-in caller.
pub(crate) struct SignedIn(pub(crate) Caller);

/// A caller who may read the operations side.
pub(crate) struct Viewer;

/// A body and what it says; the caller need not be known.
pub(crate) struct Body<T>(pub(crate) T);

/// A change by a signed-in caller.
pub(crate) struct Change<T> {
    pub(crate) caller: Caller,
    pub(crate) saga: SagaContext,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) body: T,
}

/// A change by an operator.
pub(crate) struct OpsChange<T>(pub(crate) Change<T>);

/// A registration: nobody is known yet.
pub(crate) struct Registering {
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) body: NewRider,
}

/// A body that has nothing to say: absent, or `{}`.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// `?limit=&after=`.
#[derive(Deserialize)]
pub(crate) struct Paging {
    limit: Option<u16>,
    pub(crate) after: Option<String>,
}

impl Paging {
    /// Items of the page, of a list that has no numbers of its own.
    pub(crate) fn limit(&self) -> Result<u16, Problem> {
        self.limit_of(PAGE.0, PAGE.1)
    }

    /// Items of the page: `default` if the client names no limit, `most` at the most.
    pub(crate) fn limit_of(&self, default: u16, most: u16) -> Result<u16, Problem> {
        limit(self.limit, default, most).map_err(|error| Problem::field(&error))
    }

    /// Where the page before ended.
    pub(crate) fn cursor<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        self.after.as_deref().map(cursor).transpose().map_err(|error| Problem::field(&error))
    }
}

/// The one rule for a page's `limit`.
fn limit(given: Option<u16>, default: u16, most: u16) -> Result<u16, FieldError> {
    let limit = given.unwrap_or(default);
    let rule = || FieldError::new("limit", format!("1 to {most}"));
    (1..=most).contains(&limit).then_some(limit).ok_or_else(rule)
}

/// The one rule for a page's `after`.
fn cursor<T: FromStr>(text: &str) -> Result<T, FieldError> {
    text.parse().map_err(|_| FieldError::new("after", "the `next` of the page before"))
}

/// The address's parameters. An address that does not read as one names nothing.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, app).await;
        read.map(|axum::extract::Path(value)| Self(value)).map_err(|_| Refusal::NotFound("thing").into())
    }
}

/// A query string's parameters.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let pairs = strict::pairs(parts.uri.query().unwrap_or_default());
        pairs.and_then(|pairs| strict::read(&pairs)).map(Self).map_err(|error| Problem::field(&error))
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        caller(&parts.headers, app).map(Self)
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if caller(&parts.headers, app)?.role.may_view() { Ok(Self) } else { Err(Problem::denied()) }
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        parse(&bytes(request, app).await?).map(Self)
    }
}

impl<T: DeserializeOwned + Serialize> FromRequest<App> for Change<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let caller = caller(request.headers(), app)?;
        if !caller.role.may_change() {
            return Err(Problem::denied());
        }
        let faults = faults(request.headers(), app)?;
        let key = idempotency_key(&request)?;
        let place = request.extensions().get::<Place>().map(|place| Arc::clone(&place.0));
        let (sent, scope) = scopes(&request);
        let bytes = bytes(request, app).await?;
        let body = parse(&bytes)?;
        let key = key
            .map(|key| {
                let understood = fingerprint(app, &[scope.as_bytes(), &canonical(&body)?])?;
                let as_sent = fingerprint(app, &[sent.as_bytes(), &bytes])?;
                Ok::<_, Problem>(IdempotencyKey {
                    actor: caller.rider_id,
                    key,
                    fingerprint: understood,
                    as_sent,
                })
            })
            .transpose()?;
        Ok(Self { caller, saga: SagaContext { faults, place, ..app.saga.clone() }, key, body })
    }
}

impl<T: DeserializeOwned + Serialize> FromRequest<App> for OpsChange<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !caller(request.headers(), app)?.role.may_operate() {
            return Err(Problem::denied());
        }
        Change::from_request(request, app).await.map(Self)
    }
}

impl FromRequest<App> for Registering {
    type Rejection = Problem;

    /// Whose key is it, when nobody is signed in? The name's that is asked for: strangers who take different names never
    /// meet, whatever their keys. Whoever asks for the same name with the same key gets the first answer only with the
    /// first body, which holds the password; with another he learns that the name is taken, as without a key.
    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let key = idempotency_key(&request)?;
        let bytes = bytes(request, app).await?;
        let body: NewRider = parse(&bytes)?;
        let Some(key) = key else { return Ok(Self { key: None, body }) };
        let name = fingerprint(
            app,
            &[b"the one who registers as\n", user_name::folded(&body.user_name).as_bytes()],
        )?;
        let name = name.first_chunk::<16>().ok_or_else(Problem::broken)?;
        // A random UUID's layout, which no account's (UUIDv7) ever has.
        let actor = RiderId(uuid::Builder::from_random_bytes(*name).into_uuid());
        let understood = fingerprint(app, &[b"POST /v1/riders\n", &canonical(&body)?])?;
        let as_sent = fingerprint(app, &[b"POST /v1/riders\n", &bytes])?;
        Ok(Self { key: Some(IdempotencyKey { actor, key, fingerprint: understood, as_sent }), body })
    }
}

/// Method and path, as they were sent, and as they are understood: an id is the same however its letters are written.
fn scopes(request: &Request) -> (String, String) {
    let (method, path) = (request.method(), request.uri().path());
    let same =
        |segment: &str| Uuid::parse_str(segment).map_or_else(|_| segment.to_owned(), |id| id.to_string());
    let plain = path.split('/').map(same).collect::<Vec<_>>().join("/");
    (format!("{method} {path}\n"), format!("{method} {plain}\n"))
}

/// A body as it was understood: the order of its members, blanks, escapes and the forms of a number or a time are gone, and so
/// is what is left out from what is `null` (where they differ, the type tells them apart).
fn canonical(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(body).map_err(|_| Problem::broken())
}

/// Labels that say the same in any order.
pub(crate) fn as_a_set<S: Serializer>(labels: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    let mut labels: Vec<&String> = labels.iter().collect();
    labels.sort_unstable();
    labels.serialize(serializer)
}

/// The keyed hash of the parts, as bytes.
fn fingerprint(app: &App, parts: &[&[u8]]) -> Result<Vec<u8>, Problem> {
    Ok(keyed_hash(app, parts)?.finalize().into_bytes().to_vec())
}

/// The caller if there is a valid token, nobody otherwise: for pages that anybody may read.
pub(crate) fn maybe_caller(headers: &HeaderMap, app: &App) -> Option<Caller> {
    caller(headers, app).ok()
}

/// An id of the path. One that is no id names nothing.
pub(crate) fn order_id(text: &str) -> Result<OrderId, Problem> {
    id(text, "order").map(OrderId)
}

pub(crate) fn trip_id(text: &str) -> Result<TripId, Problem> {
    id(text, "trip").map(TripId)
}

pub(crate) fn job_id(text: &str) -> Result<Uuid, Problem> {
    id(text, "job")
}

pub(crate) fn rider_id(text: &str) -> Result<RiderId, Problem> {
    id(text, "rider").map(RiderId)
}

pub(crate) fn id(text: &str, what: &'static str) -> Result<Uuid, Problem> {
    text.parse().map(|Id(id)| id).map_err(|_| Refusal::NotFound(what).into())
}

fn caller(headers: &HeaderMap, app: &App) -> Result<Caller, Problem> {
    token(headers).and_then(|token| app.sessions.read(token)).ok_or_else(Problem::token)
}

/// RFC 9110, 11.4: the scheme in any case, one blank or more, the token.
fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

fn faults(headers: &HeaderMap, app: &App) -> Result<Faults, Problem> {
    let Some(value) = headers.get("farebox-fault") else { return Ok(app.saga.faults.clone()) };
    let error = |rule: String| Problem::field(&FieldError::new("Farebox-Fault", rule));
    if !app.settings.faults.enabled {
        return Err(error("faults are switched off here".to_owned()));
    }
    let text = value.to_str().map_err(|e| error(e.to_string()))?;
    let more: Faults = text.parse().map_err(|e: crate::saga::FaultSyntax| error(e.to_string()))?;
    Ok(app.saga.faults.and(&more))
}

fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let printable = |text: &&str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let text = value.to_str().ok().filter(|text| (1..=LONGEST_KEY).contains(&text.len())).filter(printable);
    let rule = format!("1 to {LONGEST_KEY} printable ASCII characters (0x20 to 0x7E)");
    let refused = || Problem::field(&FieldError::new("Idempotency-Key", rule));
    text.map(|text| Some(text.to_owned())).ok_or_else(refused)
}

/// Reads a body up to the limit. What comes beyond it is read and thrown away, up to [`DRAIN`]: a client that is still
/// sending would otherwise see a broken connection instead of the answer.
pub(crate) async fn bytes(request: Request, app: &App) -> Result<Vec<u8>, Problem> {
    let time = Duration::from_millis(app.settings.http.body_timeout_ms);
    let kept = request.extensions().get::<KeptBody>().cloned();
    let reading = read(request, app.settings.http.body_limit_bytes);
    let body = timeout(time, reading).await.unwrap_or_else(|_| Err(Problem::slow_body()))?;
    KeptBody::keep(kept, &body);
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
        } else if length > DRAIN {
            break;
        }
    }
    if length <= limit { Ok(body) } else { Err(Problem::too_large(limit)) }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = if bytes.is_empty() { b"{}" } else { bytes };
    // A list would do as well for serde, field after field in the order of the source.
    if text.trim_ascii_start().starts_with(b"[") {
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

/// Whether a string in this JSON text, which the database could not keep, holds `\u0000`: an escape that is not itself escaped.
fn holds_nul(text: &[u8]) -> bool {
    const NUL: &[u8] = b"\\u0000";
    text.windows(NUL.len())
        .enumerate()
        .filter(|(_, window)| *window == NUL)
        .any(|(at, _)| text[..at].iter().rev().take_while(|byte| **byte == b'\\').count().is_multiple_of(2))
}

/// Where in the body a text (or a field's name) holds U+0000.
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

fn explain(error: &serde_path_to_error::Error<serde_json::Error>, text: &[u8]) -> Problem {
    let inner = error.inner();
    let rule = inner.to_string();
    let rule = rule.split(" at line ").next().unwrap_or_default();
    let path: Vec<String> =
        error.path().iter().map(|segment| segment.to_string().replace(['[', ']'], "")).collect();
    let pointer = |path: &[String]| path.iter().map(|segment| format!("/{segment}")).collect::<String>();
    if !inner.is_data() {
        // serde_json says so as well of a number where one of several words is to stand.
        if serde_json::from_slice::<IgnoredAny>(text).is_ok() {
            return Problem::field(&FieldError::new(pointer(&path), "not of this field's type"));
        }
        return Problem::malformed(&format!("the body is not JSON: {inner}"));
    }
    // Of an object within the body, if it is one.
    let within = |name: &str| {
        let name = name.replace('~', "~0").replace('/', "~1");
        let path = if path.last() == Some(&name) { &path[..path.len() - 1] } else { &path[..] };
        format!("{}/{name}", pointer(path))
    };
    // serde names the field of these three only in its text.
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

#[cfg(test)]
mod tests {
    use super::holds_nul;

    #[test]
    fn a_nul_is_told_from_a_backslash_before_u0000() {
        assert!(holds_nul(br#"{"a":"x\u0000"}"#) && holds_nul(br#"{"a":"\\\u0000"}"#));
        assert!(!holds_nul(br#"{"a":"\\u0000"}"#) && !holds_nul(br#"{"a":"u0000"}"#));
    }
}
