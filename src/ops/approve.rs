//! Approving what waits for a second operator, whether it is a change of a wallet or a refund.

use super::{
    Attribution,
    orders::{self, Rules},
    wallets::approvals::{self, Approval},
};
use crate::domain::{Error, Refusal};
use sqlx::PgConnection;
use uuid::Uuid;

/// Approves as the second operator: the money moves, or the refund begins, in this transaction, under the
/// rules of now.
///
/// # Errors
/// The operator who asked, or whose wallet or order it is; an approval that has ended; as
/// [`wallets::change`](super::wallets::change) and [`orders::refund`]; the database's.
pub async fn approve(
    conn: &mut PgConnection,
    by: &Attribution,
    id: Uuid,
    rules: &Rules<'_>,
) -> Result<Approval, Error> {
    let asked = approvals::show(&mut *conn, id).await?.ok_or(Refusal::NotFound("approval"))?;
    let Some(refund) = asked.refund() else {
        return approvals::approve(conn, by, id, rules.wallets).await;
    };
    orders::approve_refund(&mut *conn, by, &asked, &refund, rules).await?;
    approvals::show(conn, id).await?.ok_or_else(|| Refusal::NotFound("approval").into())
}
