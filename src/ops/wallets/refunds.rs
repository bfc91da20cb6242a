//! Refunds of orders that wait for a second operator, beside the changes of wallets that do.

use super::approvals::{Approval, free_reference, show};
use crate::{
    domain::{Error, FieldError, Money, OrderId, Refusal, RiderId},
    ops::Attribution,
    payment::refund::Exceptions,
    settings::Wallets,
};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// A refund that an operator asks for.
#[derive(Clone, Copy, Debug)]
pub struct AskedRefund {
    /// The order.
    pub order: OrderId,
    /// Its rider.
    pub rider: RiderId,
    /// What the rider paid for it.
    pub amount: Money,
    /// How it departs from the rules.
    pub exceptions: Exceptions,
}

impl AskedRefund {
    /// The details in the audit log.
    pub fn describe(&self, approval: Option<Uuid>) -> Value {
        let Exceptions { late, without_fee } = self.exceptions;
        let mut detail = json!({ "amount": self.amount, "late": late, "without_fee": without_fee });
        if let Some(approval) = approval {
            detail["approval"] = json!(approval);
        }
        detail
    }
}

impl Approval {
    /// The refund that it is about; none for a change of a wallet.
    pub fn refund(&self) -> Option<AskedRefund> {
        Some(AskedRefund {
            order: self.order_id?,
            rider: self.rider_id,
            amount: Money::from_database(self.amount.decimal()),
            exceptions: Exceptions {
                late: self.late.unwrap_or_default(),
                without_fee: self.without_fee.unwrap_or_default(),
            },
        })
    }
}

/// The refund of this order that waits for a second operator, if there is one.
///
/// # Errors
/// It waits with other exceptions; the database's.
pub async fn waiting_refund(conn: &mut PgConnection, asked: &AskedRefund) -> Result<Option<Approval>, Error> {
    let Some(id) = waiting_id(&mut *conn, asked.order).await? else { return Ok(None) };
    let approval = show(conn, id).await?.ok_or(Refusal::NotFound("approval"))?;
    if approval.refund().is_some_and(|waits| waits.exceptions == asked.exceptions) {
        return Ok(Some(approval));
    }
    let rule = "another refund of this order waits for its approval: refuse that one first";
    Err(Refusal::Invalid(FieldError::new("", rule)).into())
}

/// The id of the approval that a refund of this order waits for, if there is one.
///
/// # Errors
/// The database's.
pub async fn waiting_id(conn: &mut PgConnection, order: OrderId) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from wallet_approval where order_id = $1 and outcome is null and expires_at > now()
         and reference_key = $2",
        order.0,
        key_of(order),
    )
    .fetch_optional(conn)
    .await
}

/// Leaves a refund to a second operator. When it is approved, it is judged by the rules of then.
///
/// # Errors
/// The database's.
pub async fn request_refund(
    conn: &mut PgConnection,
    by: &Attribution,
    operator: RiderId,
    asked: &AskedRefund,
    rules: &Wallets,
) -> Result<Approval, Error> {
    let (id, key) = (Uuid::now_v7(), key_of(asked.order));
    free_reference(&mut *conn, &key).await?;
    // The order is locked: no other request for it comes between.
    sqlx::query!(
        "insert into wallet_approval
             (id, rider_id, kind, amount, reference, reference_key, order_id, late, without_fee, reason, asked_by,
              expires_at)
         values ($1, $2, 'refund', $3, $4, $5, $6, $7, $8, $9, $10, now() + make_interval(hours => $11))",
        id,
        asked.rider.0,
        asked.amount.decimal(),
        format!("order {}", asked.order),
        key,
        asked.order.0,
        asked.exceptions.late,
        asked.exceptions.without_fee,
        by.reason,
        operator.0,
        i32::try_from(rules.approval_hours).unwrap_or(i32::MAX),
    )
    .execute(&mut *conn)
    .await?;
    show(conn, id).await?.ok_or_else(|| Refusal::NotFound("approval").into())
}

/// What makes one request for an order wait at a time. No reference of a client has a control character, so
/// it is never that of a top-up.
fn key_of(order: OrderId) -> String {
    format!("\u{1}refund {order}")
}
