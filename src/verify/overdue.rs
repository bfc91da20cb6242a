//! An undo that is due and not done.

use crate::domain::{Currency, Localized, Money, list_seats};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// One undo that is due and not done, with what it would change.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OverdueUndo {
    /// The job.
    pub job_id: Uuid,
    /// Its tag.
    pub tag: String,
    /// Its key.
    pub key: String,
    /// The order it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// The order's rider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rider_id: Option<Uuid>,
    /// The rider's user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rider: Option<String>,
    /// The trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trip_id: Option<Uuid>,
    /// The numbers of the order's seats.
    pub seats: Vec<i32>,
    /// Their labels; absent where the numbers are the labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Those of them that the undo frees.
    pub frees: Vec<i32>,
    /// The money that the undo gives back or settles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// The currency of the amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// How long ago it first fell due, seconds.
    pub owed_secs: f64,
    /// How many of its attempts failed.
    pub failures: i32,
    /// When the next attempt is due; absent while one runs.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Its last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it is not done yet.
    pub why: Localized,
}

impl OverdueUndo {
    /// One line for a terminal.
    pub fn line(&self) -> String {
        let Self { tag, key, owed_secs, .. } = self;
        let rider = self.rider.as_deref().unwrap_or("an unknown rider");
        let amount = self.amount.map(|amount| format!(", {}", amount.with_code())).unwrap_or_default();
        let seats = list_seats(&self.seats, &self.labels).replace(", ", " ");
        let seats = if seats.is_empty() { seats } else { format!(", seats {seats}") };
        format!("{tag} {key}: owed to {rider}{amount}{seats} for {owed_secs:.0} s; {}", self.why.en)
    }
}
