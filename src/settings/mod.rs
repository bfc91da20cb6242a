//! Settings: `config/default.toml` (built in), then `config/<environment>.toml`, then `FAREBOX__SECTION__KEY`.

pub mod quota;

pub use quota::Allowance;

use crate::{accounts::passwords::Cost, domain::Money};
use chrono_tz::Tz;
use config::{Config, Environment, File, FileFormat, Value, ValueKind};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{path::Path, time::Duration};

/// The defaults; every key there is has its line and its comment in this file.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The longest time that a setting of seconds or milliseconds may say, seconds: a year. More is a slip, and could not be added
/// to every date.
const LONGEST_SECS: u32 = 365 * 86_400;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A key nobody reads: most often a slip.
    #[error("unknown setting `{key}`; did you mean `{nearest}`?")]
    Unknown {
        /// The key as it was given.
        key: String,
        /// The known key most like it.
        nearest: String,
    },
    /// A value that does not fit.
    #[error("settings: {0}")]
    Unreadable(#[from] config::ConfigError),
    /// A rule that a file cannot express.
    #[error("settings: {0}")]
    Refused(String),
}

/// All settings.
#[derive(Clone, Debug, Deserialize)]
pub struct Settings {
    /// `development` or `production`.
    pub environment: String,
    /// The HTTP API.
    pub http: Http,
    /// How many requests may be in flight.
    pub admission: Admission,
    /// How many requests a rider or an address may make.
    pub limits: Limits,
    /// Delays after wrong passwords.
    pub lockout: Lockout,
    /// The optional Redis.
    pub redis: Redis,
    /// The database.
    pub database: Database,
    /// Booking, paying and refunding.
    pub booking: Booking,
    /// Wallets.
    pub wallets: Wallets,
    /// Trips.
    pub trips: Trips,
    /// The cost of hashing passwords.
    pub passwords: PasswordSettings,
    /// Keys with no default.
    pub secrets: Secrets,
    /// The simulated exceptions.
    pub faults: FaultSettings,
    /// The worker.
    pub worker: Worker,
    /// The invariants.
    pub verify: Verify,
    /// Accounts.
    pub accounts: Accounts,
    /// Idempotency keys.
    pub idempotency: Idempotency,
    /// Old rows.
    pub retention: Retention,
    /// Logging.
    pub log: Log,
}

/// The HTTP API.
#[derive(Clone, Debug, Deserialize)]
pub struct Http {
    /// Address and port.
    pub listen: String,
    /// Largest body, bytes.
    pub body_limit_bytes: usize,
    /// Longest request, milliseconds.
    pub timeout_ms: u64,
    /// How long a stop waits for requests that run, milliseconds.
    pub grace_ms: u64,
    /// Longest head of a request, bytes.
    pub head_limit_bytes: usize,
    /// How long a head may take, and a connection be idle, milliseconds.
    pub head_timeout_ms: u64,
    /// How long a body may take, milliseconds.
    pub body_timeout_ms: u64,
    /// Connections open at once.
    pub max_connections: usize,
    /// Proxies in front that append to X-Forwarded-For.
    pub trusted_proxies: usize,
    /// Origins whose pages may call the API.
    pub cors_origins: Origins,
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
                    "http.cors_origins: {origin:?} is no origin, write scheme://host[:port] without a path"
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
    /// How long one more may wait for a place before it is refused, milliseconds.
    pub wait_ms: u64,
}

/// How many requests a rider or an address may make.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Limits {
    /// Whether requests are counted at all.
    pub enabled: bool,
    /// Registrations.
    pub registering_per_address: Allowance,
    /// Sign-ins.
    pub signing_in_per_address: Allowance,
    /// Bookings.
    pub booking_per_rider: Allowance,
    /// Bookings.
    pub booking_per_address: Allowance,
    /// Payments.
    pub paying_per_rider: Allowance,
    /// Payments.
    pub paying_per_address: Allowance,
    /// Refunds and cancellations.
    pub refunding_per_rider: Allowance,
    /// Refunds and cancellations.
    pub refunding_per_address: Allowance,
    /// Riders and addresses remembered in memory.
    pub remembered: usize,
}

/// Delays after wrong passwords.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Lockout {
    /// For one name from one network, before the first delay.
    pub tries: u32,
    /// From one address, before the first delay.
    pub address_tries: u32,
    /// The longest delay, seconds.
    pub longest_secs: u32,
}

/// The optional Redis.
#[derive(Clone, Deserialize)]
pub struct Redis {
    /// Where it is; empty for none. May hold a password.
    pub url: String,
    /// How long a request waits for it, milliseconds.
    pub timeout_ms: u64,
    /// How long it is left alone after a failure, milliseconds.
    pub retry_ms: u64,
    /// How long a list of trips is kept, milliseconds.
    pub trips_ms: u64,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redis(..)")
    }
}

/// The database.
#[derive(Clone, Debug, Deserialize)]
pub struct Database {
    /// Connections of one process.
    pub max_connections: u32,
    /// Connections kept for health and operators.
    pub reserved_connections: u32,
    /// How long a request waits for one, milliseconds.
    pub acquire_timeout_ms: u64,
    /// Longest statement, milliseconds.
    pub statement_timeout_ms: u64,
    /// Longest wait for a lock, milliseconds.
    pub lock_timeout_ms: u64,
}

/// Booking, paying and refunding.
#[derive(Clone, Debug, Deserialize)]
pub struct Booking {
    /// How long an unpaid order holds its seats, seconds.
    #[serde(deserialize_with = "some_secs")]
    pub hold_secs: f64,
    /// Booking and holding end so long before departure, seconds.
    #[serde(deserialize_with = "secs")]
    pub cut_off_secs: f64,
    /// Refunding ends so long before departure, seconds.
    #[serde(deserialize_with = "secs")]
    pub refund_cut_off_secs: f64,
    /// When an armed undo falls due by itself, milliseconds after its step.
    #[serde(deserialize_with = "millis")]
    pub undo_after_ms: i64,
    /// Seats of one order at the most.
    pub max_seats: usize,
    /// Unpaid orders of one rider at the most.
    pub max_open_holds: u16,
    /// How long a payment authorization may be used, seconds.
    #[serde(deserialize_with = "some_secs")]
    pub pay_authorization_secs: f64,
}

impl Booking {
    /// How long after its step an armed undo falls due by itself.
    pub fn undo_after(&self) -> chrono::Duration {
        chrono::Duration::milliseconds(self.undo_after_ms)
    }
}

/// Wallets.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Wallets {
    /// What a wallet may hold after a top-up, at the most. What is given back is never refused.
    #[serde(deserialize_with = "cap")]
    pub max_balance: Money,
}

/// The greatest cap on balances: a thousandth of what the schema lets a top-up leave, which keeps room for what comes back.
const GREATEST_CAP: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

fn cap<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    let cap = Money::deserialize(deserializer)?;
    if cap.is_positive() && cap.decimal() <= GREATEST_CAP {
        return Ok(cap);
    }
    Err(D::Error::custom(format!("wallets.max_balance: an amount above zero, at most {GREATEST_CAP}")))
}

/// Trips.
#[derive(Clone, Debug, Deserialize)]
pub struct Trips {
    /// The zone of the timetable and of `?date=`.
    pub zone: Tz,
    /// How many days' trips the workers keep made, today's among them; 0 for none.
    pub horizon_days: u16,
    /// Streams of live seats that one API process serves at the most.
    pub live_streams: usize,
    /// Streams of live seats that one address, or one network of 64 bits of IPv6, has of them at the most; not heeded while
    /// limits are off.
    pub live_streams_per_address: usize,
    /// How long one stream lasts at the most, seconds.
    pub live_stream_secs: u64,
    /// How often the seats of streamed trips are looked at, milliseconds.
    pub live_poll_ms: u64,
    /// How often a stream with no news shows that it lives, milliseconds.
    pub live_heartbeat_ms: u64,
}

/// The cost of hashing passwords.
#[derive(Clone, Debug, Deserialize)]
pub struct PasswordSettings {
    /// Argon2 memory, KiB.
    pub memory_kib: u32,
    /// Argon2 passes.
    pub passes: u32,
    /// Hashes at once in one process.
    pub parallel: usize,
}

impl From<&PasswordSettings> for Cost {
    fn from(from: &PasswordSettings) -> Self {
        Self { memory_kib: from.memory_kib, passes: from.passes, parallel: from.parallel }
    }
}

/// Keys with no default; dev makes its own.
#[derive(Clone, Deserialize)]
pub struct Secrets {
    /// Signs session tokens.
    pub token_key: String,
    /// Goes into every password hash.
    pub pepper: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// The simulated exceptions.
#[derive(Clone, Debug, Deserialize)]
pub struct FaultSettings {
    /// Whether the header and the variable are heeded.
    pub enabled: bool,
}

/// The worker.
#[derive(Clone, Debug, Deserialize)]
pub struct Worker {
    /// Jobs at once.
    pub concurrency: usize,
    /// How long a claimed job stays claimed without a sign of life, milliseconds.
    pub lease_ms: u64,
    /// How often to look when nothing wakes the worker, milliseconds.
    pub poll_ms: u64,
    /// How long a stop waits for jobs that run, milliseconds.
    pub grace_ms: u64,
    /// The longest an attempt may take, milliseconds.
    pub attempt_ms: u64,
    /// Jobs one statement completes and claims at the most.
    pub batch: usize,
    /// Orders that are long overdue, closed a second; without bound if 0.
    pub overdue_per_sec: u32,
    /// Whether to LISTEN for new jobs; polling alone works too.
    pub listen: bool,
    /// Whether the database is reached through a pooler in transaction mode.
    pub pooled: bool,
    /// How long ended jobs are kept, days.
    pub retention_days: u64,
    /// Address and port of the worker's metrics and health; none if empty.
    pub metrics_listen: String,
}

/// The invariants.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Verify {
    /// How long an undo may be due without being done before that breaks an invariant, seconds.
    pub debt_secs: DebtBound,
}

impl Verify {
    /// How long an undo may be due without being done.
    pub fn debt_bound(&self) -> Duration {
        self.debt_secs.0
    }
}

/// How long an undo may be due without being done: above 0, and a day at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct DebtBound(Duration);

impl TryFrom<f64> for DebtBound {
    type Error = &'static str;

    fn try_from(secs: f64) -> Result<Self, Self::Error> {
        const LONGEST: Duration = Duration::from_secs(24 * 3_600);
        let bound = Duration::try_from_secs_f64(secs).ok();
        let fits = |bound: &Duration| !bound.is_zero() && *bound <= LONGEST;
        bound.filter(fits).map(Self).ok_or("verify.debt_secs: above 0, and 86400 at the most")
    }
}

/// Accounts.
#[derive(Clone, Debug, Deserialize)]
pub struct Accounts {
    /// Whether a new sign-in ends the rider's other sessions.
    pub one_session: bool,
}

/// Idempotency keys.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Idempotency {
    /// How long an answer is kept for a client that asks again, hours.
    pub retention_hours: u32,
}

/// Old rows that nothing needs any more.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Retention {
    /// How long the barriers of flows that ended are kept, days.
    pub barrier_days: u32,
    /// How often old rows are pruned, seconds.
    pub every_secs: u32,
    /// Rows of one kind that one statement deletes at the most.
    pub batch: u32,
}

/// Logging.
#[derive(Clone, Debug, Deserialize)]
pub struct Log {
    /// A `tracing` filter.
    pub filter: String,
    /// One JSON object a line.
    pub json: bool,
}

impl Settings {
    /// Reads the settings of `environment`; `overrides` (from the command line) win over everything.
    ///
    /// # Errors
    /// Unknown keys, values that do not fit.
    pub fn load(environment: &str, overrides: &[(&str, String)]) -> Result<Self, SettingsError> {
        let defaults = File::from_str(DEFAULTS, FileFormat::Toml);
        let file = Path::new("config").join(environment);
        let variables =
            Environment::with_prefix("FAREBOX").prefix_separator("__").separator("__").try_parsing(true);
        let mut builder = Config::builder()
            .add_source(defaults.clone())
            .add_source(File::from(file).format(FileFormat::Toml).required(false))
            .add_source(variables)
            .set_override("environment", environment)?;
        for (key, value) in overrides {
            builder = builder.set_override(*key, value.as_str())?;
        }
        let merged = builder.build()?;
        let known = keys(&Config::builder().add_source(defaults).build()?);
        for key in keys(&merged) {
            if !known.contains(&key) {
                return Err(unknown(key, &known));
            }
        }
        Ok(merged.try_deserialize()?)
    }

    /// The token key and the pepper, which a server must have been given.
    ///
    /// # Errors
    /// Names the variable that is missing or too short.
    pub fn require_secrets(&self) -> Result<(), SettingsError> {
        const SHORTEST: usize = 16;
        for (name, value) in [("TOKEN_KEY", &self.secrets.token_key), ("PEPPER", &self.secrets.pepper)] {
            if value.len() < SHORTEST {
                return Err(SettingsError::Refused(format!(
                    "FAREBOX__SECRETS__{name} must be set to at least {SHORTEST} characters"
                )));
            }
        }
        Ok(())
    }

    /// Refuses faults in production.
    ///
    /// # Errors
    /// If they are on there.
    pub fn require_safe_faults(&self) -> Result<(), SettingsError> {
        let variable = std::env::var_os("FAREBOX_FAULTS").is_some();
        if self.environment == "production" && (self.faults.enabled || variable) {
            return Err(SettingsError::Refused("faults are refused in production".to_owned()));
        }
        Ok(())
    }
}

/// Seconds from a text, more than none and at most a year: how long an unpaid order holds its seats.
///
/// # Errors
/// The rule.
pub fn hold_secs(text: &str) -> Result<f64, String> {
    let secs: f64 = text.trim().parse().map_err(|_| RULE_SECS.to_owned())?;
    if bounded(secs) && secs > 0.0 { Ok(secs) } else { Err(RULE_SECS.to_owned()) }
}

const RULE_SECS: &str = "a number of seconds above 0, at most a year";

/// Not for what is no number, nor endless.
fn bounded(secs: f64) -> bool {
    (0.0..=f64::from(LONGEST_SECS)).contains(&secs)
}

fn secs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let secs = f64::deserialize(deserializer)?;
    if bounded(secs) { Ok(secs) } else { Err(D::Error::custom("a number of seconds from 0, at most a year")) }
}

fn some_secs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let some = secs(deserializer)?;
    if some > 0.0 { Ok(some) } else { Err(D::Error::custom(RULE_SECS)) }
}

fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let millis = i64::deserialize(deserializer)?;
    let fits = (0..=i64::from(LONGEST_SECS) * 1_000).contains(&millis);
    if fits { Ok(millis) } else { Err(D::Error::custom("a number of milliseconds from 0, at most a year")) }
}

fn keys(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(table) = config.cache.clone().into_table() {
        table.into_iter().for_each(|(key, value)| collect(&mut found, key, value));
    }
    found
}

fn collect(found: &mut Vec<String>, key: String, value: Value) {
    match value.kind {
        ValueKind::Table(table) => {
            table.into_iter().for_each(|(inner, value)| collect(found, format!("{key}.{inner}"), value));
        }
        _ => found.push(key),
    }
}

fn unknown(key: String, known: &[String]) -> SettingsError {
    let likeness = |other: &&String| (strsim::jaro_winkler(&key, other) * 1e6) as u64;
    let nearest = known.iter().max_by_key(likeness).cloned().unwrap_or_default();
    SettingsError::Unknown { key, nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_and_bounded() {
        for (key, value) in [
            ("booking.hold_secs", "nan"),
            ("booking.hold_secs", "inf"),
            ("booking.hold_secs", "-1"),
            ("booking.hold_secs", "0"),
            ("booking.hold_secs", "1e300"),
            ("booking.cut_off_secs", "-0.1"),
            ("booking.undo_after_ms", "-1"),
            ("booking.undo_after_ms", "9223372036854775807"),
            ("booking.pay_authorization_secs", "NaN"),
        ] {
            assert!(Settings::load("development", &[(key, value.to_owned())]).is_err(), "{key} = {value}");
        }
        assert!(hold_secs("1.5").is_ok() && hold_secs("NaN").is_err() && hold_secs("-1").is_err());
    }

    #[test]
    fn the_defaults_are_whole_and_a_slip_is_named() {
        let settings = Settings::load("development", &[]).expect("the defaults alone suffice");
        assert!((settings.booking.hold_secs - 300.0).abs() < f64::EPSILON);
        assert!(settings.require_secrets().is_err(), "secrets have no default");
        assert_eq!(settings.verify.debt_bound(), crate::ops::debts::DEFAULT_BOUND);
        for wrong in ["0", "-1", "86401", "1e300", "nan"] {
            let refused = Settings::load("development", &[("verify.debt_secs", wrong.to_owned())]);
            assert!(refused.expect_err(wrong).to_string().contains("debt_secs"), "{wrong}");
        }
        let slip = Settings::load("development", &[("booking.hold_sec", "1".to_owned())]);
        assert_eq!(
            slip.expect_err("a key nobody reads").to_string(),
            "unknown setting `booking.hold_sec`; did you mean `booking.hold_secs`?"
        );
    }
}
