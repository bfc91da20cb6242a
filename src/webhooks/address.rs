//! Which receivers may be sent to. An endpoint's address is an operator's word, and its name resolves to what
//! its owner likes: neither may lead a worker to a service inside the network.

use crate::{
    outbound::port_of,
    settings::{Environment, Webhooks},
};
use axum::http::{HeaderValue, Uri, uri::Scheme};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::net;

/// Longest address of a receiver, bytes.
const MAX_URL: usize = 2_000;
/// Most addresses of a name that are looked at.
const MAX_ADDRESSES: usize = 16;

/// Which addresses are sent to.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    private: bool,
    loopback: bool,
    plaintext: bool,
}

/// A receiver's address, read.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whether the connection is TLS.
    pub(super) is_encrypted: bool,
    /// The host's name or address, without brackets.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
    /// Host and port as the Host header has them.
    pub(super) authority: HeaderValue,
    /// Path and query.
    pub(super) path: Uri,
}

impl Addresses {
    /// Those that the settings permit. Outside of production the machine's own address is permitted too.
    pub fn new(settings: &Webhooks, environment: Environment) -> Self {
        Self {
            private: settings.private_addresses,
            loopback: settings.private_addresses || !environment.is_production(),
            plaintext: settings.allow_plaintext || !environment.is_production(),
        }
    }

    /// Reads a receiver's address. A name is resolved when it is sent to, each time.
    ///
    /// # Errors
    /// The rule that the address breaks.
    pub fn read(self, text: &str) -> Result<Target, String> {
        if text.len() > MAX_URL {
            return Err(format!("at most {MAX_URL} bytes"));
        }
        let uri: Uri = text.parse().map_err(|_| "a URL like https://host/path")?;
        let is_encrypted = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err("a URL that begins with https://".to_owned()),
        };
        if !is_encrypted && !self.plaintext {
            return Err("in production a URL that begins with https://".to_owned());
        }
        let authority = uri.authority().ok_or("a URL with a host")?;
        if authority.as_str().contains('@') {
            return Err("a URL without a user or a password".to_owned());
        }
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err("a URL with a host".to_owned());
        }
        if let Ok(address) = host.parse::<IpAddr>()
            && !self.permits(address)
        {
            return Err("a public address: webhooks.private_addresses permits others".to_owned());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Target {
            is_encrypted,
            port: port_of(authority, is_encrypted).ok_or("a URL with a port from 1 to 65535")?,
            host,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| "a URL with a host")?,
            path: path.parse().map_err(|_| "a URL with a path")?,
        })
    }

    /// The addresses of a receiver that may be sent to. The caller connects to these, and does not resolve
    /// the name once more: another answer could lead elsewhere.
    ///
    /// # Errors
    /// The name has no address, or none that may be sent to.
    pub(super) async fn resolve(self, target: &Target) -> Result<Vec<SocketAddr>, String> {
        let found = net::lookup_host((target.host.as_str(), target.port)).await;
        let found = found.map_err(|error| format!("{} has no address: {error}", target.host))?;
        let permitted: Vec<SocketAddr> =
            found.take(MAX_ADDRESSES).filter(|address| self.permits(address.ip())).collect();
        if permitted.is_empty() {
            return Err(format!("{} has no public address", target.host));
        }
        Ok(permitted)
    }

    fn permits(self, address: IpAddr) -> bool {
        let address = plain(address);
        is_public(address) || self.private || (self.loopback && address.is_loopback())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, by NAT64 or by 6to4.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => v4(g, h),
        (0, 0, 0, 0, 0, 0) if (g, h) > (0, 1) => v4(g, h),
        (0x2002, ..) => v4(b, c),
        _ => address,
    }
}

/// Whether anybody on the Internet can have the address (IANA's registries of special addresses).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation();
    // "This network", carriers' NAT, protocol assignments, 6to4 relays, benchmarks, reserved.
    let is_other = a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240;
    !is_special && !is_other
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Only 2000::/3 is assigned; of that, not Teredo and protocol assignments, nor documentation.
    (a & 0xe000) == 0x2000 && !(a == 0x2001 && (b < 0x200 || b == 0xdb8)) && (a & 0xfff0) != 0x3ff0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn addresses(environment: Environment, private: bool) -> Addresses {
        let set = [("webhooks.private_addresses", private.to_string())];
        Addresses::new(&Settings::load("development", &set).expect("settings").webhooks, environment)
    }

    #[test]
    fn only_public_addresses_are_sent_to() {
        let production = addresses(Environment::Production, false);
        for inside in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.5",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address: IpAddr = inside.parse().expect(inside);
            assert!(!production.permits(address), "{inside}");
            assert!(addresses(Environment::Production, true).permits(address), "{inside}");
        }
        for public in ["9.9.9.9", "172.32.0.1", "100.128.0.1", "2620:fe::fe", "::ffff:9.9.9.9"] {
            assert!(production.permits(public.parse().expect(public)), "{public}");
        }
    }

    #[test]
    fn the_machines_own_address_is_for_development() {
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(addresses(Environment::Test, false).permits(own.parse().expect(own)), "{own}");
            assert!(!addresses(Environment::Production, false).permits(own.parse().expect(own)), "{own}");
        }
        let link_local = "169.254.169.254".parse().expect("an address");
        assert!(!addresses(Environment::Development, false).permits(link_local));
    }

    #[test]
    fn what_is_no_receiver_is_refused_with_its_rule() {
        let production = addresses(Environment::Production, false);
        for (wrong, rule) in [
            ("example.com/in", "https://"),
            ("ftp://example.com", "https://"),
            ("http://example.com/in", "https://"),
            ("https://a:b@example.com/", "without a user"),
            ("https://10.0.0.1/in", "public address"),
            ("https://[::1]/in", "public address"),
            ("https://example.com:0/in", "a port from 1"),
            ("https://example.com:65536/in", "a port from 1"),
            ("https://[2620:fe::fe]:99999/in", "a port from 1"),
        ] {
            let said = production.read(wrong).expect_err(wrong);
            assert!(said.contains(rule), "{wrong}: {said}");
        }
        assert!(production.read(&format!("https://a/{}", "x".repeat(MAX_URL))).is_err());
        let target = production.read("https://hooks.example.com:8443/in?for=a").expect("a receiver");
        assert_eq!((target.host.as_str(), target.port), ("hooks.example.com", 8443));
        assert_eq!(target.path.to_string(), "/in?for=a");
        for (usual, port) in
            [("https://a.example/", 443), ("https://a.example:/", 443), ("https://[2620:fe::fe]:1/", 1)]
        {
            assert_eq!(production.read(usual).expect(usual).port, port, "{usual}");
        }
        assert!(addresses(Environment::Development, false).read("http://127.0.0.1:1/in").is_ok());
    }

    #[tokio::test]
    async fn a_name_is_sent_to_only_at_the_addresses_that_were_checked() {
        let local = |environment| addresses(environment, false);
        let target = local(Environment::Test).read("http://localhost:9/").expect("a receiver");
        let found = local(Environment::Test).resolve(&target).await.expect("this machine");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 9));
        let said = local(Environment::Production).resolve(&target).await.expect_err("refused");
        assert!(said.contains("no public address"), "{said}");
        // Other spellings of an address are resolved, and judged by what they resolve to.
        let odd = Target { host: "0x7f.1".to_owned(), ..target };
        assert!(local(Environment::Production).resolve(&odd).await.is_err());
    }
}
