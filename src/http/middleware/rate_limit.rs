//! Rate limits before the handler: 429 beyond a quota, and the remaining quota on every limited
//! response (RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10).

use super::{client_address::Address, limited_routes::class_of, validate};
use crate::http::{
    App,
    events::{busy, takes_events},
    extract::remember_caller,
    problem::Problem,
};
use crate::limits::Decision;
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Counts a valid request. Safe to drop: a request counts when it arrives, whatever its result. It
/// is counted before the body is read and before anything is hashed.
pub(crate) async fn limit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if let Err(problem) = validate::check(&request) {
        return problem.into_response();
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(class) = route.and_then(|route| class_of(request.method().as_str(), route)) else {
        return next.run(request).await;
    };
    // A session of the console is bounded by its address.
    let rider = remember_caller(&mut request, &app).map(|caller| caller.rider_id);
    let address = Address::of(request.extensions(), request.headers(), app.settings.http.trusted_proxies);
    let Some(verdict) = app.limits.count(class, rider, address.0).await else {
        return next.run(request).await;
    };
    let mut response = match verdict.retry_after {
        Some(secs) => {
            app.metrics.refused("limited");
            if class.is_read() && takes_events(request.headers()) {
                return busy();
            }
            Problem::limited(secs).into_response()
        }
        None => next.run(request).await,
    };
    if verdict.retry_after.is_some() || !class.is_read() {
        set_headers(&verdict, response.headers_mut());
    }
    response
}

fn set_headers(verdict: &Decision, headers: &mut HeaderMap) {
    let mut list = |name: HeaderName, items: Vec<String>| {
        if let Ok(value) = HeaderValue::from_str(&items.join(", ")) {
            headers.insert(name, value);
        }
    };
    let states = || verdict.states.iter();
    let left = states().map(|s| format!("\"{}\";r={};t={}", s.policy, s.left, s.more_in_secs));
    let policy = states().map(|s| format!("\"{}\";q={};w={}", s.policy, s.quota, s.window_secs));
    list(RATE_LIMIT, left.collect());
    list(RATE_LIMIT_POLICY, policy.collect());
}
