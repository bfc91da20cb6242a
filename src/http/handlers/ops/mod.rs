//! Operations: extra trips, timelines, the verifier and the audit log.

pub(crate) mod bulk;
pub(crate) mod jobs;
pub(crate) mod network;
pub(crate) mod orders;
pub(crate) mod queues;
pub(crate) mod riders;
pub(crate) mod trip_changes;
pub(crate) mod trips;
pub(crate) mod wallets;
pub(crate) mod webhooks;

use crate::http::{
    App,
    extract::{OpsChange, Paging, Params, Path, SignedIn, Viewer, order_id},
    idempotent::{IdempotentChange, Reply},
    paged::{Paged, before},
    problem::Problem,
};
use crate::{
    accounts::Caller,
    domain::{FieldError, Id, Instant, Label, OrderId, Page, Refusal},
    ops::{
        self, Attribution,
        audit::{self, Actor, Through},
        checked,
        reads::{self, Read},
        verifier,
    },
    orders::{self as all_orders, Event, MOST_EVENTS, pending::PendingWork, snapshot},
    trips::NewTrip,
    verify::{self, Scope, Verdict},
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The operator that acts through this API, with the reason, if there is one.
pub(crate) fn by(caller: &Caller, reason: Option<&str>) -> Result<Attribution, Problem> {
    let reason = reason.map(checked).transpose().map_err(|error| Problem::field(&error))?;
    Ok(Attribution::new(Actor::caller(caller, Through::Api), reason))
}

pub(crate) async fn add_trip(OpsChange(change): OpsChange<NewTrip>) -> Result<Response, Reply> {
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = ops::trips::add(act.conn(), &by(&change.caller, None)?, &change.body).await;
    act.end(StatusCode::CREATED, done).await
}

/// What happened to an order.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Timeline {
    /// What is on this page, the first thing first.
    items: Vec<Event>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
    /// What the order is still owed, and the job that will process it; empty if nothing is owed.
    owed: Vec<PendingWork>,
}

/// The cursor of a timeline: the number of events before the page.
struct Skip(u32);

impl FromStr for Skip {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let fits = |skip: &u32| skip.checked_add(MOST_EVENTS.into()).is_some();
        text.parse().ok().filter(fits).map(Self).ok_or(())
    }
}

pub(crate) async fn timeline(
    State(app): State<App>,
    _: Viewer,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    Params(paging): Params<Paging>,
) -> Result<Response, Problem> {
    let order = order_id(&id)?;
    let limit = paging.limit_of(MOST_EVENTS, MOST_EVENTS)?;
    let skip = paging.cursor::<Skip>()?.map_or(0, |Skip(events)| events);
    let Page { items, next } = all_orders::timeline(&app.saga.pool, order, skip, limit).await?;
    match snapshot::snapshot(&app.saga.pool, order).await? {
        Some(whole) if !items.is_empty() || paging.after.is_some() => {
            reads::record(&app.saga.pool, &caller, Through::Api, &Read::Order(order)).await?;
            Ok(before(next.clone(), Json(Timeline { items, next, owed: whole.pending_work() })))
        }
        _ => Err(Refusal::NotFound("order").into()),
    }
}

/// What the verifier found.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Report {
    /// Whether every invariant holds.
    holds: bool,
    /// The level of the worst breach; none if everything holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<verify::Level>,
    /// Every invariant with its verdict.
    invariants: Vec<Verdict>,
}

/// Only recent orders and payments.
#[derive(Deserialize)]
pub(crate) struct Recent {
    recent_secs: Option<i64>,
}

pub(crate) async fn verify(
    State(app): State<App>,
    _: Viewer,
    Params(recent): Params<Recent>,
) -> Result<Json<Report>, Problem> {
    let scope = match recent.recent_secs {
        None => Scope::Whole,
        Some(secs @ 1..=verify::MAX_RECENT_SECS) => Scope::Recent(Duration::seconds(secs)),
        Some(_) => {
            let rule = format!("1 to {}, or left out", verify::MAX_RECENT_SECS);
            return Err(Problem::field(&FieldError::new("recent_secs", rule)));
        }
    };
    let bound = app.settings.verify.overdue_bound();
    let invariants = verifier::check_where_fresh(&app.reads, scope, bound).await?;
    let broken = || invariants.iter().filter(|verdict| !verdict.holds);
    let (holds, level) = (broken().next().is_none(), broken().map(|verdict| verdict.level).max());
    Ok(Json(Report { holds, level, invariants }))
}

/// The filter of the audit log.
#[derive(Deserialize)]
pub(crate) struct AuditFilter {
    actor: Option<Label>,
    act: Option<String>,
    subject_kind: Option<Label>,
    subject: Option<Label>,
    order: Option<OrderId>,
    since: Option<Instant>,
    before: Option<Instant>,
}

pub(crate) async fn audit(
    State(app): State<App>,
    _: Viewer,
    Params(filter): Params<AuditFilter>,
    Params(paging): Params<Paging>,
) -> Result<Paged<audit::Entry>, Problem> {
    let AuditFilter { actor, act, subject_kind, subject, order, since, before } = filter;
    if act.as_ref().is_some_and(|act| audit::Action::ALL.iter().all(|known| known.as_str() != act)) {
        let known = audit::Action::ALL.map(audit::Action::as_str).join(", ");
        return Err(Problem::field(&FieldError::new("act", format!("one of {known}"))));
    }
    let text = |label: Option<Label>| label.map(Label::into_string);
    let filter = audit::Filter {
        actor: text(actor),
        act,
        subject_kind: text(subject_kind),
        subject: text(subject),
        order,
        since: since.map(Instant::utc),
        before: before.map(Instant::utc),
    };
    let after = paging.cursor::<Id>()?.map(|Id(id)| id);
    Ok(Paged(audit::list(&app.saga.pool, &filter, after, paging.limit()?).await?))
}
