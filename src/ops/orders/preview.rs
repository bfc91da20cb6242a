//! What can be done to an order now, and what it would change: the preview of every act.

use super::Rules;
use crate::{
    domain::{Currency, Error, JobState, Money, OrderId, OrderStatus, Refusal, RiderId, TripId, list_seats},
    ops::wallets::refunds::waiting_id,
    orders::snapshot::{self, OrderFacts, OrderSnapshot},
    payment::refund::{self, Exceptions},
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
    /// On which terms it can be refunded: it is paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund: Option<RefundTerms>,
    /// Its dead letters, which can be redriven.
    pub dead_letters: Vec<Uuid>,
    /// The digest of all this. An act that names it is refused if anything has changed since.
    pub digest: String,
}

/// The terms on which a paid order can be refunded now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RefundTerms {
    /// What the rider paid, in the currency of the order.
    pub amount: Money,
    /// What is kept of it by the order's rules.
    pub fee: Money,
    /// Until when its rider may have it refunded.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub until: DateTime<Utc>,
    /// Whether that time has passed: the refund is an exception.
    pub is_late: bool,
    /// Whether the amount alone needs a second operator.
    pub is_large: bool,
    /// The approval that a refund of the order waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<Uuid>,
}

impl RefundTerms {
    /// Whether a refund with these exceptions needs a second operator.
    pub fn second_person_for(&self, exceptions: Exceptions) -> bool {
        self.is_large || (exceptions.late && self.is_late) || (exceptions.without_fee && self.has_fee())
    }

    /// Whether the order's rules keep a part of the amount.
    pub fn has_fee(&self) -> bool {
        !self.fee.decimal().is_zero()
    }
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
    /// What can be done now to the order of this snapshot, which has this id.
    ///
    /// # Errors
    /// The database's.
    pub async fn of(
        conn: &mut PgConnection,
        id: OrderId,
        whole: &OrderSnapshot,
        rules: &Rules<'_>,
    ) -> Result<Self, sqlx::Error> {
        let order = whole.facts.as_ref().map(ActedOrder::of);
        let status = order.as_ref().map(|order| order.status);
        let is_dead = |state: &str| state == JobState::Dead.as_str();
        let dead_letters: Vec<Uuid> =
            whole.jobs.iter().filter(|job| is_dead(&job.state)).map(|job| job.id).collect();
        let refund = match status {
            Some(OrderStatus::Paid) => terms(conn, id, rules).await?,
            _ => None,
        };
        let seen = json!([order, refund, dead_letters]).to_string();
        let digest =
            Sha256::digest(seen).iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            refund,
            may_close: matches!(status, Some(OrderStatus::Unpaid | OrderStatus::Paying)),
            order,
            dead_letters,
            digest,
        })
    }
}

async fn terms(
    conn: &mut PgConnection,
    order: OrderId,
    rules: &Rules<'_>,
) -> Result<Option<RefundTerms>, sqlx::Error> {
    let Some(terms) = refund::terms(&mut *conn, order, rules.booking.refund_cut_off_secs).await? else {
        return Ok(None);
    };
    Ok(Some(RefundTerms {
        amount: terms.amount,
        fee: terms.fee,
        until: terms.until,
        is_late: terms.is_late,
        is_large: terms.amount > rules.wallets.approval_above.money(),
        approval_id: waiting_id(conn, order).await?,
    }))
}

/// What can be done to an order now.
///
/// # Errors
/// No request ever began such an order; the database's.
pub async fn acts(conn: &mut PgConnection, order: OrderId, rules: &Rules<'_>) -> Result<OrderActs, Error> {
    let whole = snapshot::read(&mut *conn, order).await?.ok_or(Refusal::NotFound("order"))?;
    Ok(OrderActs::of(conn, order, &whole, rules).await?)
}
