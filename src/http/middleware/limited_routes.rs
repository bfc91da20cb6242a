//! Which routes are rate-limited, and as which action.

use crate::limits::Act;

/// The action whose quota a request uses.
pub(crate) fn action_of(method: &str, route: &str) -> Option<Act> {
    match (method, route) {
        ("POST", "/v1/riders") => Some(Act::Register),
        ("POST", "/v1/sessions" | "/console/sign-in") => Some(Act::SignIn),
        ("POST", "/v1/orders") => Some(Act::Book),
        ("POST", "/v1/orders/{id}/pay" | "/v1/payment-authorizations")
        | ("PUT", "/v1/riders/me/pay-password") => Some(Act::Pay),
        ("POST", "/v1/orders/{id}/cancel" | "/v1/orders/{id}/refund") => Some(Act::Refund),
        _ => None,
    }
}
