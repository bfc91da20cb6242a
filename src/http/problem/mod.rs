//! Problem bodies (RFC 9457) with the original's six-digit codes, titled in English or Chinese.

pub(super) mod catalogue;
mod convert;
mod networks;
mod next;
mod samples;

use super::{
    json::sorted,
    middleware::{context::CONTEXT, stale_plan::StalePlan},
};
use crate::{
    domain::{FieldError, OrderId},
    saga::{RollbackStatus, StepFailure},
    storage::is_unfit,
};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use catalogue::{
    BUSY_JOB, DATABASE, DENIED, INVALID, KEY_REUSED, Kind, LIMITED, MALFORMED, METHOD, MISDIRECTED, MISSING,
    OVERLOADED, RUNNING, SLOW_BODY, STREAMS_FULL, SYSTEM, TIMED_OUT, TOKEN, TOO_LARGE, UNKNOWN,
};
use farebox_jobs::MqTag;
use serde_json::{Map, Value, json};

/// How long a client waits after a 503, seconds.
const RETRY_AFTER_OUTAGE: i64 = 2;
/// How long a client waits while its first request runs, seconds.
const RETRY_AFTER_RUNNING: i64 = 1;

/// Marks the response to a request that the database left without an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DatabaseOutage;

/// Marks the response to a request that waited in vain for a connection of its pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolExhausted;

/// An error response.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) body: Map<String, Value>,
    /// Whether the cause is a query plan older than the schema: the request may be served again.
    pub(crate) stale: bool,
    /// Whether the pool had no connection.
    pool_exhausted: bool,
}

impl Problem {
    fn new(kind: &Kind, detail: impl Into<String>) -> Self {
        let Kind { status, code, english, chinese } = kind;
        let (trace_id, title) = CONTEXT
            .try_with(|c| (c.trace_id.clone(), if c.chinese { chinese } else { english }))
            .unwrap_or_else(|_| (String::new(), english));
        let mut problem = Self { status: *status, body: Map::new(), stale: false, pool_exhausted: false };
        problem.set("type", json!(format!("urn:farebox:problem:{code}")));
        problem.set("title", json!(title));
        problem.set("status", json!(status.as_u16()));
        problem.set("detail", json!(detail.into()));
        problem.set("code", json!(code));
        problem.set("trace_id", json!(trace_id));
        problem
    }

    fn set(&mut self, key: &str, value: Value) {
        self.body.insert(key.to_owned(), value);
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.set(key, value);
        self
    }

    pub(crate) fn field(error: &FieldError) -> Self {
        Self::new(&INVALID, format!("{}: {}", error.pointer, error.rule)).at(error)
    }

    pub(super) fn missing(error: &FieldError) -> Self {
        Self::new(&MISSING, format!("{}: {}", error.pointer, error.rule)).at(error)
    }

    fn at(self, error: &FieldError) -> Self {
        self.with("field", json!(error.pointer)).with("rule", json!(error.rule))
    }

    pub(super) fn malformed(rule: &str) -> Self {
        Self::new(&MALFORMED, rule)
    }

    /// A header that was sent more than once.
    pub(super) fn twice(header: &str) -> Self {
        let rule = "this header may be sent once";
        Self::malformed(&format!("{header}: {rule}")).at(&FieldError::new(header, rule))
    }

    /// A value that the database refused, though a type should have refused it first. The missing
    /// check is logged as an error; the client sees bad input like any other.
    fn unfit(error: &sqlx::Error) -> Self {
        let (code, rule) = error.as_database_error().map_or((None, None), |e| (e.code(), e.constraint()));
        let rule = rule.map_or_else(|| "a value is out of range".to_owned(), str::to_owned);
        let route = CONTEXT.try_with(|context| context.route().to_owned()).unwrap_or_default();
        // The error's own text is not logged: it may quote the value.
        tracing::error!(
            route,
            code = code.as_deref().unwrap_or_default(),
            rule,
            "input reached the database that a type should have refused"
        );
        let detail = format!("a value of this request cannot be kept: {rule}");
        Self::new(&INVALID, detail).with("field", json!("")).with("rule", json!(rule))
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(&TOO_LARGE, format!("a body has at most {limit} bytes"))
    }

    pub(super) fn token() -> Self {
        Self::new(&TOKEN, "sign in, and send the token as Authorization: Bearer")
    }

    pub(crate) fn denied() -> Self {
        Self::new(&DENIED, "your role does not allow this")
    }

    pub(crate) fn ended_form() -> Self {
        Self::new(&DENIED, "the form is of a session that has ended: look at it, and send it again")
    }

    pub(super) fn key_reused() -> Self {
        Self::new(&KEY_REUSED, "this Idempotency-Key was used for another request")
            .with("field", json!("Idempotency-Key"))
    }

    pub(super) fn running() -> Self {
        Self::new(&RUNNING, "the first request with this Idempotency-Key is still running")
            .with("retry_after", json!(RETRY_AFTER_RUNNING))
    }

    pub(super) fn busy_job() -> Self {
        Self::new(&BUSY_JOB, "an attempt is running, or a live job has its key; look again in a moment")
            .with("retry_after", json!(RETRY_AFTER_RUNNING))
    }

    pub(super) fn streams_full(why: &str) -> Self {
        Self::new(&STREAMS_FULL, format!("{why}; ask again, or read the seat map"))
            .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }

    pub(super) fn timed_out() -> Self {
        Self::new(&TIMED_OUT, "the request took too long; what it began goes on, ask again with the same key")
            .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }

    /// 429: beyond a rate limit, or an attempt at a password that comes too soon.
    pub(super) fn limited(retry_after_secs: u64) -> Self {
        Self::new(&LIMITED, format!("try again in {retry_after_secs} s"))
            .with("retry_after", json!(retry_after_secs))
    }

    pub(super) fn overloaded() -> Self {
        Self::new(&OVERLOADED, "more requests are in flight than can be served; nothing was done")
            .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }

    /// 503: the database stopped a statement, so that it does not go on without a reader.
    pub(super) fn stopped() -> Self {
        Self::new(&OVERLOADED, "reading took too long and was stopped: ask for less, or later")
            .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }

    /// 421: a request for another host, as a page of that host can make a browser send it.
    pub(super) fn misdirected() -> Self {
        let rule = "not a host of this API; its operator lists them in http.hosts";
        Self::new(&MISDIRECTED, rule).at(&FieldError::new("Host", rule))
    }

    pub(super) fn slow_body() -> Self {
        Self::new(&SLOW_BODY, "the body did not arrive in time; nothing was done")
    }

    pub(crate) fn broken() -> Self {
        Self::new(&SYSTEM, "something went wrong on our side")
    }

    /// The response to a failed step.
    pub(super) fn failed(failure: &StepFailure, order: OrderId, rollback: Option<RollbackStatus>) -> Self {
        let unfit = failure.cause.downcast_ref::<sqlx::Error>().filter(|error| is_unfit(error));
        let problem = if let Some(error) = unfit {
            Self::unfit(error)
        } else if failure.is_stale() {
            Self { stale: false, ..Self::stale() }
        } else if failure.note_outage() {
            Self::outage()
        } else if failure.is_busy() {
            Self::overloaded()
        } else {
            Self::new(&SYSTEM, what_follows(failure.step))
        };
        let rollback = rollback.map_or("armed", RollbackStatus::as_str);
        problem
            .with("order_id", json!(order))
            .with("tag", json!(failure.step.wire()))
            .with("rollback", json!(rollback))
    }

    fn stale() -> Self {
        let detail =
            "the database's schema changes just now, and nothing was done; ask again with the same key";
        let problem = Self::new(&DATABASE, detail).with("retry_after", json!(RETRY_AFTER_OUTAGE));
        Self { stale: true, ..problem }
    }

    /// 503: the schema has changed again and again, so that fresh connections fail too.
    pub(super) fn not_ready() -> Self {
        Self::new(
            &DATABASE,
            "statements are refused because the schema has changed, on fresh connections too",
        )
        .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }

    pub(super) fn stopping() -> Self {
        Self::new(&OVERLOADED, "the process was asked to stop").with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }

    pub(crate) fn outage() -> Self {
        Self::new(&DATABASE, "the database cannot be reached just now")
            .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }

    /// 503: the pool had no connection, perhaps because the database makes none.
    fn pool_exhausted() -> Self {
        Self { pool_exhausted: true, ..Self::outage() }
    }

    /// 503: the pool had no connection, and the database answers.
    pub(crate) fn no_connection() -> Self {
        Self::new(&OVERLOADED, "all connections of the operators are in use; nothing was done")
            .with("retry_after", json!(RETRY_AFTER_OUTAGE))
    }
}

pub(crate) async fn no_such_route() -> Problem {
    Problem::new(&UNKNOWN, "no such address")
}

pub(super) async fn no_such_method() -> Problem {
    Problem::new(&METHOD, "the address exists, but not for this method")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let retry_after = self.body.get("retry_after").and_then(Value::as_i64);
        let language = language_of(&self.body);
        let outage = self.body.get("code").and_then(Value::as_str) == Some(DATABASE.code);
        let mut response = (self.status, Json(sorted(Value::Object(self.body)))).into_response();
        if self.stale {
            response.extensions_mut().insert(StalePlan);
        }
        if outage {
            response.extensions_mut().insert(DatabaseOutage);
        }
        if self.pool_exhausted {
            response.extensions_mut().insert(PoolExhausted);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONTENT_LANGUAGE, language);
        if let Some(secs) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The language of a problem: that of its title, also when the problem is replayed.
pub(super) fn language_of(body: &Map<String, Value>) -> HeaderValue {
    let chinese = body.get("title").and_then(Value::as_str).is_some_and(|title| !title.is_ascii());
    HeaderValue::from_static(if chinese { "zh" } else { "en" })
}

/// What becomes of what the failed step's saga has begun, as the step's undo does it.
fn what_follows(failed: MqTag) -> &'static str {
    match failed {
        MqTag::Pay | MqTag::PayBack | MqTag::OrderCancel => {
            "a step failed; what was begun is being finished, or undone if that is too late"
        }
        _ => "a step failed; what was done is being undone",
    }
}
