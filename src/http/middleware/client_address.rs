//! The client's address.

use axum::{
    extract::FromRequestParts,
    http::{Extensions, HeaderMap, request::Parts},
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::http::App;

/// Each proxy appends the address of its own client.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The peer of the connection, set when it is accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The client's address: the peer's, or the one that called the outermost trusted proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address(pub(crate) IpAddr);

impl Address {
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap, trusted_proxies: usize) -> Self {
        let peer = extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        Self(forwarded(headers, trusted_proxies).unwrap_or(peer).to_canonical())
    }
}

impl FromRequestParts<App> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.extensions, &parts.headers, app.settings.http.trusted_proxies))
    }
}

/// The address that the outermost of the trusted proxies added; a client can invent what comes
/// before. A shorter list passed fewer proxies: then its first address is the client's.
fn forwarded(headers: &HeaderMap, trusted_proxies: usize) -> Option<IpAddr> {
    let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let outermost = hops.len().saturating_sub(trusted_proxies);
    let hop = hops.get(outermost)?;
    hop.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_what_trusted_proxies_added_is_trusted() {
        let mut headers = HeaderMap::new();
        for line in ["198.51.100.9, 203.0.113.7", "192.0.2.1:4711"] {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
        }
        let client = |proxies| forwarded(&headers, proxies).map(|address| address.to_string());
        assert_eq!(client(0), None, "no proxy is in front, so the client wrote the header");
        assert_eq!(client(1).as_deref(), Some("192.0.2.1"));
        assert_eq!(client(2).as_deref(), Some("203.0.113.7"));
        assert_eq!(client(9).as_deref(), Some("198.51.100.9"));
        headers.append(FORWARDED_FOR, HeaderValue::from_static("somewhere"));
        assert_eq!(forwarded(&headers, 1), None, "no address: the peer's is used");
        assert_eq!(forwarded(&HeaderMap::new(), 1), None);
    }
}
