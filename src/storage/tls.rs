//! Whether a connection may be in clear. In production it may not leave the machine without TLS,
//! unless a setting allows it by name: password hashes and personal data pass over it.

use crate::settings::{self, Environment, is_loopback};
use redis::{ConnectionAddr, IntoConnectionInfo};
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::str::FromStr;

/// Refuses a database's URL whose connections could be in clear.
///
/// # Errors
/// A URL that does not parse, or one without TLS in production; the URL is not in the text.
pub fn check_database_url(
    url: &str,
    environment: Environment,
    database: &settings::Database,
) -> Result<(), String> {
    check_url("DATABASE_URL", url, environment, database)
}

/// The same for the standby that the settings name, if they do.
///
/// # Errors
/// As [`check_database_url`].
pub fn check_replica_url(environment: Environment, database: &settings::Database) -> Result<(), String> {
    if !database.names_replica() {
        return Ok(());
    }
    check_url("database.replica_url", database.replica_url.expose_secret(), environment, database)
}

fn check_url(
    name: &str,
    url: &str,
    environment: Environment,
    database: &settings::Database,
) -> Result<(), String> {
    let options = PgConnectOptions::from_str(url).map_err(|error| format!("{name}: {error}"))?;
    let encrypts =
        matches!(options.get_ssl_mode(), PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    let host = options.get_host();
    let is_local = options.get_socket().is_some() || host.starts_with('/') || is_loopback(host);
    if encrypts || is_local || database.allow_plaintext || !environment.is_production() {
        return Ok(());
    }
    Err(format!(
        "{name}: in production the connection to {host} must be encrypted: add sslmode=verify-full \
         with sslrootcert (or at least sslmode=require), or allow it in clear with \
         FAREBOX__DATABASE__ALLOW_PLAINTEXT=true"
    ))
}

/// Refuses a Redis URL whose connections could be in clear.
///
/// # Errors
/// A URL that does not parse, or one without TLS in production; the URL is not in the text.
pub(super) fn check_redis_url(
    url: &str,
    environment: Environment,
    redis: &settings::Redis,
) -> Result<(), String> {
    let info = url.into_connection_info().map_err(|error| error.to_string())?;
    let host = match info.addr() {
        ConnectionAddr::Tcp(host, _) if !is_loopback(host) => host,
        _ => return Ok(()),
    };
    if redis.allow_plaintext || !environment.is_production() {
        return Ok(());
    }
    Err(format!(
        "in production the connection to {host} must be encrypted: write rediss://, or allow it in clear \
         with FAREBOX__REDIS__ALLOW_PLAINTEXT=true"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn production_is_encrypted_or_local() {
        let mut settings = Settings::load("development", &[]).expect("the defaults");
        let check = |url: &str, settings: &Settings| {
            check_database_url(url, Environment::Production, &settings.database)
        };
        for url in [
            "postgres://a:b@db.example/c?sslmode=require",
            "postgres://a:b@db.example/c?sslmode=verify-full",
            "postgres://a@localhost/c?host=/run/postgresql",
            "postgres://a@127.0.0.1/c",
        ] {
            check(url, &settings).expect(url);
        }
        for url in [
            "postgres://a:secret@db.example/c",
            "postgres://a:secret@db.example/c?sslmode=prefer",
            "postgres://a:secret@db.example/c?sslmode=disable",
        ] {
            let said = check(url, &settings).expect_err(url);
            assert!(said.contains("ALLOW_PLAINTEXT") && !said.contains("secret"), "{said}");
            check_database_url(url, Environment::Test, &settings.database).expect("a test");
        }
        check_replica_url(Environment::Production, &settings.database).expect("no standby");
        settings.database.replica_url = "postgres://a:secret@db.example/c".into();
        let said = check_replica_url(Environment::Production, &settings.database).expect_err("in clear");
        assert!(said.starts_with("database.replica_url") && !said.contains("secret"), "{said}");
        let redis =
            |url: &str, settings: &Settings| check_redis_url(url, Environment::Production, &settings.redis);
        redis("rediss://:secret@redis.example/0", &settings).expect("TLS");
        redis("redis://[::1]/0", &settings).expect("the same machine");
        assert!(
            redis("redis://:secret@redis.example/0", &settings).is_err_and(|said| !said.contains("secret"))
        );
        settings.database.allow_plaintext = true;
        settings.redis.allow_plaintext = true;
        check("postgres://a:b@db.example/c", &settings).expect("allowed by name");
        redis("redis://redis.example/0", &settings).expect("allowed by name");
    }
}
