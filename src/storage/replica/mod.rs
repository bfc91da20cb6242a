//! Reading from a standby of the database (`database.replica_url`), which may be absent, behind or lost at
//! any time.
//!
//! Lists, manifests and the check of the invariants may be read there. Nothing is decided by them: what
//! reads to decide reads the primary. Any failure of the standby, a refusal on its old data among them,
//! makes the primary be read instead. A background task compares the two servers; requests wait for it
//! never.

mod progress;

use super::{
    is_outage, is_stale_plan,
    pooler::{self, SessionError},
    stale_plan::DatabaseCause,
};
use crate::settings;
use progress::Progress;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use secrecy::ExposeSecret;
use sqlx::{PgPool, postgres::PgConnectOptions};
use std::{
    fmt::Display,
    future::Future,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// How often the two servers are compared. The lag is never known better than this.
const COMPARE_EVERY: Duration = Duration::from_millis(200);
/// How long one comparison may take.
const COMPARE_LIMIT: Duration = Duration::from_secs(2);
/// How long a read waits for a connection to it. Connecting to a server that is away is tried for so long.
const ACQUIRE_LIMIT: Duration = Duration::from_millis(500);
/// How long a read may take on the standby before it is made on the primary.
const READ_LIMIT: Duration = Duration::from_secs(2);
/// How long a check of the invariants may take there.
pub const CHECK_LIMIT: Duration = Duration::from_secs(60 * 60);
/// How long a read that must be current waits for the standby.
const CATCH_UP_LIMIT: Duration = Duration::from_millis(250);
/// How often it looks meanwhile.
const CATCH_UP_LOOK: Duration = Duration::from_millis(5);

/// How old the standby's data is, seconds; absent without a standby, and until it was reached once.
pub static REPLICA_LAG: LazyLock<Family<NoLabels, Gauge<f64, AtomicU64>>> = LazyLock::new(Family::default);
/// Reads that the standby may answer, by the server that did.
pub static REPLICA_READS: LazyLock<Family<ServedBy, Counter>> = LazyLock::new(Family::default);

/// The labels of a metric that has none but may be absent.
type NoLabels = [(&'static str, &'static str); 0];

/// The label of [`REPLICA_READS`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ServedBy {
    server: &'static str,
}

/// How old what is read may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// At most `database.replica_max_lag_ms`.
    Bounded,
    /// It has every change that was acknowledged before the read.
    Current,
}

/// Why the standby is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It cannot be reached, or not soon enough.
    #[error("away: {0}")]
    Away(String),
    /// It is further behind than allowed, or was not compared yet.
    #[error("behind by more than database.replica_max_lag_ms")]
    Behind,
    /// It follows nobody: it is a primary, since a failover or by mistake.
    #[error("not a standby")]
    NotAStandby,
    /// It holds another cluster's data.
    #[error("of another cluster: its system identifier is {found}, the primary's is {expected}")]
    OtherCluster {
        /// The standby's.
        found: i64,
        /// The primary's.
        expected: i64,
    },
    /// The URL names another database of the cluster.
    #[error("another database of the cluster than that of DATABASE_URL")]
    OtherDatabase,
}

/// Why a process refuses its `database.replica_url`.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// It can never be right.
    #[error("database.replica_url: {0}")]
    Wrong(Unread),
    /// A pooler shares its sessions.
    #[error("database.replica_url: {0}")]
    Sessions(SessionError),
    /// It does not parse.
    #[error("database.replica_url: {0}")]
    Url(sqlx::Error),
}

/// A standby. Clones share what is known of it.
#[derive(Clone, Debug)]
pub struct Replica(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    max_lag: Duration,
    known: Mutex<Known>,
    failed_at: FailedAt,
}

/// When the standby failed last: what broke one connection has mostly broken the others. Those to the
/// primary are not concerned.
type FailedAt = Arc<Mutex<Option<Instant>>>;

/// What the last comparison found.
#[derive(Debug, Default)]
struct Known {
    progress: Progress,
    unread: Option<Unread>,
}

/// A server, as the comparison needs it.
#[derive(sqlx::FromRow)]
struct Server {
    is_standby: bool,
    /// How far the log is written, or replayed; bytes.
    position: i64,
    system: i64,
    database: i64,
}

/// The log is compared as far as it is on the disk: no change is acknowledged before.
const PRIMARY: &str = "select pg_is_in_recovery() as is_standby, (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::int8 as position,
            (select system_identifier from pg_control_system()) as system,
            (select oid::int8 from pg_database where datname = current_database()) as database";
const STANDBY: &str = "select pg_is_in_recovery() as is_standby,
            coalesce((pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::int8, 0) as position,
            (select system_identifier from pg_control_system()) as system,
            (select oid::int8 from pg_database where datname = current_database()) as database";

async fn server(pool: &PgPool, query: &'static str) -> Result<Server, sqlx::Error> {
    sqlx::query_as(query).fetch_one(pool).await
}

impl Replica {
    /// As the settings say; `None` if they name none. It connects on first use.
    ///
    /// # Errors
    /// A URL that does not parse.
    pub fn new(settings: &settings::Database, name: &str) -> Result<Option<Self>, ReplicaError> {
        if !settings.names_replica() {
            return Ok(None);
        }
        let failed_at = FailedAt::default();
        let pool = super::pool(settings.replica_url.expose_secret(), settings, name);
        let pool = pool_of_standby(&pool.map_err(ReplicaError::Url)?, Arc::clone(&failed_at));
        let max_lag = Duration::from_millis(settings.replica_max_lag_ms);
        let inner = Inner { pool, max_lag, known: Mutex::default(), failed_at };
        Ok(Some(Self(Arc::new(inner))))
    }

    /// Compares the servers once, and refuses what can never be right. A standby that is away or behind,
    /// and a primary, are not refused: each may be so after a failover, when processes restart.
    ///
    /// # Errors
    /// Another cluster, another database, a pooler that shares sessions.
    pub async fn require_same(&self, primary: &PgPool) -> Result<(), ReplicaError> {
        if let Err(error @ SessionError::Shared) = pooler::require_sessions(&self.0.pool).await {
            return Err(ReplicaError::Sessions(error));
        }
        match self.compare(primary).await {
            Err(wrong @ (Unread::OtherCluster { .. } | Unread::OtherDatabase)) => {
                Err(ReplicaError::Wrong(wrong))
            }
            _ => Ok(()),
        }
    }

    /// Compares the servers for as long as the process lives.
    pub async fn run_compare_loop(self, primary: PgPool) {
        loop {
            sleep(COMPARE_EVERY).await;
            // The outcome is kept, and logged when it changes.
            let _ = self.compare(&primary).await;
        }
    }

    /// How old its data is at most; `None` if it was never reached.
    pub fn lag(&self) -> Option<Duration> {
        self.known().progress.lag(Instant::now())
    }

    /// Why it is not read now; `None` if it is read.
    pub fn unread(&self) -> Option<Unread> {
        let known = self.known();
        let in_time = known.progress.lag(Instant::now()).is_some_and(|lag| lag <= self.0.max_lag);
        known.unread.clone().or_else(|| (!in_time).then_some(Unread::Behind))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn compare(&self, primary: &PgPool) -> Result<(), Unread> {
        let at = Instant::now();
        // The primary first: what it has written then, a standby that follows has a moment later.
        let found = timeout(COMPARE_LIMIT, async {
            // Without its primary nothing is learned about the standby: its data just grows older.
            let Ok(leader) = server(primary, PRIMARY).await else { return Ok(None) };
            server(&self.0.pool, STANDBY).await.map(|follower| Some((leader, follower)))
        });
        let outcome = match found.await {
            Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some((leader, follower)))) => judged(&leader, &follower).map(|()| Some((leader, follower))),
            Ok(Err(error)) => Err(Unread::Away(error.to_string())),
            Err(_) => Err(Unread::Away(format!("no answer within {COMPARE_LIMIT:?}"))),
        };
        let mut known = self.known();
        let unread = match outcome {
            Ok(None) => known.unread.clone(),
            Ok(Some((leader, follower))) => {
                known.progress.compare(at, leader.position, follower.position);
                None
            }
            Err(unread) => {
                if matches!(unread, Unread::Away(_)) {
                    self.renew_connections();
                } else {
                    known.progress.reset();
                }
                Some(unread)
            }
        };
        if let Some(lag) = known.progress.lag(Instant::now()) {
            REPLICA_LAG.get_or_create(&[]).set(lag.as_secs_f64());
        }
        note_change(known.unread.as_ref(), unread.as_ref());
        known.unread.clone_from(&unread);
        unread.map_or(Ok(()), Err)
    }

    /// Whether it has everything that was acknowledged on the primary before this call, now or soon.
    async fn catches_up(&self, primary: &PgPool) -> bool {
        let following = async {
            let wanted = server(primary, PRIMARY).await.ok()?;
            loop {
                let follower = server(&self.0.pool, STANDBY).await.ok()?;
                judged(&wanted, &follower).ok()?;
                if follower.position >= wanted.position {
                    return Some(());
                }
                sleep(CATCH_UP_LOOK).await;
            }
        };
        timeout(CATCH_UP_LIMIT, following).await.is_ok_and(|caught_up| caught_up.is_some())
    }

    /// Makes the pool discard the connections that exist now.
    fn renew_connections(&self) {
        *self.0.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Keeps other reads from a standby that just failed one, until the next comparison succeeds.
    fn note_failure(&self, reason: impl Display) {
        self.renew_connections();
        let unread = Some(Unread::Away(reason.to_string()));
        let mut known = self.known();
        note_change(known.unread.as_ref(), unread.as_ref());
        known.unread = unread;
    }
}

/// The pool, but that it gives up soon and discards what was connected before the last failure.
fn pool_of_standby(pool: &PgPool, failed_at: FailedAt) -> PgPool {
    let options =
        pool.options().clone().acquire_timeout(ACQUIRE_LIMIT).before_acquire(move |_, connection| {
            let failed_at = *failed_at.lock().unwrap_or_else(PoisonError::into_inner);
            let usable = failed_at.is_none_or(|at| at.elapsed() >= connection.age);
            Box::pin(async move { Ok(usable) })
        });
    options.connect_lazy_with(PgConnectOptions::clone(&pool.connect_options()))
}

/// Whether the one may be the standby of the other.
fn judged(leader: &Server, follower: &Server) -> Result<(), Unread> {
    if follower.system != leader.system {
        return Err(Unread::OtherCluster { found: follower.system, expected: leader.system });
    }
    if follower.database != leader.database {
        return Err(Unread::OtherDatabase);
    }
    if follower.is_standby { Ok(()) } else { Err(Unread::NotAStandby) }
}

/// Once for each change, not once a comparison.
fn note_change(before: Option<&Unread>, now: Option<&Unread>) {
    match (before, now) {
        (None, Some(Unread::Away(reason))) => {
            tracing::warn!(reason, "the standby is away; reading from the primary");
        }
        (before, Some(unread)) if !matches!(unread, Unread::Away(_)) && before != Some(unread) => {
            tracing::warn!(%unread, "the standby is not read; reading from the primary");
        }
        (Some(_), None) => tracing::info!("the standby is read again"),
        _ => {}
    }
}

/// Where reads go that a standby may answer. Clones share the pools.
#[derive(Clone, Debug)]
pub struct Reads {
    primary: PgPool,
    replica: Option<Replica>,
}

impl Reads {
    /// From the standby if there is one, otherwise from the primary.
    pub fn new(primary: PgPool, replica: Option<Replica>) -> Self {
        Self { primary, replica }
    }

    /// The same with other connections to the primary.
    #[must_use]
    pub fn on(&self, primary: PgPool) -> Self {
        Self { primary, replica: self.replica.clone() }
    }

    /// The standby, if the settings name one.
    pub fn replica(&self) -> Option<&Replica> {
        self.replica.as_ref()
    }

    /// Reads from the standby if its data is this fresh and it answers soon; otherwise, and if it fails,
    /// from the primary. `work` only reads, and decides nothing. May be dropped at any time.
    ///
    /// # Errors
    /// Those of `work` on the primary.
    pub async fn read<T, E, F>(&self, freshness: Freshness, work: impl Fn(PgPool) -> F) -> Result<T, E>
    where
        E: DatabaseCause,
        F: Future<Output = Result<T, E>>,
    {
        self.read_within(READ_LIMIT, freshness, work).await
    }

    /// The same for work that may take longer on the standby.
    ///
    /// # Errors
    /// Those of `work` on the primary.
    pub async fn read_within<T, E, F>(
        &self,
        limit: Duration,
        freshness: Freshness,
        work: impl Fn(PgPool) -> F,
    ) -> Result<T, E>
    where
        E: DatabaseCause,
        F: Future<Output = Result<T, E>>,
    {
        let Some(replica) = &self.replica else { return work(self.primary.clone()).await };
        if replica.unread().is_none()
            && (freshness == Freshness::Bounded || replica.catches_up(&self.primary).await)
        {
            match timeout(limit, work(replica.0.pool.clone())).await {
                Ok(Ok(found)) => {
                    REPLICA_READS.get_or_create(&ServedBy { server: "standby" }).inc();
                    return Ok(found);
                }
                Ok(Err(error)) => note_error(replica, &error),
                Err(_) => replica.note_failure(format!("no answer within {limit:?}")),
            }
        }
        REPLICA_READS.get_or_create(&ServedBy { server: "primary" }).inc();
        work(self.primary.clone()).await
    }
}

/// A refusal on old data, or a query that replay cancelled, says nothing about the next read.
fn note_error<E: DatabaseCause>(replica: &Replica, error: &E) {
    let Some(cause) = error.database_error() else { return };
    if is_stale_plan(cause) {
        replica.renew_connections();
    } else if is_outage(cause) {
        replica.note_failure(cause);
    } else {
        tracing::info!(error = %cause, "a read failed on the standby; reading from the primary");
    }
}
