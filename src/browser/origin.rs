//! Where a form comes from.

use crate::http::{App, middleware::scheme::is_own_origin};
use axum::http::HeaderMap;

/// Whether a page of this origin sent the form. A browser sends where a form comes from. A client
/// that sends neither header is no browser and has only the cookies that it chose.
pub(crate) fn is_own_page(app: &App, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => is_own_origin(app, headers, origin),
        (None, None) => true,
    }
}
