//! The fields of an account that its rider may change: never its name, role, password or balance.

use super::{Rider, find};
use crate::domain::{Email, Error, NickName, Phone, Refusal, RiderId};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlx::PgConnection;

/// A change of one field.
#[derive(Clone, Copy, Debug, Default)]
pub enum FieldChange<T> {
    /// It was left out: the field stays as it is.
    #[default]
    Keep,
    /// It was `null`: the field is cleared.
    Clear,
    /// The new value.
    Set(T),
}

impl<T> FieldChange<T> {
    fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    fn value(&self) -> Option<&T> {
        if let Self::Set(value) = self { Some(value) } else { None }
    }
}

impl<T: Serialize> Serialize for FieldChange<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for FieldChange<T> {
    /// Only called for a field that is present.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

/// A rider's sex, as the rider gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
    /// Another one.
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
    #[serde(default, skip_serializing_if = "FieldChange::is_keep")]
    #[schemars(with = "Option<NickName>")]
    pub nick_name: FieldChange<NickName>,
    /// `female`, `male` or `other`.
    #[serde(default, skip_serializing_if = "FieldChange::is_keep")]
    #[schemars(with = "Option<Sex>")]
    pub sex: FieldChange<Sex>,
    /// Unverified.
    #[serde(default, skip_serializing_if = "FieldChange::is_keep")]
    #[schemars(with = "Option<Email>")]
    pub email: FieldChange<Email>,
    /// Unverified.
    #[serde(default, skip_serializing_if = "FieldChange::is_keep")]
    #[schemars(with = "Option<Phone>")]
    pub phone: FieldChange<Phone>,
}

/// Changes the account's profile, in one statement.
///
/// # Errors
/// No such account; the database's.
pub async fn change(conn: &mut PgConnection, rider: RiderId, change: &ProfileChange) -> Result<Rider, Error> {
    let ProfileChange { nick_name, sex, email, phone } = change;
    // A forgotten account stays without a name, also for a request that began before.
    let changed = sqlx::query!(
        "update rider set nick_name = case when $2 then $3 else nick_name end, sex = case when $4 then $5 else sex end,
                          email = case when $6 then $7 else email end,
                          -- Another address is not the one that was verified.
                          email_verified_at = case when $6 and $7::text is distinct from email then null
                                                   else email_verified_at end,
                          phone = case when $8 then $9 else phone end
         where id = $1 and forgotten_at is null",
        rider.0,
        !nick_name.is_keep(),
        nick_name.value().map(NickName::as_str),
        !sex.is_keep(),
        sex.value().copied().map(Sex::as_str),
        !email.is_keep(),
        email.value().map(Email::as_str),
        !phone.is_keep(),
        phone.value().map(Phone::as_str),
    )
    .execute(&mut *conn)
    .await?;
    if changed.rows_affected() == 0 {
        return Err(Refusal::NotFound("rider").into());
    }
    find(conn, rider).await?.ok_or_else(|| Refusal::NotFound("rider").into())
}
