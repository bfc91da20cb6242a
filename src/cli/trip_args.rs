//! The arguments of `farebox trips …`.

use super::{
    database::Data,
    job_args::{Reason, Shown},
};
use crate::{
    domain::{Id, RiderMessage},
    trips,
};
use clap::{Args, Subcommand};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Trips {
    #[command(subcommand)]
    pub(super) act: Option<TripAct>,
    #[command(flatten)]
    pub(super) make: MakeTrips,
}

#[derive(Args)]
pub(crate) struct MakeTrips {
    #[command(flatten)]
    pub(super) data: Data,
    /// From today on, in the timetable's zone.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=i64::from(trips::MAX_DAYS)))]
    pub(super) days: u16,
}

#[derive(Subcommand)]
pub(crate) enum TripAct {
    /// A trip, what cancelling it would end, and what riders would read.
    Show(OneTrip),
    /// Cancel a trip: its orders end, and what was paid is given back.
    Cancel(CancelTrip),
}

#[derive(Args)]
pub(crate) struct OneTrip {
    #[command(flatten)]
    pub(super) shown: Shown,
    pub(super) id: Id,
    /// What riders read of a cancelled trip, 1 to 200 characters; they never read the reason.
    #[arg(long)]
    pub(super) message: Option<RiderMessage>,
}

#[derive(Args)]
pub(crate) struct CancelTrip {
    #[command(flatten)]
    pub(super) one: OneTrip,
    #[command(flatten)]
    pub(super) why: Reason,
}

impl TripAct {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::Show(one) => &one.shown.data,
            Self::Cancel(cancel) => &cancel.one.shown.data,
        }
    }
}
