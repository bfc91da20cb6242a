//! HTTP/1 connections to other services, in clear or with TLS: one request at a time on each.

mod connection;
mod tls;

pub use connection::{Connection, was_not_taken};
pub use tls::connector;

use axum::http::uri::Authority;

/// The port of an authority, or the usual one of the scheme; none if what follows the host is no port. The
/// parser of addresses takes any digits.
#[must_use]
pub fn port_of(authority: &Authority, is_encrypted: bool) -> Option<u16> {
    let after_host =
        authority.as_str().rsplit('@').next()?.strip_prefix(authority.host()).unwrap_or_default();
    match after_host.strip_prefix(':') {
        None | Some("") => Some(if is_encrypted { 443 } else { 80 }),
        Some(_) => authority.port_u16().filter(|port| *port > 0),
    }
}
