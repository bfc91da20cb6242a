//! How many requests may be in flight. When the database cannot follow, they pile up before its pool; beyond a bound the
//! next one waits a moment for a place and is then told so, instead of waiting for a connection with all the others. The
//! moment is for clients who ask again at once: each refusal takes processor time, and without it two thousand of them
//! were refused so often that half of the bookings were lost (docs/decisions/0011-admission-waits.md).

use super::stale_plan::{is_done_within, serve};
use crate::http::{App, handlers::live, problem::Problem};
use crate::settings;
use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// A request's place among those in flight; given back when its last clone is dropped. A flow holds one to its end, so
/// that a client that hangs up makes room no earlier than its flow does.
#[derive(Clone, Debug)]
pub(crate) struct Place(pub(crate) Arc<OwnedSemaphorePermit>);

/// The places of each kind of request: none may take those of another.
#[derive(Clone)]
pub struct Admission {
    changes: Arc<Semaphore>,
    payments: Arc<Semaphore>,
    sign_ins: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    wait: Duration,
}

impl Admission {
    /// With so many places.
    pub fn new(settings: settings::Admission) -> Self {
        let places = |number: usize| Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS)));
        Self {
            changes: places(settings.changes),
            payments: places(settings.payments),
            sign_ins: places(settings.sign_ins),
            reads: places(settings.reads),
            wait: Duration::from_millis(settings.wait_ms),
        }
    }

    /// Where a request has its place; health, metrics and operators have connections of their own and need none.
    fn line(&self, method: &Method, route: &str) -> Option<&Arc<Semaphore>> {
        match route {
            "/console/sign-in" if *method == Method::POST => Some(&self.sign_ins),
            _ if !route.starts_with("/v1/") || route.starts_with("/v1/ops/") => None,
            "/v1/riders" | "/v1/sessions" => Some(&self.sign_ins),
            "/v1/orders/{id}/pay" | "/v1/payment-authorizations" | "/v1/riders/me/pay-password" => {
                Some(&self.payments)
            }
            _ if *method == Method::GET || *method == Method::HEAD => Some(&self.reads),
            _ => Some(&self.changes),
        }
    }
}

/// Lets the request in, or answers 503. Safe to drop: the place goes with the request, or with the flow that holds it too.
pub(crate) async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let within = route.is_some_and(|route| is_done_within(request.method(), route));
    let Some(line) = route.and_then(|route| app.admission.line(request.method(), route)) else {
        return serve(request, next).await;
    };
    let events = route == Some(live::ROUTE) && live::takes_events(request.headers());
    let Some(permit) = place(&app, line).await else {
        app.metrics.refused("crowded");
        return if events { live::busy() } else { Problem::crowded().into_response() };
    };
    let place = Place(Arc::new(permit));
    request.extensions_mut().insert(place.clone());
    let response = if within { next.run(request).await } else { serve(request, next).await };
    drop(place);
    response
}

/// A place that is free, or becomes so in time.
async fn place(app: &App, line: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(line).try_acquire_owned() {
        return Some(permit);
    }
    let _waits = app.metrics.waits();
    timeout(app.admission.wait, Arc::clone(line).acquire_owned()).await.ok()?.ok()
}
