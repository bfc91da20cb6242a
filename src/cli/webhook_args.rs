//! The arguments of `farebox webhooks …`.

use super::{
    database::Data,
    job_args::{Reason, Shown},
};
use crate::{
    domain::{Id, Instant},
    webhooks::DeliveryState,
};
use clap::{Args, Subcommand};
use farebox_jobs::EventKind;

#[derive(Subcommand)]
pub(crate) enum Webhooks {
    /// Where events are sent to, and how the receivers stand.
    List(Shown),
    /// Add a webhook.
    Add(Add),
    /// Change name, address or kinds of a webhook.
    Change(Change),
    /// Enable a webhook; what waits for it is sent.
    Enable(Act),
    /// Disable a webhook: nothing is sent, nothing is added.
    Disable(Act),
    /// Give a webhook another secret; the old one signs for a day too.
    Rotate(Act),
    /// Remove a webhook.
    Remove(Act),
    /// Print the secret that signs; each time is recorded.
    Secret(Act),
    /// What a webhook was sent, newest first.
    Deliveries(Deliveries),
    /// Send an event again, or what was given up.
    Redeliver(Redeliver),
}

#[derive(Args)]
pub(crate) struct Add {
    #[command(flatten)]
    pub(super) shown: Shown,
    #[command(flatten)]
    pub(super) why: Reason,
    /// What operators call it.
    #[arg(long)]
    pub(super) name: String,
    /// Where events are sent to.
    #[arg(long)]
    pub(super) url: String,
    /// The kinds of events, separated by commas; all of them if left out.
    #[arg(long, value_delimiter = ',')]
    pub(super) kinds: Vec<EventKind>,
}

#[derive(Args)]
pub(crate) struct Change {
    #[command(flatten)]
    pub(super) act: Act,
    /// What operators call it.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Where events are sent to.
    #[arg(long)]
    pub(super) url: Option<String>,
    /// The kinds of events, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub(super) kinds: Option<Vec<EventKind>>,
}

#[derive(Args)]
pub(crate) struct Act {
    #[command(flatten)]
    pub(super) shown: Shown,
    #[command(flatten)]
    pub(super) why: Reason,
    pub(super) id: Id,
}

#[derive(Args)]
pub(crate) struct Deliveries {
    #[command(flatten)]
    pub(super) shown: Shown,
    pub(super) id: Id,
    /// Only in this state: pending, delivered or failed.
    #[arg(long)]
    pub(super) state: Option<DeliveryState>,
    /// Most of them.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) limit: u16,
}

#[derive(Args)]
pub(crate) struct Redeliver {
    #[command(flatten)]
    pub(super) act: Act,
    /// This event alone; without it all that were given up, at most 1,000.
    #[arg(long, conflicts_with = "since")]
    pub(super) event: Option<String>,
    /// Only those that were written down since then.
    #[arg(long)]
    pub(super) since: Option<Instant>,
}

impl Webhooks {
    pub(crate) fn data(&self) -> &Data {
        match self {
            Self::List(shown) => &shown.data,
            Self::Add(add) => &add.shown.data,
            Self::Change(change) => &change.act.shown.data,
            Self::Enable(act)
            | Self::Disable(act)
            | Self::Rotate(act)
            | Self::Remove(act)
            | Self::Secret(act) => &act.shown.data,
            Self::Deliveries(deliveries) => &deliveries.shown.data,
            Self::Redeliver(redeliver) => &redeliver.act.shown.data,
        }
    }
}
