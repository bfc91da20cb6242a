//! One start of the server.

use super::{
    INITDB_LIMIT, Options, PORT, USER,
    command::{failed, run},
    error::{Context, EmbeddedError, Result},
    file, find,
    supervise::{self, Account},
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// One start of the server by the process that holds `server.lock`.
pub(super) struct Launch {
    pub(super) home: PathBuf,
    pub(super) socket_dir: PathBuf,
    pub(super) account: Option<Account>,
    pub(super) options: Options,
    pub(super) lock: File,
    /// Whether a cluster may be made and PostgreSQL be installed.
    pub(super) may_make: bool,
}

impl Launch {
    pub(super) fn run(self) -> Result<()> {
        let pg = self.home.join("pg");
        let made_by = fs::read_to_string(pg.join("PG_VERSION")).ok().and_then(|v| v.trim().parse().ok());
        let account = self.account.as_ref();
        let bin = find::find(made_by, account, &self.home, self.may_make)?;
        let log_path = self.home.join("log");
        let _ = fs::rename(&log_path, self.home.join("log.old")); // missing at the first start
        let log = file::open_log(&log_path, account)?;
        if made_by.is_none() && !self.may_make {
            return Err(EmbeddedError::NoCluster { data: self.options.data });
        }
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
        let output = log.try_clone().context(|| "sharing the log".into())?;
        postgres.stdin(Stdio::null()).stdout(output).stderr(log);
        let lease = file::open(&self.home.join("lease"), account)?;
        supervise::spawn(postgres, lease, self.lock).context(|| format!("running {}/postgres", bin.display()))
    }

    /// Makes the cluster under another name and renames it when it is complete.
    fn initdb(&self, bin: &Path, log: &File, log_path: &Path) -> Result<()> {
        let (pg, half) = (self.home.join("pg"), self.home.join("pg.tmp"));
        for leftover in [&pg, &half] {
            // `pg` without a PG_VERSION is not a cluster; it is removed only if it is empty.
            let removed =
                if leftover == &half { fs::remove_dir_all(leftover) } else { fs::remove_dir(leftover) };
            match removed {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(e).context(|| format!("clearing {}", leftover.display()));
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
        // If this process is killed, its initdb continues and holds the lock until it ends.
        supervise::inherit(&mut initdb, &self.lock);
        if !run(&mut initdb, log, INITDB_LIMIT, "initdb")? {
            return Err(failed("initdb", log_path));
        }
        let synced = fs::rename(&half, &pg).and_then(|()| File::open(&self.home)?.sync_all());
        synced.context(|| format!("renaming {}", half.display()))
    }

    /// Removes what a kill -9 or a power cut left behind. PostgreSQL handles a stale
    /// `postmaster.pid`, except when its process id is in use again, which is common in containers.
    /// The file stays if that process is a PostgreSQL.
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
