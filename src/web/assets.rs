//! The pages' style and scripts, and the worker that keeps tickets for when there is no network.

use crate::browser::assets::{Asset, serve as serve_asset};
use axum::{
    extract::Path,
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use std::sync::LazyLock;

const PATH: &str = "/ride/assets";

/// The style sheet.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::style(PATH, include_str!("assets/ride.css")));
/// The script of every page.
pub(super) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script(PATH, include_str!("assets/ride.js")));
/// The script of a bus in which seats are chosen.
pub(super) static SEATS: LazyLock<Asset> =
    LazyLock::new(|| Asset::script(PATH, include_str!("assets/seats.js")));
/// The script of an order.
pub(super) static ORDER: LazyLock<Asset> =
    LazyLock::new(|| Asset::script(PATH, include_str!("assets/order.js")));

pub(super) async fn serve(Path(name): Path<String>) -> Response {
    serve_asset(&name, &[&STYLE, &SCRIPT, &SEATS, &ORDER])
}

/// The service worker. Its address stays the same, so browsers ask for it anew.
pub(super) async fn worker() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        // It is for /ride itself, too, which is not below its own folder.
        (HeaderName::from_static("service-worker-allowed"), "/ride"),
    ];
    (headers, include_str!("assets/worker.js")).into_response()
}
