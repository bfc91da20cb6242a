//! A private PostgreSQL for `cargo run` and the tests: found or fetched, started once, shared, stopped when unused.
//!
//! All of it lives in `<data>/postgres`, a folder closed to other users:
//!
//! | file | what |
//! |---|---|
//! | `pg/` | the cluster; `pg.tmp/` while `initdb` works, so that a half-done one is never taken for whole |
//! | `lease` | every process that uses the server holds a shared lock on it; the supervisor stops the server without one |
//! | `server.lock` | locked by whoever may start the server, and then, inherited, by every process of the server itself |
//! | `log`, `log.old` | what `initdb` and this run of the server said, and the run before |
//!
//! Both locks are `flock`s: the kernel frees them at a kill -9 and a power cut, and no process id has to be trusted.
//! A process takes the lease first and only then looks for the server, so a server it finds cannot be stopped under it.

mod find;
mod supervise;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use supervise::Account;

/// How long a server may take until it accepts connections (recovery after a crash included).
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long to wait for the lease while the supervisor stops a server; above all of the supervisor's own limits.
const LEASE_LIMIT: Duration = Duration::from_secs(75);
/// How long `initdb` may take.
const INITDB_LIMIT: Duration = Duration::from_secs(120);
/// How long to wait for another process that makes the cluster, and may be downloading the server for it.
const FIRST_START_LIMIT: Duration = Duration::from_secs(20 * 60);
/// How often a condition is looked at again.
const POLL: Duration = Duration::from_millis(5);
/// A socket's path may have 103 bytes on macOS and 107 on Linux; this leaves room for `/.s.PGSQL.5432`.
const SOCKET_DIR_MAX: usize = 85;
/// Only a part of the socket's file name, as the server does not listen on TCP.
const PORT: u16 = 5432;
const USER: &str = "farebox";

/// What [`start`] needs to know. They take effect when the server is started: who joins a running one takes it as it is.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder; made if it is missing. See [`default_data_dir`].
    pub data: PathBuf,
    /// Whether an acknowledged commit survives a power cut (fsync). Off is faster, and right for tests only.
    pub durable: bool,
    /// PostgreSQL's `max_connections`, counted over all processes that share the server.
    pub max_connections: u32,
    /// More of its settings, as `name=value`; they win over what is chosen here.
    pub settings: &'static [&'static str],
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No server binaries here, and none could be fetched.
    #[error(
        "no PostgreSQL server found: set DATABASE_URL to a running server, or PG_BIN to a folder with \
         PostgreSQL 15 to 18, or install the package `postgresql`"
    )]
    NotFound,
    /// `PG_BIN` is set to something else than the binaries of a supported server.
    #[error("PG_BIN={}: no PostgreSQL 15 to 18 that {user} can run (`postgres` and `initdb`) in that folder", .path.display())]
    BadPgBin {
        /// The folder that `PG_BIN` names.
        path: PathBuf,
        /// The user that the server runs as.
        user: String,
    },
    /// The data folder was made by a major version that is not installed.
    #[error(
        "{} was made by PostgreSQL {wanted}, found here: {found}. Set PG_BIN to a PostgreSQL {wanted}, or use another data folder",
        .data.display()
    )]
    OtherMajor {
        /// The cluster's folder.
        data: PathBuf,
        /// The major version that made it.
        wanted: u32,
        /// The major versions found here.
        found: String,
    },
    /// Running as root, and there is no other user to run the server as.
    #[error("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")]
    NoAccount,
    /// A folder that has to be ours is a link, or belongs to somebody else.
    #[error("{} has to be a folder of {user}, and is not", .path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Whose it should be.
        user: String,
    },
    /// A program failed; its last words follow.
    #[error("{what} failed, see {}:\n{tail}", .log.display())]
    Failed {
        /// The program.
        what: &'static str,
        /// Where all of its output is.
        log: PathBuf,
        /// The output's last lines.
        tail: String,
    },
    /// Something took longer than its limit.
    #[error("gave up waiting for {what} after {} s", .limit.as_secs())]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// A file or a process could not be handled.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server answered with an error.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

type Result<T> = std::result::Result<T, EmbeddedError>;

/// Names what was tried when an I/O call fails.
trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| EmbeddedError::Io { doing: what(), source })
    }
}

/// A running server, kept running while this lives. Dropping it gives up this process's lease, no more: the server
/// stops about two seconds after the last process gave up its own.
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
        url(&self.socket_dir, database)
    }

    /// The folder that holds the cluster (`pg`) and its `log`. It is not in [`Options::data`] where root's server
    /// could not reach that.
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

/// Joins the server of `options.data`, or starts it: at once if it runs, in about 0.1 s if it was made before, in
/// about a second if not. May first install PostgreSQL, and says so on stderr.
///
/// # Errors
/// [`EmbeddedError`], each variant of which says what to do or where to look. A server that this
/// call started and did not see ready is stopped like any other: nobody holds its lease. So is one whose start is dropped:
/// the launch ends on its own thread, with the lock, and the lease goes with this future.
pub async fn start(options: &Options) -> Result<Server> {
    let (home, account) = home(&options.data)?;
    let socket_dir = socket_dir(&home, account.as_ref())?;
    let lease = lease(&home).await?;
    let began = Instant::now();
    let mut launched = false;
    loop {
        match try_lock(&home.join("server.lock"))? {
            // Nothing of the server lives. If that is the one just started, its log knows why.
            Some(_) if launched => return Err(failed("the start of PostgreSQL", &home.join("log"))),
            Some(lock) => {
                let launch = Launch {
                    home: home.clone(),
                    socket_dir: socket_dir.clone(),
                    account: account.clone(),
                    options: options.clone(),
                    lock,
                };
                let task = tokio::task::spawn_blocking(move || launch.run());
                task.await.map_err(io::Error::other).doing(|| "starting PostgreSQL".into())??;
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

/// Creates the database `name` if there is none. Safe to drop: its connection is its own, and the next call looks again.
///
/// # Errors
/// [`EmbeddedError::Database`] when the server cannot be reached or refuses.
pub async fn ensure_database(server: &Server, name: &str) -> Result<()> {
    let mut db = PgConnection::connect_with(&PgConnectOptions::from_str(&server.url("postgres"))?).await?;
    let exists = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    if !sqlx::query_scalar::<_, bool>(exists).bind(name).fetch_one(&mut db).await? {
        let create = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
        match sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut db).await {
            // Another process was faster: duplicate_database, or its unique index while both were at it.
            Err(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("42P04" | "23505")) => {}
            done => {
                done?;
            }
        }
    }
    db.close().await?;
    Ok(())
}

/// Drops the database `name` if it is there, and whoever is connected to it.
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

/// Whether the server's user, who is another one where this process is root's, can reach this folder.
#[must_use]
pub fn reaches(dir: &Path) -> bool {
    if !supervise::is_root() {
        return true;
    }
    let account = Account::named(c"postgres").or_else(|| Account::named(c"nobody"));
    account.is_some_and(|account| account.reaches(dir))
}

/// Takes away what a server left of the data folder `data`, wherever that lies, with its socket. Nobody may use the server any
/// more; one that still stops is not waited for.
///
/// # Errors
/// [`EmbeddedError::Io`] if something cannot be taken away.
pub fn remove(data: &Path) -> Result<()> {
    let Ok(data) = data.canonicalize() else { return Ok(()) };
    let (home, elsewhere) = (data.join("postgres"), elsewhere(&data));
    for folder in [elsewhere_socket(&home), elsewhere, home] {
        // Never through a link that somebody else made under a name that can be guessed.
        if fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
            fs::remove_dir_all(&folder).doing(|| format!("removing {}", folder.display()))?;
        }
    }
    Ok(())
}

/// The shared lock that keeps the server running. Waits while a supervisor that found nobody stops the server.
async fn lease(home: &Path) -> Result<File> {
    let path = home.join("lease");
    let file = open_lock(&path)?;
    let began = Instant::now();
    loop {
        match file.try_lock_shared() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => {
                return Err(source).doing(|| format!("locking {}", path.display()));
            }
            Err(TryLockError::WouldBlock) if began.elapsed() > LEASE_LIMIT => {
                return Err(EmbeddedError::TimedOut { what: "the last server to stop", limit: LEASE_LIMIT });
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Whether the server says so itself, and a connection works. A full server is a ready one; one that starts up or
/// shuts down is not, and neither is one whose postmaster was killed (its socket refuses).
async fn is_ready(home: &Path, socket_dir: &Path) -> bool {
    let status = fs::read_to_string(home.join("pg/postmaster.pid")).unwrap_or_default();
    if status.lines().nth(7).map(str::trim) != Some("ready") {
        return false;
    }
    let Ok(options) = PgConnectOptions::from_str(&url(socket_dir, "postgres")) else { return false };
    match tokio::time::timeout(READY_LIMIT, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => connection.close().await.is_ok(),
        Ok(Err(sqlx::Error::Database(e))) => e.code().as_deref() != Some("57P03"), // cannot_connect_now
        _ => false,
    }
}

/// One start of the server by the process that holds `server.lock`.
struct Launch {
    home: PathBuf,
    socket_dir: PathBuf,
    account: Option<Account>,
    options: Options,
    lock: File,
}

impl Launch {
    fn run(self) -> Result<()> {
        let pg = self.home.join("pg");
        let made_by = fs::read_to_string(pg.join("PG_VERSION")).ok().and_then(|v| v.trim().parse().ok());
        let bin = find::find(made_by, self.account.as_ref(), &self.home)?;
        let log_path = self.home.join("log");
        let _ = fs::rename(&log_path, self.home.join("log.old")); // missing at the first start
        let log = File::create(&log_path).doing(|| format!("making {}", log_path.display()))?;
        if made_by.is_none() {
            self.initdb(&bin, &log, &log_path)?;
        }
        self.clear_leftovers(&pg);
        let on = if self.options.durable { "on" } else { "off" };
        let mut postgres = self.command(&bin.join("postgres"));
        postgres.arg("-D").arg(&pg).arg("-k").arg(&self.socket_dir).args(["-p", &PORT.to_string()]);
        for setting in [
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "shared_buffers=128MB",
            "log_destination=stderr",
            "logging_collector=off",
            &format!("max_connections={}", self.options.max_connections),
            &format!("fsync={on}"),
            &format!("synchronous_commit={on}"),
            &format!("full_page_writes={on}"),
        ]
        .iter()
        .chain(self.options.settings)
        {
            postgres.args(["-c", setting]);
        }
        let output = log.try_clone().doing(|| "sharing the log".into())?;
        postgres.stdin(Stdio::null()).stdout(output).stderr(log);
        let lease = open_lock(&self.home.join("lease"))?;
        supervise::spawn(postgres, lease, self.lock).doing(|| format!("running {}/postgres", bin.display()))
    }

    /// Makes the cluster under another name and renames it when it is whole.
    fn initdb(&self, bin: &Path, log: &File, log_path: &Path) -> Result<()> {
        let (pg, half) = (self.home.join("pg"), self.home.join("pg.tmp"));
        for leftover in [&pg, &half] {
            // `pg` without a PG_VERSION is no cluster; only an empty one is taken away.
            let removed =
                if leftover == &half { fs::remove_dir_all(leftover) } else { fs::remove_dir(leftover) };
            match removed {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(e).doing(|| format!("clearing {}", leftover.display()));
                }
                _ => {}
            }
        }
        let mut initdb = self.command(&bin.join("initdb"));
        initdb.arg("-D").arg(&half).args(["-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C"]);
        initdb.arg("--no-instructions");
        if !self.options.durable {
            initdb.arg("--no-sync");
        }
        // If this process is killed, its initdb goes on, and keeps others out until it is done.
        supervise::inherit(&mut initdb, &self.lock);
        if !run(&mut initdb, log, INITDB_LIMIT, "initdb")? {
            return Err(failed("initdb", log_path));
        }
        let synced = fs::rename(&half, &pg).and_then(|()| File::open(&self.home)?.sync_all());
        synced.doing(|| format!("renaming {}", half.display()))
    }

    /// What a kill -9 or a power cut left behind. PostgreSQL handles a stale `postmaster.pid`, except when its process
    /// id is in use again, which is common in containers. It is left alone if that is a PostgreSQL, started by hand.
    fn clear_leftovers(&self, pg: &Path) {
        for name in [format!(".s.PGSQL.{PORT}"), format!(".s.PGSQL.{PORT}.lock")] {
            let _ = fs::remove_file(self.socket_dir.join(name)); // usually missing
        }
        let file = pg.join("postmaster.pid");
        let pid =
            fs::read_to_string(&file).ok().and_then(|text| text.lines().next()?.trim().parse::<u32>().ok());
        let program = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok());
        if program.is_some_and(|name| name.trim() != "postgres") {
            let _ = fs::remove_file(&file); // if this fails, PostgreSQL says why
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = supervise::command(program, self.account.as_ref());
        // UTC everywhere, and no search through the zones for the local one's name.
        command.current_dir(&self.home).env("TZ", "UTC");
        command
    }
}

/// The folder of everything here, and who the server runs as if that is somebody else (PostgreSQL refuses root).
fn home(data: &Path) -> Result<(PathBuf, Option<Account>)> {
    if !data.exists() {
        // Passable for the server's user, whatever the umask is; what is private is in the folder below.
        let made = fs::create_dir_all(data)
            .and_then(|()| fs::set_permissions(data, PermissionsExt::from_mode(0o755)));
        made.doing(|| format!("making the data folder {}", data.display()))?;
    }
    // The same name for all processes, whatever their working folder is.
    let data = data.canonicalize().doing(|| format!("looking for {}", data.display()))?;
    let home = data.join("postgres");
    if !supervise::is_root() {
        return Ok((private_dir(home, None)?, None));
    }
    let owner = fs::symlink_metadata(&home).ok().filter(|folder| folder.is_dir() && folder.uid() != 0);
    let account = match owner {
        // An ordinary user's own server stays theirs when root joins in.
        Some(folder) => Account { uid: folder.uid(), gid: folder.gid() },
        None => Account::named(c"postgres")
            .or_else(|| Account::named(c"nobody"))
            .ok_or(EmbeddedError::NoAccount)?,
    };
    if account.reaches(&data) {
        return Ok((private_dir(home, Some(&account))?, Some(account)));
    }
    let elsewhere = private_dir(elsewhere(&data), Some(&account))?;
    // On stderr, whatever is logged: whoever backs up the folder he named has to know.
    eprintln!(
        "farebox: {} cannot reach the data folder {}: the data is in {}",
        supervise::describe(Some(&account)),
        data.display(),
        elsewhere.display()
    );
    Ok((elsewhere, Some(account)))
}

/// Where the data lies if the server's user cannot reach `data`.
fn elsewhere(data: &Path) -> PathBuf {
    PathBuf::from(format!("/var/tmp/farebox-{}", short_hash(data)))
}

/// Where the socket of `home` is if its path there would be too long.
fn elsewhere_socket(home: &Path) -> PathBuf {
    PathBuf::from(format!("/tmp/farebox-{}", short_hash(home)))
}

/// Where the socket is: beside the data, if the path is not too long for a socket.
fn socket_dir(home: &Path, account: Option<&Account>) -> Result<PathBuf> {
    if home.as_os_str().len() <= SOCKET_DIR_MAX {
        return Ok(home.to_owned());
    }
    private_dir(elsewhere_socket(home), account)
}

/// A folder of the server's user that is closed to others. Its name can be guessed, so it is checked to be ours.
fn private_dir(path: PathBuf, account: Option<&Account>) -> Result<PathBuf> {
    let checked = || -> io::Result<bool> {
        DirBuilder::new().mode(0o700).create(&path).or_else(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(e),
        })?;
        let found = fs::symlink_metadata(&path)?;
        let ours = account.map_or_else(supervise::effective_uid, |account| account.uid);
        if !found.is_dir() || (found.uid() != ours && found.uid() != supervise::effective_uid()) {
            return Ok(false);
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(0o700))?;
        if let Some(account) = account {
            chown(&path, Some(account.uid), Some(account.gid))?;
        }
        Ok(true)
    };
    if checked().doing(|| format!("making {}", path.display()))? {
        Ok(path)
    } else {
        Err(EmbeddedError::NotOurs { path, user: supervise::describe(account) })
    }
}

fn url(socket_dir: &Path, database: &str) -> String {
    let (database, socket_dir) = (percent(database), percent(&socket_dir.to_string_lossy()));
    // Host and port are set to keep PGHOST and PGPORT out; the later `host` is the one that counts.
    format!("postgres://{USER}@localhost:{PORT}/{database}?host={socket_dir}&sslmode=disable")
}

fn percent(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A short name for a path, the same in every build.
fn short_hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn open_lock(path: &Path) -> Result<File> {
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(path);
    opened.doing(|| format!("opening {}", path.display()))
}

fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(source).doing(|| format!("locking {}", path.display())),
    }
}

/// Runs a program to its end, with its output in `log`, and tells whether it succeeded.
fn run(command: &mut Command, log: &File, limit: Duration, what: &'static str) -> Result<bool> {
    let mut ran = || -> io::Result<Option<bool>> {
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        let mut child = command.spawn()?;
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status.success()));
            }
            if began.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            #[expect(clippy::disallowed_methods, reason = "it runs on a thread for blocking calls")]
            std::thread::sleep(POLL);
        }
    };
    ran().doing(|| format!("running {what}"))?.ok_or(EmbeddedError::TimedOut { what, limit })
}

/// An error with the last lines of a log.
fn failed(what: &'static str, log: &Path) -> EmbeddedError {
    const LINES: usize = 12;
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
    EmbeddedError::Failed { what, log: log.to_owned(), tail }
}
