//! Checks of a request before its handler: no repeated header that may appear once, and only the
//! query parameters that its operation describes.

use crate::http::{
    extract::strict::check_query,
    openapi::{Operation, described},
    problem::Problem,
};
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, Method, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Headers of one value. Two values are two readings of the request, and a proxy may have chosen
/// the other one.
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

/// [`check`] as middleware, for a router without rate limits.
pub(crate) async fn validate(request: Request, next: Next) -> Response {
    match check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Checks the headers and the query. The console checks the parameters of its pages itself.
pub(crate) fn check(request: &Request) -> Result<(), Problem> {
    check_headers(request.headers())?;
    if request.version() == Version::HTTP_11 && !request.headers().contains_key(header::HOST) {
        return Err(Problem::malformed("host: this header is required"));
    }
    let Some(query) = request.uri().query().filter(|query| !query.is_empty()) else { return Ok(()) };
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let method = if *request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let matches = |operation: &&Operation| {
        Some(operation.path) == route && method.as_str().eq_ignore_ascii_case(operation.method)
    };
    match described().iter().find(matches) {
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
