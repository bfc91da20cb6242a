//! Real processes of the binaries under test. Each is killed when its test ends.

use farebox::storage::roles::RoleNames;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long a process may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Process {
    child: Child,
    log: Arc<Log>,
    url: String,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Process {
    /// An API process that listens; faults are enabled.
    pub fn api(url: &str, env: &[(&str, &str)]) -> Self {
        let mut process =
            Self::start(command(&binary("farebox-api", env!("CARGO_BIN_EXE_farebox-api")), url, env));
        url.clone_into(&mut process.url);
        process.wait_for_line("listening");
        process
    }

    /// A worker process.
    pub fn worker(url: &str, env: &[(&str, &str)], args: &[&str]) -> Self {
        let mut command = command(&binary("farebox-worker", env!("CARGO_BIN_EXE_farebox-worker")), url, env);
        command.args(args);
        Self::start(command)
    }

    pub fn start(mut command: Command) -> Self {
        super::tools::check();
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Log::default());
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lines.lock().unwrap().push(line);
                kept.more.notify_all();
            }
        });
        Self { child, log, url: String::new() }
    }

    /// `http://127.0.0.1:port`.
    pub fn base(&self) -> String {
        self.address_after("listening")
    }

    /// Where a worker shows its metrics, if it was asked to.
    pub fn metrics(&self) -> String {
        self.address_after("metrics")
    }

    /// The address in the line that holds `word`, once it is there.
    fn address_after(&self, word: &str) -> String {
        let line = self.wait_for_line(word);
        let address = line.split("address").nth(1).unwrap();
        let part = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
        let address: String =
            address.chars().skip_while(|c| !c.is_ascii_digit()).take_while(|c| part(*c)).collect();
        format!("http://{address}")
    }

    /// The first line that holds `text`, once it is there.
    pub fn wait_for_line(&self, text: &str) -> String {
        let began = Instant::now();
        let mut lines = self.lines();
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            assert!(began.elapsed() < PATIENCE, "no {text:?} in:\n{}", lines.join("\n"));
            let waited = self.log.more.wait_timeout(lines, Duration::from_millis(200));
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What it said so far, even if a waiting test panicked meanwhile.
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.log.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn log(&self) -> String {
        self.lines().join("\n")
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// An API process in the place of this one, which has died.
    pub fn again(&self) -> Self {
        Self::api(&self.url, &[])
    }

    /// SIGKILL, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, signal: i32) {
        assert!(super::signal::send(self.pid(), signal), "process {} has ended", self.pid());
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the process does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        super::Clock::sweep(self.child.id());
        if std::thread::panicking() {
            eprintln!("--- process {} said:\n{}", self.child.id(), self.log());
        }
    }
}

/// The program of this build, or of the one under trial (`FAREBOX_BINARIES`, a folder).
fn binary(name: &str, ours: &str) -> String {
    std::env::var("FAREBOX_BINARIES").map_or_else(|_| ours.to_owned(), |folder| format!("{folder}/{name}"))
}

/// The address for the role that a program of Farebox connects as. Tests give the owner's address
/// everywhere, and only their own connections use it. Addresses of other roles stay as they are, as
/// does none.
pub fn restricted(program: &str, url: &str) -> String {
    let owned = ["farebox", "postgres"].map(|owner| url.split_once(&format!("://{owner}@")));
    let Some((start, place)) = owned.into_iter().flatten().next() else { return url.to_owned() };
    let roles = RoleNames::default();
    let worker = program.ends_with("farebox-worker");
    format!("{start}://{}@{place}", if worker { roles.worker } else { roles.api })
}

/// A program under test. It connects as the role of the API, or of the worker.
pub fn command(program: &str, url: &str, env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command
        .env("DATABASE_URL", restricted(program, url))
        .env("FAREBOX_ENV", "development")
        .env("FAREBOX__HTTP__LISTEN", "127.0.0.1:0")
        .env("FAREBOX__SECRETS__TOKEN_KEY", super::TOKEN_KEY)
        .env("FAREBOX__SECRETS__PEPPER", super::PEPPER)
        .env("FAREBOX__PASSWORDS__MEMORY_KIB", "64")
        .env("FAREBOX__PASSWORDS__PASSES", "1")
        .env("FAREBOX__FAULTS__ENABLED", "true")
        .env("FAREBOX__WORKER__POLL_MS", "50")
        .env("FAREBOX__BOOKING__MAX_OPEN_HOLDS", "1000")
        .env("FAREBOX__DATABASE__MAX_CONNECTIONS", "16")
        // A test that wants the timetable's trips says so: they and their job would be in the others' way.
        .env("FAREBOX__TRIPS__HORIZON_DAYS", "0")
        // One operator tops up every wallet here, with whatever a test needs.
        .env("FAREBOX__WALLETS__MAX_CHANGE", "1000000000.00")
        .env("FAREBOX__WALLETS__MAX_DAY_PER_WALLET", "1000000000.00")
        .env("FAREBOX__WALLETS__MAX_DAY_PER_OPERATOR", "1000000000.00")
        .env("FAREBOX__WALLETS__APPROVAL_ABOVE", "1000000000.00")
        // Hundreds of clients share one address here; tests of limits switch them on.
        .env("FAREBOX__LIMITS__ENABLED", "false")
        // Tests of the second factor and of the password that is asked for again switch them on.
        .env("FAREBOX__ACCOUNTS__OPERATORS_SECOND_FACTOR", "optional")
        .env("FAREBOX__ACCOUNTS__CONFIRM_SECS", "43200")
        // Some tests sign one account in again and again.
        .env("FAREBOX__ACCOUNTS__MAX_SESSIONS", "1000")
        .env_remove("FAREBOX_FAULTS")
        .envs(env.iter().copied());
    command
}
