//! The end of operators' sessions that are idle, or lack the second factor. The last use of a session
//! is kept in memory, and written to its row at most once in [`WRITE_EVERY`], so that a request costs
//! nothing and every replica still knows whether the session is in use.

use crate::settings::OperatorSessions;
use sqlx::PgPool;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How often the last use of a session is written; more often if the bound is short.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// How many writes there are at least within the bound.
const WRITES_WITHIN_BOUND: u32 = 4;
/// Sessions in memory before those that are idle are forgotten.
const FORGET_ABOVE: usize = 1_000;

/// The last use of each operator's session in this process.
#[derive(Clone, Default)]
pub(super) struct Activity(Arc<Mutex<HashMap<Uuid, Use>>>);

#[derive(Clone, Copy)]
struct Use {
    last: Instant,
    written: Instant,
}

/// Whether a session is in use.
pub(super) enum Verdict {
    /// It is.
    InUse,
    /// It was not used for too long, or lacks a second factor that is demanded.
    Over,
}

/// What this process knows of a session.
enum Known {
    /// It is in use, and was written lately.
    InUse,
    /// It is in use, and is to be written.
    Unwritten,
    /// It was not used here, or not lately.
    No,
}

impl Activity {
    fn note(&self, session: Uuid, bound: Duration, counts: bool) -> Known {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = all.get_mut(&session).filter(|known| now - known.last < bound) else {
            return Known::No;
        };
        if counts {
            known.last = now;
        }
        if !counts || now - known.written < write_every(bound) {
            return Known::InUse;
        }
        // Of several requests at once, one writes.
        known.written = now;
        Known::Unwritten
    }

    fn begin(&self, session: Uuid, bound: Duration) {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= FORGET_ABOVE {
            all.retain(|_, known| now - known.last < bound);
        }
        all.insert(session, Use { last: now, written: now });
    }
}

fn write_every(bound: Duration) -> Duration {
    WRITE_EVERY.min(bound / WRITES_WITHIN_BOUND)
}

impl Activity {
    /// Whether a session keeps the rule. What is in memory has kept it: a session has its second factor
    /// for good, and the rule is that of the process. Safe to drop: each statement is whole.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn judge(
        &self,
        pool: &PgPool,
        session: Uuid,
        rule: OperatorSessions,
        counts: bool,
    ) -> Result<Verdict, sqlx::Error> {
        let bound = rule.idle;
        let allowed = match self.note(session, bound, counts) {
            Known::InUse => return Ok(Verdict::InUse),
            // The row may be as much older than the last use as writes are apart.
            Known::Unwritten => bound + write_every(bound),
            Known::No => bound,
        };
        if !row_is_in_use(pool, session, rule, allowed, counts).await? {
            return Ok(Verdict::Over);
        }
        if counts {
            self.begin(session, bound);
        }
        Ok(Verdict::InUse)
    }
}

/// Whether the row of a session was used within `allowed`, and has what the rule demands; writes its
/// use, if that counts and is not written lately.
async fn row_is_in_use(
    pool: &PgPool,
    session: Uuid,
    rule: OperatorSessions,
    allowed: Duration,
    counts: bool,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        r#"select seen_at > now() - make_interval(secs => $2) as "in_use!",
                  seen_at < now() - make_interval(secs => $3) as "is_old!"
           from session where id = $1 and revoked_at is null and (second_factor or not $4)"#,
        session,
        allowed.as_secs_f64(),
        write_every(rule.idle).as_secs_f64(),
        rule.second_factor
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row.filter(|row| row.in_use) else { return Ok(false) };
    if counts && row.is_old {
        sqlx::query!("update session set seen_at = now() where id = $1 and revoked_at is null", session)
            .execute(pool)
            .await?;
    }
    Ok(true)
}
