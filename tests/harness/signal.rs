//! Signals to processes that a test started, or whose server it started.

use sqlx::PgPool;

/// Sends a signal. A process that has ended is no error.
#[allow(unsafe_code, reason = "the system call has no safe form in the standard library")]
pub fn send(pid: i32, signal: i32) {
    // SAFETY: kill(2) touches no memory.
    unsafe { libc::kill(pid, signal) };
}

/// Backends of the database that are stopped, until this is dropped.
pub struct Frozen(Vec<i32>);

impl Frozen {
    /// Stops the backends whose connections this condition on `pg_stat_activity` chooses.
    pub async fn backends(pool: &PgPool, which: &'static str) -> Self {
        let sql =
            format!("select pid from pg_stat_activity where datname = current_database() and ({which})");
        let pids: Vec<i32> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
        pids.iter().for_each(|pid| send(*pid, libc::SIGSTOP));
        Self(pids)
    }

    /// How many are stopped.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0.iter().for_each(|pid| send(*pid, libc::SIGCONT));
    }
}
