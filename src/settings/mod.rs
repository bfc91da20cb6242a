//! Settings: `config/default.toml` (built in), then `config/<environment>.toml`, then
//! `FAREBOX__SECTION__KEY`.

mod accounts;
mod booking;
mod connections;
mod environment;
mod error;
mod hosts;
mod http;
mod limits;
mod load;
mod otel;
mod passwords;
pub mod quota;
mod retention;
mod secrets;
mod time;
mod variables;
mod verify;
mod wallets;
mod webhooks;

pub use accounts::{Accounts, OperatorSessions, SecondFactorRule};
pub use booking::Booking;
pub use connections::{Database, Redis};
pub use environment::Environment;
pub use error::SettingsError;
pub use hosts::{Hosts, is_loopback};
pub use http::{Admission, Http, Origins};
pub use limits::{Limits, Lockout};
pub use otel::{Otel, Percent};
pub use passwords::Cost;
pub use quota::Quota;
pub use retention::Retention;
pub use secrets::{Ring, Secrets};
pub use time::hold_secs;
pub use variables::database_url;
pub use verify::{DEFAULT_OVERDUE_BOUND, OverdueBound, Verify};
pub use wallets::{Units, Wallets};
pub use webhooks::Webhooks;

use chrono_tz::Tz;
use serde::Deserialize;

/// All settings.
#[derive(Clone, Debug, Deserialize)]
pub struct Settings {
    /// Where the process runs.
    pub environment: Environment,
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
    pub passwords: Cost,
    /// Keys without a default.
    pub secrets: Secrets,
    /// The simulated exceptions.
    pub faults: FaultSettings,
    /// The worker.
    pub worker: Worker,
    /// Webhooks.
    pub webhooks: Webhooks,
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
    /// The export of traces.
    pub otel: Otel,
}

/// Trips.
#[derive(Clone, Debug, Deserialize)]
pub struct Trips {
    /// The zone of the timetable and of `?date=`.
    pub zone: Tz,
    /// For how many days the workers make trips in advance, today included; 0 for none.
    pub horizon_days: u16,
    /// Most streams of live seats of one API process.
    pub live_streams: usize,
    /// Most of them for one address (a network of 64 bits of IPv6); ignored while limits are off.
    pub live_streams_per_address: usize,
    /// Longest stream, seconds.
    pub live_stream_secs: u64,
    /// How often the seats of streamed trips are read, milliseconds.
    pub live_poll_ms: u64,
    /// How often a stream without events sends a heartbeat, milliseconds.
    pub live_heartbeat_ms: u64,
}

/// The simulated exceptions.
#[derive(Clone, Debug, Deserialize)]
pub struct FaultSettings {
    /// Whether the header and the variable have an effect.
    pub enabled: bool,
}

/// The worker.
#[derive(Clone, Debug, Deserialize)]
pub struct Worker {
    /// Jobs at once.
    pub concurrency: usize,
    /// How long a claimed job stays claimed without a heartbeat, milliseconds.
    pub lease_ms: u64,
    /// How often to poll when nothing wakes the worker, milliseconds.
    pub poll_ms: u64,
    /// How long a stop waits for jobs that run, milliseconds.
    pub grace_ms: u64,
    /// Longest attempt, milliseconds.
    pub attempt_ms: u64,
    /// Most jobs that one statement completes and claims.
    pub batch: usize,
    /// How many long overdue orders are closed in a second; 0 for no bound.
    pub overdue_per_sec: u32,
    /// Whether to LISTEN for new jobs; polling alone works too.
    pub listen: bool,
    /// How long ended jobs are kept, days.
    pub retention_days: u64,
    /// Address and port of the worker's metrics and health; none if empty.
    pub metrics_listen: String,
}

/// Idempotency keys.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Idempotency {
    /// How long a response is stored for a client that repeats its request, hours.
    pub retention_hours: u32,
}

/// Logging.
#[derive(Clone, Debug, Deserialize)]
pub struct Log {
    /// A `tracing` filter.
    pub filter: String,
    /// One JSON object a line.
    pub json: bool,
}
