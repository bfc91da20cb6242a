//! The HTTP side of a change that is made once for a client's key.

use super::{
    acknowledged::acknowledge_key,
    json::sorted,
    problem::{Problem, language_of},
};
use crate::idempotency::{
    self, IdempotencyKey, StoredResponse,
    transaction::{BeginOutcome, IdempotentTransaction, ResponsePending},
};
use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use std::sync::Arc;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The reply to a request that ends early: a problem, or the response to an earlier request with its key.
pub(crate) struct Reply(Box<Response>);

impl<E: Into<Problem>> From<E> for Reply {
    fn from(problem: E) -> Self {
        Self(Box::new(problem.into().into_response()))
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// A change that is one transaction. A refusal rolls it back and is stored under the key, unless it says
/// when to try again. A failure of the server rolls it back and is never stored.
pub(crate) struct IdempotentChange {
    change: IdempotentTransaction,
    form: StoredForm,
    key: Option<IdempotencyKey>,
}

/// What is stored of a response of success, and how the response is made of it again. For responses
/// with personal data, which their own requests hold as well: such data is not stored a second time.
#[derive(Clone)]
pub(crate) struct StoredForm {
    /// What of the body is stored.
    shorten: fn(&Value) -> Value,
    /// The body from what is stored and the request, which has the same key and fingerprint.
    restore: Arc<dyn Fn(Value) -> Value + Send + Sync>,
}

impl StoredForm {
    /// The body as it is.
    fn whole() -> Self {
        Self { shorten: Value::clone, restore: Arc::new(|body| body) }
    }

    pub(crate) fn new(
        shorten: fn(&Value) -> Value,
        restore: impl Fn(Value) -> Value + Send + Sync + 'static,
    ) -> Self {
        Self { shorten, restore: Arc::new(restore) }
    }

    /// The stored response, whole again.
    fn restored(&self, stored: StoredResponse) -> StoredResponse {
        match stored {
            StoredResponse::Earlier { status, body } if (200..300).contains(&status) => {
                StoredResponse::Earlier { status, body: (self.restore)(body) }
            }
            other => other,
        }
    }
}

impl IdempotentChange {
    /// Begins the change, or replies with the response to an earlier request with this key.
    pub(crate) async fn begin(pool: &PgPool, key: Option<&IdempotencyKey>) -> Result<Self, Reply> {
        Self::begin_as(pool, key, StoredForm::whole()).await
    }

    /// The same, for a response that is stored in this form.
    pub(crate) async fn begin_as(
        pool: &PgPool,
        key: Option<&IdempotencyKey>,
        form: StoredForm,
    ) -> Result<Self, Reply> {
        match IdempotentTransaction::begin(pool, key).await? {
            BeginOutcome::Started(change) => Ok(Self { change, form, key: key.cloned() }),
            BeginOutcome::Earlier(stored) => Err(Reply(Box::new(replay_of(key, form.restored(stored))?))),
        }
    }

    /// Where the change is made.
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        self.change.conn()
    }

    /// Ends the change with its response.
    pub(crate) async fn end<T: Serialize>(
        self,
        status: StatusCode,
        done: Result<T, impl Into<Problem>>,
    ) -> Result<Response, Reply> {
        match to_body(done) {
            Ok(body) => {
                self.change.respond(status.as_u16(), &(self.form.shorten)(&body)).await?;
                let mut response = response(status, body);
                acknowledge_key(&mut response, self.key.as_ref());
                Ok(response)
            }
            Err(problem) if is_storable(&problem) => {
                let body = Value::Object(problem.body.clone());
                match self.change.refuse(problem.status.as_u16(), &body).await? {
                    StoredResponse::Own => Err(problem.into()),
                    earlier => Ok(replay_of(self.key.as_ref(), self.form.restored(earlier))?),
                }
            }
            Err(problem) => {
                self.change.roll_back().await?;
                Err(problem.into())
            }
        }
    }

    /// Rolls the change back.
    pub(crate) async fn roll_back(self) -> Result<(), Reply> {
        Ok(self.change.roll_back().await?)
    }

    /// Commits the change, which must be repeatable, before its response is known.
    pub(crate) async fn commit(self) -> Result<DeferredChange, Reply> {
        Ok(DeferredChange { pending: self.change.commit().await?, key: self.key })
    }
}

/// A change that is committed, and whose response comes later.
pub(crate) struct DeferredChange {
    pending: ResponsePending,
    key: Option<IdempotencyKey>,
}

impl DeferredChange {
    /// Ends the change with its response.
    pub(crate) async fn end<T: Serialize>(
        self,
        status: StatusCode,
        done: Result<T, impl Into<Problem>>,
    ) -> Result<Response, Reply> {
        let body = to_body(done)?;
        let mut response = match self.pending.respond(status.as_u16(), &body).await? {
            StoredResponse::Own => (status, Json(body)).into_response(),
            earlier => replay(earlier)?,
        };
        acknowledge_key(&mut response, self.key.as_ref());
        Ok(response)
    }
}

/// Replies to a repeated request before work is done that a repetition need not cost.
pub(crate) async fn not_answered_yet(pool: &PgPool, key: Option<&IdempotencyKey>) -> Result<(), Reply> {
    not_answered_as(pool, key, &StoredForm::whole()).await
}

/// The same, for a response that is stored in this form.
pub(crate) async fn not_answered_as(
    pool: &PgPool,
    key: Option<&IdempotencyKey>,
    form: &StoredForm,
) -> Result<(), Reply> {
    let Some(key) = key else { return Ok(()) };
    match idempotency::load(pool, key).await? {
        None | Some(StoredResponse::Reserved(_) | StoredResponse::Running) => Ok(()),
        Some(stored) => Err(Reply(Box::new(replay_of(Some(key), form.restored(stored))?))),
    }
}

/// [`replay`], marked with what it acknowledges.
fn replay_of(key: Option<&IdempotencyKey>, stored: StoredResponse) -> Result<Response, Problem> {
    let mut response = replay(stored)?;
    acknowledge_key(&mut response, key);
    Ok(response)
}

/// The response to an earlier request, marked as a replay.
pub(crate) fn replay(stored: StoredResponse) -> Result<Response, Problem> {
    match stored {
        StoredResponse::Earlier { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let language = body.as_object().map(language_of);
            let mut response = as_replay(self::response(status, sorted(body)));
            if !status.is_success() {
                let problem = HeaderValue::from_static("application/problem+json");
                response.headers_mut().insert(header::CONTENT_TYPE, problem);
                language.map(|language| response.headers_mut().insert(header::CONTENT_LANGUAGE, language));
            }
            Ok(response)
        }
        StoredResponse::OtherBody => Err(Problem::key_reused()),
        StoredResponse::Reserved(_) | StoredResponse::Running | StoredResponse::Own => {
            Err(Problem::running())
        }
    }
}

/// A 204 has no body, though one is stored under its key: there a status comes with a body.
fn response(status: StatusCode, body: Value) -> Response {
    if status == StatusCode::NO_CONTENT {
        status.into_response()
    } else {
        (status, Json(body)).into_response()
    }
}

/// Marks a response as a replay of an earlier one.
pub(crate) fn as_replay(response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// Whether a response is marked as a replay.
pub(crate) fn is_replay(response: &Response) -> bool {
    response.headers().contains_key(REPLAYED)
}

/// The body through a `Value`, so that a replay from the database has the same text.
fn to_body<T: Serialize>(done: Result<T, impl Into<Problem>>) -> Result<Value, Problem> {
    serde_json::to_value(done.map_err(Into::into)?).map(sorted).map_err(|_| Problem::broken())
}

/// A refusal that says when to try again must not be replayed then.
fn is_storable(problem: &Problem) -> bool {
    problem.status.is_client_error() && !problem.body.contains_key("retry_after")
}
