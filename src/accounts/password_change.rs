//! Changing the sign-in password, by its owner.

use super::{
    passwords::Passwords,
    strength::{self, Owner},
};
use crate::{
    domain::{Error, Password, Refusal, RiderId},
    storage,
};
use sqlx::PgPool;
use uuid::Uuid;

/// The account whose password is to change.
pub struct Account {
    id: RiderId,
    /// Its name for signing in.
    pub user_name: String,
    nick_name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    pub(super) password_hash: String,
}

impl Account {
    /// The active account of an id.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]; the database's.
    pub async fn find(pool: &PgPool, id: RiderId) -> Result<Self, Error> {
        let row = sqlx::query!(
            "select user_name, nick_name, email, phone, password_hash from rider where id = $1 and state = 'active'",
            id.0
        )
        .fetch_optional(pool)
        .await?;
        let row = row.ok_or(Refusal::NotFound("rider"))?;
        Ok(Self {
            id,
            user_name: row.user_name,
            nick_name: row.nick_name,
            email: row.email,
            phone: row.phone,
            password_hash: row.password_hash,
        })
    }

    /// Checks the rules of a new password, which came as the field `pointer`.
    ///
    /// # Errors
    /// Names the field and the rule.
    pub fn check_new(&self, pointer: &str, new: &str) -> Result<(), Error> {
        Password::read(pointer, new).map_err(Refusal::Invalid)?;
        let owner = Owner {
            user_name: &self.user_name,
            nick_name: self.nick_name.as_deref(),
            email: self.email.as_deref(),
            phone: self.phone.as_deref(),
        };
        Ok(strength::check_password(pointer, new, owner).map_err(Refusal::Invalid)?)
    }

    /// Whether this is its password.
    ///
    /// # Errors
    /// The hasher's.
    pub async fn has_password(&self, passwords: &Passwords, password: &str) -> Result<bool, Error> {
        passwords.verify(password, &self.password_hash).await.map_err(Error::Broken)
    }

    /// Sets a password that was checked, and ends every session but `keep`. One transaction: dropped
    /// before its commit, it changes nothing.
    ///
    /// # Errors
    /// [`Refusal::WrongPassword`] if the password has changed since [`Self::find`]; the hasher's and
    /// the database's.
    pub async fn set_password(
        &self,
        pool: &PgPool,
        passwords: &Passwords,
        new: &str,
        keep: Uuid,
    ) -> Result<(), Error> {
        let hash = passwords.hash(new).await.map_err(Error::Broken)?;
        let mut tx = storage::begin(pool).await?;
        let changed = sqlx::query!(
            "update rider set password_hash = $3 where id = $1 and password_hash = $2 and state = 'active'",
            self.id.0,
            self.password_hash,
            hash
        )
        .execute(&mut *tx)
        .await?;
        if changed.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(Refusal::WrongPassword.into());
        }
        // By a statement of its own, which sees a session that was opened meanwhile.
        sqlx::query!(
            "update session set revoked_at = now() where rider_id = $1 and id <> $2 and revoked_at is null",
            self.id.0,
            keep
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("delete from password_reset where rider_id = $1", self.id.0).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }
}
