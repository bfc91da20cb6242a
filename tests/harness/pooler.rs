//! A `PgBouncer` between a process and PostgreSQL.

use super::folder;
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where Debian has it, which is not on every user's path.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// Ended with its test.
pub struct Pooler {
    child: Child,
    folder: PathBuf,
    /// The address of the database through it.
    pub url: String,
}

impl Pooler {
    /// Before the server of this address, in this mode: `session`, `transaction` or `statement`. All else is
    /// as it comes, but for the number of clients and backends.
    pub fn before(url: &str, mode: &str) -> Self {
        super::tools::need(&["pgbouncer"]);
        let socket = url.split("host=").nth(1).unwrap().split('&').next().unwrap();
        let server = PathBuf::from(socket.replace("%2F", "/"));
        let id = &uuid::Uuid::new_v4().simple().to_string()[..8];
        let folder = folder(&format!("pooler-{id}"));
        fs::create_dir_all(&folder).unwrap();
        let place = folder.display();
        let config = format!(
            "[databases]\n* = host={} port=5432\n[pgbouncer]\nlisten_addr =\nlisten_port = 5432\n\
             unix_socket_dir = {place}\nauth_type = trust\nauth_file = {place}/users.txt\nlogfile = {place}/log\n\
             pool_mode = {mode}\ndefault_pool_size = 60\nmax_client_conn = 200\n",
            server.display()
        );
        fs::write(folder.join("pgbouncer.ini"), config).unwrap();
        let users = ["farebox", "farebox_api", "farebox_worker", "farebox_reader"];
        let users: String = users.iter().map(|user| format!("\"{user}\" \"\"\n")).collect();
        fs::write(folder.join("users.txt"), users).unwrap();
        // The server's user: root may not run it, and nobody else may use the server's socket.
        let owner = fs::metadata(&server).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("-q").arg(folder.join("pgbouncer.ini")).current_dir(&folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if fs::metadata(&folder).unwrap().uid() != owner.uid() {
            chown(&folder, Some(owner.uid()), Some(owner.gid())).unwrap();
            command.uid(owner.uid()).gid(owner.gid());
        }
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(folder.join(".s.PGSQL.5432")).is_err() {
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none(), "pgbouncer has ended: {}", log());
            assert!(began.elapsed() < PATIENCE, "pgbouncer does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
        let url = url.replace(socket, folder.to_str().unwrap());
        Self { child, folder, url }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
