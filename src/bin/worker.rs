//! `farebox-worker`: runs rollbacks and timers. Any number of them, on any machine, for all tags or some.

use clap::Parser;
use farebox::{flow::BoxError, process, schema, worker};
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about = "Runs Farebox's rollbacks and timers")]
struct Args {
    /// The tags to work for, separated by commas; all of them if left out.
    #[arg(long, env = "FAREBOX_TAGS")]
    tags: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run().await)
}

async fn run() -> Result<ExitCode, BoxError> {
    let args = Args::parse();
    let tags = worker::read_tags(args.tags.as_deref()).map_err(|e| format!("{}: {}", e.pointer, e.rule))?;
    let settings = process::settings(&[])?;
    let pool = schema::pool(&process::database_url()?, &settings.database, "farebox-worker")?;
    process::wait_for_schema(&pool).await?;
    let flow = process::flow(&settings, pool)?;
    worker::work(&flow, &settings.worker, &tags, process::stop_signal()).await?;
    Ok(ExitCode::SUCCESS)
}
