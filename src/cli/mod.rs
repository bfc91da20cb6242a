//! The commands of `farebox`: development in one process, and what operators do in a shell.

mod args;
mod audit;
mod database;
pub mod demo;
mod dev;
mod doctor;
mod job_args;
mod jobs;
mod migrate;
mod network;
mod network_import;
mod network_imports;
mod operator_args;
mod operators;
mod order_args;
mod orders;
mod restore;
mod riders;
mod roles;
mod shell;
mod trip_args;
mod trips;
mod verdicts;
mod verify;

pub use args::Cli;

use crate::{
    accounts::passwords::{HashQueue, Passwords},
    app,
    domain::BoxError,
    ops::{self, Attribution},
};
use args::{Command, Secrets};
use database::{Data, Database, Open, add_dev_secrets};
use secrecy::ExposeSecret;
use std::process::ExitCode;

/// How long hashing is measured.
const MEASURE_TIME: std::time::Duration = std::time::Duration::from_secs(3);

/// Makes the secrets of the settings those of the database, with a row in the audit log.
async fn accept_secrets(data: &Data) -> Result<(), BoxError> {
    let mut settings = app::settings(&[])?;
    let database = Database::open(data, &settings, Open::Existing).await?;
    add_dev_secrets(&mut settings, &database.folder)?;
    let (pool, by) = (database.current(&settings).await?, Attribution::new(shell::user(), None));
    ops::setup::accept_secrets(&pool, &by, &settings.secrets).await.map_err(jobs::sentence)?;
    println!("the database's secrets are those of these settings now");
    Ok(())
}

/// Does what the command line says.
///
/// # Errors
/// The reason why the command failed, as a sentence.
pub async fn run(cli: Cli) -> Result<ExitCode, BoxError> {
    app::forbid_core_dumps()?;
    match cli.command.unwrap_or(Command::Dev(cli.dev)) {
        Command::Dev(args) => dev::dev(args).await?,
        Command::Migrate(args) => args.run().await?,
        Command::Doctor(args) => return doctor::run(args).await,
        Command::Audit(audit) => return audit::run(audit).await,
        Command::Network(files) => return files.run().await,
        Command::Roles(args) => roles::run(args).await?,
        Command::Verify(args) => return verify::verify(args).await,
        Command::RestoreCheck(args) => return restore::run(args).await,
        Command::Trips(trips) => trips.run().await?,
        Command::Operators(operators) => operators::run(operators).await?,
        Command::Riders(riders) => riders.run().await?,
        Command::Jobs(jobs) => {
            let settings = app::settings(&[])?;
            let database = Database::open(jobs.data(), &settings, Open::Existing).await?;
            jobs.run(&database.current(&settings).await?).await?;
        }
        Command::Orders(orders) => {
            let settings = app::settings(&[])?;
            let database = Database::open(orders.data(), &settings, Open::Existing).await?;
            orders.run(&database.current(&settings).await?, &settings).await?;
        }
        Command::Queues(queues) => {
            let settings = app::settings(&[])?;
            let database = Database::open(queues.data(), &settings, Open::Existing).await?;
            queues.run(&database.current(&settings).await?).await?;
        }
        Command::Hashes => measure_hashes().await?,
        Command::Url(data) => {
            let database = Database::open(&data, &app::settings(&[])?, Open::Existing).await?;
            println!("{}", database.url.expose_secret());
        }
        Command::Secrets(Secrets::Accept(data)) => accept_secrets(&data).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Hashes passwords as the settings say, by one client and by as many as may hash at once, and
/// prints the rates.
async fn measure_hashes() -> Result<(), BoxError> {
    let settings = app::settings(&[])?;
    let cost = &settings.passwords;
    // Riders' sign-ins would leave one hash to others.
    let passwords = Passwords::new(b"a pepper to measure with", *cost)?.in_queue(HashQueue::Payments);
    println!("Argon2id, {} KiB, {} passes, {} at once:", cost.memory_kib, cost.passes, cost.parallel);
    for clients in [1, cost.parallel] {
        let (rate, wait) = passwords.measure(clients, MEASURE_TIME).await?;
        println!("{clients} at once: {rate:.1} a second, {:.1} ms each", wait.as_secs_f64() * 1e3);
    }
    Ok(())
}
