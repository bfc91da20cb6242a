//! A private PostgreSQL for `cargo run` and the tests: found or fetched, started once, shared,
//! stopped when unused.
//!
//! Its files are in `<data>/postgres`, a folder closed to other users:
//!
//! | file | what |
//! |---|---|
//! | `pg/` | the cluster; `pg.tmp/` until `initdb` has completed it |
//! | `lease` | locked (shared) by every process that uses the server; without a lock, it stops |
//! | `server.lock` | locked by the process that starts the server, then by the server itself |
//! | `log`, `log.old` | the output of `initdb` and the server, of this run and of the one before |
//!
//! Both locks are `flock`s: the kernel frees them at a kill -9 and a power cut, and no process id
//! has to be trusted. A process takes the lease before it checks for the server, so that a running
//! server is not stopped meanwhile.

mod command;
mod error;
mod file;
mod find;
mod folder;
mod launch;
mod supervise;

pub use error::EmbeddedError;
pub use supervise::user_name;

use command::failed;
use error::{Context, Result};
use folder::{elsewhere, elsewhere_socket, home, socket_dir};
use launch::Launch;
use sqlx::{
    AssertSqlSafe, Connection,
    postgres::{PgConnectOptions, PgConnection},
};
use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};
use supervise::Account;

/// How long a server may take until it accepts connections (recovery after a crash included).
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long to wait for the lease while the supervisor stops a server; above all of the
/// supervisor's own limits.
const LEASE_LIMIT: Duration = Duration::from_secs(75);
/// How long `initdb` may take.
const INITDB_LIMIT: Duration = Duration::from_secs(120);
/// How long to wait for another process that makes the cluster, and may be downloading the server
/// for it.
const FIRST_START_LIMIT: Duration = Duration::from_secs(20 * 60);
/// How often a condition is polled.
const POLL: Duration = Duration::from_millis(5);
/// Only a part of the socket's file name, as the server does not listen on TCP.
const PORT: u16 = 5432;
/// The superuser of the embedded server, which owns all databases.
pub const USER: &str = "farebox";

/// The options of [`start`]. They take effect when the server is started; a process that joins a
/// running server uses it as it is.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder; made if it is missing. See [`default_data_dir`].
    pub data: PathBuf,
    /// Whether an acknowledged commit survives a power cut (fsync). Off is faster, and right for
    /// tests only.
    pub durable: bool,
    /// PostgreSQL's `max_connections`, counted over all processes that share the server.
    pub max_connections: u32,
    /// More of its settings, as `name=value`; they win over what is chosen here.
    pub settings: &'static [&'static str],
}

/// A running server, kept running while this value exists. Dropping it releases this process's
/// lease; the server stops about two seconds after the last lease is released.
#[derive(Debug)]
pub struct Server {
    home: PathBuf,
    socket_dir: PathBuf,
    _lease: File,
}

impl Server {
    /// The URL of `database` for sqlx and `psql`; the user is a superuser without a password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_as(USER, database)
    }

    /// The URL of `database` for another role of the server, which needs no password either.
    #[must_use]
    pub fn url_as(&self, role: &str, database: &str) -> String {
        url(&self.socket_dir, role, database)
    }

    /// The folder of the cluster (`pg`) and its `log`. It is outside of [`Options::data`] if root's
    /// server cannot reach that.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.home
    }
}

/// `FAREBOX_DATA`, else `/var/lib/farebox` for root, else `farebox` in the user's XDG data folder
/// (`~/.local/share`), else `.farebox` here.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("FAREBOX_DATA")
        .or_else(|| supervise::is_root().then(|| "/var/lib/farebox".into()))
        .or_else(|| set("XDG_DATA_HOME").map(|dir| dir.join("farebox")))
        .or_else(|| set("HOME").map(|dir| dir.join(".local/share/farebox")))
        .unwrap_or_else(|| ".farebox".into())
}

/// Joins the server of `options.data`, or starts it, after `initdb` if there is no cluster. May
/// first install PostgreSQL, and prints that on stderr.
///
/// # Errors
/// [`EmbeddedError`], whose texts say what to do or where to look. A server that this call started
/// and that did not become ready is stopped, since no process holds its lease. So is one whose
/// start is dropped: the launch ends on its own thread, and the lease is dropped with this future.
pub async fn start(options: &Options) -> Result<Server> {
    start_or_join(options, true).await
}

/// As [`start`], but only with a cluster and a PostgreSQL that are there: nothing is made in the
/// data folder and nothing is installed.
///
/// # Errors
/// [`EmbeddedError::NoCluster`], [`EmbeddedError::NotFound`], and those of [`start`].
pub async fn start_existing(options: &Options) -> Result<Server> {
    if !has_cluster(&options.data) {
        return Err(EmbeddedError::NoCluster { data: options.data.clone() });
    }
    start_or_join(options, false).await
}

/// Whether a cluster was made for this data folder.
fn has_cluster(data: &Path) -> bool {
    let Ok(data) = data.canonicalize() else { return false };
    [data.join("postgres"), elsewhere(&data)].iter().any(|home| home.join("pg/PG_VERSION").exists())
}

async fn start_or_join(options: &Options, may_make: bool) -> Result<Server> {
    let (home, account) = home(&options.data)?;
    let socket_dir = socket_dir(&home, account.as_ref())?;
    let lease = lease(&home, account.as_ref()).await?;
    let began = Instant::now();
    let mut launched = false;
    loop {
        match try_lock(&home.join("server.lock"), account.as_ref())? {
            // No process of the server runs. If it was just started, the reason is in its log.
            Some(_) if launched => return Err(failed("the start of PostgreSQL", &home.join("log"))),
            Some(lock) => {
                let launch = Launch {
                    home: home.clone(),
                    socket_dir: socket_dir.clone(),
                    account: account.clone(),
                    options: options.clone(),
                    lock,
                    may_make,
                };
                let task = tokio::task::spawn_blocking(move || launch.run());
                task.await.map_err(io::Error::other).context(|| "starting PostgreSQL".into())??;
                launched = true;
            }
            None if is_ready(&home, &socket_dir).await => {
                return Ok(Server { home, socket_dir, _lease: lease });
            }
            None => {}
        }
        let made = home.join("pg").exists();
        let limit = if launched || made { READY_LIMIT } else { FIRST_START_LIMIT };
        if began.elapsed() > limit {
            return Err(EmbeddedError::TimedOut { what: "PostgreSQL to accept connections", limit });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Creates the database `name` if it does not exist. Safe to drop: it has its own connection, and
/// the next call checks again.
///
/// # Errors
/// [`EmbeddedError::Database`] when the server cannot be reached or refuses.
pub async fn ensure_database(server: &Server, name: &str) -> Result<()> {
    let mut db = PgConnection::connect_with(&PgConnectOptions::from_str(&server.url("postgres"))?).await?;
    let exists = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    if !sqlx::query_scalar::<_, bool>(exists).bind(name).fetch_one(&mut db).await? {
        let create = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
        match sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut db).await {
            // Another process was faster: duplicate_database, or its unique index if both were
            // creating it.
            Err(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("42P04" | "23505")) => {}
            done => {
                done?;
            }
        }
    }
    db.close().await?;
    Ok(())
}

/// Drops the database `name` if it exists, and closes all connections to it.
///
/// # Errors
/// [`EmbeddedError::Database`] when the server cannot be reached or refuses.
pub async fn drop_database(server: &Server, name: &str) -> Result<()> {
    let mut db = PgConnection::connect_with(&PgConnectOptions::from_str(&server.url("postgres"))?).await?;
    let drop = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", name.replace('"', "\"\""));
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut db).await?;
    db.close().await?;
    Ok(())
}

/// Whether the server's user, which is not root, can reach this folder.
#[must_use]
pub fn reaches(dir: &Path) -> bool {
    if !supervise::is_root() {
        return true;
    }
    let account = Account::named(c"postgres").or_else(|| Account::named(c"nobody"));
    account.is_some_and(|account| account.reaches(dir))
}

/// Removes the files of the server of `data`, wherever they are, with its socket. No process may
/// use the server any more; it is not waited for if it is stopping.
///
/// # Errors
/// [`EmbeddedError::Io`] if something cannot be removed.
pub fn remove(data: &Path) -> Result<()> {
    let Ok(data) = data.canonicalize() else { return Ok(()) };
    let (home, elsewhere) = (data.join("postgres"), elsewhere(&data));
    for folder in [elsewhere_socket(&home), elsewhere, home] {
        // Never through a link: another user could make one under a name that can be guessed.
        if fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
            fs::remove_dir_all(&folder).context(|| format!("removing {}", folder.display()))?;
        }
    }
    Ok(())
}

/// The shared lock that keeps the server running. Waits while the supervisor stops the server.
async fn lease(home: &Path, account: Option<&Account>) -> Result<File> {
    let path = home.join("lease");
    let file = file::open(&path, account)?;
    let began = Instant::now();
    loop {
        match file.try_lock_shared() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => {
                return Err(source).context(|| format!("locking {}", path.display()));
            }
            Err(TryLockError::WouldBlock) if began.elapsed() > LEASE_LIMIT => {
                return Err(EmbeddedError::TimedOut { what: "the last server to stop", limit: LEASE_LIMIT });
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Whether the server's status is ready and a connection works. A server without free connections
/// is ready; one that starts up or shuts down is not, nor one whose postmaster was killed.
async fn is_ready(home: &Path, socket_dir: &Path) -> bool {
    let status = fs::read_to_string(home.join("pg/postmaster.pid")).unwrap_or_default();
    if status.lines().nth(7).map(str::trim) != Some("ready") {
        return false;
    }
    let Ok(options) = PgConnectOptions::from_str(&url(socket_dir, USER, "postgres")) else { return false };
    match tokio::time::timeout(READY_LIMIT, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => connection.close().await.is_ok(),
        Ok(Err(sqlx::Error::Database(e))) => e.code().as_deref() != Some("57P03"), // cannot_connect_now
        _ => false,
    }
}

fn url(socket_dir: &Path, user: &str, database: &str) -> String {
    let (database, socket_dir) = (percent(database), percent(&socket_dir.to_string_lossy()));
    // Host and port are set to keep PGHOST and PGPORT out; the later `host` is the one that counts.
    format!("postgres://{user}@localhost:{PORT}/{database}?host={socket_dir}&sslmode=disable")
}

fn percent(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn try_lock(path: &Path, account: Option<&Account>) -> Result<Option<File>> {
    let file = file::open(path, account)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(source).context(|| format!("locking {}", path.display())),
    }
}
