//! A request that met a plan which the schema has outlived ([`storage::is_stale_plan`]) is served again by itself, once, on
//! connections made since. Such an answer means that its last transaction changed nothing: a read is read again, and a change is
//! made again as its client would, with the key that it named. What comes most often is not among them, so that it need not be
//! copied beforehand: its statements are made again one by one ([`is_done_within`]).

use crate::storage;
use axum::{
    body::Body,
    extract::Request,
    http::{Method, request::Parts},
    middleware::Next,
    response::Response,
};
use std::sync::{Arc, OnceLock};

/// The mark of an answer that met such a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StalePlan;

/// Where the body of a request is kept once it is read, in case that it is needed again.
#[derive(Clone, Default)]
pub(crate) struct KeptBody(Arc<OnceLock<Vec<u8>>>);

impl KeptBody {
    /// Keeps a copy of the body that was read, if the request has a place for it.
    pub(crate) fn keep(of: Option<Self>, body: &[u8]) {
        if let Some(Self(kept)) = of {
            let _ = kept.set(body.to_vec());
        }
    }
}

/// Serves a request, and once more if need be.
pub(crate) async fn serve(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let kept = KeptBody::default();
    if !is_read(&parts.method) {
        parts.extensions.insert(kept.clone());
    }
    let repeat = parts.clone();
    let response = next.clone().run(Request::from_parts(parts, body)).await;
    if response.extensions().get::<StalePlan>().is_none() {
        return response;
    }
    let Some(request) = repeated(repeat, &kept) else { return response };
    let response = next.run(request).await;
    if response.extensions().get::<StalePlan>().is_some() {
        storage::stale_plan_persists();
    }
    response
}

/// The same request, if its body is known.
fn repeated(parts: Parts, kept: &KeptBody) -> Option<Request> {
    let body = match kept.0.get() {
        Some(body) => Body::from(body.clone()),
        None if is_read(&parts.method) => Body::empty(),
        None => return None,
    };
    Some(Request::from_parts(parts, body))
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Whether a route's statements are made again one by one, so that the request need not be: the flows, whose steps share
/// statements, and the reads that riders make most.
pub(crate) fn is_done_within(method: &Method, route: &str) -> bool {
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
    fn flows_are_not_served_again() {
        let flows = ["/v1/orders", "/v1/orders/{id}/pay", "/v1/orders/{id}/cancel", "/v1/orders/{id}/refund"];
        assert!(flows.iter().all(|route| is_done_within(&Method::POST, route)));
        assert!(is_done_within(&Method::GET, "/v1/orders/{id}"));
        assert!(!is_done_within(&Method::GET, "/v1/orders"));
        assert!(!is_done_within(&Method::POST, "/v1/orders/{id}/evaluation"));
        assert!(!is_done_within(&Method::POST, "/v1/ops/trips"));
    }
}
