//! The error type of pages: a problem, which [`guard`](super::guard::guard) turns into a page.

use crate::{
    domain::{Error, FieldError, Refusal},
    http::problem::Problem,
};
use axum::response::{IntoResponse, Response};

/// The result of a page's handler.
pub(crate) type PageResult = Result<Response, Failure>;

/// Why there is no page.
#[derive(Debug)]
pub(crate) struct Failure(Problem);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self(error.into())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl From<FieldError> for Failure {
    fn from(error: FieldError) -> Self {
        Self(Problem::field(&error))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
