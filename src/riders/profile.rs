//! What a rider may change of his own account: never its name, role, password or balance.

use super::{Rider, accounts::check_text, find};
use crate::{
    domain::{FieldError, Refusal, RiderId},
    flow::StepError,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::PgConnection;

/// What `sex` may say.
const SEXES: [&str; 3] = ["female", "male", "other"];

/// A change of one field: left out, it stays as it is; `null` clears it.
type Field = Option<Option<String>>;

/// The fields to change.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    /// 1 to 200 characters.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 200))]
    pub nick_name: Field,
    /// `female`, `male` or `other`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^(female|male|other)$"))]
    pub sex: Field,
    /// Unverified; holds an `@`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 200), regex(pattern = "@"))]
    pub email: Field,
    /// Unverified.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 200))]
    pub phone: Field,
}

/// Tells `null` from a field that is left out: this is only called for a field that is there.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

/// Changes the account's profile, in one statement.
///
/// # Errors
/// A field that breaks a rule, no such account; the database's.
pub async fn change(
    conn: &mut PgConnection,
    rider: RiderId,
    change: &ProfileChange,
) -> Result<Rider, StepError> {
    check(change).map_err(Refusal::Invalid)?;
    let ProfileChange { nick_name, sex, email, phone } = change;
    sqlx::query!(
        "update rider set nick_name = case when $2 then $3 else nick_name end, sex = case when $4 then $5 else sex end,
                          email = case when $6 then $7 else email end, phone = case when $8 then $9 else phone end
         where id = $1",
        rider.0,
        nick_name.is_some(),
        nick_name.clone().flatten(),
        sex.is_some(),
        sex.clone().flatten(),
        email.is_some(),
        email.clone().flatten(),
        phone.is_some(),
        phone.clone().flatten(),
    )
    .execute(&mut *conn)
    .await?;
    find(conn, rider).await?.ok_or_else(|| Refusal::NotFound("rider").into())
}

fn check(change: &ProfileChange) -> Result<(), FieldError> {
    let ProfileChange { nick_name, sex, email, phone } = change;
    for (pointer, field) in [("/nick_name", nick_name), ("/email", email), ("/phone", phone)] {
        check_text(pointer, field.as_ref().and_then(Option::as_deref))?;
    }
    if sex.iter().flatten().any(|sex| !SEXES.contains(&sex.as_str())) {
        return Err(FieldError::new("/sex", format!("one of {}, or null", SEXES.join(", "))));
    }
    if email.iter().flatten().any(|email| !email.contains('@')) {
        return Err(FieldError::new("/email", "an address with an @, or null"));
    }
    Ok(())
}
