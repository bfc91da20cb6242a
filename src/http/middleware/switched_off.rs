//! Routes that the settings switch off, or move to a port of their own.

use crate::{
    http::{App, problem::no_such_route},
    settings,
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Answers a route that is switched off as one that does not exist.
pub(crate) async fn hide(State(app): State<App>, request: Request, next: Next) -> Response {
    if is_shown(&app.settings.http, request.uri().path()) {
        next.run(request).await
    } else {
        no_such_route().await.into_response()
    }
}

fn is_shown(settings: &settings::Http, path: &str) -> bool {
    match path {
        "/docs" | "/openapi.json" => settings.docs,
        "/metrics" => settings.metrics && settings.metrics_listen.is_empty(),
        _ => true,
    }
}
