//! Path and query parameters, pages of lists.

use super::strict;
use crate::{
    domain::{FieldError, Id, OrderId, Refusal, RiderId, TripId},
    http::{App, problem::Problem},
};
use axum::{extract::FromRequestParts, http::request::Parts};
use serde::{Deserialize, de::DeserializeOwned};
use std::str::FromStr;
use uuid::Uuid;

/// Items of a page when the client names no limit.
const DEFAULT_LIMIT: u16 = 20;
/// Most items of a page.
const MAX_LIMIT: u16 = 100;

/// `?limit=&after=`.
#[derive(Deserialize)]
pub(crate) struct Paging {
    limit: Option<u16>,
    pub(crate) after: Option<String>,
}

impl Paging {
    /// The number of items of the page, for a list with the common limits.
    pub(crate) fn limit(&self) -> Result<u16, Problem> {
        self.limit_of(DEFAULT_LIMIT, MAX_LIMIT)
    }

    /// The number of items of the page: `default` if the client names no limit, at most `max`.
    pub(crate) fn limit_of(&self, default: u16, max: u16) -> Result<u16, Problem> {
        limit(self.limit, default, max).map_err(|error| Problem::field(&error))
    }

    /// The cursor: where the previous page ended.
    pub(crate) fn cursor<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        self.after.as_deref().map(cursor).transpose().map_err(|error| Problem::field(&error))
    }
}

/// The one rule for a page's `limit`.
fn limit(given: Option<u16>, default: u16, max: u16) -> Result<u16, FieldError> {
    let limit = given.unwrap_or(default);
    let rule = || FieldError::new("limit", format!("1 to {max}"));
    (1..=max).contains(&limit).then_some(limit).ok_or_else(rule)
}

/// The one rule for a page's `after`.
fn cursor<T: FromStr>(text: &str) -> Result<T, FieldError> {
    text.parse().map_err(|_| FieldError::new("after", "the `next` of the page before"))
}

/// The path's parameters. A path that cannot be parsed names nothing, so it is a 404.
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

/// Parses an order id of the path; text that is no id names nothing.
pub(crate) fn order_id(text: &str) -> Result<OrderId, Problem> {
    id(text, "order").map(OrderId)
}

/// Parses a trip id of the path.
pub(crate) fn trip_id(text: &str) -> Result<TripId, Problem> {
    id(text, "trip").map(TripId)
}

/// Parses a job id of the path.
pub(crate) fn job_id(text: &str) -> Result<Uuid, Problem> {
    id(text, "job")
}

/// Parses a rider id of the path.
pub(crate) fn rider_id(text: &str) -> Result<RiderId, Problem> {
    id(text, "rider").map(RiderId)
}

pub(crate) fn id(text: &str, what: &'static str) -> Result<Uuid, Problem> {
    text.parse().map(|Id(id)| id).map_err(|_| Refusal::NotFound(what).into())
}
