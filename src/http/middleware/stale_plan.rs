//! Serves a request again, once, on newer connections when it met a query plan older than the
//! schema ([`storage::is_stale_plan`]). Such a response means that its last transaction changed
//! nothing, so a read is repeated, and a change is repeated as its client would, with the same key.
//! The most frequent requests are not copied for this: they repeat single statements
//! ([`repeats_statements`]).

use crate::storage;
use axum::{
    body::Body,
    extract::Request,
    http::{Method, request::Parts},
    middleware::Next,
    response::Response,
};
use std::sync::{Arc, OnceLock};

/// Marks a response that met such a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StalePlan;

/// A copy of the body of a request, stored once it is read.
#[derive(Clone, Default)]
pub(crate) struct StoredBody(Arc<OnceLock<Vec<u8>>>);

impl StoredBody {
    /// Stores a copy of the body, if the request may be served again.
    pub(crate) fn store(slot: Option<Self>, body: &[u8]) {
        if let Some(Self(stored)) = slot {
            let _ = stored.set(body.to_vec());
        }
    }
}

/// Serves a request, and once more after a stale plan.
pub(crate) async fn serve(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let stored = StoredBody::default();
    if !is_read(&parts.method) {
        parts.extensions.insert(stored.clone());
    }
    let repeat = parts.clone();
    let response = next.clone().run(Request::from_parts(parts, body)).await;
    if response.extensions().get::<StalePlan>().is_none() {
        return response;
    }
    let Some(request) = repeated(repeat, &stored) else { return response };
    let response = next.run(request).await;
    if response.extensions().get::<StalePlan>().is_some() {
        storage::stale_plan_persists();
    }
    response
}

/// The same request, if its body is known.
fn repeated(parts: Parts, stored: &StoredBody) -> Option<Request> {
    let body = match stored.0.get() {
        Some(body) => Body::from(body.clone()),
        None if is_read(&parts.method) => Body::empty(),
        None => return None,
    };
    Some(Request::from_parts(parts, body))
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Whether a route repeats single statements, so that the request need not be repeated: the sagas,
/// whose steps share statements, and the most frequent reads.
pub(crate) fn repeats_statements(method: &Method, route: &str) -> bool {
    if is_read(method) {
        return matches!(route, "/v1/trips" | "/v1/trips/{id}" | "/v1/orders/{id}");
    }
    *method == Method::POST
        && (route == "/v1/orders"
            || route.strip_prefix("/v1/orders/{id}/").is_some_and(|saga| saga != "evaluation"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sagas_are_not_served_again() {
        let sagas = ["/v1/orders", "/v1/orders/{id}/pay", "/v1/orders/{id}/cancel", "/v1/orders/{id}/refund"];
        assert!(sagas.iter().all(|route| repeats_statements(&Method::POST, route)));
        assert!(repeats_statements(&Method::GET, "/v1/orders/{id}"));
        assert!(!repeats_statements(&Method::GET, "/v1/orders"));
        assert!(!repeats_statements(&Method::POST, "/v1/orders/{id}/evaluation"));
        assert!(!repeats_statements(&Method::POST, "/v1/ops/trips"));
    }
}
