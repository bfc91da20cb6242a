//! Accounts of the operations side.

use super::Attribution;
use crate::{
    accounts::{Registration, Rider},
    domain::Error,
    ops::audit::{Action, Subject},
};
use serde_json::json;
use sqlx::PgConnection;

/// Adds an account of the operations side.
///
/// # Errors
/// A taken user name; the database's.
pub async fn add(conn: &mut PgConnection, by: &Attribution, new: &Registration) -> Result<Rider, Error> {
    let rider = new.add(&mut *conn).await?;
    let detail = json!({ "user_name": rider.user_name, "role": rider.role });
    by.record(conn, Action::OperatorAdd, &Subject::of("account", &rider.id), &detail).await?;
    Ok(rider)
}
