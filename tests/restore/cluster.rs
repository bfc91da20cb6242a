//! A PostgreSQL server that archives its log, a base backup of it, and servers that are restored from
//! both to a moment.

use crate::harness::{folder, signal, until};
use farebox::{embedded, storage};
use sqlx::PgPool;
use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

const DATABASE: &str = "farebox";

/// What makes base backups, and keeps the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// `pg_basebackup`, and a folder that the log is copied to.
    Folder,
    /// pgBackRest.
    PgBackRest,
}

/// A server with the log of the writes.
pub struct Cluster {
    keeper: Keeper,
    home: PathBuf,
    owner: (u32, u32),
    bin: PathBuf,
    pub url: String,
    pub pool: PgPool,
    server: embedded::Server,
}

/// A server that was restored.
pub struct Restored {
    data: PathBuf,
    pub url: String,
    pub pool: PgPool,
    server: Option<embedded::Server>,
}

/// Settings of a server, for as long as the tests run.
fn lasting(settings: &[String]) -> &'static [&'static str] {
    let texts = settings.iter().map(|setting| -> &'static str { String::leak(setting.clone()) });
    Vec::leak(texts.collect())
}

async fn start(data: &Path, settings: &[String]) -> embedded::Server {
    let options = embedded::Options {
        data: data.to_owned(),
        durable: true,
        max_connections: 60,
        settings: lasting(settings),
    };
    let server = embedded::start(&options).await.unwrap();
    embedded::ensure_database(&server, DATABASE).await.unwrap();
    server
}

fn pool(url: &str) -> PgPool {
    storage::pool(url, &crate::harness::settings().database, "test").unwrap()
}

/// pgBackRest with the options that each of its commands has.
fn pgbackrest(home: &Path) -> Vec<String> {
    let config = format!("--config={}", home.join("pgbackrest.conf").display());
    vec!["pgbackrest".to_owned(), config, "--stanza=farebox".to_owned()]
}

async fn in_background(mut command: Command) {
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Cluster {
    pub async fn start(name: &str, keeper: Keeper) -> Self {
        let home = folder(name);
        let archive = home.join("archive");
        fs::create_dir_all(&archive).unwrap();
        let copy = match keeper {
            Keeper::Folder => {
                let to = archive.display();
                format!("test ! -f {to}/%f && cp %p {to}/%f.part && mv {to}/%f.part {to}/%f")
            }
            Keeper::PgBackRest => format!("{} archive-push %p", pgbackrest(&home).join(" ")),
        };
        let archiving = ["archive_mode=on".to_owned(), format!("archive_command={copy}")];
        let server = start(&home.join("first"), &archiving).await;
        // The server's user is another one where the tests run as root.
        let owner = fs::metadata(server.folder().join("pg")).unwrap();
        let owner = (owner.uid(), owner.gid());
        std::os::unix::fs::chown(&archive, Some(owner.0), Some(owner.1)).unwrap();
        let url = server.url(DATABASE);
        let pool = pool(&url);
        let bin = "select setting from pg_config where name = 'BINDIR'";
        let bin: String = sqlx::query_scalar(bin).fetch_one(&pool).await.unwrap();
        let cluster = Self { keeper, home, owner, bin: bin.into(), url, pool, server };
        if keeper == Keeper::PgBackRest {
            cluster.configure_pgbackrest();
            cluster.pgbackrest(&["stanza-create"]).await;
            cluster.pgbackrest(&["check"]).await;
        }
        crate::harness::migrate(&cluster.pool).await;
        cluster
    }

    fn configure_pgbackrest(&self) {
        let (home, server) = (self.home.display(), self.server.folder().display());
        let config = format!(
            "[global]\nrepo1-path={home}/archive/repo\nrepo1-retention-full=1\nrepo1-cipher-type=aes-256-cbc\n\
             repo1-cipher-pass=of the tests\nstart-fast=y\ncompress-type=lz4\nlog-level-file=off\n\
             spool-path={home}/archive\nlock-path={home}/archive/lock\n\n\
             [farebox]\npg1-path={server}/pg\npg1-port=5432\npg1-socket-path={server}\npg1-user=farebox\n"
        );
        fs::write(self.home.join("pgbackrest.conf"), config).unwrap();
    }

    /// Runs a command of pgBackRest as the server's user, which owns the repository.
    async fn pgbackrest(&self, arguments: &[&str]) {
        let words = pgbackrest(&self.home);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(arguments).current_dir("/").uid(self.owner.0).gid(self.owner.1);
        in_background(command).await;
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.home
    }

    /// Copies the running server.
    pub async fn base_backup(&self) {
        let mut backup = Command::new(self.bin.join("pg_basebackup"));
        backup.args(["--checkpoint=fast", "--no-sync", "--dbname", &self.server.url("postgres"), "--pgdata"]);
        backup.arg(self.home.join("backup"));
        match self.keeper {
            Keeper::Folder => in_background(backup).await,
            Keeper::PgBackRest => self.pgbackrest(&["--type=full", "backup"]).await,
        }
    }

    /// Names this moment.
    pub async fn restore_point(&self, name: &str) -> String {
        let sql = "select pg_create_restore_point($1)::text";
        let _: String = sqlx::query_scalar(sql).bind(name).fetch_one(&self.pool).await.unwrap();
        format!("recovery_target_name={name}")
    }

    /// This moment as a place in the log.
    pub async fn place(&self) -> String {
        let sql = "select pg_current_wal_insert_lsn()::text";
        let lsn: String = sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap();
        format!("recovery_target_lsn={lsn}")
    }

    /// This moment by the server's clock.
    pub async fn time(&self) -> String {
        let sql = "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US+00')";
        let time: String = sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap();
        format!("recovery_target_time={time}")
    }

    /// Waits until the archive has all that was written so far.
    pub async fn archived(&self) {
        let sql = "select pg_walfile_name(pg_switch_wal())";
        let last: String = sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap();
        let archived = "select coalesce(last_archived_wal >= $1, false) from pg_stat_archiver";
        until("the log is in the archive", || async {
            sqlx::query_scalar(archived).bind(&last).fetch_one(&self.pool).await.unwrap()
        })
        .await;
    }

    /// SIGKILL, as a power cut would.
    pub fn kill(&self) {
        let file = fs::read_to_string(self.server.folder().join("pg/postmaster.pid")).unwrap();
        let postmaster = file.lines().next().unwrap().parse().unwrap();
        assert!(signal::send(postmaster, libc::SIGKILL));
    }

    /// A copy of the base backup that replays the archive up to the target, and then takes writes.
    pub async fn restore(&self, nr: usize, target: &str) -> Restored {
        let data = self.home.join(format!("restored{nr}"));
        let pg = data.join("postgres/pg");
        fs::create_dir_all(&pg).unwrap();
        let owner = format!("{}:{}", self.owner.0, self.owner.1);
        let mut settings = Vec::new();
        match self.keeper {
            Keeper::Folder => {
                run(Command::new("cp").arg("-aT").arg(self.home.join("backup")).arg(&pg));
                fs::write(pg.join("recovery.signal"), "").unwrap();
                let fetch = format!("restore_command=cp {}/%f %p", self.home.join("archive").display());
                settings = vec![fetch, target.to_owned(), "recovery_target_action=promote".to_owned()];
                run(Command::new("chown").arg("-R").arg(owner).arg(&pg));
            }
            Keeper::PgBackRest => {
                run(Command::new("chown").arg("-R").arg(owner).arg(data.join("postgres")));
                let (kind, target) =
                    target.strip_prefix("recovery_target_").unwrap().split_once('=').unwrap();
                let (kind, target) = (format!("--type={kind}"), format!("--target={target}"));
                let into = format!("--pg1-path={}", pg.display());
                let promote = "--target-action=promote";
                self.pgbackrest(&[&into, &kind, &target, promote, "restore"]).await;
            }
        }
        let server = start(&data, &settings).await;
        let url = server.url(DATABASE);
        let pool = pool(&url);
        until("the server takes writes", || async {
            sqlx::query_scalar("select not pg_is_in_recovery()").fetch_one(&pool).await.unwrap_or(false)
        })
        .await;
        Restored { data, url, pool, server: Some(server) }
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        self.server = None;
        let _ = embedded::remove(&self.data);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = embedded::remove(&self.home.join("first"));
    }
}
