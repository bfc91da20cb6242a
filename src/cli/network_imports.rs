//! `farebox network imports`: the imports that were applied, and how far their jobs are.

use super::database::{Data, Database, Open};
use crate::{
    app,
    domain::BoxError,
    trips::network::{Progress, imports, progress},
};
use clap::Args;
use sqlx::PgPool;
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Imports that are listed at most.
const MAX_LISTED: u16 = 100;
/// How often progress is read.
const POLL_EVERY: Duration = Duration::from_millis(200);

#[derive(Args)]
pub(super) struct Imports {
    #[command(flatten)]
    data: Data,
    /// How many are listed, the newest first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_LISTED)))]
    last: u16,
}

impl Imports {
    /// Lists the newest imports.
    pub(super) async fn run(self) -> Result<ExitCode, BoxError> {
        let settings = app::settings(&[])?;
        let database = Database::open(&self.data, &settings, Open::Existing).await?;
        let pool = database.current(&settings).await?;
        for import in imports(&pool, None, self.last).await?.items {
            let only = import.trip_id.map(|trip| format!(" of the trip {trip} alone"));
            println!(
                "{}{} by {} at {}: {}; {}",
                import.id,
                only.unwrap_or_default(),
                import.operator,
                import.started_at.format("%F %H:%MZ"),
                import.reason,
                line(&import)
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Waits until the import has moved and refunded its riders, for `at_most`, and prints how far it is; of
/// one without riders it prints nothing. Safe to drop: workers carry it on.
///
/// # Errors
/// The database's.
pub(super) async fn wait(pool: &PgPool, import: Uuid, at_most: Duration) -> Result<(), BoxError> {
    let began = Instant::now();
    loop {
        let Some(now) = progress(pool, import).await? else { return Ok(()) };
        if now.trips == 0 {
            return Ok(());
        }
        if now.finished_at.is_some() {
            println!("import {import}: {}", line(&now));
            return Ok(());
        }
        if began.elapsed() >= at_most {
            println!("import {import}: {}; workers carry it on: farebox network imports", line(&now));
            return Ok(());
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// How far an import is.
fn line(import: &Progress) -> String {
    let Progress { trips, done, moved, refunded, closed, .. } = import;
    let state = if import.finished_at.is_some() { "finished" } else { "running" };
    format!(
        "{state}, {done} of {trips} trips with riders done: {moved} orders moved, {refunded} refunded, {closed} closed"
    )
}
