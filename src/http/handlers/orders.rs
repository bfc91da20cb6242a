//! Orders: booking, paying, cancelling, refunding, reading.

use crate::http::{
    App,
    acknowledged::acknowledge,
    extract::{Change, EmptyBody, Paging, Params, Path, SignedIn, as_a_set, order_id},
    idempotent::{IdempotentChange, Reply, as_replay, is_replay, replay},
    language::preferred,
    middleware::client_address::Address,
    paged::before,
    problem::Problem,
};
use crate::telemetry::{flows::Flow, traffic::TrafficKind};
use crate::{
    booking,
    domain::{Error, FieldError, OrderId, OrderStatus, Page, PaymentId, Refusal, RiderId, SeatSet, TripId},
    idempotency::{self, ChangeId, Effect, IdempotencyKey, NewResponse, StoredResponse},
    limits::{HeldSeats, HoldRefusal},
    orders::{self, Command, List, NewEvaluation, OrderView, Ride},
    payment::{
        self, Proof,
        authorization::{self, Authorization},
    },
    saga::{SagaContext, SagaError, SagaResult, run_detached, run_undropped},
    storage::again,
    trips::{Journey, JourneyContext},
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::future::Future;
use uuid::Uuid;

/// Which seats are booked.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrder {
    /// The trip.
    trip_id: TripId,
    /// The labels of its seats, as the seat map has them, each once; at most 20 (`booking.max_seats`).
    #[serde(serialize_with = "as_a_set")]
    #[schemars(length(min = 1), inner(length(min = 1, max = 8)))]
    seats: Vec<String>,
}

pub(crate) async fn create(
    State(app): State<App>,
    address: Address,
    change: Change<NewOrder>,
) -> Result<Response, Problem> {
    let seats =
        SeatSet::parse(&change.body.seats, app.settings.booking.max_seats).map_err(|e| Problem::field(&e))?;
    let held = hold(&app, change.caller.rider_id, &address, seats.count())?;
    let order_id = OrderId::new();
    let request = booking::Request {
        order_id,
        rider_id: change.caller.rider_id,
        trip_id: change.body.trip_id,
        seats,
        key: change.key.clone(),
    };
    let saga = change.saga.clone();
    let result = run(Flow::Booking, async move { booking::book(&saga, request).await }).await;
    let key = change.key.as_ref();
    let response = respond(&change.saga, key, order_id, order_id.0, StatusCode::CREATED, result).await;
    let response = response.map(|made| by_key_or(Effect::Booked, order_id.0, key, made));
    // A booking that was refused, or made before, has taken no seat now. Of one that failed it is not
    // known yet.
    let took_none = match &response {
        Ok(made) => is_replay(made),
        Err(problem) => problem.status.is_client_error(),
    };
    if took_none {
        held.give_back();
    }
    count(&app, TrafficKind::Book, response)
}

/// Counts the seats, unless the account or the address takes too many in a while.
fn hold(app: &App, rider: RiderId, address: &Address, seats: usize) -> Result<HeldSeats, Problem> {
    app.limits.hold_seats(rider, address.0, seats).map_err(|refusal| {
        app.metrics.refused("holds");
        match refusal {
            HoldRefusal::Wait(secs) => Problem::limited(secs),
            HoldRefusal::AtMost(most) => Problem::field(&FieldError::new(
                "/seats",
                format!("this account may take at most {most} seats at a time"),
            )),
        }
    })
}

/// Marks a response with the change that it acknowledges: under its key, or by this request's subject.
fn by_key_or(effect: Effect, subject: Uuid, key: Option<&IdempotencyKey>, mut made: Response) -> Response {
    let change = key.map_or_else(|| ChangeId::of_effect(effect, subject), ChangeId::from);
    acknowledge(&mut made, change, key);
    made
}

/// Counts the outcome of a booking or payment for the console's charts.
fn count(app: &App, asked: TrafficKind, response: Result<Response, Problem>) -> Result<Response, Problem> {
    let status = response.as_ref().map_or_else(|problem| problem.status, Response::status);
    app.tally.count(asked, status.as_u16());
    response
}

/// The proof of a payment: exactly one of the two.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayWith {
    /// The pay password.
    pay_password: Option<String>,
    /// What `authorize_payment` answered with.
    authorization: Option<String>,
}

impl PayWith {
    fn proof(self) -> Result<Proof, Problem> {
        match (self.pay_password, self.authorization) {
            (Some(password), None) => Ok(Proof::PayPassword(password)),
            (None, Some(token)) => Ok(Proof::of_token(&token)),
            (None, None) => Err(Problem::missing(&FieldError::new(
                "/pay_password",
                "this field, or an authorization, is required",
            ))),
            (Some(_), Some(_)) => {
                Err(Problem::field(&FieldError::new("/authorization", "this or a pay password, not both")))
            }
        }
    }
}

pub(crate) async fn pay(
    State(app): State<App>,
    Path(id): Path<String>,
    change: Change<PayWith>,
) -> Result<Response, Problem> {
    let (order_id, payment_id) = (order_id(&id)?, PaymentId::new());
    let request = payment::Request {
        payment_id,
        order_id,
        rider_id: change.caller.rider_id,
        proof: change.body.proof()?,
        key: change.key.clone(),
    };
    let saga = change.saga.clone();
    let result = run(Flow::Payment, async move { payment::pay(&saga, request).await }).await;
    let key = change.key.as_ref();
    let response = respond(&change.saga, key, order_id, payment_id.0, StatusCode::OK, result).await;
    let response = response.map(|made| by_key_or(Effect::Paid, payment_id.0, key, made));
    count(&app, TrafficKind::Pay, response)
}

/// What is authorized.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Authorize {
    /// The order that is to be paid.
    order_id: OrderId,
    /// The pay password.
    pay_password: String,
}

/// Ignores an idempotency key: the response is a secret and is not stored. A client that did not
/// get it requests another authorization, which replaces the first.
pub(crate) async fn authorize(
    change: Change<Authorize>,
) -> Result<(StatusCode, Json<Authorization>), Problem> {
    let (saga, Authorize { order_id, pay_password }) = (change.saga, change.body);
    let by = (change.caller.rider_id, change.caller.session_id);
    // Run to its end: a client that disconnects must not leave an unfinished attempt.
    let issuing = async move { authorization::issue(&saga, order_id, by, &pay_password).await };
    let issued = run_undropped(issuing).await.map_err(Error::Broken)??;
    Ok((StatusCode::CREATED, Json(issued)))
}

pub(crate) async fn cancel(Path(id): Path<String>, change: Change<EmptyBody>) -> Result<Response, Problem> {
    let command = command(&id, &change)?;
    let (saga, request) = (change.saga.clone(), command.clone());
    let work = async move { booking::cancel::cancel(&saga, &request).await };
    let result = run(Flow::Cancellation, work).await;
    answer(&change.saga, &command, Effect::Cancelled, result).await
}

pub(crate) async fn refund(Path(id): Path<String>, change: Change<EmptyBody>) -> Result<Response, Problem> {
    let command = command(&id, &change)?;
    let (saga, request) = (change.saga.clone(), command.clone());
    let work = async move { payment::refund::refund(&saga, &request).await };
    let result = run(Flow::Refund, work).await;
    answer(&change.saga, &command, Effect::Refunded, result).await
}

/// The response to a command. An order is cancelled once and refunded once, so the effect names the change
/// also where there is a key.
async fn answer(
    saga: &SagaContext,
    command: &Command,
    effect: Effect,
    result: SagaResult<OrderView>,
) -> Result<Response, Problem> {
    let (key, order) = (command.key.as_ref(), command.order_id);
    let mut response = respond(saga, key, order, command.attempt, StatusCode::OK, result).await?;
    acknowledge(&mut response, ChangeId::of_effect(effect, order.0), key);
    Ok(response)
}

pub(crate) async fn evaluate(
    Path(id): Path<String>,
    change: Change<NewEvaluation>,
) -> Result<Response, Reply> {
    let order = order_id(&id)?;
    change.body.check().map_err(|e| Problem::field(&e))?;
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = orders::evaluate(act.conn(), order, change.caller.rider_id, &change.body).await;
    act.end(StatusCode::CREATED, done).await
}

fn command(id: &str, change: &Change<EmptyBody>) -> Result<Command, Problem> {
    Ok(Command {
        attempt: Uuid::now_v7(),
        order_id: order_id(id)?,
        rider_id: change.caller.rider_id,
        key: change.key.clone(),
    })
}

#[derive(Deserialize)]
pub(crate) struct OrderFilter {
    list: Option<List>,
}

pub(crate) async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Params(filter): Params<OrderFilter>,
    Params(paging): Params<Paging>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = paging.cursor()?;
    let list = filter.list.unwrap_or_default();
    let page = orders::list(&app.saga.pool, caller.rider_id, list, after, paging.limit()?).await?;
    let imported_at = page.items.first().and_then(|order| order.ride.imported_at);
    let itineraries = app.itineraries.of_import(&app.saga.pool, imported_at).await?;
    let language = preferred(&headers, itineraries.languages());
    let journeys = app.journeys(&itineraries, language.as_ref());
    let items = page.items.iter().map(|order| ShownOrder::new(order, &order.ride, &journeys)).collect();
    Ok(before(page.next.clone(), by_language(Page { items, next: page.next.clone() })))
}

pub(crate) async fn show(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (pool, order) = (&app.saga.pool, order_id(&id)?);
    let order = again(|| orders::detail(pool, order, caller.rider_id)).await?;
    let order = order.ok_or(Refusal::NotFound("order"))?;
    let ride = &order.order.ride;
    let itineraries = app.itineraries.of_import(pool, ride.imported_at).await?;
    let language = preferred(&headers, itineraries.languages());
    let journeys = app.journeys(&itineraries, language.as_ref());
    Ok(by_language(ShownOrder::new(&order, ride, &journeys)))
}

/// An order with its journey.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}")]
pub(crate) struct ShownOrder<'a, T> {
    /// The order.
    #[serde(flatten)]
    order: &'a T,
    /// Where and when its trip goes.
    #[serde(flatten)]
    journey: Journey<'a>,
    /// Until when its rider may have it refunded, once it is paid.
    #[serde(serialize_with = "crate::domain::json::micros")]
    refundable_until: DateTime<Utc>,
}

impl<'a, T> ShownOrder<'a, T> {
    fn new(order: &'a T, ride: &'a Ride, journeys: &JourneyContext<'a>) -> Self {
        let times = (ride.departs_at, ride.arrives_at);
        Self {
            order,
            journey: journeys.journey(ride.route.as_deref(), ride.direction, times),
            refundable_until: journeys.refundable_until(ride.departs_at, ride.refund_secs),
        }
    }
}

/// A response with names that depend on the reader's language.
fn by_language(body: impl Serialize) -> Response {
    ([(header::VARY, "accept-language")], Json(body)).into_response()
}

/// Runs a saga on its own task, so that it also ends, and is counted, when the client disconnects. Safe
/// to drop here and in its callers: the result is stored under the client's key.
async fn run(
    flow: Flow,
    saga: impl Future<Output = SagaResult<OrderView>> + Send + 'static,
) -> SagaResult<OrderView> {
    let counted = async move {
        let ending = saga.await;
        flow.count(&ending);
        Ok(ending)
    };
    match run_detached(flow.tag(), counted).await {
        Ok(ending) => ending,
        Err(stop) => {
            let ending = Err((stop, None));
            flow.count(&ending);
            ending
        }
    }
}

/// Turns a saga's result into the response, and stores a refusal under the client's key. A success
/// is stored in the transaction of the last step; a failure is never stored.
async fn respond(
    saga: &SagaContext,
    key: Option<&IdempotencyKey>,
    order: OrderId,
    subject: Uuid,
    success: StatusCode,
    result: SagaResult<OrderView>,
) -> Result<Response, Problem> {
    match (result, key) {
        (Ok(order), _) => Ok((success, Json(order)).into_response()),
        (Err((SagaError::Failed(failure), rollback)), _) => Err(Problem::failed(&failure, order, rollback)),
        (Err((SagaError::Refused(refusal), _)), None) => Err(refusal.into()),
        (Err((SagaError::Refused(refusal), _)), Some(key)) => {
            let problem = Problem::from(refusal);
            if !key.stores_refusal(problem.status.as_u16()) {
                match again(|| idempotency::load(&saga.pool, key)).await? {
                    // A key that this request has reserved gets its response in any case.
                    Some(StoredResponse::Reserved(reserved)) if reserved == subject => {}
                    Some(earlier) => return replay_order(saga, earlier).await,
                    None => return Err(problem),
                }
            }
            let (key, body) = (key.clone(), Value::Object(problem.body.clone()));
            let response = NewResponse { key, subject, status: problem.status.as_u16(), body };
            let batcher = &saga.batchers.save_responses;
            match idempotency::save_batched(batcher, &saga.pool, response).await? {
                StoredResponse::Own => Err(problem),
                earlier => replay_order(saga, earlier).await,
            }
        }
        (Err((SagaError::KeyTaken, _)), Some(key)) => {
            let stored = again(|| idempotency::load(&saga.pool, key)).await?;
            replay_order(saga, stored.unwrap_or(StoredResponse::Running)).await
        }
        (Err((SagaError::KeyTaken, _)), None) => Err(Problem::broken()),
    }
}

/// The response to an earlier booking or payment: its order, if it was booked or paid, and else
/// what is stored.
async fn replay_order(saga: &SagaContext, stored: StoredResponse) -> Result<Response, Problem> {
    if let StoredResponse::Reserved(subject) = stored
        && let Some(order) = again(|| orders::rebuild_response(&saga.pool, subject)).await?
    {
        let status = if order.status == OrderStatus::Unpaid { StatusCode::CREATED } else { StatusCode::OK };
        return Ok(as_replay((status, Json(order))));
    }
    replay(stored)
}
