//! Acts upon one order: closing an unpaid one, refunding a paid one, redriving its dead letters, and notes.
//!
//! Each act locks the order's row first. So what an operator previewed is what the act is judged by, and
//! of two acts at once the second sees the first.

mod preview;
mod refund;

pub use preview::{ActedOrder, OrderActs, RefundTerms, acts};
pub(super) use refund::approve as approve_refund;
pub use refund::{Refunded, refund};

use super::{Attribution, jobs};
use crate::{
    booking::unpaid,
    domain::{CloseReason, Error, OrderId, OrderStatus, Refusal},
    ops::audit::{Action, Subject},
    orders::{self, OrderView},
    saga::SagaContext,
    settings::{Booking, Wallets},
};
use farebox_jobs::queue::admin::JobView;
use serde_json::json;
use sqlx::PgConnection;

/// The rules by which orders are refunded.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// When refunding ends for an order without a rule of its own.
    pub booking: &'a Booking,
    /// Beyond which amount a second operator approves, and how long it may take.
    pub wallets: &'a Wallets,
}

impl<'a> Rules<'a> {
    /// Those of this process.
    pub fn of(saga: &'a SagaContext) -> Self {
        Self { booking: &saga.rules, wallets: &saga.wallets }
    }
}

/// What the order's history says of an order that an operator closed. The reason is in the audit log alone.
const CLOSED_BY_OPERATOR: &str = "closed by an operator";

/// Closes an unpaid order, for a reason, and frees its seats. Of this and a payment at the same moment the
/// first wins; a payment that comes second is reversed by its own saga.
///
/// # Errors
/// No reason, no such order, an order that is not unpaid, another preview than `digest`; the database's.
pub async fn close(
    conn: &mut PgConnection,
    by: &Attribution,
    order: OrderId,
    digest: Option<&str>,
    rules: &Rules<'_>,
) -> Result<OrderView, Error> {
    by.reason()?;
    match orders::lock_status(&mut *conn, order).await?.ok_or(Refusal::NotFound("order"))? {
        OrderStatus::Unpaid => {}
        status => return Err(Refusal::WrongState(status).into()),
    }
    let before = as_previewed(&mut *conn, order, digest, rules).await?;
    unpaid::close_all(&mut *conn, &[order], CloseReason::CancelledBySystem, CLOSED_BY_OPERATOR).await?;
    let detail = json!({ "seats": before.order.map(|order| order.seats) });
    by.record(&mut *conn, Action::OrderClose, &subject(order), &detail).await?;
    shown(conn, order).await
}

/// Redrives each dead letter of an order, with fresh attempts. One whose key a live job has stays dead,
/// unless it is the only one.
///
/// # Errors
/// No dead letter, another preview than `digest`; as [`jobs::redrive`]; the database's.
pub async fn redrive(
    conn: &mut PgConnection,
    by: &Attribution,
    order: OrderId,
    digest: Option<&str>,
    rules: &Rules<'_>,
) -> Result<Vec<JobView>, Error> {
    by.reason()?;
    orders::lock_status(&mut *conn, order).await?;
    let dead = as_previewed(&mut *conn, order, digest, rules).await?.dead_letters;
    let mut redriven = Vec::with_capacity(dead.len());
    // At most as many as a snapshot reads.
    for job in &dead {
        match jobs::redrive(&mut *conn, by, *job).await {
            Ok(job) => redriven.push(job),
            Err(Error::Refused(Refusal::JobBusy)) => {}
            Err(error) => return Err(error),
        }
    }
    match (redriven.is_empty(), dead.is_empty()) {
        (false, _) => Ok(redriven),
        (true, false) => Err(Refusal::JobBusy.into()),
        (true, true) => Err(Refusal::NotFound("dead letter of this order").into()),
    }
}

/// Writes a note on an order: the reason of a row of the audit log. Nothing else changes.
///
/// # Errors
/// No text, no such order; the database's.
pub async fn note(conn: &mut PgConnection, by: &Attribution, order: OrderId) -> Result<OrderView, Error> {
    by.reason()?;
    let order_now = shown(&mut *conn, order).await?;
    by.record(conn, Action::OrderNote, &subject(order), &json!({})).await?;
    Ok(order_now)
}

/// What can be done now, if it is what the operator has seen.
async fn as_previewed(
    conn: &mut PgConnection,
    order: OrderId,
    digest: Option<&str>,
    rules: &Rules<'_>,
) -> Result<OrderActs, Error> {
    let now = acts(conn, order, rules).await?;
    if digest.is_some_and(|seen| seen != now.digest) {
        return Err(Refusal::PreviewStale.into());
    }
    Ok(now)
}

async fn shown(conn: &mut PgConnection, order: OrderId) -> Result<OrderView, Error> {
    orders::find(conn, order, None).await?.ok_or_else(|| Refusal::NotFound("order").into())
}

fn subject(order: OrderId) -> Subject {
    Subject { kind: "order", id: order.to_string(), order: Some(order) }
}
