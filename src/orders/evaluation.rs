//! A rider's evaluation of a trip: once for each paid order, after departure.

use crate::domain::{Comment, Error, FieldError, OrderId, OrderStatus, Refusal, RiderId};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// An evaluation as it comes in.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEvaluation {
    /// 1 to 5.
    #[schemars(range(min = 1, max = 5))]
    pub rating: i16,
    /// Optional, 1 to 1,000 characters.
    pub comment: Option<Comment>,
}

impl NewEvaluation {
    /// Whether it can be one at all.
    ///
    /// # Errors
    /// Names the field and the rule.
    pub fn check(&self) -> Result<(), FieldError> {
        if !(1..=5).contains(&self.rating) {
            return Err(FieldError::new("/rating", "1 to 5"));
        }
        Ok(())
    }
}

/// An evaluation as it is answered.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Evaluation {
    /// 1 to 5.
    pub rating: i16,
    /// The rider's words, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub created_at: DateTime<Utc>,
}

/// Evaluates the rider's order, in one statement: it locks the order so that a refund cannot slip in
/// between, judges it by what it then sees, and lets `evaluation_is_given_once` decide between two at
/// once.
///
/// # Errors
/// Not the rider's; not paid, its trip cancelled or not departed, evaluated already; the database's.
pub async fn evaluate(
    conn: &mut PgConnection,
    order: OrderId,
    rider: RiderId,
    new: &NewEvaluation,
) -> Result<Evaluation, Error> {
    let seen = sqlx::query!(
        r#"with mine as materialized (
               select id, trip_id, status from orders where id = $1 and rider_id = $2 for share
           ), due as materialized (
               select m.id, m.status, t.cancelled_at is not null as cancelled,
                   t.departs_at <= now() as departed
               from mine m join trip t on t.id = m.trip_id
           ), given as (
               insert into evaluation (order_id, rating, comment)
               select id, $3, $4 from due where status = 'paid' and departed and not cancelled
               on conflict (order_id) do nothing
               returning created_at
           )
           select status, cancelled as "cancelled!", departed as "departed!",
                  (select created_at from given) as given_at
           from due"#,
        order.0,
        rider.0,
        new.rating,
        new.comment.as_ref().map(Comment::as_str)
    )
    .fetch_optional(conn)
    .await?
    .ok_or(Refusal::NotFound("order"))?;
    let status = super::read_status(&seen.status)?;
    match seen.given_at {
        Some(at) => Ok(Evaluation {
            rating: new.rating,
            comment: new.comment.clone().map(Comment::into_string),
            created_at: at,
        }),
        None if status != OrderStatus::Paid => Err(Refusal::WrongState(status).into()),
        None if seen.cancelled => Err(Refusal::TripCancelled.into()),
        None if !seen.departed => Err(Refusal::NotDeparted.into()),
        None => Err(Refusal::AlreadyEvaluated.into()),
    }
}
