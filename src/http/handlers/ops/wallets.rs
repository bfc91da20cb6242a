//! Operators' changes of wallets, and their approval by a second operator.

use crate::http::{
    App,
    extract::{
        ConfirmedChange, OpsChange, Paging, Params, Path, Viewer, id, reason::OptionalReason, rider_id,
    },
    idempotent::{IdempotentChange, Reply},
    paged::Paged,
    problem::Problem,
};
use crate::{
    accounts::Caller,
    domain::{Error, FieldError, Id, Money, Reference, SignedMoney},
    ops::{
        Attribution, approve as approve_waiting,
        audit::{Actor, Through},
        checked,
        orders::Rules,
        wallets::{
            self, Changed,
            approvals::{self, Approval},
        },
    },
    payment::by_hand::{ChangeKind, WalletChange},
};
use axum::{extract::State, http::StatusCode, response::Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The operator who moves money. Every handler and every form that moves money, or approves that it
/// moves, gets its operator here. That the operator gave the password lately is checked before, by
/// [`ConfirmedChange`] and by the console's forms.
///
/// # Errors
/// A reason that breaks its rule.
pub(crate) fn mover(caller: &Caller, through: Through, reason: Option<&str>) -> Result<Attribution, Problem> {
    let reason = reason.map(checked).transpose().map_err(|error| Problem::field(&error))?;
    Ok(Attribution::new(Actor::caller(caller, through), reason))
}

/// Money into a wallet.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopUp {
    /// How much, in the currency of the installation.
    amount: Money,
    reference: Reference,
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
}

pub(crate) async fn top_up(
    Path(id): Path<String>,
    ConfirmedChange(change): ConfirmedChange<TopUp>,
) -> Result<Response, Reply> {
    let by = mover(&change.caller, Through::Api, change.body.reason.as_deref())?;
    let wanted = WalletChange::top_up(rider_id(&id)?, change.body.amount, &change.body.reference);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = wallets::change(act.conn(), &by, &wanted, &change.saga.wallets).await;
    end(act, done).await
}

/// The correction of a ledger entry.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Correction {
    amount: SignedMoney,
    /// The entry that was wrong.
    entry_id: Uuid,
    reference: Reference,
    #[schemars(with = "crate::domain::Reason")]
    reason: String,
}

pub(crate) async fn correct(
    Path(id): Path<String>,
    ConfirmedChange(change): ConfirmedChange<Correction>,
) -> Result<Response, Reply> {
    let Correction { amount, entry_id, ref reference, ref reason } = change.body;
    let by = mover(&change.caller, Through::Api, Some(reason))?;
    let kind = ChangeKind::Correction { corrects: entry_id };
    let wanted = WalletChange { rider: rider_id(&id)?, kind, amount, reference: reference.clone() };
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = wallets::change(act.conn(), &by, &wanted, &change.saga.wallets).await;
    end(act, done).await
}

/// Answers 201 with the entry, or 202 with the approval that the change waits for.
async fn end(act: IdempotentChange, done: Result<Changed, Error>) -> Result<Response, Reply> {
    match done {
        Ok(Changed::Entered(entry)) => act.end(StatusCode::CREATED, Ok::<_, Problem>(entry)).await,
        Ok(Changed::Waits(approval)) => act.end(StatusCode::ACCEPTED, Ok::<_, Problem>(approval)).await,
        Err(error) => act.end(StatusCode::CREATED, Err::<(), _>(error)).await,
    }
}

#[derive(Deserialize)]
pub(crate) struct InState {
    state: Option<String>,
}

pub(crate) async fn list(
    State(app): State<App>,
    _: Viewer,
    Params(filter): Params<InState>,
    Params(paging): Params<Paging>,
) -> Result<Paged<Approval>, Problem> {
    let state = filter.state.as_deref();
    if state.is_some_and(|state| !approvals::STATES.contains(&state)) {
        let rule = format!("one of {}", approvals::STATES.join(", "));
        return Err(Problem::field(&FieldError::new("state", rule)));
    }
    let after = paging.cursor::<Id>()?.map(|Id(id)| id);
    Ok(Paged(approvals::list(&app.saga.pool, state, after, paging.limit()?).await?))
}

pub(crate) async fn approve(
    Path(approval): Path<String>,
    ConfirmedChange(change): ConfirmedChange<OptionalReason>,
) -> Result<Response, Reply> {
    let approval = id(&approval, "approval")?;
    let by = mover(&change.caller, Through::Api, change.body.reason.as_deref())?;
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = approve_waiting(act.conn(), &by, approval, &Rules::of(&change.saga)).await;
    act.end(StatusCode::OK, done).await
}

/// Why an approval is refused.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefuseApproval {
    #[schemars(with = "crate::domain::Reason")]
    reason: String,
}

pub(crate) async fn refuse(
    Path(approval): Path<String>,
    OpsChange(change): OpsChange<RefuseApproval>,
) -> Result<Response, Reply> {
    let approval = id(&approval, "approval")?;
    let by = mover(&change.caller, Through::Api, Some(&change.body.reason))?;
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = approvals::refuse(act.conn(), &by, approval).await;
    act.end(StatusCode::OK, done).await
}
