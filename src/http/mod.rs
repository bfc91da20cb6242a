//! The HTTP API: the route table, middleware, extractors, handlers and problem bodies.

pub(crate) mod acknowledged;
pub(crate) mod events;
pub(crate) mod extract;
pub(crate) mod handlers;
mod idempotent;
mod json;
mod keyed_hash;
pub(crate) mod language;
pub(crate) mod middleware;
mod openapi;
mod paged;
pub(crate) mod problem;
mod server;
mod validators;

pub use handlers::health::{WORKER_CONNECTIONS, serve_metrics};
pub use middleware::admission::Admission;
pub use openapi::description;
pub(crate) use openapi::pages::ICON;
pub use server::require_files;

use crate::{
    accounts::Sessions,
    batch::Batcher,
    limits::Limits,
    network::Language,
    ops::{
        bulk::{CachedJudgements, CachedPreviews},
        history::{CachedHistory, CachedPauses},
        undos::CachedUndoBacklog,
    },
    saga::SagaContext,
    settings::Settings,
    storage::{Probe, Reads, redis::RedisLink},
    telemetry::{metrics::Metrics, traffic::TrafficCounters},
    trips::{Itineraries, ItineraryCache, JourneyContext, TripLists, live::Live, seat_map::ReadSeatMaps},
};
use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{MethodRouter, any, delete, get, post, put},
};
use handlers::{
    account, health, live, missing,
    ops::{
        self, bulk, jobs, network, orders as ops_orders, queues, riders as ops_riders, trip_changes,
        trips as ops_trips, wallets, webhooks,
    },
    orders, riders, trips,
};
use middleware::{admission, context, cors, host, rate_limit, timeout};
use openapi::pages as openapi_pages;
use sqlx::PgPool;
use std::{future::Future, ops::Deref, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::util::option_layer;

/// The state that handlers share. Every layer clones it for each request, so it is one pointer.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of [`App`].
#[derive(Clone)]
pub struct Parts {
    /// The context of sagas.
    pub saga: SagaContext,
    /// Reads seat maps.
    pub seat_maps: Batcher<ReadSeatMaps>,
    /// The names and stops of routes.
    pub itineraries: Arc<ItineraryCache>,
    /// Where lists, manifests and the check of the invariants are read: a standby, if there is one.
    pub reads: Reads,
    /// Lists of trips that are being read.
    pub trip_lists: Arc<TripLists>,
    /// Reads and creates tokens.
    pub sessions: Sessions,
    /// The settings.
    pub settings: Arc<Settings>,
    /// The metrics.
    pub metrics: Metrics,
    /// The open streams of live seats.
    pub live: Live,
    /// Rate limits.
    pub limits: Limits,
    /// Bounds the requests in flight.
    pub admission: Admission,
    /// The connections of metrics, operators and the list of revoked sessions.
    pub operator_pool: PgPool,
    /// Asks whether the database answers, on a connection of its own.
    pub probe: Probe,
    /// Counts the outcomes of bookings and payments.
    pub tally: TrafficCounters,
    /// Cancelled when the process is asked to stop: ends streams, which have no end of their own, and
    /// readiness.
    pub stopping: CancellationToken,
    /// What is owed, cached for pages.
    pub owed: CachedUndoBacklog,
    /// What charts show, cached for pages.
    pub history: CachedHistory,
    /// The tags that are paused, cached for pages.
    pub pauses: CachedPauses,
    /// What operations on many jobs would do, counted for pages.
    pub previews: CachedPreviews,
    /// What has become of the jobs of large operations, counted for pages.
    pub judgements: CachedJudgements,
    /// The connection to Redis, if the settings name one.
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
    /// What shows journeys.
    pub(crate) fn journeys<'a>(
        &'a self,
        itineraries: &'a Itineraries,
        language: Option<&'a Language>,
    ) -> JourneyContext<'a> {
        let (booking, trips) = (&self.settings.booking, &self.settings.trips);
        JourneyContext { itineraries, language, booking, trips }
    }

    /// The same on the operators' connections.
    pub(crate) fn on_operator_pool(&self) -> Self {
        let saga = SagaContext { pool: self.operator_pool.clone(), ..self.saga.clone() };
        let reads = self.reads.on(self.operator_pool.clone());
        Parts { saga, reads, ..Parts::clone(self) }.into()
    }
}

/// The pages for people.
pub struct Pages {
    /// Served on the operators' connections, behind the same limits as the API.
    pub routes: Router<App>,
    /// What is put around the whole router, the innermost first: so responses of limits under these
    /// addresses become pages too, and pages can call the API behind its limits.
    pub around: Vec<AroundAll>,
}

/// Puts something around a router of everything.
pub type AroundAll = fn(Router<App>, &App) -> Router<App>;

/// A route that the settings may switch off; then it answers as one that does not exist.
fn shown(is_shown: bool, route: MethodRouter<App>) -> MethodRouter<App> {
    if is_shown { route } else { any(problem::no_such_route) }
}

/// The route table, by caller.
pub fn router(app: &App, pages: Pages) -> Router {
    let settings = &app.settings.http;
    let has_metrics = settings.metrics && settings.metrics_listen.is_empty();
    let routes = Router::new()
        // any client
        .route("/openapi.json", shown(settings.docs, get(openapi::document)))
        .route("/docs", shown(settings.docs, get(openapi_pages::page)))
        .route("/v1/riders", post(riders::register))
        .route("/v1/password-resets", post(account::reset_password))
        .route("/v1/trips", get(trips::list))
        .route("/v1/trips/{id}", get(trips::show))
        .route("/v1/trips/{id}/seats/events", get(live::events))
        // riders
        .route("/v1/sessions", get(account::sessions).post(riders::sign_in).delete(account::end_sessions))
        .route("/v1/sessions/{id}", delete(account::end_session))
        .route("/v1/sessions/current", delete(riders::sign_out))
        .route("/v1/sessions/current/confirmation", post(account::confirm))
        .route("/v1/riders/me/password", put(account::change_password))
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
        // health and metrics, on the operators' connections
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", shown(has_metrics, get(health::metrics)))
        // operators
        .route("/v1/ops/trips", post(ops::add_trip))
        .route("/v1/ops/trips/{id}/seats/block", post(ops_trips::block))
        .route("/v1/ops/trips/{id}/seats/release", post(ops_trips::release))
        .route("/v1/ops/trips/{id}/manifest", get(ops_trips::manifest))
        .route("/v1/ops/trips/{id}/cancel", post(ops_trips::cancel))
        .route("/v1/ops/trips/{id}/cancellation", get(ops_trips::cancellation))
        .route("/v1/ops/trips/{id}/change-previews", post(trip_changes::preview))
        .route("/v1/ops/trips/{id}/changes", post(trip_changes::apply))
        .route("/v1/ops/departures-not-made", get(ops_trips::not_made))
        .route("/v1/ops/network", get(network::show))
        .route("/v1/ops/network/previews", post(network::preview))
        .route("/v1/ops/network/imports", get(network::list_imports).post(network::import))
        .route("/v1/ops/network/imports/{id}", get(network::show_import))
        .route("/v1/ops/wallets/{rider_id}/top-ups", post(wallets::top_up))
        .route("/v1/ops/wallets/{rider_id}/corrections", post(wallets::correct))
        .route("/v1/ops/approvals", get(wallets::list))
        .route("/v1/ops/approvals/{id}/approve", post(wallets::approve))
        .route("/v1/ops/approvals/{id}/refuse", post(wallets::refuse))
        .route("/v1/ops/riders/{id}/password-reset", post(ops_riders::reset_password))
        .route("/v1/ops/orders/{id}/timeline", get(ops::timeline))
        .route("/v1/ops/orders/{id}/acts", get(ops_orders::acts))
        .route("/v1/ops/orders/{id}/close", post(ops_orders::close))
        .route("/v1/ops/orders/{id}/refund", post(ops_orders::refund))
        .route("/v1/ops/orders/{id}/redrive", post(ops_orders::redrive))
        .route("/v1/ops/orders/{id}/notes", post(ops_orders::note))
        .route("/v1/ops/jobs", get(jobs::list))
        .route("/v1/ops/jobs/{id}", get(jobs::show))
        .route("/v1/ops/jobs/{id}/impact", get(jobs::impact))
        .route("/v1/ops/jobs/{id}/retry", post(jobs::retry))
        .route("/v1/ops/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/ops/jobs/{id}/discard", post(jobs::discard))
        .route("/v1/ops/jobs/{id}/snooze", post(jobs::snooze))
        .route("/v1/ops/errors", get(jobs::errors))
        .route("/v1/ops/bulk", get(bulk::list).post(bulk::start))
        .route("/v1/ops/bulk/{id}", get(bulk::show))
        .route("/v1/ops/bulk/{id}/items", get(bulk::items))
        .route("/v1/ops/bulk/{id}/stop", post(bulk::stop))
        .route("/v1/ops/queues", get(queues::queues))
        .route("/v1/ops/queues/{tag}/pause", post(queues::pause))
        .route("/v1/ops/queues/{tag}/resume", post(queues::resume))
        .route("/v1/ops/queues/{tag}/drain", post(queues::drain))
        .route("/v1/ops/queues/{tag}/cancel", post(jobs::cancel_key))
        .route("/v1/ops/queues/{tag}/redrive", post(queues::redrive_tag))
        .route("/v1/ops/queues/{tag}/minutes", get(queues::minutes))
        .route("/v1/ops/dead-letters/redrive", post(queues::redrive))
        .route("/v1/ops/workers", get(queues::workers))
        .route("/v1/ops/webhooks", get(webhooks::list).post(webhooks::add))
        .route("/v1/ops/webhooks/{id}", get(webhooks::show))
        .route("/v1/ops/webhooks/{id}/change", post(webhooks::change))
        .route("/v1/ops/webhooks/{id}/enable", post(webhooks::enable))
        .route("/v1/ops/webhooks/{id}/disable", post(webhooks::disable))
        .route("/v1/ops/webhooks/{id}/rotate", post(webhooks::rotate))
        .route("/v1/ops/webhooks/{id}/remove", post(webhooks::remove))
        .route("/v1/ops/webhooks/{id}/secret", post(webhooks::secret))
        .route("/v1/ops/webhooks/{id}/deliveries", get(webhooks::deliveries))
        .route("/v1/ops/webhooks/{id}/deliveries/{event_id}/redeliver", post(webhooks::redeliver))
        .route("/v1/ops/webhooks/{id}/redeliver", post(webhooks::redeliver_failed))
        .route("/v1/ops/audit", get(ops::audit))
        .route("/v1/ops/verify", get(ops::verify))
        .merge(pages.routes)
        .fallback(missing::missing)
        .method_not_allowed_fallback(problem::no_such_method)
        // In the order in which a request passes them. One call, because each call boxes and clones
        // everything below it.
        .layer((
            from_fn_with_state(app.clone(), timeout::timeout),
            option_layer(cors::layer(&app.settings.http.cors_origins)),
            from_fn_with_state(app.clone(), rate_limit::limit),
            from_fn_with_state(app.clone(), admission::admit),
        ));
    pages
        .around
        .into_iter()
        .fold(routes, |routes, around| around(routes, app))
        .layer((
            from_fn_with_state(app.saga.tracer.clone(), context::request_context),
            from_fn_with_state(app.clone(), host::check_host),
        ))
        .with_state(app.on_operator_pool())
}

/// Serves until `shutdown`, and for the settings' `drain_ms` after it, so that proxies turn away before
/// the port closes. Then it finishes the running requests within `grace_ms`.
pub async fn serve(
    app: App,
    pages: Pages,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let grace = Duration::from_millis(app.settings.http.grace_ms);
    let drain = Duration::from_millis(app.settings.http.drain_ms);
    let bounds = server::Bounds { closing: app.stopping.clone(), ..server::Bounds::of_api(&app.settings) };
    let sessions = tokio::spawn(app.sessions.clone().run_refresh_loop(app.operator_pool.clone()));
    let traffic = tokio::spawn(app.tally.clone().run_flush_loop(app.operator_pool.clone()));
    let seats = tokio::spawn(app.live.clone().run_poll_loop(app.operator_pool.clone()));
    let (live, streams) = (app.live.clone(), app.stopping.clone());
    let redis = app.redis.clone().map(|redis| tokio::spawn(redis.run_connection_loop()));
    let replica = app.reads.replica().cloned();
    let replica = replica.map(|replica| tokio::spawn(replica.run_compare_loop(app.operator_pool.clone())));
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let signal = async move {
        shutdown.await;
        // Streams have no end of their own.
        live.close();
        streams.cancel();
        tokio::time::sleep(drain).await;
        drop(stopping);
    };
    let out_of_time = async move {
        // Resolves with an error when the sender is dropped: the stop has begun.
        let _ = stopped.await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        () = server::serve(router(&app, pages), listener, bounds, app.metrics.clone(), signal) => {}
        () = out_of_time => {}
    }
    sessions.abort();
    seats.abort();
    traffic.abort();
    redis.inspect(JoinHandle::abort);
    replica.inspect(JoinHandle::abort);
}
