//! Where spans are sent to.

use crate::{
    outbound::port_of,
    settings::{Environment, Otel, is_loopback},
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, uri::Scheme};
use secrecy::ExposeSecret;

/// What OTLP appends to the address of a collector.
const PATH: &str = "/v1/traces";

/// A collector's address, and the headers that it wants.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Whether the connection is TLS.
    pub(super) is_encrypted: bool,
    /// The host's name or address, without brackets.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
    /// Host and port as the Host header has them.
    pub(super) authority: HeaderValue,
    /// The path that spans are posted to.
    pub(super) path: Uri,
    /// The headers of the settings.
    pub(super) headers: HeaderMap,
}

impl Endpoint {
    /// That of the settings; `None` if they name none.
    ///
    /// # Errors
    /// Names the setting and the rule. The headers are not in the text.
    pub fn of(settings: &Otel, environment: Environment) -> Result<Option<Self>, String> {
        let text = settings.endpoint.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |rule: &str| format!("otel.endpoint {rule}: write http[s]://host[:port][/path]");
        let uri: Uri = text.parse().map_err(|_| wrong("is no URL"))?;
        let is_encrypted = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(wrong("has another scheme")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("holds a user or a password, which otel.headers is for"));
        }
        if uri.query().is_some() {
            return Err(wrong("has a query"));
        }
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_local = is_loopback(&host);
        if environment.is_production() && !is_encrypted && !is_local && !settings.allow_plaintext {
            return Err(format!(
                "in production the connection to {host} must be encrypted: write https://, or allow it in \
                 clear with FAREBOX__OTEL__ALLOW_PLAINTEXT=true"
            ));
        }
        let path = format!("{}{PATH}", uri.path().trim_end_matches('/'));
        Ok(Some(Self {
            is_encrypted,
            port: port_of(authority, is_encrypted).ok_or_else(|| wrong("has a port that is none"))?,
            host,
            authority: authority.as_str().parse().map_err(|_| wrong("has no host"))?,
            path: path.parse().map_err(|_| wrong("has another path"))?,
            headers: headers(settings.headers.expose_secret())?,
        }))
    }
}

/// `name=value`, separated by commas.
fn headers(text: &str) -> Result<HeaderMap, String> {
    let wrong = |rule: &str| format!("otel.headers {rule}: write name=value, separated by commas");
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong("has a header without a value"))?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong("has a wrong name"))?;
        let mut value: HeaderValue = value.trim().parse().map_err(|_| wrong("has a wrong value"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn endpoint(url: &str, headers: &str, environment: Environment) -> Result<Option<Endpoint>, String> {
        let set = [("otel.endpoint", url.to_owned()), ("otel.headers", headers.to_owned())];
        Endpoint::of(&Settings::load("development", &set).expect("settings").otel, environment)
    }

    #[test]
    fn the_path_is_that_of_otlp() {
        assert!(endpoint("", "", Environment::Production).is_ok_and(|endpoint| endpoint.is_none()));
        for (url, host, port, path) in [
            ("http://127.0.0.1:4318", "127.0.0.1", 4318, "/v1/traces"),
            ("http://[::1]:4318/", "::1", 4318, "/v1/traces"),
            ("https://otlp.example/in/", "otlp.example", 443, "/in/v1/traces"),
        ] {
            let found = endpoint(url, "", Environment::Production).expect(url).expect(url);
            assert_eq!((found.host.as_str(), found.port, found.path.path()), (host, port, path));
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_its_rule() {
        for wrong in [
            "4318",
            "localhost:4318",
            "ftp://a",
            "http://",
            "http://a:b@c",
            "http://a/?b=c",
            "http://a:0",
            "http://[::1]:65536",
        ] {
            let said = endpoint(wrong, "", Environment::Development).expect_err(wrong);
            assert!(said.starts_with("otel.endpoint"), "{said}");
        }
        for wrong in ["secret", "a b=secret", "a=sec\nret"] {
            let said = endpoint("http://a", wrong, Environment::Development).expect_err(wrong);
            assert!(said.starts_with("otel.headers") && !said.contains("sec"), "{said}");
        }
        let headers = endpoint("http://a", "api-key=x=y, b=c", Environment::Development);
        let headers = headers.expect("two").expect("two").headers;
        assert_eq!((headers["api-key"].as_bytes(), headers["b"].as_bytes()), (&b"x=y"[..], &b"c"[..]));
    }

    #[test]
    fn production_is_encrypted_or_local() {
        let said = endpoint("http://otlp.example", "", Environment::Production).expect_err("in clear");
        assert!(said.contains("ALLOW_PLAINTEXT"), "{said}");
        assert!(endpoint("http://otlp.example", "", Environment::Test).is_ok());
        let url = "http://otlp.example".to_owned();
        let allowed = [("otel.endpoint", url), ("otel.allow_plaintext", "true".to_owned())];
        let settings = Settings::load("development", &allowed).expect("settings");
        assert!(Endpoint::of(&settings.otel, Environment::Production).is_ok());
    }
}
