//! Registering, signing in, and the public form of an account.

use super::user_name;
use crate::{
    accounts::passwords::{HashQueue, Passwords},
    domain::{Email, Error, FieldError, Password, PayPassword, Phone, Refusal, RiderId, UserName},
    storage,
};
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
    /// An operator who may add operators.
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
    /// 3 to 40 letters, digits, `.`, `_` or `-`; unique without regard to case.
    #[schemars(with = "UserName")]
    pub user_name: String,
    /// At least 8 characters.
    #[schemars(with = "Password")]
    pub password: String,
    /// Six digits; may be set later.
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
    UserName::read("/user_name", &new.user_name)?;
    Password::read("/password", &new.password)?;
    new.pay_password.as_deref().map(|pay| PayPassword::read("/pay_password", pay)).transpose()?;
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

/// The account of a user name and password.
///
/// # Errors
/// [`Refusal::WrongCredentials`] for either being wrong; the database's.
pub async fn sign_in(
    pool: &PgPool,
    passwords: &Passwords,
    name: &str,
    password: &str,
) -> Result<Rider, Error> {
    let row = sqlx::query!(
        r#"select id, password_hash from rider where lower(user_name collate "C") = $1 and $2"#,
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
    if !passwords.verify(password, &row.password_hash).await.map_err(Error::Broken)? {
        return Err(Refusal::WrongCredentials.into());
    }
    renew(pool, passwords, row.id, password, &row.password_hash).await;
    find(pool, RiderId(row.id)).await?.ok_or_else(|| Refusal::WrongCredentials.into())
}

/// Renews the hash of a password that was right, if it is outdated. A hash that cannot be renewed
/// just now stays as it is, and the sign-in succeeds. A change of the password meanwhile wins. Safe
/// to drop: it is one statement.
async fn renew(pool: &PgPool, passwords: &Passwords, id: Uuid, password: &str, hash: &str) {
    if !passwords.is_outdated(hash) {
        return;
    }
    let Ok(new) = passwords.hash(password).await else { return };
    let renewed = sqlx::query!(
        "update rider set password_hash = $2 where id = $1 and password_hash = $3",
        id,
        new,
        hash
    )
    .execute(pool)
    .await;
    if let Err(error) = renewed {
        tracing::warn!(%error, "a password's hash could not be renewed");
    }
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
