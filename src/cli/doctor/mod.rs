//! `farebox doctor`: whether an installation is as it should be, one line for each check. It changes
//! nothing.

mod finding;
mod process;
mod replication;
mod schema;
mod server;

use super::database::{Data, Database, Open, add_dev_secrets};
use crate::{app, domain::BoxError, settings::Settings};
use clap::Args;
use finding::{DATABASE, Finding, SECRETS, SETTINGS, Status};
use sqlx::PgPool;
use std::{path::PathBuf, process::ExitCode};

/// The arguments of `farebox doctor`.
#[derive(Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    data: Data,
    /// Check what a worker needs, with a worker's settings and its DATABASE_URL.
    #[arg(long)]
    worker: bool,
    /// How many API processes share the database.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    apis: u16,
    /// How many workers share it; without it, as many as live now, and at least one.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// A folder whose disk is checked; may be repeated.
    #[arg(long, value_name = "FOLDER")]
    disk: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints what each check found; exit code 1 if one warns, 2 if one fails.
pub(super) async fn run(args: Doctor) -> Result<ExitCode, BoxError> {
    let findings = examine(&args).await;
    let worst = findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Ok);
    if args.json {
        println!("{}", serde_json::json!({ "status": worst, "checks": findings }));
    } else {
        findings.iter().for_each(|finding| println!("{finding}"));
    }
    Ok(ExitCode::from(worst.exit_code()))
}

/// Goes on after a check that fails, as far as it can.
async fn examine(args: &Doctor) -> Vec<Finding> {
    let mut settings = match app::settings(&[]) {
        Ok(settings) => settings,
        Err(error) => {
            let remedy = "correct the setting; docs/operators/configuration.md tells where each comes from";
            return vec![SETTINGS.fail(error.to_string(), remedy)];
        }
    };
    let database = Database::open(&args.data, &settings, Open::Existing).await;
    // Those of a private server are beside its data.
    if let Some(database) = database.as_ref().ok().filter(|database| database.is_embedded())
        && let Err(error) = add_dev_secrets(&mut settings, &database.folder)
    {
        tracing::warn!(%error, "no secrets beside the data");
    }
    let mut findings = vec![
        process::settings(&settings, args.worker),
        process::secret_files(),
        process::open_files(&settings, args.worker),
        process::redis(&settings).await,
    ];
    let pool = database.as_ref().map_err(ToString::to_string).and_then(|database| {
        let pool = database.pool(&settings);
        pool.map_err(|error| error.to_string())
    });
    match pool {
        Ok(pool) => findings.extend(in_database(&pool, &settings, args).await),
        Err(error) => {
            let remedy =
                "set DATABASE_URL, with sslmode=verify-full; docs/operators/install.md has an example";
            findings.extend([
                process::secrets(&settings, args.worker).unwrap_or_else(|| SECRETS.ok("set and strong")),
                process::disk(&args.disk, None),
                DATABASE.fail(error, remedy),
            ]);
        }
    }
    findings
}

/// What a database shows; nothing more if it is not reached.
async fn in_database(pool: &PgPool, settings: &Settings, args: &Doctor) -> Vec<Finding> {
    let reached = server::reached(pool).await;
    let is_reached = reached.status != Status::Fail;
    let data_directory = if is_reached { server::data_directory(pool).await } else { None };
    let mut findings = vec![reached, process::disk(&args.disk, data_directory)];
    let weak = process::secrets(settings, args.worker);
    if !is_reached {
        findings.extend(weak);
        return findings;
    }
    findings.extend([
        server::encryption(pool, settings).await,
        server::durability(pool).await,
        server::clock(pool).await,
        replication::check(pool).await,
    ]);
    let found = schema::fits(pool).await;
    let fits = found.status != Status::Fail;
    findings.push(found);
    if !fits {
        findings.extend(weak);
        return findings;
    }
    let live = schema::live_workers(pool).await;
    findings.push(match weak {
        Some(weak) => weak,
        None => schema::secrets(pool, settings, args.worker).await,
    });
    findings.extend([
        schema::role(pool, settings, args.worker).await,
        server::connections(pool, settings, args.apis, args.workers, live.as_deref().unwrap_or_default())
            .await,
        schema::workers(live),
        schema::time_zones(pool, settings).await,
    ]);
    findings
}
