//! The host names that the API is called by.

use serde::Deserialize;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Host names without ports, in lower case; or `*` alone for any.
///
/// A page of another site can make a browser call the API under the page's own name, whose address
/// the site has changed meanwhile (DNS rebinding). Such a name has a dot, and is not an address. So
/// addresses and names without a dot need no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Hosts(Vec<String>);

impl TryFrom<String> for Hosts {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hosts: Vec<String> = text
            .split(',')
            .map(|host| host.trim().to_ascii_lowercase())
            .filter(|host| !host.is_empty())
            .collect();
        let plain = |host: &String| host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
        match hosts.iter().find(|host| !plain(host)) {
            Some(wrong) if hosts != ["*"] => {
                Err(format!("http.hosts: {wrong:?} is no host name; write names without scheme and port"))
            }
            _ => Ok(Self(hosts)),
        }
    }
}

impl Hosts {
    /// Whether a request for this host, with or without a port, is served.
    pub fn allow(&self, host: &str) -> bool {
        if self.0.iter().any(|name| name == "*") {
            return true;
        }
        let name = name_of(host).to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        is_address(name) || !name.contains('.') || self.0.iter().any(|known| known == name)
    }
}

/// Whether a host, with or without a port, is this machine itself.
pub fn is_loopback(host: &str) -> bool {
    // A bare IPv6 address has colons, and no port.
    let name = if host.parse::<Ipv6Addr>().is_ok() { host } else { name_of(host) };
    let v6 = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || v6.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => host.get(..=end).unwrap_or(host),
        None => host.split(':').next().unwrap_or(host),
    }
}

fn is_address(name: &str) -> bool {
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    name.parse::<Ipv4Addr>().is_ok() || v6.is_some_and(|name| name.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_dot_must_be_listed() {
        let hosts = |text: &str| Hosts::try_from(text.to_owned());
        let none = hosts("").expect("none");
        for host in ["127.0.0.1:8087", "[::1]:8087", "[2001:db8::1]", "localhost:8087", "api", "10.1.2.3"] {
            assert!(none.allow(host), "{host}");
        }
        for host in ["rides.example", "evil.example:8087", "127.0.0.1.evil.example", "evil.example."] {
            assert!(!none.allow(host), "{host}");
        }
        let listed = hosts("Rides.example, api.rides.example").expect("two");
        assert!(listed.allow("rides.EXAMPLE:443") && listed.allow("api.rides.example."));
        assert!(!listed.allow("evil.rides.example"));
        assert!(hosts("*").is_ok_and(|any| any.allow("evil.example")));
        assert!(hosts("https://rides.example").is_err() && hosts("rides.example:443").is_err());
        assert!(
            is_loopback("localhost:1")
                && is_loopback("[::1]:1")
                && is_loopback("127.9.9.9")
                && is_loopback("::1")
        );
        assert!(!is_loopback("localhost.example") && !is_loopback("10.0.0.1"));
    }
}
