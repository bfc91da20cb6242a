//! All that is held of an account, as JSON.

use super::places::{Holds, PLACES};
use crate::{
    domain::{Currency, Error, FieldError, Money, Refusal, RiderId},
    ops::{
        Attribution,
        audit::{Action, Subject},
    },
    security::{self, Event},
};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

/// Most rows of one table. An account with more than that is exported from a copy of the database.
const MAX_ROWS: i64 = 100_000;
/// Columns with amounts, of all tables.
const AMOUNTS: [&str; 6] = ["amount", "balance", "balance_after", "balance_before", "price", "unit_price"];

/// Everything that is held of an account: the rows of each table, without hashes of secrets. It is
/// audited in the same transaction, for a reason.
///
/// # Errors
/// No such account, no reason, more rows than [`MAX_ROWS`]; the database's.
pub async fn export(conn: &mut PgConnection, by: &Attribution, rider: RiderId) -> Result<Value, Error> {
    by.reason()?;
    let mut tables = Map::new();
    for place in PLACES {
        let Holds::Rows { which, hidden } = place.holds else { continue };
        // Tables and conditions are constants of the list.
        let sql = sqlx::AssertSqlSafe(format!(
            "select to_jsonb(t) - $2::text[] from {} t where {which} limit $3",
            place.table
        ));
        let hidden: Vec<String> = hidden.iter().map(|column| (*column).to_owned()).collect();
        let mut rows: Vec<Value> = sqlx::query_scalar(sql)
            .bind(rider.0)
            .bind(hidden)
            .bind(MAX_ROWS + 1)
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?;
        if rows.len() as i64 > MAX_ROWS {
            let rule = format!("{} has more than {MAX_ROWS} rows of this account", place.table);
            return Err(Refusal::Invalid(FieldError::new("export", rule)).into());
        }
        rows.iter_mut().for_each(show_amounts);
        tables.insert(place.table.to_owned(), Value::Array(rows));
    }
    if tables.get("rider").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Err(Refusal::NotFound("rider").into());
    }
    by.record(conn, Action::RiderExport, &Subject::of("account", &rider), &json!({})).await?;
    let reader = by.actor.rider.map(security::account);
    Event::PersonalDataRead.record(reader.as_deref(), None);
    Ok(
        json!({ "account": rider, "exported_at": chrono::Utc::now(), "currency": Currency::installed(), "tables": tables }),
    )
}

/// Writes the amounts of a row as the API does. A row has them as they are stored.
fn show_amounts(row: &mut Value) {
    for column in AMOUNTS {
        let Some(value) = row.get_mut(column) else { continue };
        if let Some(stored) = value.as_number().and_then(|number| number.to_string().parse::<Decimal>().ok())
        {
            *value = json!(Money::from_database(stored));
        }
    }
}
