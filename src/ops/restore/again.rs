//! What was done to accounts after the moment, and is to be done again: the log's last word on each
//! account, compared with the account.

use super::log::{About, RestoreLog};
use crate::{
    accounts::{AccountState, Role, user_name},
    domain::RiderId,
    security::{self, Event},
    storage::decode,
};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};

/// What is to be done again, by an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Todo {
    /// The account was forgotten, and its data is back.
    Forget,
    /// It was switched off, and is on.
    Disable,
    /// It was switched on, and is off.
    Enable,
    /// It lost its role, and has it.
    TakeRole,
    /// It got a role, and has none.
    GiveRole,
    /// Its second factor was removed, and is back.
    RemoveSecondFactor,
    /// It set up a second factor, and has none.
    EnrolSecondFactor,
    /// Its password was changed, and the one of before may be valid.
    ResetPassword,
    /// Its pay password was changed, and the one of before may be valid.
    ChangePayPassword,
}

/// One thing to do again.
#[derive(Clone, Debug, Serialize)]
pub struct Again {
    /// When it was done, by the clock of the process.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
    /// What.
    pub todo: Todo,
    /// The account.
    pub rider_id: RiderId,
}

/// An account as the database has it.
pub(super) struct Found {
    pub(super) rider: RiderId,
    is_forgotten: bool,
    is_active: bool,
    has_role: bool,
    has_second_factor: bool,
}

/// The accounts of these digests, which were made with one of the keys. Every account is read once.
///
/// # Errors
/// The database's.
pub(super) async fn accounts(
    conn: &mut PgConnection,
    keys: &[[u8; 32]],
    wanted: &HashSet<String>,
) -> Result<HashMap<String, Found>, sqlx::Error> {
    let mut found = HashMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let mut riders = sqlx::query!(
        r#"select r.id as "id!", r.user_name as "user_name!", r.role as "role!", r.state as "state!",
                  r.forgotten_at is not null as "is_forgotten!", f.rider_id is not null as "has_second_factor!"
           from rider r left join second_factor f on f.rider_id = r.id"#
    )
    .fetch(conn);
    while let Some(row) = riders.try_next().await? {
        let folded = user_name::folded(&row.user_name);
        let digests = keys.iter().flat_map(|key| security::digests_of(key, RiderId(row.id), &folded));
        for digest in digests.filter(|digest| wanted.contains(digest)) {
            let account = Found {
                rider: RiderId(row.id),
                is_forgotten: row.is_forgotten,
                is_active: decode::<AccountState>(&row.state)? == AccountState::Active,
                has_role: decode::<Role>(&row.role)?.may_view(),
                has_second_factor: row.has_second_factor,
            };
            found.insert(digest, account);
        }
    }
    Ok(found)
}

/// What of the logged events the accounts do not show, the oldest first. Of passwords only the time is
/// known.
pub(super) fn undone(
    log: &RestoreLog,
    accounts: &HashMap<String, Found>,
    moment: Option<DateTime<Utc>>,
) -> Vec<Again> {
    let mut again = Vec::new();
    for ((digest, about), (at, event)) in &log.events {
        let Some(account) = accounts.get(digest) else { continue };
        let after = moment.is_none_or(|moment| *at > moment);
        let todo = match (about, event) {
            (About::Erasure, _) => (!account.is_forgotten).then_some(Todo::Forget),
            (About::State, Event::AccountDisabled) => account.is_active.then_some(Todo::Disable),
            (About::State, _) => (!account.is_active).then_some(Todo::Enable),
            (About::Role, Event::RoleTaken) => account.has_role.then_some(Todo::TakeRole),
            (About::Role, _) => (!account.has_role).then_some(Todo::GiveRole),
            (About::SecondFactor, Event::SecondFactorRemoved) => {
                account.has_second_factor.then_some(Todo::RemoveSecondFactor)
            }
            (About::SecondFactor, _) => (!account.has_second_factor).then_some(Todo::EnrolSecondFactor),
            (About::Password, _) => after.then_some(Todo::ResetPassword),
            (About::PayPassword, _) => after.then_some(Todo::ChangePayPassword),
        };
        again.extend(todo.map(|todo| Again { at: *at, todo, rider_id: account.rider }));
    }
    again.sort_by_key(|one| (one.at, one.todo));
    again
}
