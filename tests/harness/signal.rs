//! Signals to processes that a test started, or whose server it started.

use super::OwnServer;
use sqlx::PgPool;

/// Sends a signal to one process, and tells whether that process was there.
#[allow(unsafe_code, reason = "the system call has no safe form in the standard library")]
pub fn send(pid: i32, signal: i32) -> bool {
    assert!(pid > 0, "{pid} is a group of processes");
    // SAFETY: kill(2) touches no memory.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// Sends a signal to each of them. One that has ended meanwhile is no error.
pub fn all(pids: &[i32], signal: i32) {
    for pid in pids {
        send(*pid, signal);
    }
}

/// Processes of a server that are stopped, until this is dropped.
pub struct Frozen(Vec<i32>);

impl Frozen {
    /// Stops the backends whose connections this condition on `pg_stat_activity` chooses.
    pub async fn backends(pool: &PgPool, which: &'static str) -> Self {
        let sql =
            format!("select pid from pg_stat_activity where datname = current_database() and ({which})");
        let pids: Vec<i32> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
        all(&pids, libc::SIGSTOP);
        Self(pids)
    }

    /// Stops every process of this server.
    pub fn server(server: &OwnServer) -> Self {
        let postmaster = server.postmaster();
        let parent = |pid: i32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<i32>().ok()
        };
        let running = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        let mut pids = vec![postmaster];
        pids.extend(running.filter(|pid| parent(*pid) == Some(postmaster)));
        all(&pids, libc::SIGSTOP);
        Self(pids)
    }

    /// How many are stopped.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        all(&self.0, libc::SIGCONT);
    }
}
