//! A streaming standby of a server of a test's own.

use super::{OwnServer, folder};
use farebox::embedded;
use std::{
    fs::{self, DirBuilder},
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

/// Stopped and removed with its test.
pub struct Standby {
    /// The same database there.
    pub url: String,
    options: embedded::Options,
    server: Option<embedded::Server>,
}

impl Standby {
    /// A copy of the server, which follows it from now on.
    pub async fn of(primary: &OwnServer, name: &str) -> Self {
        let (data, source) = (folder(name), primary.folder());
        copy(&source, &data.join("postgres/pg"), primary.postmaster());
        let options = embedded::Options { data, durable: true, max_connections: 50, settings: &[] };
        let server = embedded::start(&options).await.unwrap();
        let url = server.url("farebox");
        Self { url, options, server: Some(server) }
    }

    /// The address of another database there.
    pub fn url_of(&self, database: &str) -> String {
        self.server.as_ref().unwrap().url(database)
    }

    /// Without a goodbye.
    pub fn kill(&mut self) {
        let pid = super::own_server::postmaster(self.server.as_ref().unwrap().folder());
        assert!(super::signal::send(pid, libc::SIGQUIT));
        self.server = None;
    }

    /// Starts it again after it was killed.
    pub async fn restart(&mut self) {
        self.server = Some(embedded::start(&self.options).await.unwrap());
    }

    /// What it says to a statement of the test's own.
    pub async fn ask<T>(&self, sql: &'static str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let mut conn = <sqlx::PgConnection as sqlx::Connection>::connect(&self.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
    }

    /// Stops or goes on applying what the primary sends.
    pub async fn pause(&self, paused: bool) {
        let mut conn = <sqlx::PgConnection as sqlx::Connection>::connect(&self.url).await.unwrap();
        let sql = if paused { "select pg_wal_replay_pause()" } else { "select pg_wal_replay_resume()" };
        sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
        if paused {
            super::until("replay stands still", async || {
                self.ask::<String>("select pg_get_wal_replay_pause_state()").await == "paused"
            })
            .await;
        }
    }
}

/// A base backup by the server's own program and user.
fn copy(source: &Path, target: &Path, postmaster: i32) {
    let program = fs::read_link(format!("/proc/{postmaster}/exe")).unwrap();
    let owner = fs::metadata(source.join("pg")).unwrap();
    let home: PathBuf = target.parent().unwrap().to_owned();
    fs::create_dir_all(home.parent().unwrap()).unwrap();
    DirBuilder::new().mode(0o700).create(&home).unwrap();
    let mut command = Command::new(program.with_file_name("pg_basebackup"));
    command.arg("-h").arg(source).args(["-U", embedded::USER, "-X", "stream", "-c", "fast", "-R", "-D"]);
    command.arg(target).current_dir("/");
    if fs::metadata(&home).unwrap().uid() != owner.uid() {
        chown(&home, Some(owner.uid()), Some(owner.gid())).unwrap();
        command.uid(owner.uid()).gid(owner.gid());
    }
    let output = command.output().expect("pg_basebackup beside the server's program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.server = None;
        let _ = embedded::remove(&self.options.data);
        let _ = fs::remove_dir_all(&self.options.data);
    }
}
