//! `farebox network`: the operator's network as files, and in the database.

use super::{
    network_import::{Export, Import, summary, today, today_in},
    network_imports::Imports,
};
use crate::{
    domain::BoxError,
    network::{
        Faults, Read,
        check::{self, Window},
        gtfs::{self, Converted, Mapping},
        read, write,
    },
};
use chrono::NaiveDate;
use clap::{Args, Subcommand};
use std::{path::PathBuf, process::ExitCode};

#[derive(Subcommand)]
pub(super) enum Files {
    /// Check a network's folder or zip: its files, and the trips of the coming days.
    Check(Check),
    /// Preview the import of a folder or zip into the database, or apply it.
    Import(Import),
    /// List the imports that were applied, and how far their jobs are.
    Imports(Imports),
    /// Make a folder of the database's network.
    Export(Export),
    /// Make a network's folder of what a mapping file sells of a GTFS feed.
    FromGtfs(FromGtfs),
    /// Make a GTFS feed of a network's folder or zip.
    ToGtfs(ToGtfs),
}

#[derive(Args)]
pub(super) struct Check {
    /// The folder or zip.
    #[arg(value_name = "FOLDER|ZIP")]
    path: PathBuf,
    /// The first service day that is checked; today in the network's zone if it is not given.
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    /// The number of days that are checked.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=i64::from(crate::network::bounds::MAX_CHECK_DAYS)))]
    days: u16,
}

#[derive(Args)]
pub(super) struct FromGtfs {
    /// The feed: a folder or a zip.
    #[arg(value_name = "FEED")]
    feed: PathBuf,
    /// The mapping file.
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    /// The folder that is made.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// The first service day that is not past, after dates are shifted; today in the network's zone
    /// if it is not given.
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    /// Take what can be used of a feed that has faults.
    #[arg(long)]
    usable: bool,
}

#[derive(Args)]
pub(super) struct ToGtfs {
    /// The network's folder or zip.
    #[arg(value_name = "FOLDER|ZIP")]
    path: PathBuf,
    /// The zip that is made.
    #[arg(long, value_name = "ZIP")]
    to: PathBuf,
    /// The service day whose fares are written; today in the network's zone if it is not given.
    #[arg(long, value_name = "DATE")]
    on: Option<NaiveDate>,
}

impl Files {
    /// Runs the command. Faults are printed to standard error, and the exit code is 1 then.
    pub(super) async fn run(self) -> Result<ExitCode, BoxError> {
        // Reading and converting block.
        let run = match self {
            Self::Import(args) => return args.run().await,
            Self::Imports(args) => return args.run().await,
            Self::Export(args) => return args.run().await,
            Self::Check(args) => tokio::task::spawn_blocking(move || args.run()),
            Self::FromGtfs(args) => tokio::task::spawn_blocking(move || args.run()),
            Self::ToGtfs(args) => tokio::task::spawn_blocking(move || args.run()),
        };
        match run.await? {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(Refused::Faults(faults)) => {
                eprint!("{faults}");
                Ok(ExitCode::FAILURE)
            }
            Err(Refused::System(error)) => Err(error.into()),
        }
    }
}

/// Why a command did nothing.
enum Refused {
    Faults(Faults),
    System(std::io::Error),
}

impl From<Faults> for Refused {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Self {
        Self::System(error)
    }
}

impl Check {
    fn run(self) -> Result<(), Refused> {
        let Read { network, lines } = read(&self.path)?;
        let window = Window { first: self.from.unwrap_or_else(|| today(&network)), days: self.days };
        let checked = check::check(&network, &lines, window);
        println!("{}", summary(&network));
        println!("{} trips in {} days from {}", checked.trips, window.days, window.first);
        if checked.faults.is_empty() { Ok(()) } else { Err(checked.faults.into()) }
    }
}

impl FromGtfs {
    fn run(self) -> Result<(), Refused> {
        let mapping = Mapping::read(&self.mapping)?;
        let today = |zone| self.from.unwrap_or_else(|| today_in(zone));
        let converted = gtfs::convert(&self.feed, &mapping, today)?;
        let left_out = left_out(&converted);
        let Converted { network, faults, .. } = converted;
        if !faults.is_empty() {
            eprint!("{faults}");
            if !self.usable {
                let departures = network.departures.len();
                eprintln!(
                    "nothing was written; {departures} departures can be used: --usable takes them ({left_out})"
                );
                return Err(Faults::default().into());
            }
        }
        write::to_folder(&network, &self.to)?;
        println!("{}", summary(&network));
        println!("{left_out}");
        Ok(())
    }
}

/// How many trips are sold and left out; and departures of trips that run every so often.
fn left_out(converted: &Converted) -> String {
    let Converted { sold_trips, trips_left_out, departures_left_out, .. } = converted;
    let mut text = format!("{sold_trips} trips of the feed are sold, {trips_left_out} left out");
    if *departures_left_out > 0 {
        text.push_str(&format!("; {departures_left_out} departures of the other trips are left out"));
    }
    text
}

impl ToGtfs {
    fn run(self) -> Result<(), Refused> {
        let Read { network, .. } = read(&self.path)?;
        let files = gtfs::write::files(&network, self.on.unwrap_or_else(|| today(&network)))?;
        gtfs::write::to_zip(&files, &self.to)?;
        println!("{}", summary(&network));
        println!("{} files in {}", files.len(), self.to.display());
        Ok(())
    }
}
