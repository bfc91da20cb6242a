//! An operator's change of one trip: another bus, or other prices for what is not sold yet.
//!
//! It is previewed and applied as an import is, and by the same means: one transaction changes the trip
//! and writes down what is done with its riders, and the import's job does that. The trip keeps what was
//! changed when a network is imported later (`Plans::expected`).

use super::{
    ImportError, LOCK, apply, bus_taken,
    change_plan::{ChangePreview, plan},
    change_request::{ChangeError, TripChange},
    effect::{Effect, Kind},
    imports, refuse_beside_another,
    riders::{self, Author},
};
use crate::{domain::TripId, trips::prices::ClassPrices};
use serde_json::Value;
use sqlx::PgConnection;
use std::slice;
use uuid::Uuid;

/// A change that was applied.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The digest of its preview.
    pub digest: String,
    /// Whether anything was changed: this digest may have been applied before.
    pub changes: bool,
    /// What changed, each in words.
    pub what: Vec<String>,
    /// What carries it on, in the list of imports.
    pub import: Uuid,
}

/// What changing this trip would do. Changes nothing.
///
/// # Errors
/// A field that breaks a rule, a trip that has departed or is cancelled, a bus on another trip, an import
/// that is not finished; the database's.
pub async fn preview_change(
    conn: &mut PgConnection,
    trip: TripId,
    change: &TripChange,
) -> Result<ChangePreview, ChangeError> {
    refuse_beside_another(conn).await?;
    plan(conn, trip, change, false).await
}

/// Changes a trip if the preview still has this digest. The change that was applied last is not applied
/// again. Needs a transaction.
///
/// # Errors
/// As [`preview_change`], and a stale digest.
pub async fn change(
    conn: &mut PgConnection,
    author: &Author<'_>,
    trip: TripId,
    change: &TripChange,
    digest: &str,
) -> Result<Changed, ChangeError> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *conn).await?;
    if let Some(import) = imports::latest_with(conn, digest, Some(trip)).await? {
        return Ok(Changed { digest: digest.to_owned(), changes: false, what: Vec::new(), import });
    }
    refuse_beside_another(conn).await?;
    let ChangePreview { effect, digest: now } = plan(conn, trip, change, true).await?;
    if now != digest {
        return Err(ImportError::Stale.into());
    }
    write(conn, change, &effect).await.map_err(bus_taken)?;
    let import = riders::record(conn, author, digest, slice::from_ref(&effect), Some(trip)).await?;
    let what = effect.changes().map(str::to_owned).collect();
    Ok(Changed { digest: now, changes: true, what, import })
}

async fn write(conn: &mut PgConnection, change: &TripChange, effect: &Effect) -> Result<(), sqlx::Error> {
    if effect.kind == Kind::Changes {
        return apply::change(conn, &[effect], &[]).await;
    }
    if change.follow == Some(true) {
        return apply::change(conn, &[], &[effect]).await;
    }
    // An extra trip may have a version of its model that is no longer in use, and keeps it.
    let Some(expected) = &effect.expected else { return Ok(()) };
    sqlx::query!(
        "update trip set price = $2, class_prices = $3, own_price = $4 where id = $1",
        effect.trip,
        expected.price,
        expected.class_prices.as_ref().map(ClassPrices::to_json) as Option<Value>,
        expected.own_price
    )
    .execute(conn)
    .await
    .map(drop)
}
