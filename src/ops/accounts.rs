//! Accounts of the operations side.

use super::Attribution;
use crate::{
    accounts::{Registration, Rider},
    domain::Error,
    ops::audit::{Action, Subject},
    security::{self, Event},
};
use serde_json::json;
use sqlx::PgConnection;

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
