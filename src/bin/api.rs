//! `farebox-api`: the HTTP API. Any number of them on one database.

use farebox::{app, console, domain::BoxError, http, storage};
use std::process::ExitCode;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    app::report(run().await)
}

async fn run() -> Result<ExitCode, BoxError> {
    let settings = app::settings(&[])?;
    settings.require_secrets()?;
    let pool = storage::pool(&app::database_url()?, &settings.database, "farebox-api")?;
    app::wait_for_schema(&pool).await?;
    http::require_files(&settings, settings.http.max_connections)?;
    app::note_role(&pool, &settings).await;
    let listener = TcpListener::bind(&settings.http.listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let saga = app::saga_context(&settings, pool)?;
    let app = app::app(settings, saga)?;
    http::serve(app.clone(), console::pages(&app), listener, app::stop_signal()).await;
    Ok(ExitCode::SUCCESS)
}
