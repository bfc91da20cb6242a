//! The bound on requests in flight. When the database is slow, requests pile up before its pool.
//! Beyond the bound, a request waits a moment for a permit and is then refused, instead of waiting
//! for a connection. The wait is for clients that retry at once: each refusal takes processor time
//! (docs/decisions/0011-admission-waits.md).

use super::{
    limited_routes::is_sign_in_page,
    stale_plan::{repeats_statements, serve},
};
use crate::http::{
    App,
    events::{LIVE_SEATS_ROUTE, busy, takes_events},
    problem::Problem,
};
use crate::{settings, telemetry::metrics::AdmissionClass};
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

/// Sign-ins at the console in flight: those of operators, so that riders do not take their places.
const CONSOLE_SIGN_INS: usize = 32;

/// Sign-ins that may read at once which queue they belong to. Without a bound, a flood of them would
/// stand before payments in the queue for the database's connections.
const SIGN_IN_READS: usize = 4;

/// The permit of a request in flight, released when its last clone is dropped. A saga holds it to
/// its end, also when the client disconnects.
#[derive(Clone, Debug)]
pub(crate) struct Permit(pub(crate) Arc<OwnedSemaphorePermit>);

/// The permits of each class of requests; a class cannot use those of another.
#[derive(Clone)]
pub struct Admission {
    changes: Arc<Semaphore>,
    payments: Arc<Semaphore>,
    sign_ins: Arc<Semaphore>,
    console_sign_ins: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    sign_in_reads: Arc<Semaphore>,
    wait: Duration,
    /// How many permits each class has, for metrics.
    limits: settings::Admission,
}

impl Admission {
    /// With the numbers of permits of the settings.
    pub fn new(settings: settings::Admission) -> Self {
        let permits = |number: usize| Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS)));
        Self {
            changes: permits(settings.changes),
            payments: permits(settings.payments),
            sign_ins: permits(settings.sign_ins),
            console_sign_ins: permits(CONSOLE_SIGN_INS),
            reads: permits(settings.reads),
            sign_in_reads: permits(SIGN_IN_READS),
            wait: Duration::from_millis(settings.wait_ms),
            limits: settings,
        }
    }

    /// The classes of requests, for metrics.
    pub fn classes(&self) -> Vec<AdmissionClass> {
        let class = |name, limit: usize, free: &Arc<Semaphore>| AdmissionClass {
            name,
            limit: limit.min(Semaphore::MAX_PERMITS),
            free: Arc::clone(free),
        };
        vec![
            class("changes", self.limits.changes, &self.changes),
            class("payments", self.limits.payments, &self.payments),
            class("sign_ins", self.limits.sign_ins, &self.sign_ins),
            class("console_sign_ins", CONSOLE_SIGN_INS, &self.console_sign_ins),
            class("reads", self.limits.reads, &self.reads),
        ]
    }

    /// Waits until a sign-in may read which queue it belongs to.
    pub(crate) async fn sign_in_read(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.sign_in_reads).acquire_owned().await.ok()
    }

    /// The permits that a request uses. Health, metrics and operators have connections of their own
    /// and need none.
    fn class(&self, method: &Method, route: &str) -> Option<&Arc<Semaphore>> {
        match route {
            _ if *method == Method::POST && is_sign_in_page(route) => Some(&self.console_sign_ins),
            _ if !route.starts_with("/v1/") || route.starts_with("/v1/ops/") => None,
            "/v1/sessions" if *method != Method::POST => Some(&self.reads),
            "/v1/riders"
            | "/v1/sessions"
            | "/v1/sessions/current/confirmation"
            | "/v1/password-resets"
            | "/v1/riders/me/password" => Some(&self.sign_ins),
            "/v1/orders/{id}/pay" | "/v1/payment-authorizations" | "/v1/riders/me/pay-password" => {
                Some(&self.payments)
            }
            _ if *method == Method::GET || *method == Method::HEAD => Some(&self.reads),
            _ => Some(&self.changes),
        }
    }
}

/// Admits the request, or answers 503. Safe to drop: the permit is released with the request, or
/// with the saga that holds it too.
pub(crate) async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let repeats = route.is_some_and(|route| repeats_statements(request.method(), route));
    let Some(class) = route.and_then(|route| app.admission.class(request.method(), route)) else {
        return serve(request, next).await;
    };
    let events = route == Some(LIVE_SEATS_ROUTE) && takes_events(request.headers());
    let Some(permit) = acquire(&app, class).await else {
        app.metrics.refused("crowded");
        return if events { busy() } else { Problem::overloaded().into_response() };
    };
    let permit = Permit(Arc::new(permit));
    request.extensions_mut().insert(permit.clone());
    let response = if repeats { next.run(request).await } else { serve(request, next).await };
    drop(permit);
    response
}

/// A permit that is free, or becomes free in time.
async fn acquire(app: &App, class: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(class).try_acquire_owned() {
        return Some(permit);
    }
    let _waits = app.metrics.waits();
    timeout(app.admission.wait, Arc::clone(class).acquire_owned()).await.ok()?.ok()
}
