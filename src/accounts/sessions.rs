//! Sessions: a signed token, so that a request needs no round trip, and a list of revoked sessions,
//! refreshed twice a second, so that a sign-out takes effect on every replica within a second. The
//! accounts whose role or state changed ([`Standings`]) are refreshed with it.

use super::{
    TokenKeys,
    account_state::Standings,
    caller::Caller,
    idle::{Activity, Verdict},
    sign_up::{Authenticated, Rider, Role},
};
use crate::{
    domain::{Error, Refusal, RiderId},
    settings::OperatorSessions,
    storage::{self, note_outage},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use std::{
    collections::HashMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};
use uuid::Uuid;

/// How long a session lasts.
const LIFETIME: Duration = Duration::hours(12);
/// How long a session's row outlives it: tokens expire by the clocks of processes, which may be
/// late.
const RETENTION: Duration = Duration::days(1);
/// How often the revoked sessions are read.
const REFRESH: std::time::Duration = std::time::Duration::from_millis(400);
/// How many reads are of the latest changes only, between two reads of everything that still counts.
const READS_BETWEEN_WHOLE_ONES: u32 = 150;
/// How far back each read goes, to cover late clocks and commits.
const LOOK_BACK_SECS: f64 = 30.0;
/// Session, rider, role, expiry.
const CLAIMS: usize = 16 + 16 + 1 + 8;

/// A new session in a response.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Session {
    /// For `Authorization: Bearer`.
    pub token: String,
    /// When it expires.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub expires_at: DateTime<Utc>,
    /// The account.
    pub rider: Rider,
}

/// Makes, reads and revokes tokens.
#[derive(Clone)]
pub struct Sessions {
    keys: TokenKeys,
    revoked: Arc<RwLock<HashMap<Uuid, DateTime<Utc>>>>,
    standings: Standings,
    loaded: Arc<AtomicBool>,
    activity: Activity,
}

impl Sessions {
    /// With the keys of tokens; the same on every replica, but while keys are changed.
    pub fn new(keys: impl Into<TokenKeys>) -> Self {
        let (revoked, standings, loaded, activity) = Default::default();
        Self { keys: keys.into(), revoked, standings, loaded, activity }
    }

    /// The keys, for what else they sign.
    pub(crate) fn keys(&self) -> &TokenKeys {
        &self.keys
    }

    /// Opens a session of an account, unless the account changed since it was authenticated. Of the
    /// older ones, the newest go on, so that there are at most `most`; the others end, in this
    /// process at once, elsewhere within a second. Safe to drop: [`Self::run_refresh_loop`] reads
    /// revocations that this process has committed but not added to its list.
    ///
    /// # Errors
    /// [`Refusal::WrongCredentials`] if the account was disabled or its password changed meanwhile;
    /// the database's.
    pub async fn open(&self, pool: &PgPool, account: Authenticated, most: u32) -> Result<Session, Error> {
        let Authenticated { rider, password_hash, second_factor, .. } = account;
        let (id, expires_at) = (Uuid::now_v7(), Utc::now() + LIFETIME);
        let mut tx = storage::begin(pool).await?;
        if !lock_if_unchanged(&mut tx, rider.id, &password_hash).await? {
            tx.rollback().await?;
            return Err(Refusal::WrongCredentials.into());
        }
        let ended = end_oldest(&mut tx, rider.id, most.saturating_sub(1)).await?;
        sqlx::query!(
            "insert into session (id, rider_id, expires_at, second_factor) values ($1, $2, $3, $4)",
            id,
            rider.id.0,
            expires_at,
            second_factor
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.remember(ended);
        let caller = Caller { rider_id: rider.id, role: rider.role, session_id: id };
        Ok(Session { token: self.sign(caller, expires_at), expires_at, rider })
    }

    /// Ends a session, in this process at once and elsewhere within a second. Safe to drop, as
    /// [`Self::open`] is.
    ///
    /// # Errors
    /// The database's.
    pub async fn revoke(&self, pool: &PgPool, session: Uuid) -> Result<(), sqlx::Error> {
        let row = sqlx::query!(
            "update session set revoked_at = coalesce(revoked_at, now()) where id = $1 returning expires_at",
            session
        )
        .fetch_optional(pool)
        .await?;
        if let Some(row) = row {
            self.remember([(session, row.expires_at)]);
        }
        Ok(())
    }

    /// The caller of a token; `None` if it is forged, expired or revoked.
    pub fn read(&self, token: &str) -> Option<Caller> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let claims: &[u8; CLAIMS] = self.keys.open(&bytes)?.try_into().ok()?;
        let caller = Caller {
            session_id: Uuid::from_slice(claims.get(..16)?).ok()?,
            rider_id: RiderId(Uuid::from_slice(claims.get(16..32)?).ok()?),
            role: role_of(*claims.get(32)?)?,
        };
        let expires = i64::from_be_bytes(claims.get(33..)?.try_into().ok()?);
        let alive = Utc::now().timestamp() < expires;
        let revoked = self.revoked.read().ok()?.contains_key(&caller.session_id);
        (alive && !revoked).then_some(caller).and_then(|caller| self.standings.admit(caller))
    }

    /// Reads the list for the first time. Before that, nothing may be served: a session that was
    /// ended elsewhere would live on here. Repeats a failed read until one succeeds.
    pub async fn load(&self, pool: &PgPool) {
        while let Err(error) = self.refresh(pool, true).await {
            let outage = note_outage(&error);
            tracing::warn!(%error, outage, "waiting for the list of revoked sessions");
            tokio::time::sleep(REFRESH).await;
        }
    }

    /// Whether the list was read once.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Whether the caller's session is in use still; ends it otherwise. The rule is for sessions of the
    /// operations side only. A page that updates itself is no use of the session: it does not
    /// `count`. Safe to drop: each statement is whole.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_in_use(
        &self,
        pool: &PgPool,
        caller: &Caller,
        rule: Option<OperatorSessions>,
        counts: bool,
    ) -> Result<bool, sqlx::Error> {
        let Some(rule) = rule.filter(|_| caller.role.may_view()) else { return Ok(true) };
        match self.activity.judge(pool, caller.session_id, rule, counts).await? {
            Verdict::InUse => Ok(true),
            Verdict::Over => self.revoke(pool, caller.session_id).await.map(|()| false),
        }
    }

    /// Refreshes the list for as long as the process lives; a failed read is retried.
    pub async fn run_refresh_loop(self, pool: PgPool) {
        // At start and after a failed read, all unexpired revocations are read, however long ago
        // the last good read was.
        let (mut all, mut reads) = (true, 0_u32);
        loop {
            let read = self.refresh(&pool, all).await;
            reads = (reads + 1) % READS_BETWEEN_WHOLE_ONES;
            all = read.is_err() || reads == 0;
            if let Err(error) = read {
                let outage = note_outage(&error);
                tracing::warn!(%error, outage, "reading revoked sessions failed; retrying");
            }
            tokio::time::sleep(REFRESH).await;
        }
    }

    async fn refresh(&self, pool: &PgPool, all: bool) -> Result<(), sqlx::Error> {
        let rows = sqlx::query!(
            "select id, expires_at from session
             where revoked_at is not null and expires_at > now()
               and ($1 or revoked_at > now() - make_interval(secs => $2))",
            all,
            LOOK_BACK_SECS
        )
        .fetch_all(pool)
        .await?;
        self.remember(rows.into_iter().map(|row| (row.id, row.expires_at)));
        self.standings.refresh(pool, all).await?;
        self.loaded.store(true, Ordering::Release);
        Ok(())
    }

    fn remember(&self, sessions: impl IntoIterator<Item = (Uuid, DateTime<Utc>)>) {
        if let Ok(mut revoked) = self.revoked.write() {
            revoked.extend(sessions);
            let now = Utc::now();
            revoked.retain(|_, expires_at| *expires_at > now);
        }
    }

    fn sign(&self, caller: Caller, expires_at: DateTime<Utc>) -> String {
        let mut claims = Vec::with_capacity(CLAIMS);
        claims.extend_from_slice(caller.session_id.as_bytes());
        claims.extend_from_slice(caller.rider_id.0.as_bytes());
        claims.push(caller.role as u8);
        claims.extend_from_slice(&expires_at.timestamp().to_be_bytes());
        URL_SAFE_NO_PAD.encode(self.keys.seal(&claims))
    }
}

/// Locks an active account that still has this password. A change of the account locks it too:
/// either the change is first and is seen here, or it sees the session that is opened.
async fn lock_if_unchanged(
    conn: &mut PgConnection,
    rider: RiderId,
    password_hash: &str,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "select id from rider where id = $1 and state = 'active' and password_hash = $2 for no key update",
        rider.0,
        password_hash
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Ends the rider's sessions but the newest `keep`. The rider's row is locked before, by a statement
/// of its own: a statement does not see what it waited for, so two concurrent sign-ins would not
/// end each other's session.
async fn end_oldest(
    conn: &mut PgConnection,
    rider: RiderId,
    keep: u32,
) -> Result<Vec<(Uuid, DateTime<Utc>)>, sqlx::Error> {
    let ended = sqlx::query!(
        "update session set revoked_at = now() where id in (
             select id from session where rider_id = $1 and revoked_at is null order by id desc offset $2)
         returning id, expires_at",
        rider.0,
        i64::from(keep)
    )
    .fetch_all(conn)
    .await?;
    Ok(ended.into_iter().map(|row| (row.id, row.expires_at)).collect())
}

/// Deletes sessions that expired a day ago or longer, at most `batch`; returns how many.
///
/// # Errors
/// The database's.
pub async fn prune(pool: &PgPool, batch: u32) -> Result<u64, sqlx::Error> {
    // Ids are UUIDv7 and all sessions last equally long, so the oldest ids expire first.
    let pruned = sqlx::query!(
        "delete from session where id in (
             select id from (select id, expires_at from session order by id limit $1) as oldest
             where expires_at < now() - make_interval(secs => $2))",
        i64::from(batch),
        RETENTION.as_seconds_f64()
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}

fn role_of(byte: u8) -> Option<Role> {
    [Role::Rider, Role::Viewer, Role::Operator, Role::Admin].into_iter().find(|role| *role as u8 == byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_a_forged_one_is_not() {
        let sessions = Sessions::new(b"a key of some length");
        let caller = Caller { rider_id: RiderId::new(), role: Role::Operator, session_id: Uuid::now_v7() };
        let token = sessions.sign(caller, Utc::now() + LIFETIME);
        assert_eq!(sessions.read(&token).map(|c| c.rider_id), Some(caller.rider_id));
        assert!(Sessions::new(b"another key").read(&token).is_none(), "signed with another key");
        assert!(sessions.read(&sessions.sign(caller, Utc::now() - LIFETIME)).is_none(), "expired");
        assert!(sessions.read("").is_none() && sessions.read("AQ").is_none(), "too short");
        sessions.remember([(caller.session_id, Utc::now() + LIFETIME)]);
        assert!(sessions.read(&token).is_none(), "revoked");
    }
}
