//! What answers where no route does: a problem, and at `/` the way to the pages for a browser.

use crate::http::{App, language::ranges, problem};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    response::{IntoResponse, Redirect, Response},
};

/// Answers 404. At `/`, a client that prefers HTML to JSON is led to the riders' pages, or to the console
/// if they are not served.
pub(in crate::http) async fn missing(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let reads = matches!(method, Method::GET | Method::HEAD);
    if !(reads && uri.path() == "/" && prefers_html(&headers)) {
        return problem::no_such_route().await.into_response();
    }
    let pages = if app.settings.http.rider_pages { "/ride" } else { "/console" };
    let mut response = Redirect::to(pages).into_response();
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// Whether `Accept` weighs HTML higher than JSON (RFC 9110, 12.5.1). A client without wishes wants JSON.
fn prefers_html(headers: &HeaderMap) -> bool {
    let ranges = ranges(headers, &header::ACCEPT);
    let weight = |kind: &str, group: &str| {
        let of = |wanted: &str| ranges.iter().find(|(range, _)| range.eq_ignore_ascii_case(wanted));
        of(kind).or_else(|| of(group)).or_else(|| of("*/*")).map_or(0, |(_, weight)| *weight)
    };
    weight("text/html", "text/*") > weight("application/json", "application/*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_prefer_html_and_clients_do_not() {
        let prefers = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            prefers_html(&headers)
        };
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "text/html,application/xml;q=0.9,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
            "Text/HTML",
            "text/*, application/json;q=0.5",
        ] {
            assert!(prefers(browser), "{browser}");
        }
        for client in [
            "",
            "*/*",
            "application/json",
            "application/json, text/html",
            "text/html;q=0.5, */*",
            "text/html;q=0",
        ] {
            assert!(!prefers(client), "{client}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }
}
