//! What can be done to an order now, and what it would change: the preview of every act.

use crate::{
    domain::{Currency, Error, JobState, Money, OrderId, OrderStatus, Refusal, RiderId, TripId, list_seats},
    orders::snapshot::{self, OrderFacts, OrderSnapshot},
};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

/// Bytes of a digest that are shown: enough that no other preview of the order has the same.
const DIGEST_BYTES: usize = 16;

/// What operators can do to an order now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OrderActs {
    /// The order; absent if it was never added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<ActedOrder>,
    /// Whether it can be closed: it is unpaid.
    pub may_close: bool,
    /// Its dead letters, which can be redriven.
    pub dead_letters: Vec<Uuid>,
    /// The digest of all this. An act that names it is refused if anything has changed since.
    pub digest: String,
}

/// The order that is acted upon.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ActedOrder {
    /// Its state.
    pub status: OrderStatus,
    /// Its rider.
    pub rider_id: RiderId,
    /// The rider's user name.
    pub rider: String,
    /// Its trip.
    pub trip_id: TripId,
    /// When the trip departs.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub departs_at: DateTime<Utc>,
    /// The labels of the seats that it owns now, which closing and refunding free; separated by commas.
    pub seats: String,
    /// What it costs.
    pub amount: Money,
    /// The currency of the amount.
    pub currency: Currency,
}

impl ActedOrder {
    fn of(facts: &OrderFacts) -> Self {
        Self {
            status: facts.status,
            rider_id: RiderId(facts.rider_id),
            rider: facts.rider.clone(),
            trip_id: TripId(facts.trip_id),
            departs_at: facts.departs_at,
            seats: list_seats(&facts.owns, &facts.owned_labels),
            amount: Money::from_database(facts.amount),
            currency: Currency::installed(),
        }
    }
}

impl OrderActs {
    /// What can be done to the order of this snapshot.
    pub fn of(whole: &OrderSnapshot) -> Self {
        let order = whole.facts.as_ref().map(ActedOrder::of);
        let status = order.as_ref().map(|order| order.status);
        let is_dead = |state: &str| state == JobState::Dead.as_str();
        let dead_letters: Vec<Uuid> =
            whole.jobs.iter().filter(|job| is_dead(&job.state)).map(|job| job.id).collect();
        let seen = json!([order, dead_letters]).to_string();
        let digest =
            Sha256::digest(seen).iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self {
            may_close: matches!(status, Some(OrderStatus::Unpaid | OrderStatus::Paying)),
            order,
            dead_letters,
            digest,
        }
    }
}

/// What can be done to an order now.
///
/// # Errors
/// No request ever began such an order; the database's.
pub async fn acts(conn: &mut PgConnection, order: OrderId) -> Result<OrderActs, Error> {
    let whole = snapshot::read(conn, order).await?.ok_or(Refusal::NotFound("order"))?;
    Ok(OrderActs::of(&whole))
}
