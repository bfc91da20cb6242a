//! The operations console: what the person on call opens when an alert fires. Pages are rendered here, of what the rooms
//! behind `/v1/ops` tell, and act through the same functions; nothing is decided in a page.
//!
//! Closed by default: a page takes a [`Visit`](session::Visit), a form a [`Deed`](session::Deed), and neither can be had
//! without a session of the right role. [`live`] keeps marked parts of any page current.

#![allow(clippy::needless_pass_by_value, reason = "markup is passed on as it is made")]
#![allow(clippy::result_large_err, reason = "what refuses a request is its whole answer")]

mod assets;
mod chart;
mod layout;
mod pages;
mod session;

use crate::http::{App, Pages};
use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use pages::{
    audit, bulk, home,
    jobs::{self, FILTERS},
    live, order, orders, preferences, queues, riders, search, sign_in, trips,
};
use std::sync::Arc;

/// The console, for [`http::serve`](crate::http::serve).
pub fn pages(app: &App) -> Pages {
    let around =
        |all: Router<App>, app: &App| all.layer(from_fn_with_state(Arc::new(app.reserved()), layout::guard));
    Pages { routes: router(app), around }
}

/// What the query string of a page may hold, by its route; that of a form's address holds nothing.
fn parameters(route: &str) -> Vec<&'static str> {
    match route {
        "/console/sign-in" => vec!["next"],
        "/console/bulk" => vec!["after"],
        "/console/bulk/new" => [&["act", REPEATED[0]], &FILTERS[..]].concat(),
        "/console/bulk/{id}" => vec!["outcome", "after"],
        "/console/search" => vec!["q"],
        "/console/jobs" => [&FILTERS[..], &["after"]].concat(),
        "/console/orders" => vec!["rider", "trip", "seat", "after"],
        "/console/trips" => vec!["day", "direction", "bus", "state", "after"],
        "/console/riders" => vec!["who"],
        "/console/orders/{id}" | "/console/trips/{id}/manifest" => vec!["after"],
        "/console/riders/{id}" => vec!["orders", "entries"],
        "/console/audit" => vec!["actor", "act", "subject", "order", "since", "before", "after"],
        _ => Vec::new(),
    }
}

/// What a query string or a form may hold several times: the jobs that were chosen.
const REPEATED: [&str; 1] = ["ids"];

/// The route table, by what a page is about.
fn router(app: &App) -> Router<App> {
    Router::new()
        // anybody
        .route("/console/sign-in", get(sign_in::form).post(sign_in::enter))
        .route("/console/look", post(preferences::choose))
        .route("/console/assets/{name}", get(assets::serve))
        // acts upon many jobs
        .route("/console/bulk", get(bulk::list).post(bulk::start))
        .route("/console/bulk/new", get(bulk::new))
        .route("/console/bulk/{id}", get(bulk::show))
        .route("/console/bulk/{id}/stop", get(bulk::ask_stop).post(bulk::stop))
        // what the person on call opens
        .route("/console", get(home::show))
        .route("/console/search", get(search::go))
        .route("/console/jobs", get(jobs::list))
        .route("/console/jobs/{id}", get(jobs::show))
        .route("/console/jobs/{id}/{act}", get(jobs::ask).post(jobs::act))
        .route("/console/queues", get(queues::list))
        .route("/console/queues/{tag}/{act}", get(queues::ask).post(queues::act))
        .route("/console/orders", get(orders::list))
        .route("/console/orders/{id}", get(order::show))
        .route("/console/trips", get(trips::list))
        .route("/console/trips/{id}", get(trips::show))
        .route("/console/trips/{id}/manifest", get(trips::manifest))
        .route("/console/trips/{id}/manifest.csv", get(trips::manifest_csv))
        .route("/console/trips/{id}/{act}", get(trips::ask).post(trips::act))
        .route("/console/riders", get(riders::search))
        .route("/console/riders/{id}", get(riders::show))
        .route("/console/riders/{id}/top-up", get(riders::ask).post(riders::top_up))
        .route("/console/audit", get(audit::list))
        // whoever has a session here
        .route("/console/sign-out", post(sign_in::leave))
        .layer(from_fn_with_state(live::Streams::new(app), live::keep))
}
