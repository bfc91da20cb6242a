//! The HTTP API, and how many requests may be in flight.

use super::Hosts;
use serde::Deserialize;

/// The HTTP API.
#[derive(Clone, Debug, Deserialize)]
pub struct Http {
    /// Address and port.
    pub listen: String,
    /// Largest body, bytes.
    pub body_limit_bytes: usize,
    /// Longest request, milliseconds.
    pub timeout_ms: u64,
    /// How long a process serves after it was asked to stop, milliseconds.
    pub drain_ms: u64,
    /// How long a stop waits for requests that run after that, milliseconds.
    pub grace_ms: u64,
    /// Longest head of a request, bytes.
    pub head_limit_bytes: usize,
    /// How long a head may take, and a connection be idle, milliseconds.
    pub head_timeout_ms: u64,
    /// How long a body may take, milliseconds.
    pub body_timeout_ms: u64,
    /// Connections open at once.
    pub max_connections: usize,
    /// Most of them for one address.
    pub connections_per_address: usize,
    /// How long a connection may take none of a response, milliseconds.
    pub write_timeout_ms: u64,
    /// How long a connection is kept, seconds.
    pub connection_secs: u64,
    /// How much of a response the kernel holds for one connection, bytes.
    pub send_buffer_bytes: usize,
    /// Proxies in front that append to X-Forwarded-For.
    pub trusted_proxies: usize,
    /// Origins whose pages may call the API.
    pub cors_origins: Origins,
    /// Host names of the API.
    pub hosts: Hosts,
    /// For how long browsers use HTTPS only, seconds; 0 for no such header.
    pub hsts_secs: u32,
    /// Whether the API's description is served.
    pub docs: bool,
    /// Whether the riders' pages are served.
    pub rider_pages: bool,
    /// Whether metrics are served.
    pub metrics: bool,
    /// Address and port for metrics and health alone; none if empty.
    pub metrics_listen: String,
}

/// Origins as a browser names them: `scheme://host[:port]`, or `*` alone for any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Origins(pub Vec<String>);

impl TryFrom<String> for Origins {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let origins: Vec<String> =
            text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect();
        if origins == ["*"] {
            return Ok(Self(origins));
        }
        for origin in &origins {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
            if !host.is_some_and(|host| !host.is_empty() && host.chars().all(plain)) {
                return Err(format!(
                    "http.cors_origins: {origin:?} is not an origin; write scheme://host[:port] without a path"
                ));
            }
        }
        Ok(Self(origins))
    }
}

/// How many requests may be in flight in one process.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Admission {
    /// What riders change.
    pub changes: usize,
    /// Payments.
    pub payments: usize,
    /// Registrations and sign-ins.
    pub sign_ins: usize,
    /// What riders read.
    pub reads: usize,
    /// How long a request beyond the bound waits before it is refused, milliseconds.
    pub wait_ms: u64,
}
