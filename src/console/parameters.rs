//! The query parameters of each page.

use super::form::REPEATED;

/// The filters of the list of jobs, as `ops::search::JobQuery` names them.
pub(crate) const FILTERS: [&str; 11] =
    ["tag", "state", "key", "serial", "error", "order", "rider", "trip", "since", "before", "failures"];
/// The filters of the list of orders.
pub(crate) const ORDER_FILTERS: [&str; 9] =
    ["state", "departs", "booked", "from", "to", "owed", "rider", "trip", "seat"];

/// Whether the page checks its parameters itself, to refuse them beside its form.
pub(crate) fn refuses_itself(route: &str) -> bool {
    matches!(
        route,
        "/console/search" | "/console/jobs" | "/console/orders" | "/console/riders" | "/console/audit"
    )
}

/// When the jobs of a list ended: from a time, until before another.
pub(crate) const ENDED: [&str; 2] = ["ended_from", "ended_to"];

/// What the query string of a page may hold, by its route; that of a form's address holds nothing.
pub(crate) fn parameters(route: &str) -> Vec<&'static str> {
    match route {
        "/console" | "/console/queues" => vec!["range"],
        "/console/sign-in" | "/console/confirm" => vec!["next"],
        "/console/approvals" | "/console/bulk" => vec!["after"],
        "/console/bulk/new" => [&["act", "one", REPEATED[0]], &FILTERS[..]].concat(),
        "/console/bulk/{id}" => vec!["outcome", "after"],
        "/console/search" => vec!["q"],
        "/console/jobs" => [&FILTERS[..], &ENDED, &["after"]].concat(),
        "/console/orders" => [&ORDER_FILTERS[..], &["after"]].concat(),
        "/console/trips" => vec!["day", "direction", "bus", "state", "after"],
        "/console/trips/{id}/change" => vec!["bus", "price", "prices", "follow"],
        "/console/trips/{id}/{act}" => vec!["message"],
        "/console/riders" => vec!["who"],
        "/console/orders/{id}" => vec!["after"],
        "/console/trips/{id}/manifest" => vec!["after", "ticket"],
        "/console/riders/{id}" => vec!["orders", "entries"],
        "/console/webhooks/{id}" => vec!["state", "after"],
        "/console/webhooks/{id}/{act}" => vec!["event"],
        "/console/audit" => vec!["actor", "act", "subject", "order", "since", "before", "after"],
        _ => Vec::new(),
    }
}
