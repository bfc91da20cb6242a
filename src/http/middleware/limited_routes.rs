//! Which limit a request uses. Every changing route has one, also a route that is added later: what
//! no line names is a change or a read by its method.

use crate::limits::RequestClass;

/// The class of requests whose limit a request of this route uses; `None` for health and metrics,
/// and for a request that only asks what a page of another origin may do.
pub(crate) fn class_of(method: &str, route: &str) -> Option<RequestClass> {
    let reads = matches!(method, "GET" | "HEAD");
    match (method, route) {
        ("OPTIONS", _) | (_, "/health/live" | "/health/ready" | "/metrics") => None,
        ("POST", "/v1/riders") => Some(RequestClass::Register),
        ("POST", "/v1/sessions" | "/v1/sessions/current/confirmation" | "/v1/password-resets")
        | ("PUT", "/v1/riders/me/password") => Some(RequestClass::SignIn),
        ("POST", route) if is_sign_in_page(route) => Some(RequestClass::SignIn),
        ("POST", "/v1/orders") => Some(RequestClass::Book),
        ("POST", "/v1/orders/{id}/pay" | "/v1/payment-authorizations")
        | ("PUT", "/v1/riders/me/pay-password") => Some(RequestClass::Pay),
        ("POST", "/v1/orders/{id}/cancel" | "/v1/orders/{id}/refund") => Some(RequestClass::Refund),
        // Assets and heartbeats are part of each page and cost nothing.
        (
            _,
            "/console/sign-in"
            | "/console/sign-in/beat"
            | "/console/sign-in/reset"
            | "/console/assets/{name}"
            | "/console/beat",
        ) if reads => Some(RequestClass::Read),
        _ if is_operations(route) => Some(if reads { RequestClass::Search } else { RequestClass::Operate }),
        _ => Some(if reads { RequestClass::Read } else { RequestClass::Change }),
    }
}

fn is_operations(route: &str) -> bool {
    route.starts_with("/v1/ops/") || route == "/console" || route.starts_with("/console/")
}

/// Whether a form of the console takes a password or a code.
pub(crate) fn is_sign_in_page(route: &str) -> bool {
    let step = route.strip_prefix("/console/sign-in");
    step.is_some_and(|step| step.is_empty() || step.starts_with('/'))
        || matches!(route, "/console/confirm" | "/console/account/password")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::described;
    use RequestClass::{Book, Change, Operate, Pay, Refund, Register, SignIn};

    /// The changing routes that are not operators', each with its class.
    const CHANGES: [(&str, &str, RequestClass); 23] = [
        ("POST", "/v1/riders", Register),
        ("PATCH", "/v1/riders/me", Change),
        ("PUT", "/v1/riders/me/pay-password", Pay),
        ("POST", "/v1/sessions", SignIn),
        ("DELETE", "/v1/sessions/current", Change),
        ("POST", "/v1/orders", Book),
        ("POST", "/v1/orders/{id}/pay", Pay),
        ("POST", "/v1/orders/{id}/cancel", Refund),
        ("POST", "/v1/orders/{id}/refund", Refund),
        ("POST", "/v1/orders/{id}/evaluation", Change),
        ("POST", "/v1/payment-authorizations", Pay),
        ("PUT", "/v1/riders/me/password", SignIn),
        ("POST", "/v1/password-resets", SignIn),
        ("POST", "/v1/sessions/current/confirmation", SignIn),
        ("DELETE", "/v1/sessions", Change),
        ("DELETE", "/v1/sessions/{id}", Change),
        ("POST", "/console/sign-in", SignIn),
        ("POST", "/console/sign-in/code", SignIn),
        ("POST", "/console/sign-in/enrol", SignIn),
        ("POST", "/console/sign-in/reset", SignIn),
        ("POST", "/console/confirm", SignIn),
        ("POST", "/console/account/password", SignIn),
        ("POST", "/console/account/sessions", Operate),
    ];

    #[test]
    fn every_changing_route_has_a_limit() {
        for (method, route, class) in CHANGES {
            assert_eq!(class_of(method, route), Some(class), "{method} {route}");
        }
        let changes = described().iter().filter(|op| op.method != "get");
        for operation in changes.filter(|op| !op.path.starts_with("/v1/ops/")) {
            let (method, route) = (operation.method.to_uppercase(), operation.path);
            let known = CHANGES.iter().any(|(known, path, _)| *known == method && *path == route);
            assert!(known, "{method} {route} is not in the table above");
        }
        for operation in described().iter().filter(|op| op.path.starts_with("/v1/ops/")) {
            let class = class_of(&operation.method.to_uppercase(), operation.path);
            let expected = if operation.method == "get" { RequestClass::Search } else { Operate };
            assert_eq!(class, Some(expected), "{} {}", operation.method, operation.path);
        }
        // A form of the console that nobody has named here.
        assert_eq!(class_of("POST", "/console/riders/{id}/top-up"), Some(Operate));
    }

    #[test]
    fn every_read_has_a_limit_but_health_and_metrics() {
        for operation in described().iter().filter(|op| op.method == "get") {
            let free = matches!(operation.path, "/health/live" | "/health/ready" | "/metrics");
            assert_eq!(class_of("GET", operation.path).is_none(), free, "{}", operation.path);
        }
    }
}
