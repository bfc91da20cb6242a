//! The HTTP API: the route table on one screen, thin handlers, problem bodies.

pub(crate) mod extract;
pub(crate) mod handlers;
mod idempotent;
pub(crate) mod language;
pub(crate) mod middleware;
mod openapi;
pub(crate) mod problem;
mod server;

pub use handlers::health::tell;
pub use middleware::admission::Admission;

use crate::{
    accounts::Sessions,
    limits::Limits,
    ops::undos::CachedUndoBacklog,
    saga::SagaContext,
    settings::Settings,
    storage::redis::RedisLink,
    telemetry::{metrics::Metrics, traffic::TrafficCounters},
    trips::live::Live,
};
use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{delete, get, post, put},
};
use handlers::{
    health, live,
    ops::{self, bulk, jobs, trips as ops_trips},
    orders, riders, trips,
};
use middleware::{admission, context, cors, rate_limit};
use openapi::pages as openapi_pages;
use sqlx::PgPool;
use std::{future::Future, ops::Deref, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::util::option_layer;

/// What handlers share. Every layer of every request clones it: a count, not its parts.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of [`App`].
#[derive(Clone)]
pub struct Parts {
    /// What flows run with.
    pub saga: SagaContext,
    /// Reads and makes tokens.
    pub sessions: Sessions,
    /// The settings.
    pub settings: Arc<Settings>,
    /// What a scraper reads.
    pub metrics: Metrics,
    /// The open streams of live seats.
    pub live: Live,
    /// Counts requests.
    pub limits: Limits,
    /// Bounds the requests in flight.
    pub admission: Admission,
    /// Connections kept for health, metrics, operators and the list of revoked sessions.
    pub reserve: PgPool,
    /// How many bookings and payments there are.
    pub tally: TrafficCounters,
    /// Cancelled when the process is to stop: what would never end by itself ends then.
    pub stopping: CancellationToken,
    /// What is owed, for pages.
    pub owed: CachedUndoBacklog,
    /// The line to Redis, if the settings name one.
    pub redis: Option<RedisLink>,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl From<Parts> for App {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl App {
    /// The same on the connections that are kept.
    pub(crate) fn reserved(&self) -> Self {
        let saga = SagaContext { pool: self.reserve.clone(), ..self.saga.clone() };
        Parts { saga, ..Parts::clone(self) }.into()
    }
}

/// What is for people.
pub struct Pages {
    /// On the same connections as the operators' part, behind the same limits.
    pub routes: Router<App>,
    /// Lays around everything what makes pages of the answers under their addresses, those of limits among them.
    pub around: fn(Router<App>, &App) -> Router<App>,
}

/// The route table, by who calls.
pub fn router(app: &App, pages: Pages) -> Router {
    let routes = Router::new()
        // anybody
        .route("/openapi.json", get(openapi::document))
        .route("/docs", get(openapi_pages::page))
        .route("/v1/riders", post(riders::register))
        .route("/v1/sessions", post(riders::sign_in))
        .route("/v1/trips", get(trips::list))
        .route("/v1/trips/{id}", get(trips::show))
        .route("/v1/trips/{id}/seats/events", get(live::events))
        // riders
        .route("/v1/sessions/current", delete(riders::sign_out))
        .route("/v1/riders/me", get(riders::me).patch(riders::change_me))
        .route("/v1/riders/me/pay-password", put(riders::set_pay_password))
        .route("/v1/wallet", get(riders::balance))
        .route("/v1/wallet/entries", get(riders::entries))
        .route("/v1/orders", get(orders::list).post(orders::create))
        .route("/v1/orders/{id}", get(orders::show))
        .route("/v1/orders/{id}/pay", post(orders::pay))
        .route("/v1/payment-authorizations", post(orders::authorize))
        .route("/v1/orders/{id}/cancel", post(orders::cancel))
        .route("/v1/orders/{id}/refund", post(orders::refund))
        .route("/v1/orders/{id}/evaluation", post(orders::evaluate))
        .with_state::<App>(app.clone())
        // on connections that riders cannot take: health and metrics
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        // operators
        .route("/v1/ops/trips", post(ops::add_trip))
        .route("/v1/ops/trips/{id}/seats/block", post(ops_trips::block))
        .route("/v1/ops/trips/{id}/seats/release", post(ops_trips::release))
        .route("/v1/ops/trips/{id}/manifest", get(ops_trips::manifest))
        .route("/v1/ops/trips/{id}/cancel", post(ops_trips::cancel))
        .route("/v1/ops/trips/{id}/cancellation", get(ops_trips::cancellation))
        .route("/v1/ops/departures-not-made", get(ops_trips::not_made))
        .route("/v1/ops/wallets/{rider_id}/top-ups", post(ops::top_up))
        .route("/v1/ops/orders/{id}/timeline", get(ops::timeline))
        .route("/v1/ops/jobs", get(jobs::list))
        .route("/v1/ops/jobs/{id}", get(jobs::show))
        .route("/v1/ops/jobs/{id}/stakes", get(jobs::stakes))
        .route("/v1/ops/jobs/{id}/retry", post(jobs::retry))
        .route("/v1/ops/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/ops/jobs/{id}/snooze", post(jobs::snooze))
        .route("/v1/ops/errors", get(jobs::errors))
        .route("/v1/ops/bulk", get(bulk::list).post(bulk::start))
        .route("/v1/ops/bulk/{id}", get(bulk::show))
        .route("/v1/ops/bulk/{id}/items", get(bulk::items))
        .route("/v1/ops/bulk/{id}/stop", post(bulk::stop))
        .route("/v1/ops/queues", get(jobs::queues))
        .route("/v1/ops/queues/{tag}/pause", post(jobs::pause))
        .route("/v1/ops/queues/{tag}/resume", post(jobs::resume))
        .route("/v1/ops/queues/{tag}/drain", post(jobs::drain))
        .route("/v1/ops/queues/{tag}/cancel", post(jobs::cancel_key))
        .route("/v1/ops/queues/{tag}/redrive", post(jobs::redrive_tag))
        .route("/v1/ops/queues/{tag}/minutes", get(jobs::minutes))
        .route("/v1/ops/dead-letters/redrive", post(jobs::redrive))
        .route("/v1/ops/workers", get(jobs::workers))
        .route("/v1/ops/audit", get(ops::audit))
        .route("/v1/ops/verify", get(ops::verify))
        .merge(pages.routes)
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        // In the order in which a request passes them; together, as each by itself would be boxed and cloned with all below it.
        .layer((
            from_fn_with_state(app.clone(), context::bound),
            option_layer(cors::layer(&app.settings.http.cors_origins)),
            from_fn_with_state(app.clone(), rate_limit::limit),
            from_fn_with_state(app.clone(), admission::admit),
        ));
    (pages.around)(routes, app).layer(from_fn(context::wrap)).with_state(app.reserved())
}

/// Serves until `shutdown`, then finishes what runs, for as long as the settings' grace.
pub async fn serve(
    app: App,
    pages: Pages,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let grace = Duration::from_millis(app.settings.http.grace_ms);
    let settings = Arc::clone(&app.settings);
    let watching = tokio::spawn(app.sessions.clone().run_refresh_loop(app.reserve.clone()));
    let counting = tokio::spawn(app.tally.clone().run_flush_loop(app.reserve.clone()));
    let looking = tokio::spawn(app.live.clone().run_poll_loop(app.reserve.clone()));
    let (live, streams) = (app.live.clone(), app.stopping.clone());
    let keeping = app.redis.clone().map(|redis| tokio::spawn(redis.run_connection_loop()));
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let signal = async move {
        shutdown.await;
        // A stream never ends by itself.
        live.close();
        streams.cancel();
        drop(stopping);
    };
    let out_of_time = async move {
        // Resolves with an error when the sender is dropped: the stop has begun.
        let _ = stopped.await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        () = server::serve(router(&app, pages), listener, &settings.http, signal) => {}
        () = out_of_time => {}
    }
    watching.abort();
    looking.abort();
    counting.abort();
    keeping.inspect(JoinHandle::abort);
}
