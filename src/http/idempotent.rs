//! The HTTP side of a change that is done once for a client's key.

use super::{
    json::sorted,
    problem::{Problem, language_of},
};
use crate::idempotency::{
    self, IdempotencyKey, Kept,
    transaction::{Begun, Once, Unanswered},
};
use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A request that has its answer already: a problem, or what an earlier request with its key was told.
pub(crate) struct Ended(Box<Response>);

impl<E: Into<Problem>> From<E> for Ended {
    fn from(problem: E) -> Self {
        Self(Box::new(problem.into().into_response()))
    }
}

impl IntoResponse for Ended {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// A change that is one transaction. A refusal undoes it and is kept under the key, unless it says when to try again; a
/// failure of ours undoes it and is never kept.
pub(crate) struct Act(Once);

impl Act {
    /// Begins the change, or answers as an earlier request with this key was answered.
    pub(crate) async fn begin(pool: &PgPool, key: Option<&IdempotencyKey>) -> Result<Self, Ended> {
        match Once::begin(pool, key).await? {
            Begun::Ours(once) => Ok(Self(once)),
            Begun::Earlier(kept) => Err(Ended(Box::new(replay(kept)?))),
        }
    }

    /// Where the change is made.
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        self.0.conn()
    }

    /// Ends the change with its answer.
    pub(crate) async fn end<T: Serialize>(
        self,
        status: StatusCode,
        done: Result<T, impl Into<Problem>>,
    ) -> Result<Response, Ended> {
        match told(done) {
            Ok(body) => {
                self.0.end(status.as_u16(), &body).await?;
                Ok(answer(status, body))
            }
            Err(problem) if is_kept(&problem) => {
                let body = Value::Object(problem.body.clone());
                match self.0.refuse(problem.status.as_u16(), &body).await? {
                    Kept::Ours => Err(problem.into()),
                    earlier => Ok(replay(earlier)?),
                }
            }
            Err(problem) => {
                self.0.give_up().await?;
                Err(problem.into())
            }
        }
    }

    /// Undoes everything: the change is not to be made so.
    pub(crate) async fn give_up(self) -> Result<(), Ended> {
        Ok(self.0.give_up().await?)
    }

    /// Commits the change, which must bear being made again, before its answer is known.
    pub(crate) async fn commit(self) -> Result<Later, Ended> {
        Ok(Later(self.0.commit().await?))
    }
}

/// A change that is committed, and whose answer comes later.
pub(crate) struct Later(Unanswered);

impl Later {
    /// The answer.
    pub(crate) async fn end<T: Serialize>(
        self,
        status: StatusCode,
        done: Result<T, impl Into<Problem>>,
    ) -> Result<Response, Ended> {
        let body = told(done)?;
        match self.0.answer(status.as_u16(), &body).await? {
            Kept::Ours => Ok((status, Json(body)).into_response()),
            earlier => Ok(replay(earlier)?),
        }
    }
}

/// Answers a repeat before work is done that a repeat need not cost.
pub(crate) async fn not_answered_yet(pool: &PgPool, key: Option<&IdempotencyKey>) -> Result<(), Ended> {
    let Some(key) = key else { return Ok(()) };
    match idempotency::load(pool, key).await? {
        None | Some(Kept::Begun(_) | Kept::Running) => Ok(()),
        Some(kept) => Err(Ended(Box::new(replay(kept)?))),
    }
}

/// The answer of an earlier request, told as such.
pub(crate) fn replay(kept: Kept) -> Result<Response, Problem> {
    match kept {
        Kept::Earlier { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let language = body.as_object().map(language_of);
            let mut response = told_again(answer(status, sorted(body)));
            if !status.is_success() {
                let problem = HeaderValue::from_static("application/problem+json");
                response.headers_mut().insert(header::CONTENT_TYPE, problem);
                language.map(|language| response.headers_mut().insert(header::CONTENT_LANGUAGE, language));
            }
            Ok(response)
        }
        Kept::OtherBody => Err(Problem::key_reused()),
        Kept::Begun(_) | Kept::Running | Kept::Ours => Err(Problem::running()),
    }
}

/// A 204 has no body, though one is kept under its key: there a status comes with a body.
fn answer(status: StatusCode, body: Value) -> Response {
    if status == StatusCode::NO_CONTENT {
        status.into_response()
    } else {
        (status, Json(body)).into_response()
    }
}

/// This answer, as one that was given before.
pub(crate) fn told_again(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The body through a `Value`, so that a replay from the database has the same text.
fn told<T: Serialize>(done: Result<T, impl Into<Problem>>) -> Result<Value, Problem> {
    serde_json::to_value(done.map_err(Into::into)?).map(sorted).map_err(|_| Problem::broken())
}

/// A refusal that says when to try again is no answer to give again then.
fn is_kept(problem: &Problem) -> bool {
    problem.status.is_client_error() && !problem.body.contains_key("retry_after")
}
