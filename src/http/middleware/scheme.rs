//! The scheme by which a client reaches the API, which itself speaks HTTP in clear.

use crate::http::App;
use crate::settings::is_loopback;
use axum::http::{HeaderMap, header};

/// What a proxy says about its own client.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Whether a trusted proxy says that its client speaks HTTPS. Without a trusted proxy, the client
/// itself wrote the header.
pub(crate) fn is_https(app: &App, headers: &HeaderMap) -> bool {
    let proto = headers.get(FORWARDED_PROTO);
    app.settings.http.trusted_proxies > 0 && proto.is_some_and(|proto| proto.as_bytes() == b"https")
}

/// Whether an `Origin` is that of the page at the request's own host. The scheme counts: in
/// production it is `https`, but on the loopback address, where there may be no proxy.
pub(crate) fn is_own_origin(app: &App, headers: &HeaderMap, origin: &str) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let (Some(host), Some((scheme, of))) = (host, origin.split_once("://")) else { return false };
    let expected = match scheme {
        "https" => app.settings.environment.is_production() || is_https(app, headers),
        "http" if is_loopback(host) => !is_https(app, headers),
        "http" => !app.settings.environment.is_production() && !is_https(app, headers),
        _ => false,
    };
    expected && of.eq_ignore_ascii_case(host)
}
