//! Changing one trip: another bus, other prices.

use super::touched::TouchedTrip;
use crate::{
    domain::{Currency, Money, Refusal, TripId},
    ops::{
        Attribution,
        audit::{Action, Subject},
    },
    trips::network::{self, Author, ChangeError, ChangePreview, Progress, TripChange, progress},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

/// What a change of one trip would do.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TripChangePreview {
    /// What applies it.
    pub digest: String,
    /// The trip, with what changes and the riders that have seats.
    #[serde(flatten)]
    pub trip: TouchedTrip,
    /// Orders that stay.
    pub orders_moved: i64,
    /// Orders that end.
    pub orders_ended: i64,
    /// What is given back for those that end.
    pub refunded: Money,
    /// The currency of the amounts.
    pub currency: Currency,
}

/// A change of one trip that was applied.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TripChanged {
    /// The trip.
    pub trip_id: TripId,
    /// The digest of the preview that was applied.
    pub digest: String,
    /// Whether anything was changed: this digest may have been applied before.
    pub changes: bool,
    /// What changed, each in words.
    pub what: Vec<String>,
    /// How far its job is. The list of imports has it too.
    pub import: Progress,
}

impl TripChangePreview {
    fn of(preview: &ChangePreview) -> Self {
        let effect = &preview.effect;
        Self {
            digest: preview.digest.clone(),
            trip: TouchedTrip::of(effect).unwrap_or_else(|| TouchedTrip::with(effect, "follows")),
            orders_moved: effect.orders_moved(),
            orders_ended: effect.orders_ended(),
            refunded: effect.refunded(),
            currency: Currency::installed(),
        }
    }
}

impl TripChanged {
    /// Whether riders are still to be moved or refunded.
    pub fn is_running(&self) -> bool {
        self.import.finished_at.is_none()
    }
}

/// What changing this trip would do.
///
/// # Errors
/// As [`network::preview_change`].
pub async fn preview(
    conn: &mut PgConnection,
    trip: TripId,
    change: &TripChange,
) -> Result<TripChangePreview, ChangeError> {
    Ok(TripChangePreview::of(&network::preview_change(conn, trip, change).await?))
}

/// Changes a trip for a reason, if the preview has this digest. A change that was applied before is not
/// recorded again.
///
/// # Errors
/// As [`network::change`]; no reason.
pub async fn apply(
    conn: &mut PgConnection,
    by: &Attribution,
    trip: TripId,
    change: &TripChange,
    digest: &str,
) -> Result<TripChanged, ChangeError> {
    let author = Author { operator: by.actor.rider, actor: by.actor.name.as_deref(), reason: by.reason()? };
    let done = network::change(&mut *conn, &author, trip, change, digest).await?;
    let changes = done.changes;
    if changes {
        let TripChange { bus_id, price, prices, follow } = change;
        let detail = json!({
            "preview": done.digest,
            "import": done.import,
            "bus_id": bus_id,
            "price": price,
            "prices": prices,
            "follow": follow,
            "what": done.what,
        });
        by.record(&mut *conn, Action::TripChange, &Subject::of("trip", &trip), &detail).await?;
    }
    let import = progress(conn, done.import).await?.ok_or(Refusal::NotFound("import"))?;
    Ok(TripChanged { trip_id: trip, digest: done.digest, changes, what: done.what, import })
}
