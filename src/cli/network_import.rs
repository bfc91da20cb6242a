//! `farebox network import` and `export`: the network of the database.

use super::{
    database::{Data, Database, Open},
    network_imports, shell,
};
use crate::{
    app,
    domain::{BoxError, Money},
    network::{Faults, Network, read, write},
    ops::{self, Attribution},
    storage,
    trips::network::{self as database_network, Effect, ImportError, Kind, Lost, Preview},
};
use chrono::NaiveDate;
use clap::Args;
use rust_decimal::Decimal;
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Most names of departures in one line.
const MAX_NAMED: usize = 50;
/// Most trips that are listed one by one.
const MAX_TRIPS: usize = 1_000;
/// Most orders without a place that are listed of one trip.
const MAX_LOST: usize = 400;
/// The longest wait for workers, seconds.
const MAX_WAIT_SECS: i64 = 3_600;

#[derive(Args)]
pub(super) struct Import {
    #[command(flatten)]
    data: Data,
    /// The folder or zip.
    #[arg(value_name = "FOLDER|ZIP")]
    path: PathBuf,
    /// Apply the import whose preview has this digest.
    #[arg(long, value_name = "DIGEST")]
    preview: Option<String>,
    /// Why, for the history of trips and orders that change.
    #[arg(long, value_name = "TEXT", requires = "preview")]
    reason: Option<String>,
    /// How many seconds to wait for workers to move and refund riders.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(..=MAX_WAIT_SECS))]
    wait: u16,
}

#[derive(Args)]
pub(super) struct Export {
    #[command(flatten)]
    data: Data,
    /// The folder that is made.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

impl Import {
    /// Prints the preview, or applies the import. The exit code is 1 if it is refused.
    pub(super) async fn run(self) -> Result<ExitCode, BoxError> {
        let Self { data, path, preview: digest, reason, wait } = self;
        let reason = reason
            .as_deref()
            .map(ops::checked)
            .transpose()
            .map_err(|error| format!("--reason: {}", error.rule))?;
        // Reading and checking block.
        let network = match tokio::task::spawn_blocking(move || checked(&path)).await? {
            Ok(network) => network,
            Err(faults) => {
                eprint!("{faults}");
                return Ok(ExitCode::FAILURE);
            }
        };
        let settings = app::settings(&[])?;
        let database = Database::open(&data, &settings, Open::Existing).await?;
        let pool = database.current(&settings).await?;
        settings.wallets.check(network.currency)?;
        let mut tx = storage::begin(&pool).await?;
        let imported = match &digest {
            None => database_network::preview(&mut tx, &network).await,
            Some(digest) => {
                let by = Attribution::new(shell::user(), reason);
                ops::networks::import(&mut tx, &by, &network, digest).await
            }
        };
        let preview = match imported {
            Ok(preview) => preview,
            Err(ImportError::Database(error)) => return Err(error.into()),
            Err(refused) => {
                eprintln!("{refused}");
                return Ok(ExitCode::FAILURE);
            }
        };
        println!("{}", summary(&network));
        print(&preview);
        if digest.is_some() && preview.changes {
            tx.commit().await?;
            println!("imported; workers make the trips that are missing");
        } else if digest.is_some() && preview.import.is_some() {
            println!("this preview was imported before: nothing to change");
        } else if preview.changes {
            println!("nothing was changed; to apply it: --preview {}", preview.digest);
        } else {
            println!("the database has this network: nothing to change");
        }
        if let Some(import) = preview.import {
            network_imports::wait(&pool, import, Duration::from_secs(wait.into())).await?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Export {
    /// Writes the database's network as a folder.
    pub(super) async fn run(self) -> Result<ExitCode, BoxError> {
        let settings = app::settings(&[])?;
        let database = Database::open(&self.data, &settings, Open::Existing).await?;
        let pool = database.current(&settings).await?;
        let network = database_network::load(&mut *pool.acquire().await?).await?;
        let network = network.ok_or("the database has no network: none was imported")?;
        write::to_folder(&network, &self.to)?;
        println!("{}", summary(&network));
        Ok(ExitCode::SUCCESS)
    }
}

/// Today in the network's zone.
pub(super) fn today(network: &Network) -> NaiveDate {
    today_in(network.zone)
}

pub(super) fn today_in(zone: chrono_tz::Tz) -> NaiveDate {
    chrono::Utc::now().with_timezone(&zone).date_naive()
}

pub(super) fn summary(network: &Network) -> String {
    format!(
        "{}: {} stops, {} routes, {} buses, {} calendars, {} departures, {} fares in {}",
        network.name,
        network.stops.len(),
        network.routes.len(),
        network.buses.len(),
        network.calendars.len(),
        network.departures.len(),
        network.fares.len(),
        network.currency,
    )
}

/// Reads a network, and checks the trips of as many days as trips are ever made ahead.
fn checked(path: &std::path::Path) -> Result<Network, Faults> {
    ops::networks::uploads::checked(read(path))
}

fn print(preview: &Preview) {
    let difference = &preview.difference;
    if !difference.head.is_empty() {
        println!("network: {} changed", difference.head.join(", "));
    }
    let changed = difference.changed.iter().map(|(code, what)| format!("{code} ({})", what.join(", ")));
    list("added", &difference.added);
    list("changed", &changed.collect::<Vec<_>>());
    list("ended", &difference.ended);
    for (part, [added, changed, ended]) in &difference.parts {
        println!("{part}: {added} added, {changed} changed, {ended} ended");
    }
    let kinds = [
        (Kind::Ends, "end"),
        (Kind::Changes, "change"),
        (Kind::Returns, "run after all"),
        (Kind::Price, "have another price for what is not sold yet"),
        (Kind::Stays, "are extra and stay, though their bus changes"),
    ];
    for (kind, what) in kinds {
        let count = preview.count(kind);
        if count > 0 {
            println!("trips that {what}: {count}");
        }
    }
    let stays = preview.effects.iter().filter(|effect| effect.kind == Kind::Stays);
    stays.take(MAX_TRIPS).for_each(|effect| println!("  {}", line(effect)));
    let riders: Vec<&Effect> = preview.riders().collect();
    if riders.is_empty() {
        return;
    }
    println!("riders have seats of {} of them:", riders.len());
    for trip in riders.iter().take(MAX_TRIPS) {
        println!("  {}", line(trip));
        trip.lost.iter().take(MAX_LOST).for_each(|lost| println!("    {}", line_of_lost(lost)));
    }
    let sum = |part: fn(&Effect) -> i64| riders.iter().map(|trip| part(trip)).sum::<i64>();
    let money = Money::from_database(riders.iter().map(|trip| trip.sold.money).sum());
    println!("  in all {} seats sold, {} held, {money} paid", sum(|t| t.sold.seats), sum(|t| t.sold.held));
    let back: Decimal = riders.iter().map(|trip| trip.refunded().decimal()).sum();
    let back = Money::from_database(back);
    println!(
        "  {} orders move, {} end; {back} is refunded",
        sum(Effect::orders_moved),
        sum(Effect::orders_ended)
    );
}

/// An order that ends, by its labels first.
fn line_of_lost(Lost { order, rider, seats, is_paid, money }: &Lost) -> String {
    let money = Money::from_database(*money);
    let becomes = if *is_paid { format!("{money} refunded") } else { "closed".to_owned() };
    let rider = rider.as_deref().unwrap_or("a booking under way");
    format!("no place for {}: order {order} of {rider}, {becomes}", seats.join(", "))
}

fn list(what: &str, departures: &[String]) {
    if departures.is_empty() {
        return;
    }
    let named = departures.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = departures.len().saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(", and {more} others") } else { String::new() };
    println!("departures {what}: {}: {named}{more}", departures.len());
}

/// A trip that riders have seats of.
fn line(effect: &Effect) -> String {
    let Effect { trip, kind, sold, .. } = effect;
    let what = match kind {
        Kind::Ends => "ends".to_owned(),
        _ => effect.changes().collect::<Vec<_>>().join(", "),
    };
    format!(
        "{trip}, {}: {what}; {} seats sold, {} held, {} riders, {} paid",
        effect.name(),
        sold.seats,
        sold.held,
        sold.riders,
        Money::from_database(sold.money)
    )
}
