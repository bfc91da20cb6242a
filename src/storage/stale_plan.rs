//! Prepared statements that a change of the schema has invalidated.

use super::outage::{is_stale_plan, renew_connections};
use prometheus_client::metrics::counter::Counter;
use std::{
    future::Future,
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Statements that were refused because the schema changed under their plan, in this process.
pub static STALE_PLANS: LazyLock<Counter> = LazyLock::new(Counter::default);

/// How long stale plans may occur on fresh connections before the process is not ready.
const STALE_LIMIT: Duration = Duration::from_secs(5);
/// After this long without a stale plan, the process is ready again.
const STALE_QUIET: Duration = Duration::from_secs(10);

/// Stale plans on connections that were made after the last renewal.
static STALE_STREAK: Mutex<Option<Streak>> = Mutex::new(None);

#[derive(Clone, Copy)]
struct Streak {
    first: Instant,
    last: Instant,
}

impl Streak {
    /// The streak with one more stale plan, at `now`.
    fn extended(streak: Option<Self>, now: Instant) -> Self {
        let goes_on = streak.filter(|streak| now.duration_since(streak.last) < STALE_QUIET);
        Self { first: goes_on.map_or(now, |streak| streak.first), last: now }
    }

    fn persists(self, now: Instant) -> bool {
        now.duration_since(self.last) < STALE_QUIET && self.last.duration_since(self.first) >= STALE_LIMIT
    }
}

/// An error that may be caused by a database error.
pub trait DatabaseCause {
    /// The database error, if there is one.
    fn database_error(&self) -> Option<&sqlx::Error>;
}

impl DatabaseCause for sqlx::Error {
    fn database_error(&self) -> Option<&sqlx::Error> {
        Some(self)
    }
}

impl DatabaseCause for crate::domain::Error {
    fn database_error(&self) -> Option<&sqlx::Error> {
        if let Self::Broken(cause) = self { cause.downcast_ref() } else { None }
    }
}

impl DatabaseCause for farebox_jobs::queue::JobError {
    fn database_error(&self) -> Option<&sqlx::Error> {
        if let Self::Retry(cause) = self { cause.downcast_ref() } else { None }
    }
}

/// Runs `work`, and once more on fresh connections if one of its statements had a stale plan
/// ([`is_stale_plan`]). The work must be repeatable after a failure: one statement, one
/// transaction, or idempotent.
///
/// # Errors
/// Those of `work`.
pub async fn again<T, E: DatabaseCause, F: Future<Output = Result<T, E>>>(
    work: impl Fn() -> F,
) -> Result<T, E> {
    let mut renewed = false;
    loop {
        let done = work().await;
        let stale =
            done.as_ref().err().and_then(DatabaseCause::database_error).filter(|error| is_stale_plan(error));
        let Some(error) = stale else { return done };
        met_stale_plan(error, renewed);
        if renewed {
            return done;
        }
        renewed = true;
    }
}

/// Counts a stale plan and renews the connections. `renewed`: they were already renewed for the
/// same work.
pub(crate) fn met_stale_plan(error: &sqlx::Error, renewed: bool) {
    STALE_PLANS.inc();
    tracing::warn!(%error, renewed, "the schema changed under a prepared statement; renewing connections");
    renew_connections();
    if renewed {
        stale_plan_persists();
    }
}

/// Records a stale plan on a connection that was made after the last renewal.
pub(crate) fn stale_plan_persists() {
    let mut streak = STALE_STREAK.lock().unwrap_or_else(PoisonError::into_inner);
    *streak = Some(Streak::extended(*streak, Instant::now()));
}

/// Whether stale plans persist although connections are renewed. The process then reports that it
/// is not ready.
pub fn is_unsettled() -> bool {
    let streak = *STALE_STREAK.lock().unwrap_or_else(PoisonError::into_inner);
    streak.is_some_and(|streak| streak.persists(Instant::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_plans_persist_after_a_while_and_pass_after_quiet() {
        let at = |secs| Instant::now() + Duration::from_secs(secs);
        let one = Streak::extended(None, at(0));
        assert!(!one.persists(at(1)), "one alone");
        let many = Streak::extended(Some(Streak::extended(Some(one), at(3))), at(6));
        assert!(many.persists(at(7)), "for longer than the limit");
        assert!(!many.persists(at(17)), "quiet since");
        assert!(!Streak::extended(Some(many), at(20)).persists(at(21)), "a new one begins anew");
    }
}
