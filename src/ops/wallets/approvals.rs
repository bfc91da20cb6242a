//! Changes of wallets that wait for a second operator, until a deadline.

use super::{describe, enter, limits, mover};
use crate::{
    accounts::Role,
    domain::{Currency, Error, FieldError, OrderId, Page, Reference, Refusal, RiderId, SignedMoney},
    ops::{
        Attribution,
        audit::{Action, Subject},
    },
    payment::by_hand::{self, ChangeKind, WalletChange},
    security::{self, Event},
    settings::Wallets,
    storage::decode,
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// The states of an approval.
pub const STATES: [&str; 4] = ["waiting", "approved", "refused", "expired"];

/// A change of a wallet, or a refund, that waits for a second operator, or waited.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Approval {
    /// Its id.
    pub id: Uuid,
    /// `waiting`, `approved`, `refused` or `expired`.
    #[schemars(with = "crate::domain::words::ApprovalState")]
    pub state: &'static str,
    /// Whose wallet.
    pub rider_id: RiderId,
    /// `top_up`, `correction` or `refund`.
    #[schemars(with = "crate::domain::words::ApprovalKind")]
    pub kind: String,
    /// Signed; of a refund, the order's amount.
    pub amount: SignedMoney,
    /// The currency of the amount.
    pub currency: Currency,
    /// The reference of the entry that it becomes.
    pub reference: String,
    /// The entry that it corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrects: Option<Uuid>,
    /// Of a refund: the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// Of a refund: it may begin after the time for refunds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<bool>,
    /// Of a refund: no fee is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_fee: Option<bool>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The operator who asked.
    pub asked_by: Uuid,
    /// When.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub asked_at: DateTime<Utc>,
    /// Until when it may be approved.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub expires_at: DateTime<Utc>,
    /// The operator who approved or refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Uuid>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub decided_at: Option<DateTime<Utc>>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// The ledger entry that it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<Uuid>,
}

struct Row {
    id: Uuid,
    state: String,
    rider_id: Uuid,
    kind: String,
    amount: Decimal,
    reference: String,
    corrects: Option<Uuid>,
    order_id: Option<Uuid>,
    late: Option<bool>,
    without_fee: Option<bool>,
    reason: Option<String>,
    asked_by: Uuid,
    asked_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    decided_by: Option<Uuid>,
    decided_at: Option<DateTime<Utc>>,
    decision: Option<String>,
    entry_id: Option<Uuid>,
}

impl From<Row> for Approval {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            state: STATES.into_iter().find(|state| *state == row.state).unwrap_or("expired"),
            rider_id: RiderId(row.rider_id),
            kind: row.kind,
            amount: SignedMoney::from_database(row.amount),
            currency: Currency::installed(),
            reference: row.reference,
            corrects: row.corrects,
            order_id: row.order_id.map(OrderId),
            late: row.late,
            without_fee: row.without_fee,
            reason: row.reason,
            asked_by: row.asked_by,
            asked_at: row.asked_at,
            expires_at: row.expires_at,
            decided_by: row.decided_by,
            decided_at: row.decided_at,
            decision: row.decision,
            entry_id: row.entry_id,
        }
    }
}

impl Approval {
    /// The change that it is about.
    fn change(&self) -> Result<WalletChange, Error> {
        let reference: Reference =
            self.reference.parse().map_err(|rule| Refusal::Invalid(FieldError::new("/reference", rule)))?;
        let kind = self.corrects.map_or(ChangeKind::TopUp, |corrects| ChangeKind::Correction { corrects });
        Ok(WalletChange { rider: self.rider_id, kind, amount: self.amount, reference })
    }

    fn describe(&self) -> Result<serde_json::Value, Error> {
        let mut detail = match self.refund() {
            Some(refund) => refund.describe(None),
            None => describe(&self.change()?),
        };
        detail["approval"] = json!(self.id);
        detail["asked_by"] = json!(self.asked_by);
        Ok(detail)
    }

    /// What the audit log says that a decision is about.
    fn subject(&self) -> Subject {
        match self.order_id {
            Some(order) => Subject { kind: "order", id: order.to_string(), order: Some(order) },
            None => Subject::of("wallet", &self.rider_id),
        }
    }
}

/// The approval that waits with this change's reference.
///
/// # Errors
/// It is of another change; the database's.
pub(super) async fn waiting(
    conn: &mut PgConnection,
    change: &WalletChange,
) -> Result<Option<Approval>, Error> {
    let id = sqlx::query_scalar!(
        "select id from wallet_approval where reference_key = $1 and outcome is null and expires_at > now()",
        change.reference.key()
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(id) = id else { return Ok(None) };
    let approval = show(conn, id).await?.ok_or(Refusal::NotFound("approval"))?;
    let same = approval.rider_id == change.rider
        && approval.kind == change.kind.as_str()
        && approval.amount == change.amount
        && approval.corrects == change.kind.corrects();
    if same {
        return Ok(Some(approval));
    }
    let rule = "another change with this reference waits for its approval";
    Err(Refusal::Invalid(FieldError::new("/reference", rule)).into())
}

/// Leaves a change to a second operator. It is checked as if it were made now; when it is approved,
/// it is checked again.
pub(super) async fn request(
    conn: &mut PgConnection,
    by: &Attribution,
    operator: RiderId,
    change: &WalletChange,
    rules: &Wallets,
) -> Result<Approval, Error> {
    by_hand::corrected(&mut *conn, change).await?;
    let id = Uuid::now_v7();
    free_reference(&mut *conn, change.reference.key()).await?;
    let asked = sqlx::query!(
        "insert into wallet_approval
             (id, rider_id, kind, amount, reference, reference_key, corrects, reason, asked_by, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + make_interval(hours => $10))
         on conflict (reference_key) where outcome is null do nothing",
        id,
        change.rider.0,
        change.kind.as_str(),
        change.amount.decimal(),
        change.reference.as_str(),
        change.reference.key(),
        change.kind.corrects(),
        by.reason,
        operator.0,
        i32::try_from(rules.approval_hours).unwrap_or(i32::MAX)
    )
    .execute(&mut *conn)
    .await?;
    if asked.rows_affected() == 0 {
        // A change of another wallet has asked with this reference at the same moment.
        let other = waiting(conn, change).await?;
        return other.ok_or_else(|| Refusal::NotFound("approval").into());
    }
    let approval = show(&mut *conn, id).await?.ok_or(Refusal::NotFound("approval"))?;
    let mut detail = describe(change);
    detail["approval"] = json!(id);
    by.record(conn, Action::ApprovalAsk, &Subject::of("wallet", &change.rider), &detail).await?;
    Ok(approval)
}

/// One that has expired gives its reference free.
pub(super) async fn free_reference(conn: &mut PgConnection, key: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update wallet_approval set outcome = 'expired', decided_at = expires_at
         where reference_key = $1 and outcome is null and expires_at <= now()",
        key
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Approves a change as the second operator: the money moves in this transaction, under the rules
/// of now.
///
/// # Errors
/// The operator who asked, or the wallet's owner; an approval that has ended; as
/// [`change`](super::change); the database's.
pub async fn approve(
    conn: &mut PgConnection,
    by: &Attribution,
    id: Uuid,
    rules: &Wallets,
) -> Result<Approval, Error> {
    let asked = show(&mut *conn, id).await?.ok_or(Refusal::NotFound("approval"))?;
    if asked.refund().is_some() {
        return Err(Refusal::NotFound("change of a wallet").into());
    }
    let (change, asker) = (asked.change()?, RiderId(asked.asked_by));
    let second = mover(by, asked.rider_id)?;
    if second == asker {
        Event::OwnMoney.record(Some(&security::account(second)), None);
        return Err(Refusal::SecondPerson.into());
    }
    limits::lock_operator(&mut *conn, asker).await?;
    let wallet = by_hand::lock(&mut *conn, asked.rider_id).await?;
    let approval = lock_waiting(&mut *conn, id).await?;
    asker_may_operate(&mut *conn, &asked).await?;
    limits::check(&mut *conn, asker, &change, &wallet, rules).await?;
    let entered = enter(&mut *conn, &change, &wallet, rules, asker, Some(second)).await?;
    decide(&mut *conn, by, id, "approved", Some(entered.entry.id)).await?;
    let mut detail = approval.describe()?;
    detail["entry"] = json!(entered.entry.id);
    by.record(&mut *conn, Action::ApprovalGive, &Subject::of("wallet", &asked.rider_id), &detail).await?;
    show(conn, id).await?.ok_or_else(|| Refusal::NotFound("approval").into())
}

/// Refuses a change, or takes one's own request back. No money moves.
///
/// # Errors
/// An approval that has ended, no reason; the database's.
pub async fn refuse(conn: &mut PgConnection, by: &Attribution, id: Uuid) -> Result<Approval, Error> {
    by.reason()?;
    let approval = lock_waiting(&mut *conn, id).await?;
    decide(&mut *conn, by, id, "refused", None).await?;
    by.record(&mut *conn, Action::ApprovalRefuse, &approval.subject(), &approval.describe()?).await?;
    show(conn, id).await?.ok_or_else(|| Refusal::NotFound("approval").into())
}

/// Locks an approval that still waits.
pub(in crate::ops) async fn lock_waiting(conn: &mut PgConnection, id: Uuid) -> Result<Approval, Error> {
    sqlx::query!("select id from wallet_approval where id = $1 for update", id)
        .fetch_optional(&mut *conn)
        .await?
        .ok_or(Refusal::NotFound("approval"))?;
    let approval = show(conn, id).await?.ok_or(Refusal::NotFound("approval"))?;
    if approval.state != "waiting" {
        return Err(Refusal::ApprovalOver { state: approval.state }.into());
    }
    Ok(approval)
}

/// Refuses an approval whose asker is an operator no more, or is shut out.
pub(in crate::ops) async fn asker_may_operate(
    conn: &mut PgConnection,
    asked: &Approval,
) -> Result<(), Error> {
    let role =
        sqlx::query_scalar!("select role from rider where id = $1 and state = 'active'", asked.asked_by)
            .fetch_optional(conn)
            .await?;
    let role = role.map(|role| decode::<Role>(&role)).transpose()?;
    match role.is_some_and(Role::may_operate) {
        true => Ok(()),
        false => Err(Refusal::ApprovalOver { state: "expired" }.into()),
    }
}

/// Ends an approval that waits and is locked.
pub(in crate::ops) async fn decide(
    conn: &mut PgConnection,
    by: &Attribution,
    id: Uuid,
    outcome: &str,
    entry: Option<Uuid>,
) -> Result<(), Error> {
    let account = by.actor.rider.ok_or(Refusal::NotFound("operator's account"))?;
    sqlx::query!(
        "update wallet_approval
         set outcome = $2, decided_by = $3, decided_at = now(), decision = $4, entry_id = $5
         where id = $1 and outcome is null",
        id,
        outcome,
        account.0,
        by.reason,
        entry
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One approval.
///
/// # Errors
/// The database's.
pub async fn show(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Approval>, sqlx::Error> {
    Ok(page(db, Some(id), None, None, 1).await?.pop())
}

/// A page of approvals in this state, or in any, newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    state: Option<&str>,
    after: Option<Uuid>,
    limit: u16,
) -> Result<Page<Approval>, sqlx::Error> {
    let mut items = page(db, None, state, after, i64::from(limit) + 1).await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let next = items.last().filter(|_| more).map(|approval| approval.id.to_string());
    Ok(Page { items, next })
}

async fn page(
    db: impl PgExecutor<'_>,
    id: Option<Uuid>,
    state: Option<&str>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Approval>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select * from (
               select id, coalesce(case outcome when 'refunded' then 'approved' else outcome end,
                                   case when expires_at > now() then 'waiting' else 'expired' end) as "state!",
                      rider_id, kind, amount, reference, corrects, order_id, late, without_fee, reason, asked_by, asked_at, expires_at, decided_by,
                      decided_at, decision, entry_id
               from wallet_approval
               where id >= coalesce($1, '00000000-0000-0000-0000-000000000000'::uuid)
                 and id <= coalesce($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                 and id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)) as shown
           where $3::text is null or "state!" = $3
           order by id desc limit $4"#,
        id,
        after,
        state,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Approval::from).collect())
}
