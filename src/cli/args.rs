//! The command line of `farebox`.

use super::{
    audit, database::Data, doctor, job_args, migrate, network, operator_args::Operators, order_args, restore,
    roles, trip_args,
};
use crate::settings;
use clap::{Args, Parser, Subcommand};

/// The command line of `farebox`.
#[derive(Parser)]
#[command(
    version,
    about = "Seat booking and wallet payment as sagas over a PostgreSQL queue",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) dev: Dev,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Everything in one process, with demo data (the default).
    Dev(Dev),
    /// Apply the migrations of this build, or print what they would lock.
    Migrate(migrate::Migrate),
    /// Print or apply what the roles of API, worker and reader may do in the database.
    Roles(roles::Roles),
    /// Check settings, secrets, machine, database and workers; exit code 1 if something is to be decided,
    /// 2 if something does not work.
    Doctor(doctor::Doctor),
    /// Check every invariant; exit code 1 on a breach.
    Verify(Verify),
    /// After a restore to a moment of the past: check every invariant, and list what is left to do. Exit
    /// code 3 if an invariant is broken, 4 if something is left to do.
    RestoreCheck(restore::RestoreCheck),
    /// Make the trips of the coming days from the timetable; show a trip, cancel it.
    Trips(trip_args::Trips),
    /// The operator's network: check its files, import and export it, make it of a GTFS feed.
    #[command(subcommand)]
    Network(network::Files),
    /// Copies of the audit log and the histories, with their chain of digests.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Accounts of the operations side.
    #[command(subcommand)]
    Operators(Operators),
    /// What is held of a rider: export it, or forget the rider.
    #[command(subcommand)]
    Riders(Riders),
    /// Show an order, and act upon it.
    #[command(subcommand)]
    Orders(order_args::Orders),
    /// List jobs, and act upon one.
    #[command(subcommand)]
    Jobs(job_args::Jobs),
    /// List tags; pause, resume or drain one.
    #[command(subcommand)]
    Queues(job_args::Queues),
    /// Measure how long hashing a password takes on this machine: it bounds sign-ins and payments
    /// per second.
    Hashes,
    /// Token keys and peppers.
    #[command(subcommand)]
    Secrets(Secrets),
    /// Print the database's URL.
    Url(Data),
}

#[derive(Args)]
pub(super) struct Dev {
    #[command(flatten)]
    pub(super) data: Data,
    /// The port on 127.0.0.1.
    #[arg(long)]
    pub(super) port: Option<u16>,
    /// How long an unpaid order holds its seats, seconds.
    #[arg(long, value_name = "SECONDS", value_parser = settings::hold_secs)]
    pub(super) hold: Option<f64>,
    /// Start from an empty database (of the embedded server only).
    #[arg(long)]
    pub(super) fresh: bool,
    /// Add demo data to the empty database that DATABASE_URL names: accounts whose passwords are
    /// published, and wallets with money.
    #[arg(long)]
    pub(super) demo_data: bool,
}

#[derive(Subcommand)]
pub(super) enum Secrets {
    /// Use the secrets of these settings with a database that others were used with. What the
    /// others signed and hashed is void, unless they are among the old ones.
    Accept(Data),
}

#[derive(Args)]
pub(super) struct Verify {
    #[command(flatten)]
    pub(super) data: Data,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Only orders and payments of this many last hours, without the sums over all wallets.
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) recent: Option<u16>,
}

#[derive(Subcommand)]
pub(super) enum Riders {
    /// Print all that is held of an account, as JSON.
    Export(AboutRider),
    /// Erase name, contacts and comments, and end its sessions. Refused while the wallet holds money
    /// or orders are open. It cannot be taken back.
    Forget(AboutRider),
}

#[derive(Args)]
pub(super) struct AboutRider {
    #[command(flatten)]
    pub(super) data: Data,
    /// The account's id or user name.
    #[arg(value_name = "USER")]
    pub(super) user: String,
    /// Why; kept in the audit log.
    #[arg(long)]
    pub(super) reason: String,
}
