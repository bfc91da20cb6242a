//! What a rider may change of his own account: never its name, role, password or balance.

use super::{Rider, find};
use crate::domain::{Email, Error, NickName, Phone, Refusal, RiderId};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::PgConnection;

/// A change of one field: left out, it stays as it is; `null` clears it.
type Field<T> = Option<Option<T>>;

/// What `sex` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Sex {
    /// `female`.
    Female,
    /// `male`.
    Male,
    /// `other`.
    Other,
}

impl Sex {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Female => "female",
            Self::Male => "male",
            Self::Other => "other",
        }
    }
}

/// The fields to change.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    /// 1 to 200 characters.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NickName>")]
    pub nick_name: Field<NickName>,
    /// `female`, `male` or `other`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Sex>")]
    pub sex: Field<Sex>,
    /// Unverified.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Email>")]
    pub email: Field<Email>,
    /// Unverified.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Phone>")]
    pub phone: Field<Phone>,
}

/// Tells `null` from a field that is left out: this is only called for a field that is there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Changes the account's profile, in one statement.
///
/// # Errors
/// No such account; the database's.
pub async fn change(conn: &mut PgConnection, rider: RiderId, change: &ProfileChange) -> Result<Rider, Error> {
    let ProfileChange { nick_name, sex, email, phone } = change;
    sqlx::query!(
        "update rider set nick_name = case when $2 then $3 else nick_name end, sex = case when $4 then $5 else sex end,
                          email = case when $6 then $7 else email end, phone = case when $8 then $9 else phone end
         where id = $1",
        rider.0,
        nick_name.is_some(),
        nick_name.as_ref().and_then(Option::as_ref).map(NickName::as_str),
        sex.is_some(),
        sex.flatten().map(Sex::as_str),
        email.is_some(),
        email.as_ref().and_then(Option::as_ref).map(Email::as_str),
        phone.is_some(),
        phone.as_ref().and_then(Option::as_ref).map(Phone::as_str),
    )
    .execute(&mut *conn)
    .await?;
    find(conn, rider).await?.ok_or_else(|| Refusal::NotFound("rider").into())
}
