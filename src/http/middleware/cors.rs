//! The other origins whose pages may call the API.

use crate::settings::Origins;
use axum::http::{HeaderName, HeaderValue, Method, header};
use std::time::Duration;
use tower_http::cors::{Any, CorsLayer};

/// How long a browser may cache the response to a preflight request.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// The layer for these origins, if there are any. Callers have a bearer token and no cookie, so
/// credentials are not allowed.
pub(crate) fn layer(origins: &Origins) -> Option<CorsLayer> {
    if origins.0.is_empty() {
        return None;
    }
    let name = HeaderName::from_static;
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT_LANGUAGE,
            header::IF_NONE_MATCH,
            name("idempotency-key"),
            name("last-event-id"),
            name("x-request-id"),
            name("traceparent"),
        ])
        .expose_headers([
            header::RETRY_AFTER,
            header::ETAG,
            header::LINK,
            name("deprecation"),
            name("sunset"),
            name("ratelimit"),
            name("ratelimit-policy"),
            name("idempotent-replayed"),
            name("x-request-id"),
            name("x-trace-id"),
            name("traceresponse"),
        ])
        .max_age(MAX_AGE);
    if origins.0.iter().any(|origin| origin == "*") {
        return Some(layer.allow_origin(Any));
    }
    let allowed: Vec<HeaderValue> = origins.0.iter().filter_map(|origin| origin.parse().ok()).collect();
    Some(layer.allow_origin(allowed))
}
