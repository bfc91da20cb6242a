//! Health: is the process alive, can it serve.

use super::{App, problem::Problem};
use axum::{Json, extract::State};
use serde_json::{Value, json};

pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

pub(super) async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    sqlx::query("select 1").execute(&app.flow.pool).await?;
    Ok(Json(json!({ "status": "ready" })))
}
