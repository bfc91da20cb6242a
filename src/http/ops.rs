//! The operations side.

use super::{
    App,
    extract::{OpsChange, Paging, Params, Path, Viewer, order_id, rider_id},
    once::{Act, Ended},
    problem::Problem,
};
use crate::{
    audit::{self, Actor, Through},
    domain::{FieldError, Money, OrderId, Refusal},
    ops::{By, checked, trips, wallets},
    orders::{self, Event, MOST_EVENTS, Page, owed::Debt},
    riders::Caller,
    trips::NewTrip,
    verify::{self, Scope, Verdict},
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Duration, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who acts through this API, and why, if he says so.
pub(super) fn by(caller: &Caller, reason: Option<&str>) -> Result<By, Problem> {
    let rule = |_| Problem::field(&FieldError::new("/reason", "1 to 500 characters, or left out"));
    let reason = reason.map(|reason| checked(reason).map(str::to_owned)).transpose().map_err(rule)?;
    Ok(By::new(Actor::caller(caller, Through::Api), reason))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TopUp {
    amount: Money,
    #[schemars(length(min = 1, max = 100))]
    reference: String,
    #[schemars(length(min = 1, max = 500))]
    reason: Option<String>,
}

pub(super) async fn top_up(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<TopUp>,
) -> Result<Response, Ended> {
    let (rider, by) = (rider_id(&id)?, by(&change.caller, change.body.reason.as_deref())?);
    let TopUp { amount, reference, .. } = change.body;
    let mut act = Act::begin(&change.flow.pool, change.key.as_ref()).await?;
    let done = wallets::top_up(act.conn(), &by, rider, amount, &reference).await;
    act.end(StatusCode::CREATED, done).await
}

pub(super) async fn add_trip(OpsChange(change): OpsChange<NewTrip>) -> Result<Response, Ended> {
    let mut act = Act::begin(&change.flow.pool, change.key.as_ref()).await?;
    let done = trips::add(act.conn(), &by(&change.caller, None)?, &change.body).await;
    act.end(StatusCode::CREATED, done).await
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Timeline {
    items: Vec<Event>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
    /// What the order still has coming, and the job that is to see to it; empty if nothing is owed.
    owed: Vec<Debt>,
}

/// Which page of an order's story.
#[derive(Deserialize)]
pub(super) struct Story {
    limit: Option<u16>,
    after: Option<String>,
}

pub(super) async fn timeline(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
    Params(story): Params<Story>,
) -> Result<Json<Timeline>, Problem> {
    let order = order_id(&id)?;
    let limit = story.limit.unwrap_or(MOST_EVENTS);
    if !(1..=MOST_EVENTS).contains(&limit) {
        return Err(Problem::field(&FieldError::new("limit", format!("1 to {MOST_EVENTS}"))));
    }
    let skip = story.after.as_deref().map_or(Ok(0), str::parse::<u32>).ok();
    let skip = skip.filter(|skip| skip.checked_add(limit.into()).is_some());
    let rule = || Problem::field(&FieldError::new("after", "the `next` of the page before"));
    let Page { items, next } = orders::timeline(&app.flow.pool, order, skip.ok_or_else(rule)?, limit).await?;
    match orders::owed::whole(&app.flow.pool, order).await? {
        Some(whole) if !items.is_empty() || story.after.is_some() => {
            Ok(Json(Timeline { items, next, owed: whole.owed() }))
        }
        _ => Err(Refusal::NotFound("order").into()),
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Report {
    holds: bool,
    invariants: Vec<Verdict>,
}

/// How much of the database to look at.
#[derive(Deserialize)]
pub(super) struct Recent {
    recent_secs: Option<i64>,
}

pub(super) async fn verify(
    State(app): State<App>,
    _: Viewer,
    Params(recent): Params<Recent>,
) -> Result<Json<Report>, Problem> {
    let scope = match recent.recent_secs {
        None => Scope::Whole,
        Some(secs @ 1..=verify::LONGEST_RECENT_SECS) => Scope::Recent(Duration::seconds(secs)),
        Some(_) => {
            let rule = format!("1 to {}, or left out", verify::LONGEST_RECENT_SECS);
            return Err(Problem::field(&FieldError::new("recent_secs", rule)));
        }
    };
    let invariants = verify::verify(&app.flow.pool, scope).await?;
    Ok(Json(Report { holds: invariants.iter().all(|verdict| verdict.holds), invariants }))
}

/// Which acts of the audit log.
#[derive(Deserialize)]
pub(super) struct Acts {
    actor: Option<String>,
    act: Option<String>,
    subject_kind: Option<String>,
    subject: Option<String>,
    order: Option<String>,
    since: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
}

pub(super) async fn audit(
    State(app): State<App>,
    _: Viewer,
    Params(acts): Params<Acts>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<audit::Entry>>, Problem> {
    let Acts { actor, act, subject_kind, subject, order, since, before } = acts;
    if act.as_ref().is_some_and(|act| audit::Act::ALL.iter().all(|known| known.as_str() != act)) {
        let known = audit::Act::ALL.map(audit::Act::as_str).join(", ");
        return Err(Problem::field(&FieldError::new("act", format!("one of {known}"))));
    }
    let order = order.as_deref().map(|text| query_id("order", text).map(OrderId)).transpose()?;
    let filter = audit::Filter { actor, act, subject_kind, subject, order, since, before };
    let after = paging.after.as_deref().map(|text| query_id("after", text)).transpose()?;
    Ok(Json(audit::list(&app.flow.pool, &filter, after, paging.limit()?).await?))
}

/// An id in the query string.
pub(super) fn query_id(name: &'static str, text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::field(&FieldError::new(name, "an id")))
}
