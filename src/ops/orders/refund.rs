//! Refunding a paid order as an operator: by the rules that it was sold by, or as an exception.

use super::{OrderActs, Rules, as_previewed, shown, subject};
use crate::{
    domain::{Error, FieldError, OrderId, Refusal, RiderId},
    ops::{
        Attribution,
        audit::Action,
        wallets::{
            approvals::{self, Approval},
            refunds::{self, AskedRefund},
        },
    },
    orders::{self, OrderView},
    payment::refund::{self, Exceptions},
    security::{self, Event},
};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgConnection;

/// An order whose refund has begun, and which its job carries on; or one whose refund waits.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Refunded {
    /// The order.
    #[serde(flatten)]
    pub order: OrderView,
    /// What the refund waits for: nothing has begun. Absent if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// Refunds a paid order, for a reason. An exception, and an amount beyond `wallets.approval_above`, wait for
/// a second operator. The command line has no account that a second person could differ from: it makes
/// exceptions up to that amount, and no refund beyond it.
///
/// # Errors
/// No reason, no such order, the operator's own, one that is not paid, too late without the exception,
/// another preview than `digest`; another refund of the order that waits; the database's.
pub async fn refund(
    conn: &mut PgConnection,
    by: &Attribution,
    order: OrderId,
    exceptions: Exceptions,
    digest: Option<&str>,
    rules: &Rules<'_>,
) -> Result<Refunded, Error> {
    by.reason()?;
    let status = orders::lock_status(&mut *conn, order).await?.ok_or(Refusal::NotFound("order"))?;
    let now = as_previewed(&mut *conn, order, digest, rules).await?;
    let rider = now.order.as_ref().map(|order| order.rider_id);
    not_own(by.actor.rider, rider)?;
    let OrderActs { refund: Some(terms), .. } = now else { return Err(Refusal::WrongState(status).into()) };
    let asked = AskedRefund {
        order,
        rider: rider.ok_or(Refusal::NotFound("order"))?,
        amount: terms.amount,
        exceptions,
    };
    if by.actor.rider.is_some()
        && let Some(waiting) = refunds::waiting_refund(&mut *conn, &asked).await?
    {
        return waits(conn, waiting, order).await;
    }
    if terms.is_late && !exceptions.late {
        return Err(Refusal::TooLateToRefund.into());
    }
    match by.actor.rider {
        Some(operator) if terms.second_person_for(exceptions) => {
            let approval = refunds::request_refund(&mut *conn, by, operator, &asked, rules.wallets).await?;
            let detail = asked.describe(Some(approval.id));
            by.record(&mut *conn, Action::ApprovalAsk, &subject(order), &detail).await?;
            return waits(conn, approval, order).await;
        }
        None if terms.is_large => return Err(too_large(rules).into()),
        _ => {}
    }
    refund::begin_by_operator(&mut *conn, order, exceptions, rules.booking.refund_cut_off_secs).await?;
    by.record(&mut *conn, Action::OrderRefund, &subject(order), &asked.describe(None)).await?;
    Ok(Refunded { order: shown(conn, order).await?, approval: None })
}

async fn waits(conn: &mut PgConnection, approval: Approval, order: OrderId) -> Result<Refunded, Error> {
    Ok(Refunded { order: shown(conn, order).await?, approval: Some(approval) })
}

/// Approves a refund as the second operator: it begins in this transaction, under the rules of now.
///
/// # Errors
/// The operator who asked, or the order's rider; an approval that has ended; an order that is not paid any
/// more, or too late without the exception; the database's.
pub(in crate::ops) async fn approve(
    conn: &mut PgConnection,
    by: &Attribution,
    asked: &Approval,
    refund: &AskedRefund,
    rules: &Rules<'_>,
) -> Result<(), Error> {
    let second = by.actor.rider.ok_or(Refusal::NotFound("operator's account"))?;
    not_own(Some(second), Some(refund.rider))?;
    if second.0 == asked.asked_by {
        Event::OwnMoney.record(Some(&security::account(second)), None);
        return Err(Refusal::SecondPerson.into());
    }
    // The order first, as in `refund`.
    orders::lock_status(&mut *conn, refund.order).await?;
    approvals::lock_waiting(&mut *conn, asked.id).await?;
    approvals::asker_may_operate(&mut *conn, asked).await?;
    let secs = rules.booking.refund_cut_off_secs;
    refund::begin_by_operator(&mut *conn, refund.order, refund.exceptions, secs).await?;
    approvals::decide(&mut *conn, by, asked.id, "refunded", None).await?;
    let detail = refund.describe(Some(asked.id));
    by.record(conn, Action::ApprovalGive, &subject(refund.order), &detail).await.map_err(Into::into)
}

/// Nobody refunds an own order: the money would go into the own wallet.
fn not_own(operator: Option<RiderId>, rider: Option<RiderId>) -> Result<(), Refusal> {
    match operator {
        Some(operator) if rider == Some(operator) => {
            Event::OwnMoney.record(Some(&security::account(operator)), None);
            Err(Refusal::OwnOrder)
        }
        _ => Ok(()),
    }
}

/// The refusal of the command line.
fn too_large(rules: &Rules<'_>) -> Refusal {
    let most = rules.wallets.approval_above.money();
    let rule =
        format!("at most {most} at the command line; beyond, a second operator approves in the console");
    Refusal::Invalid(FieldError::new("/amount", rule))
}
