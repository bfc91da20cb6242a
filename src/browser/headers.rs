//! What pages may do in a browser.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Nothing from other origins, no inline script or style.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // With `no-referrer`, the origin of a form would be null.
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Sets the headers of a response below the pages' path; the language only on a page.
pub(crate) fn secure(headers: &mut HeaderMap, language: &'static str) {
    for (name, value) in HEADERS {
        headers.insert(name, value);
    }
    let is_page = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/html");
    if headers.get(header::CONTENT_TYPE).is_some_and(is_page) {
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language));
    }
}
