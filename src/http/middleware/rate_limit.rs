//! Limits before the handler: 429 for what is beyond, and on every limited answer how much is left (RateLimit and
//! RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10).

use super::client_address::Address;
use crate::http::{
    App,
    extract::{maybe_caller, strict},
    problem::Problem,
};
use crate::limits::{Decision, RequestClass};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What each limited address of the API is.
pub(crate) fn act_of(method: &str, route: &str) -> Option<RequestClass> {
    match (method, route) {
        ("POST", "/v1/riders") => Some(RequestClass::Register),
        ("POST", "/v1/sessions" | "/console/sign-in") => Some(RequestClass::SignIn),
        ("POST", "/v1/orders") => Some(RequestClass::Book),
        ("POST", "/v1/orders/{id}/pay" | "/v1/payment-authorizations")
        | ("PUT", "/v1/riders/me/pay-password") => Some(RequestClass::Pay),
        ("POST", "/v1/orders/{id}/cancel" | "/v1/orders/{id}/refund") => Some(RequestClass::Refund),
        _ => None,
    }
}

/// Counts the request, if it is one that can be served. Safe to drop: a request counts when it comes, whatever becomes of
/// it. It comes before the body is read and before anything is hashed.
pub(crate) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    if let Err(problem) = strict::check(&request) {
        return problem.into_response();
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(act) = route.and_then(|route| act_of(request.method().as_str(), route)) else {
        return next.run(request).await;
    };
    let rider = maybe_caller(request.headers(), &app).map(|caller| caller.rider_id);
    let address = Address::of(request.extensions(), request.headers(), app.settings.http.trusted_proxies);
    let Some(verdict) = app.limits.count(act, rider, address.0).await else {
        return next.run(request).await;
    };
    let mut response = match verdict.retry_after {
        Some(secs) => {
            app.metrics.refused("limited");
            Problem::limited(secs).into_response()
        }
        None => next.run(request).await,
    };
    tell(&verdict, response.headers_mut());
    response
}

fn tell(verdict: &Decision, headers: &mut HeaderMap) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::described;

    #[test]
    fn what_is_limited_is_there_under_this_address() {
        let limited = described().iter().filter(|op| act_of(&op.method.to_uppercase(), op.path).is_some());
        assert_eq!(limited.count(), 8, "every address in the table above, and no other");
    }
}
