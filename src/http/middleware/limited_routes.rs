//! Which routes are rate-limited, and as which action.

use crate::limits::RequestClass;

/// The action whose quota a request uses.
pub(crate) fn action_of(method: &str, route: &str) -> Option<RequestClass> {
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
