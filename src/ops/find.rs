//! What an id, a user name or an e-mail address belongs to.

use crate::{accounts::user_name, domain::RiderId};
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// Most accounts of one search.
pub const MAX_FOUND: i64 = 50;

/// Where the console shows something: the list and the id there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// `orders`, `trips`, `riders`, `jobs` or `bulk`.
    pub list: String,
    /// The id.
    pub id: Uuid,
}

/// What this id belongs to. A payment is shown on its order's page, and so is an order that was
/// never added.
///
/// # Errors
/// The database's.
pub async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<Location>, sqlx::Error> {
    sqlx::query_as!(
        Location,
        r#"select list as "list!", id as "id!" from (
               select 1 as nr, 'orders' as list, id from orders where id = $1
               union all select 2, 'orders', order_id from payment where id = $1
               union all select 3, 'trips', id from trip where id = $1
               union all select 4, 'riders', id from rider where id = $1
               union all select 5, 'jobs', id from queue.any_job where id = $1
               union all select 6, 'bulk', id from bulk where id = $1
               union all select 7, 'orders', subject from barrier where subject = $1
           ) found order by nr limit 1"#,
        id
    )
    .fetch_optional(pool)
    .await
}

/// An account that a search text may mean.
#[derive(Clone, Debug)]
pub struct FoundRider {
    /// Its id.
    pub id: RiderId,
    /// Its name for signing in.
    pub user_name: String,
    /// What it may do.
    pub role: String,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Whether an operator checked that the address is its owner's. Any number of other accounts
    /// may claim the same address, unverified.
    pub is_verified: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Whether the text is its user name.
    pub by_name: bool,
}

/// Accounts with this user name (at most one) or this e-mail address (any number, at most one of
/// them verified): at most [`MAX_FOUND`], the user name's first, then the verified one, then older
/// ones before newer ones. Addresses are compared without the case of ASCII letters.
///
/// # Errors
/// The database's.
pub async fn riders(pool: &PgPool, text: &str) -> Result<Vec<FoundRider>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, user_name, role, email, created_at, lower(user_name collate "C") = $1 as "by_name!",
                  email_verified_at is not null as "is_verified!"
           from rider
           where lower(user_name collate "C") = $1
              or email is not null and lower(normalize(email, nfc) collate "C") = lower(normalize($2::text, nfc) collate "C")
           order by 6 desc, 7 desc, created_at, id limit $3"#,
        user_name::folded(text),
        text,
        MAX_FOUND
    )
    .fetch_all(pool)
    .await?;
    let found = rows.into_iter().map(|row| FoundRider {
        id: RiderId(row.id),
        user_name: row.user_name,
        role: row.role,
        email: row.email,
        is_verified: row.is_verified,
        created_at: row.created_at,
        by_name: row.by_name,
    });
    Ok(found.collect())
}

/// The account that the text means beyond doubt: its user name, and no account's e-mail address. An
/// address is not enough, since it is unverified.
pub fn unmistakable(found: &[FoundRider]) -> Option<RiderId> {
    match found {
        [only] if only.by_name => Some(only.id),
        _ => None,
    }
}

/// The times of an account.
#[derive(Clone, Copy, Debug)]
pub struct AccountTimes {
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When an operator checked that the e-mail address is its owner's.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// When it was forgotten.
    pub forgotten_at: Option<DateTime<Utc>>,
}

/// The times of an account, if it exists.
///
/// # Errors
/// The database's.
pub async fn times(pool: &PgPool, rider: RiderId) -> Result<Option<AccountTimes>, sqlx::Error> {
    sqlx::query_as!(
        AccountTimes,
        "select created_at, email_verified_at, forgotten_at from rider where id = $1",
        rider.0
    )
    .fetch_optional(pool)
    .await
}
