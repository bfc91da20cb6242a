//! `farebox-api`: the HTTP API. Any number of them on one database.

use farebox::{console, flow::BoxError, http, process, schema};
use std::process::ExitCode;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run().await)
}

async fn run() -> Result<ExitCode, BoxError> {
    let settings = process::settings(&[])?;
    settings.require_secrets()?;
    let pool = schema::pool(&process::database_url()?, &settings.database, "farebox-api")?;
    process::wait_for_schema(&pool).await?;
    let listener = TcpListener::bind(&settings.http.listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let flow = process::flow(&settings, pool)?;
    let app = process::app(settings, flow)?;
    http::serve(app.clone(), console::pages(&app), listener, process::stop_signal()).await;
    Ok(ExitCode::SUCCESS)
}
