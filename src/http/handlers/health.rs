//! Health and metrics: whether the process is alive, and whether it can serve.

use crate::http::{
    App,
    middleware::{context::request_context, validate::validate},
    problem::Problem,
};
use crate::{storage, telemetry::metrics::Metrics};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderName, header},
    middleware::from_fn,
    routing::get,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;

/// OpenMetrics, the format that Prometheus prefers.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Scrape = ([(HeaderName, &'static str); 1], String);

pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    can_serve(&app.saga.pool).await
}

pub(crate) async fn metrics(State(app): State<App>) -> Result<Scrape, Problem> {
    scrape(&app.saga.pool, &app.metrics).await
}

async fn can_serve(pool: &PgPool) -> Result<Json<Value>, Problem> {
    if storage::is_unsettled() {
        return Err(Problem::not_ready());
    }
    sqlx::query("select 1").execute(pool).await?;
    Ok(Json(json!({ "status": "ready" })))
}

async fn scrape(pool: &PgPool, metrics: &Metrics) -> Result<Scrape, Problem> {
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text(pool).await?))
}

/// Serves health and metrics alone, for a process that serves nothing else.
///
/// # Errors
/// An error of the listener.
pub async fn serve_metrics(pool: PgPool, metrics: Metrics, listener: TcpListener) -> std::io::Result<()> {
    let router = Router::new()
        .route("/health/live", get(live))
        .route(
            "/health/ready",
            get(async |State((pool, _)): State<(PgPool, Metrics)>| can_serve(&pool).await),
        )
        .route(
            "/metrics",
            get(async |State((pool, metrics)): State<(PgPool, Metrics)>| scrape(&pool, &metrics).await),
        )
        .layer(from_fn(validate))
        .layer(from_fn(request_context))
        .with_state((pool, metrics));
    axum::serve(listener, router).await
}
