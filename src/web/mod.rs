//! The rider's pages: days and trips, the bus with its seats, orders, the ticket, the wallet.
//!
//! Each page is a client of the public API inside of this process ([`api`]): it asks the same routes,
//! behind the same limits, with the token of the session. So a page has no rule of its own, and shows
//! the API's refusals. Every form works without the script, which adds live seats, the countdown and
//! tickets without a network.

#![allow(clippy::needless_pass_by_value, reason = "markup is passed on as it is made")]
#![allow(clippy::result_large_err, reason = "the error of an extractor is a whole response")]

mod api;
mod assets;
mod form;
mod frame;
mod pages;
mod qr;
mod refusals;
mod session;
mod views;
mod words;

use crate::http::{App, Pages};
use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    response::Redirect,
    routing::{any, get, post},
};
use pages::{account, order, orders, preferences, sign_in, trip, trips, wallet};

/// The path of all pages.
pub(crate) const RIDE: &str = "/ride";

/// What a page needs: the settings and keys of the process, and the API.
#[derive(Clone)]
struct Web {
    app: App,
    /// The routes of the API, behind their limits.
    api: Router,
}

/// The pages beside those of the console. They have no limits of their own: what they ask passes those
/// of the API.
pub fn pages(console: Pages) -> Pages {
    let mut pages = console;
    pages.around.push(beside);
    pages
}

fn beside(api: Router<App>, app: &App) -> Router<App> {
    if !app.settings.http.rider_pages {
        return api;
    }
    // On the connections of the API: riders must not be able to exhaust those of operators.
    let web = Web { api: api.clone().with_state(app.clone()), app: app.clone() };
    let routes = Router::new()
        .route("/ride", get(trips::list))
        .route("/ride/trips/{id}", get(trip::show).post(trip::hold))
        .route("/ride/orders", get(orders::list))
        .route("/ride/orders/{id}", get(order::show))
        .route("/ride/orders/{id}/{act}", post(order::act))
        .route("/ride/wallet", get(wallet::show))
        .route("/ride/account", get(account::show))
        .route("/ride/account/pay-password", post(account::set_pay_password))
        .route("/ride/sign-in", get(sign_in::form).post(sign_in::enter))
        .route("/ride/register", get(sign_in::registration).post(sign_in::register))
        .route("/ride/sign-out", post(sign_in::leave))
        .route("/ride/preferences", post(preferences::choose))
        .route("/ride/assets/{name}", get(assets::serve))
        .route("/ride/worker.js", get(assets::worker))
        .route("/ride/", any(|| async { Redirect::to(RIDE) }))
        .route("/ride/{*other}", any(frame::no_such_page))
        .layer(from_fn_with_state(web.clone(), frame::always_a_page))
        .layer(from_fn(frame::headers))
        .with_state::<App>(web);
    api.merge(routes)
}
