//! Accounts: adding, switching off and on, roles, sessions, resets.
//!
//! An admin manages every account, an operator those of riders. At least one admin stays active.

use super::Attribution;
use crate::{
    accounts::{
        AccountState, Registration, Rider, Role,
        password_reset::{self, ResetCode},
        second_factor, user_name,
    },
    domain::{Error, FieldError, Refusal, RiderId},
    ops::audit::{Action, Subject},
    security::{self, Event},
    storage,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// Most accounts of the operations side that are listed.
pub const MAX_LISTED: usize = 1_000;

/// An account of the operations side in a list.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// Its id.
    pub id: RiderId,
    /// Its name for signing in.
    pub user_name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it may sign in.
    pub state: AccountState,
    /// When it was added.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub created_at: DateTime<Utc>,
    /// Sessions that go on.
    pub sessions: i64,
    /// Whether it has a second factor.
    pub second_factor: bool,
}

/// What a reset does beside ending the password and the sessions.
#[derive(Clone, Copy, Debug)]
pub struct Reset {
    /// How long the code lasts, seconds.
    pub secs: u32,
    /// Whether the second factor is removed too: its device is lost.
    pub second_factor: bool,
}

/// Adds an account of the operations side.
///
/// # Errors
/// A taken user name; the database's.
pub async fn add(conn: &mut PgConnection, by: &Attribution, new: &Registration) -> Result<Rider, Error> {
    let rider = new.add(&mut *conn).await?;
    // The row has the account's id; its name is the account's, and may be erased there.
    let detail = json!({ "role": rider.role });
    Event::RoleGiven.record(Some(&security::account(rider.id)), None);
    by.record(conn, Action::OperatorAdd, &Subject::of("account", &rider.id), &detail).await?;
    Ok(rider)
}

/// The accounts of the operations side by name, at most [`MAX_LISTED`].
///
/// # Errors
/// The database's.
pub async fn list(db: impl PgExecutor<'_>) -> Result<Vec<Account>, sqlx::Error> {
    let rows = sqlx::query_as!(
        AccountRow,
        r#"select r.id, r.user_name, r.role, r.state, r.created_at,
                  (select count(*) from session s
                   where s.rider_id = r.id and s.revoked_at is null and s.expires_at > now()) as "sessions!",
                  exists(select from second_factor f where f.rider_id = r.id) as "second_factor!"
           from rider r where r.role <> 'rider' order by lower(r.user_name collate "C") limit $1"#,
        i64::try_from(MAX_LISTED).unwrap_or(i64::MAX)
    )
    .fetch_all(db)
    .await?;
    let account = |row: AccountRow| {
        Ok(Account {
            id: RiderId(row.id),
            user_name: row.user_name,
            role: storage::decode(&row.role)?,
            state: storage::decode(&row.state)?,
            created_at: row.created_at,
            sessions: row.sessions,
            second_factor: row.second_factor,
        })
    };
    rows.into_iter().map(account).collect()
}

/// The id of a user name.
///
/// # Errors
/// [`Refusal::NotFound`]; the database's.
pub async fn named(db: impl PgExecutor<'_>, name: &str) -> Result<RiderId, Error> {
    let found = sqlx::query_scalar!(
        r#"select id from rider where lower(user_name collate "C") = $1"#,
        user_name::folded(name)
    )
    .fetch_optional(db)
    .await?;
    Ok(found.map(RiderId).ok_or(Refusal::NotFound("account"))?)
}

/// The state of an account.
///
/// # Errors
/// [`Refusal::NotFound`]; the database's.
pub async fn state(db: impl PgExecutor<'_>, id: RiderId) -> Result<AccountState, Error> {
    let found = sqlx::query_scalar!("select state from rider where id = $1", id.0).fetch_optional(db).await?;
    Ok(storage::decode(&found.ok_or(Refusal::NotFound("account"))?)?)
}

/// Gives an account another role; returns whether it had another one. It holds on every replica
/// within a second. The sessions of a rider end: they were opened with the password alone.
///
/// # Errors
/// The last active admin, an actor that is no admin; the database's.
pub async fn set_role(
    conn: &mut PgConnection,
    by: &Attribution,
    id: RiderId,
    role: Role,
) -> Result<bool, Error> {
    let before = lock(conn, by, id).await?;
    if !by.actor.manages_operators() {
        return Err(not_allowed(by).into());
    }
    if before.role == role {
        return Ok(false);
    }
    before.refuse_if_forgotten()?;
    if role != Role::Admin {
        before.keep_an_admin("/role")?;
    }
    sqlx::query!(
        "update rider
         set role = $2, sessions_from = case when role = 'rider' then clock_timestamp() else sessions_from end
         where id = $1",
        id.0,
        role.as_str()
    )
    .execute(&mut *conn)
    .await?;
    let event = if role.may_view() { Event::RoleGiven } else { Event::RoleTaken };
    event.record(Some(&security::account(id)), None);
    let detail = json!({ "from": before.role, "to": role });
    record(conn, by, Action::AccountRole, id, detail).await?;
    Ok(true)
}

/// Switches an account off or on; returns whether it was otherwise. Its sessions end with it, on
/// every replica within a second.
///
/// # Errors
/// The last active admin, an account that the actor does not manage; the database's.
pub async fn set_state(
    conn: &mut PgConnection,
    by: &Attribution,
    id: RiderId,
    state: AccountState,
) -> Result<bool, Error> {
    let before = lock(conn, by, id).await?;
    if before.state == state {
        return Ok(false);
    }
    before.refuse_if_forgotten()?;
    let (action, event) = match state {
        AccountState::Active => (Action::AccountEnable, Event::AccountEnabled),
        AccountState::Disabled => {
            before.keep_an_admin("/state")?;
            (Action::AccountDisable, Event::AccountDisabled)
        }
    };
    // Also what stands between a password and a session ends.
    sqlx::query!(
        "update rider set state = $2, sessions_from = clock_timestamp() where id = $1",
        id.0,
        state.as_str()
    )
    .execute(&mut *conn)
    .await?;
    event.record(Some(&security::account(id)), None);
    record(conn, by, action, id, json!({})).await?;
    Ok(true)
}

/// Ends every session of an account; returns how many went on.
///
/// # Errors
/// An account that the actor does not manage; the database's.
pub async fn end_sessions(conn: &mut PgConnection, by: &Attribution, id: RiderId) -> Result<i64, Error> {
    lock(conn, by, id).await?;
    let open = sqlx::query_scalar!(
        r#"select count(*) as "open!" from session where rider_id = $1 and revoked_at is null and expires_at > now()"#,
        id.0
    )
    .fetch_one(&mut *conn)
    .await?;
    // The trigger ends them. It is done without an open session too: a sign-in may be under way.
    sqlx::query!("update rider set sessions_from = clock_timestamp() where id = $1", id.0)
        .execute(&mut *conn)
        .await?;
    Event::SessionsEnded.record(Some(&security::account(id)), None);
    let detail = json!({ "sessions": open });
    record(conn, by, Action::AccountSessionsEnd, id, detail).await?;
    Ok(open)
}

/// Has a one-time code made, with which the owner sets a new password. The old one and the sessions
/// end now.
///
/// # Errors
/// An account that the actor does not manage, a disabled or forgotten one; the database's.
pub async fn reset_password(
    conn: &mut PgConnection,
    by: &Attribution,
    id: RiderId,
    reset: Reset,
) -> Result<ResetCode, Error> {
    let before = lock(conn, by, id).await?;
    if before.state == AccountState::Disabled {
        let rule = "a disabled account is enabled first";
        return Err(Refusal::Invalid(FieldError::new("/state", rule)).into());
    }
    before.refuse_if_forgotten()?;
    let code = password_reset::issue(conn, id, reset.secs).await?;
    let removed = reset.second_factor && second_factor::remove(&mut *conn, id).await?;
    Event::PasswordReset.record(Some(&security::account(id)), None);
    if removed {
        Event::SecondFactorRemoved.record(Some(&security::account(id)), None);
    }
    let detail = json!({ "expires_at": code.expires_at, "second_factor_removed": removed });
    record(conn, by, Action::AccountReset, id, detail).await?;
    Ok(code)
}

/// Records that an account has set up its second factor, in the transaction that did it.
///
/// # Errors
/// The database's.
pub async fn note_enrolment(
    conn: &mut PgConnection,
    by: &Attribution,
    id: RiderId,
) -> Result<(), sqlx::Error> {
    record(conn, by, Action::SecondFactorEnrol, id, json!({})).await
}

struct AccountRow {
    id: Uuid,
    user_name: String,
    role: String,
    state: String,
    created_at: DateTime<Utc>,
    sessions: i64,
    second_factor: bool,
}

/// An account as it was when it was locked.
struct Before {
    role: Role,
    state: AccountState,
    is_forgotten: bool,
    /// Whether no other admin is active.
    is_last_admin: bool,
}

impl Before {
    fn refuse_if_forgotten(&self) -> Result<(), Refusal> {
        if !self.is_forgotten {
            return Ok(());
        }
        let rule = "a forgotten account is nobody's any more";
        Err(Refusal::Invalid(FieldError::new("/state", rule)))
    }

    /// Refuses to take the last active admin away.
    fn keep_an_admin(&self, pointer: &str) -> Result<(), Refusal> {
        if !self.is_last_admin {
            return Ok(());
        }
        let rule = "this is the last active admin: give the role to another account first";
        Err(Refusal::Invalid(FieldError::new(pointer, rule)))
    }
}

/// Locks an account that the actor manages, together with the active admins, in the order of their
/// ids: of two changes at once, the second sees what the first left.
async fn lock(conn: &mut PgConnection, by: &Attribution, id: RiderId) -> Result<Before, Error> {
    let rows = sqlx::query!(
        r#"select id, role, state, forgotten_at is not null as "is_forgotten!" from rider
         where id = $1 or role = 'admin' and state = 'active' order by id for no key update"#,
        id.0
    )
    .fetch_all(conn)
    .await?;
    let is_admin =
        |role: &str, state: &str| role == Role::Admin.as_str() && state == AccountState::Active.as_str();
    let others = rows.iter().filter(|row| row.id != id.0 && is_admin(&row.role, &row.state)).count();
    let row = rows.into_iter().find(|row| row.id == id.0).ok_or(Refusal::NotFound("account"))?;
    let is_last_admin = others == 0 && is_admin(&row.role, &row.state);
    let (role, state) = (storage::decode(&row.role)?, storage::decode(&row.state)?);
    if role != Role::Rider && !by.actor.manages_operators() {
        return Err(not_allowed(by).into());
    }
    Ok(Before { role, state, is_forgotten: row.is_forgotten, is_last_admin })
}

/// The refusal of an actor that does not manage the account, which is a security event.
fn not_allowed(by: &Attribution) -> Refusal {
    Event::AccessDenied.record(by.actor.rider.map(security::account).as_deref(), None);
    Refusal::NotAllowed
}

async fn record(
    conn: &mut PgConnection,
    by: &Attribution,
    action: Action,
    id: RiderId,
    detail: Value,
) -> Result<(), sqlx::Error> {
    by.record(conn, action, &Subject::of("account", &id), &detail).await
}
