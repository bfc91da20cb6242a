//! Registering, signing in, and the public form of an account.

use super::{
    strength::{self, Owner},
    user_name,
};
use crate::{
    accounts::passwords::{HashQueue, Passwords},
    domain::{Email, Error, FieldError, NewUserName, Password, PayPassword, Phone, Refusal, RiderId},
    storage,
};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::str::FromStr;
use uuid::Uuid;

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Books and pays.
    Rider,
    /// Reads the operations side, and changes nothing.
    Viewer,
    /// Acts on the operations side.
    Operator,
    /// An operator who also manages the accounts of operators.
    Admin,
}

impl Role {
    /// The word for it in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rider => "rider",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// May read the operations side.
    pub fn may_view(self) -> bool {
        self != Self::Rider
    }

    /// May change data; signing out does not count as a change.
    pub fn may_change(self) -> bool {
        self != Self::Viewer
    }

    /// May act on the operations side.
    pub fn may_operate(self) -> bool {
        matches!(self, Self::Operator | Self::Admin)
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Rider, Self::Viewer, Self::Operator, Self::Admin];
        all.into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("no role is called {text:?}"))
    }
}

/// A request to register.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRider {
    /// 3 to 40 letters, digits, `.`, `_` or `-`; the first and the last are letters or digits, and one is
    /// a letter; unique without regard to case.
    #[schemars(with = "crate::domain::NewUserName")]
    pub user_name: String,
    /// At least 8 characters, and not easy to guess.
    #[schemars(with = "Password")]
    pub password: String,
    /// Six digits, and not easy to guess; may be set later.
    #[schemars(with = "Option<PayPassword>")]
    pub pay_password: Option<String>,
    /// Optional, unverified.
    pub email: Option<Email>,
    /// Optional, unverified.
    pub phone: Option<Phone>,
}

/// An account in a response: never with a balance, a password or a hash.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Rider {
    /// Its id.
    pub id: RiderId,
    /// Its name for signing in.
    pub user_name: String,
    /// What it may do.
    pub role: Role,
    /// Optional.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nick_name: Option<String>,
    /// Optional.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::profile::Sex>")]
    pub sex: Option<String>,
    /// Optional.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Optional.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Whether it can pay.
    pub has_pay_password: bool,
}

/// A valid registration with hashed passwords, ready to be stored by one statement.
pub struct Registration {
    id: RiderId,
    user_name: String,
    password_hash: String,
    pay_hash: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    role: Role,
}

impl Registration {
    /// Checks and hashes, outside of any transaction.
    ///
    /// # Errors
    /// An invalid field; the hasher's.
    pub async fn prepare(passwords: &Passwords, new: &NewRider, role: Role) -> Result<Self, Error> {
        check(new).map_err(Refusal::Invalid)?;
        let password_hash = passwords.hash(&new.password).await.map_err(Error::Broken)?;
        let pay_hash = match &new.pay_password {
            Some(pay) => Some(passwords.hash(pay).await.map_err(Error::Broken)?),
            None => None,
        };
        Ok(Self {
            id: RiderId::new(),
            user_name: new.user_name.clone(),
            password_hash,
            pay_hash,
            email: new.email.clone().map(Email::into_string),
            phone: new.phone.clone().map(Phone::into_string),
            role,
        })
    }

    /// Adds the account with its empty wallet, in one statement.
    ///
    /// # Errors
    /// A taken user name; the database's.
    pub async fn add(&self, conn: &mut PgConnection) -> Result<Rider, Error> {
        let added = sqlx::query_scalar!(
            r#"with added as (
                   insert into rider (id, user_name, password_hash, role, email, phone)
                   values ($1, $2, $3, $4, $5, $6) on conflict (lower(user_name collate "C")) do nothing returning id
               ), purse as (
                   insert into wallet (rider_id) select id from added
               ), secret as (
                   insert into pay_password (rider_id, hash) select id, $7 from added where $7::text is not null
               )
               select exists(select from added) as "added!""#,
            self.id.0,
            self.user_name,
            self.password_hash,
            self.role.as_str(),
            self.email,
            self.phone,
            self.pay_hash,
        )
        .fetch_one(&mut *conn)
        .await?;
        if !added {
            return Err(Refusal::UserNameTaken.into());
        }
        find(conn, self.id).await?.ok_or_else(|| Refusal::NotFound("rider").into())
    }
}

/// Registers an account with its empty wallet.
///
/// # Errors
/// A field that breaks a rule, a taken user name; the database's.
pub async fn register(
    pool: &PgPool,
    passwords: &Passwords,
    new: &NewRider,
    role: Role,
) -> Result<Rider, Error> {
    let registration = Registration::prepare(passwords, new, role).await?;
    registration.add(&mut *pool.acquire().await?).await
}

fn check(new: &NewRider) -> Result<(), FieldError> {
    NewUserName::read("/user_name", &new.user_name)?;
    Password::read("/password", &new.password)?;
    let owner = Owner {
        user_name: &new.user_name,
        nick_name: None,
        email: new.email.as_ref().map(Email::as_str),
        phone: new.phone.as_ref().map(Phone::as_str),
    };
    strength::check_password("/password", &new.password, owner)?;
    if let Some(pay) = &new.pay_password {
        PayPassword::read("/pay_password", pay)?;
        strength::check_pay_password("/pay_password", pay)?;
    }
    Ok(())
}

/// Where a sign-in by this name waits for its hash. An unknown name waits among the riders.
///
/// # Errors
/// The database's.
pub async fn hash_queue_of(pool: &PgPool, name: &str) -> Result<HashQueue, sqlx::Error> {
    let role = sqlx::query_scalar!(
        r#"select role from rider where lower(user_name collate "C") = $1 and $2"#,
        user_name::folded(name),
        user_name::is_user_name(name)
    )
    .fetch_optional(pool)
    .await?;
    let role = role.map(|role| storage::decode::<Role>(&role)).transpose()?;
    Ok(if role.is_some_and(Role::may_view) { HashQueue::Operators } else { HashQueue::Riders })
}

/// An account whose password was given, and the hash that it matched.
pub struct Authenticated {
    /// The account.
    pub rider: Rider,
    /// The hash: the account is this one for as long as the hash is.
    pub(super) password_hash: String,
    /// From when on its sessions count; a proof from before has ended with them.
    pub(super) sessions_from: Option<DateTime<Utc>>,
    /// Whether a code of its second factor was given too.
    pub(super) second_factor: bool,
}

impl Authenticated {
    /// What changes when the password does, and when the account's sessions are ended: a proof of the
    /// password that holds this ends with them.
    pub fn standing(&self) -> [Vec<u8>; 2] {
        let from = self.sessions_from.map_or(0, |from| from.timestamp_micros());
        [self.password_hash.clone().into_bytes(), from.to_be_bytes().to_vec()]
    }

    /// The account, now that a code of its second factor was right.
    #[must_use]
    pub fn with_second_factor(self) -> Self {
        Self { second_factor: true, ..self }
    }
}

/// An active account whose password was given in an earlier step: the caller has proof of that.
///
/// # Errors
/// The database's.
pub async fn active(pool: &PgPool, id: RiderId) -> Result<Option<Authenticated>, sqlx::Error> {
    let row = sqlx::query!(
        "select password_hash, sessions_from from rider where id = $1 and state = 'active'",
        id.0
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (password_hash, sessions_from) = (row.password_hash, row.sessions_from);
    let rider = find(pool, id).await?;
    Ok(rider.map(|rider| Authenticated { rider, password_hash, sessions_from, second_factor: false }))
}

/// The account of a user name and password.
///
/// # Errors
/// [`Refusal::WrongCredentials`] for either being wrong, and for a disabled account; the database's.
pub async fn sign_in(
    pool: &PgPool,
    passwords: &Passwords,
    name: &str,
    password: &str,
) -> Result<Authenticated, Error> {
    let row = sqlx::query!(
        r#"select id, password_hash, sessions_from, state = 'active' as "active!"
           from rider where lower(user_name collate "C") = $1 and $2"#,
        user_name::folded(name),
        user_name::is_user_name(name)
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else {
        // As much work as for a known name, so that response times do not reveal which names exist.
        passwords.verify_dummy(password).await.map_err(Error::Broken)?;
        return Err(Refusal::WrongCredentials.into());
    };
    // A disabled account costs the same, and is answered as if it did not exist.
    if !passwords.verify(password, &row.password_hash).await.map_err(Error::Broken)? || !row.active {
        return Err(Refusal::WrongCredentials.into());
    }
    let password_hash = renew(pool, passwords, row.id, password, row.password_hash).await;
    let rider = find(pool, RiderId(row.id)).await?.ok_or(Refusal::WrongCredentials)?;
    Ok(Authenticated { rider, password_hash, sessions_from: row.sessions_from, second_factor: false })
}

/// Renews the hash of a password that was right, if it is outdated; returns the hash that is in force.
/// A hash that cannot be renewed just now stays as it is, and the sign-in succeeds. A change of the
/// password meanwhile wins. Safe to drop: it is one statement.
async fn renew(pool: &PgPool, passwords: &Passwords, id: Uuid, password: &str, hash: String) -> String {
    if !passwords.is_outdated(&hash) {
        return hash;
    }
    let Ok(new) = passwords.hash(password).await else { return hash };
    let renewed = sqlx::query!(
        "update rider set password_hash = $2 where id = $1 and password_hash = $3",
        id,
        new,
        hash
    )
    .execute(pool)
    .await;
    match renewed {
        Ok(done) if done.rows_affected() > 0 => new,
        // A concurrent sign-in renewed it, or the password has changed.
        Ok(_) => still_matching(pool, passwords, id, password).await.unwrap_or(hash),
        Err(error) => {
            tracing::warn!(%error, "a password's hash could not be renewed");
            hash
        }
    }
}

/// The present hash, if the password matches it.
async fn still_matching(pool: &PgPool, passwords: &Passwords, id: Uuid, password: &str) -> Option<String> {
    let hash = sqlx::query_scalar!("select password_hash from rider where id = $1", id).fetch_one(pool);
    let hash = hash.await.ok()?;
    passwords.verify(password, &hash).await.ok()?.then_some(hash)
}

/// The account of an id.
///
/// # Errors
/// The database's.
pub async fn find(db: impl PgExecutor<'_>, id: RiderId) -> Result<Option<Rider>, sqlx::Error> {
    struct Row {
        id: Uuid,
        user_name: String,
        role: String,
        nick_name: Option<String>,
        sex: Option<String>,
        email: Option<String>,
        phone: Option<String>,
        has_pay_password: bool,
    }
    let row = sqlx::query_as!(
        Row,
        r#"select r.id, r.user_name, r.role, r.nick_name, r.sex, r.email, r.phone,
                  exists(select from pay_password p where p.rider_id = r.id) as "has_pay_password!"
           from rider r where r.id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Rider {
            id: RiderId(row.id),
            user_name: row.user_name,
            role: storage::decode(&row.role)?,
            nick_name: row.nick_name,
            sex: row.sex,
            email: row.email,
            phone: row.phone,
            has_pay_password: row.has_pay_password,
        })
    })
    .transpose()
}
