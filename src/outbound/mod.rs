//! HTTP/1 connections to other services, in clear or with TLS: one request at a time on each.

mod connection;
mod tls;

pub use connection::{Connection, was_not_taken};
pub use tls::connector;
