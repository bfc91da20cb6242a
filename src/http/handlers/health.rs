//! Health and metrics: whether the process is alive, and whether it can serve.

use crate::http::{
    App,
    middleware::{context::request_context, validate::validate},
    problem::Problem,
    server::{self, Bounds},
};
use crate::{
    limits::OpenByNetwork,
    settings::Settings,
    storage,
    telemetry::metrics::{Format, Metrics},
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, HeaderName, header},
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::{future, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The media type of OpenMetrics, the format that Prometheus prefers.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// Connections of a listener that serves health and metrics alone: scrapers and probes are few.
pub const WORKER_CONNECTIONS: usize = 32;
/// Most of them for one address.
const WORKER_CONNECTIONS_PER_ADDRESS: usize = 16;
/// Longest head of a request to it, bytes.
const WORKER_HEAD_BYTES: usize = 8192;
/// How long a head may take there, and a connection be idle, unless the settings are stricter.
/// Longer than Prometheus's usual interval of 15 s, so that it keeps its connection.
const WORKER_HEAD_TIME: Duration = Duration::from_secs(20);
/// How long a connection is kept there.
const WORKER_LIFETIME: Duration = Duration::from_secs(600);

/// How long the database may take to answer before a process is not ready.
const READY_TIMEOUT: Duration = Duration::from_secs(3);

type Scrape = ([(HeaderName, &'static str); 1], String);

pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    // It serves what still comes, and proxies turn away.
    if app.stopping.is_cancelled() {
        return Err(Problem::stopping());
    }
    // Without the list of revoked sessions, no token can be judged.
    if !app.sessions.is_loaded() {
        return Err(Problem::not_ready());
    }
    if storage::is_unsettled() {
        return Err(Problem::not_ready());
    }
    // Not on the operators' pool: one that is exhausted would take the process out of service.
    if app.probe.responds(READY_TIMEOUT).await { Ok(is_ready()) } else { Err(Problem::outage()) }
}

pub(crate) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Scrape {
    scrape(&app.saga.pool, &app.metrics, &headers).await
}

async fn can_serve(pool: &PgPool) -> Result<Json<Value>, Problem> {
    if storage::is_unsettled() {
        return Err(Problem::not_ready());
    }
    sqlx::query("select 1").execute(pool).await?;
    Ok(is_ready())
}

fn is_ready() -> Json<Value> {
    Json(json!({ "status": "ready" }))
}

/// In OpenMetrics, unless the reader names Prometheus's text format alone.
async fn scrape(pool: &PgPool, metrics: &Metrics, headers: &HeaderMap) -> Scrape {
    let accepted =
        headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    let (format, media_type) = if accepted.contains("text/plain") && !accepted.contains(OPEN_METRICS) {
        (Format::Text, "text/plain; version=0.0.4; charset=utf-8")
    } else {
        (Format::OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    };
    ([(header::CONTENT_TYPE, media_type)], metrics.page(pool, format).await)
}

/// Serves health and metrics alone, on a listener of its own. Once `stopping` is cancelled the process
/// is not ready any more. Safe to drop: its connections are closed with the process.
pub async fn serve_metrics(
    pool: PgPool,
    metrics: Metrics,
    settings: &Settings,
    listener: TcpListener,
    stopping: CancellationToken,
) {
    let api = Bounds::of_api(settings);
    let bounds = Bounds {
        connections: WORKER_CONNECTIONS,
        by_network: OpenByNetwork::new(WORKER_CONNECTIONS_PER_ADDRESS),
        head_bytes: api.head_bytes.min(WORKER_HEAD_BYTES),
        head_time: api.head_time.min(WORKER_HEAD_TIME),
        lifetime: api.lifetime.min(WORKER_LIFETIME),
        ..api
    };
    let router = Router::new()
        .route("/health/live", get(live))
        .route(
            "/health/ready",
            get(async move |State((pool, _)): State<(PgPool, Metrics)>| {
                if stopping.is_cancelled() {
                    return Err(Problem::stopping());
                }
                can_serve(&pool).await
            }),
        )
        .route(
            "/metrics",
            get(async |State((pool, metrics)): State<(PgPool, Metrics)>, headers: HeaderMap| {
                scrape(&pool, &metrics, &headers).await
            }),
        )
        .layer(from_fn(validate))
        // Scrapes and probes are not traced.
        .layer(from_fn_with_state(None, request_context))
        .with_state((pool, metrics.clone()));
    server::serve(router, listener, bounds, metrics, future::pending()).await;
}
