//! Whether an account may act, and as what: its state and its role, as they are now.
//!
//! A token says what was so when it was signed. [`Standings`] holds the accounts that changed since
//! then, and is refreshed with the list of revoked sessions. A trigger notes each change
//! (`authority_change`), so a change by plain SQL is seen as well.

use super::{caller::Caller, sign_up::Role};
use crate::storage;
use chrono::{DateTime, Duration, Utc};
use sqlx::PgPool;
use std::{
    collections::HashMap,
    str::FromStr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};
use uuid::Uuid;

/// How long a change is kept in memory: longer than a session lasts, so that every token that is
/// older than the change has expired.
const MAX_AGE: Duration = Duration::hours(36);
/// How far the clock of the process that opened a session may be ahead of the database's.
const CLOCK_TOLERANCE: Duration = Duration::seconds(30);

/// The state of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// It may sign in.
    Active,
    /// It may not sign in, and has no session.
    Disabled,
}

impl AccountState {
    /// The word for it in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

impl FromStr for AccountState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Active, Self::Disabled];
        all.into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("no state is called {text:?}"))
    }
}

/// What an account may do now.
#[derive(Clone, Copy, Debug)]
struct Standing {
    role: Role,
    state: AccountState,
    sessions_from: Option<DateTime<Utc>>,
}

/// The accounts that changed within [`MAX_AGE`].
#[derive(Clone, Default)]
pub(super) struct Standings {
    changed: Arc<RwLock<HashMap<Uuid, Standing>>>,
    /// Every transaction below this one was visible to the last read, or has changed nothing.
    seen: Arc<AtomicI64>,
}

impl Standings {
    /// The caller with its present role; `None` if the account is disabled, or has ended the
    /// session.
    pub(super) fn admit(&self, caller: Caller) -> Option<Caller> {
        let changed = self.changed.read().ok()?;
        let Some(standing) = changed.get(&caller.rider_id.0) else { return Some(caller) };
        let ended =
            standing.sessions_from.is_some_and(|from| began(caller.session_id) < from - CLOCK_TOLERANCE);
        let admitted = standing.state == AccountState::Active && !ended;
        admitted.then_some(Caller { role: standing.role, ..caller })
    }

    /// Reads the changes since the last read, or `all`.
    ///
    /// # Errors
    /// The database's. The next read must then be of `all`.
    pub(super) async fn refresh(&self, pool: &PgPool, all: bool) -> Result<(), sqlx::Error> {
        let since = if all { 0 } else { self.seen.load(Ordering::Relaxed) };
        // The oldest transaction that still ran at this snapshot: the next read begins there.
        let rows = sqlx::query!(
            r#"select horizon as "horizon!", changed.id as "id?", changed.role as "role?", changed.state as "state?",
                      changed.sessions_from as "sessions_from?"
               from (select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon) as now
               left join (
                   select r.id, r.role, r.state, r.sessions_from
                   from authority_change c join rider r on r.id = c.rider_id
                   where c.changed_xid >= $1 and c.changed_at > now() - make_interval(secs => $2)
               ) as changed on true"#,
            since,
            MAX_AGE.as_seconds_f64()
        )
        .fetch_all(pool)
        .await?;
        let mut read = HashMap::new();
        let mut horizon = 0;
        for row in rows {
            horizon = row.horizon;
            let (Some(id), Some(role), Some(state)) = (row.id, row.role, row.state) else { continue };
            let (role, state) = (storage::decode(&role)?, storage::decode(&state)?);
            read.insert(id, Standing { role, state, sessions_from: row.sessions_from });
        }
        if let Ok(mut changed) = self.changed.write() {
            if all {
                *changed = read;
            } else {
                changed.extend(read);
            }
        }
        self.seen.store(horizon, Ordering::Relaxed);
        Ok(())
    }
}

/// When a session began, by the clock of the process that opened it: its id is a UUIDv7.
fn began(session: Uuid) -> DateTime<Utc> {
    let time = session.get_timestamp().map(|time| time.to_unix());
    let time = time.and_then(|(secs, nanos)| DateTime::from_timestamp(i64::try_from(secs).ok()?, nanos));
    time.unwrap_or(DateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RiderId;

    fn with(standing: Standing) -> (Standings, Caller) {
        let caller = Caller { rider_id: RiderId::new(), role: Role::Operator, session_id: Uuid::now_v7() };
        let standings = Standings::default();
        standings.changed.write().expect("no thread panicked").insert(caller.rider_id.0, standing);
        (standings, caller)
    }

    #[test]
    fn a_change_overrides_what_the_token_says() {
        let demoted = Standing { role: Role::Rider, state: AccountState::Active, sessions_from: None };
        let (standings, caller) = with(demoted);
        assert_eq!(standings.admit(caller).map(|caller| caller.role), Some(Role::Rider));
        let (standings, caller) = with(Standing { state: AccountState::Disabled, ..demoted });
        assert!(standings.admit(caller).is_none());
        let later = Some(Utc::now() + CLOCK_TOLERANCE * 2);
        let (standings, caller) = with(Standing { sessions_from: later, ..demoted });
        assert!(standings.admit(caller).is_none());
        let unknown = Caller { rider_id: RiderId::new(), ..caller };
        assert_eq!(standings.admit(unknown).map(|caller| caller.role), Some(Role::Operator));
    }
}
