//! The operations console: what the operator on call opens when an alert fires.
//!
//! Pages are rendered here from what `ops` and `orders` return, and act through the same functions
//! as `/v1/ops`; a page decides nothing. Access is closed by default: a page takes a
//! [`PageContext`](session::PageContext), a form an [`OperatorForm`](form::OperatorForm), and both
//! need a session of the right role. [`live`] updates the marked parts of open pages.

#![allow(clippy::needless_pass_by_value, reason = "markup is passed on as it is made")]
#![allow(clippy::result_large_err, reason = "the error of an extractor is a whole response")]

mod assets;
mod banner;
mod cards;
mod chart;
mod chinese;
mod components;
mod failure;
mod filters;
mod form;
mod guard;
mod layout;
mod multipart;
mod notice;
mod numbers;
mod outage;
mod pages;
mod parameters;
mod preferences;
mod refused;
mod session;
mod standing;
mod ticket;
mod time;
mod upload;

use crate::http::{App, Pages};
use axum::{
    Extension, Router,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use pages::{
    accounts, approvals, audit, beat, bulk, bulk_show, confirm, home, jobs, live, money, network, order,
    order_acts, orders, own_account, password_reset, people, preferences as preferences_form, queues, riders,
    search, second_factor, sign_in, styleguide, trip_acts, trip_change, trips, webhook_acts, webhooks,
};
use std::sync::Arc;

/// The path of the console's pages.
pub(crate) const CONSOLE: &str = "/console";

/// The console, for [`http::serve`](crate::http::serve).
pub fn pages(app: &App) -> Pages {
    let around = |all: Router<App>, app: &App| {
        let own = app.on_operator_pool();
        let routes = all.clone().with_state(own.clone());
        all.layer(from_fn_with_state(refused::Console { app: Arc::new(own), routes }, guard::guard))
    };
    Pages { routes: router(app), around: vec![around] }
}

/// The route table, by subject.
fn router(app: &App) -> Router<App> {
    Router::new()
        // without a session
        .route("/console/sign-in", get(sign_in::form).post(sign_in::enter))
        .route("/console/sign-in/code", post(second_factor::code))
        .route("/console/sign-in/enrol", post(second_factor::enrol))
        .route("/console/sign-in/reset", get(password_reset::form).post(password_reset::set))
        .route("/console/sign-in/beat", get(beat::without_session))
        .route("/console/preferences", post(preferences_form::choose))
        .route("/console/assets/{name}", get(assets::serve))
        // bulk operations
        .route("/console/bulk", get(bulk::list).post(bulk::start))
        .route("/console/bulk/new", get(bulk::new))
        .route("/console/bulk/{id}", get(bulk_show::show))
        .route("/console/bulk/{id}/stop", get(bulk::confirm_stop).post(bulk::stop))
        // reading and acting
        .route("/console", get(home::show))
        .route("/console/search", get(search::go))
        .route("/console/jobs", get(jobs::list))
        .route("/console/jobs/{id}", get(jobs::show))
        .route("/console/jobs/{id}/{act}", get(jobs::confirm).post(jobs::act))
        .route("/console/queues", get(queues::list))
        .route("/console/queues/{tag}/{act}", get(queues::confirm).post(queues::act))
        .route("/console/orders", get(orders::list))
        .route("/console/orders/{id}", get(order::show))
        .route("/console/orders/{id}/{act}", get(order_acts::confirm).post(order_acts::act))
        .route("/console/trips", get(trips::list))
        .route("/console/trips/{id}", get(trips::show))
        .route("/console/trips/{id}/manifest", get(trips::manifest))
        .route("/console/trips/{id}/manifest.csv", get(trips::manifest_csv))
        .route("/console/trips/{id}/change", get(trip_change::show).post(trip_change::apply))
        .route("/console/trips/{id}/{act}", get(trip_acts::confirm).post(trip_acts::act))
        .route("/console/network", get(network::show))
        .route("/console/network.zip", get(network::download))
        .route("/console/network/upload", get(network::choose).post(network::upload))
        .route("/console/network/previews/{id}", get(network::preview).post(network::apply))
        .route("/console/riders", get(riders::search))
        .route("/console/riders/{id}", get(riders::show))
        .route("/console/riders/{id}/top-up", get(money::confirm_top_up).post(money::top_up))
        .route("/console/riders/{id}/correct/{entry}", get(money::confirm_correction).post(money::correct))
        .route("/console/riders/{id}/{act}", get(people::confirm).post(people::act))
        .route("/console/approvals", get(approvals::list))
        .route("/console/approvals/{id}/{act}", get(approvals::confirm).post(approvals::act))
        .route("/console/webhooks", get(webhooks::list).post(webhook_acts::add))
        .route("/console/webhooks/{id}", get(webhooks::show))
        .route("/console/webhooks/{id}/{act}", get(webhook_acts::confirm).post(webhook_acts::act))
        .route("/console/audit", get(audit::list))
        .route("/console/accounts", get(accounts::list))
        .route("/console/accounts/{id}/{act}", get(accounts::confirm).post(accounts::act))
        // any session
        .route("/console/beat", get(beat::beat))
        .route("/console/account", get(own_account::show))
        .route("/console/account/password", post(own_account::change_password))
        .route("/console/account/sessions", post(own_account::end_others))
        .route("/console/account/second-factor", get(own_account::second_factor))
        .route("/console/confirm", get(confirm::form).post(confirm::confirm))
        .route("/console/styleguide", get(styleguide::show))
        .route("/console/sign-out", post(sign_in::leave))
        // Inside of the streams, whose renderings pass it too.
        .layer(from_fn_with_state(outage::Watch::new(app), outage::watch))
        .layer(from_fn_with_state(live::Streams::new(app), live::streams))
        .layer(Extension(beat::LastAnswer::default()))
        .layer(from_fn_with_state(app.clone(), time::local_times))
}
