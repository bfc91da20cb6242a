//! The arguments of `farebox jobs …` and `farebox queues …`.

use crate::domain::{Id, Instant, OrderId, RiderId, TripId};
use clap::{Args, Subcommand};
use farebox_jobs::MqTag;

/// Most jobs of a list.
const MAX_LIST: u16 = 1_000;

#[derive(Subcommand)]
pub(crate) enum Jobs {
    /// Jobs, newest first.
    List(List),
    /// One job with its attempts, and what a run would change.
    Show(One),
    /// Make a waiting job due now, or redrive a dead letter.
    Retry(Acted),
    /// Cancel a live job; one that runs is asked to end.
    Cancel(Acted),
    /// Redrive a dead letter, with fresh attempts.
    Redrive(Acted),
    /// Discard a dead letter that owes nothing: it ends as cancelled.
    Discard(Acted),
    /// Snooze a waiting job.
    Snooze(Snooze),
}

#[derive(Subcommand)]
pub(crate) enum Queues {
    /// Every tag with its numbers.
    List(Shown),
    /// Pause a tag: workers claim no more of its jobs.
    Pause(OfTag),
    /// Resume a tag.
    Resume(OfTag),
    /// Pause a tag and wait for its running attempts to end.
    Drain(Drain),
}

#[derive(Args)]
pub(crate) struct Shown {
    #[command(flatten)]
    pub(crate) data: super::database::Data,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(super) shown: Shown,
    /// Of this tag.
    #[arg(long)]
    pub(super) tag: Option<String>,
    /// ready, delayed, retrying (failed, waiting for its next attempt), running, done, dead or
    /// cancelled.
    #[arg(long)]
    pub(super) state: Option<String>,
    /// With this key.
    #[arg(long)]
    pub(super) key: Option<String>,
    /// With this concurrency key.
    #[arg(long)]
    pub(super) serial: Option<String>,
    /// Whose last error has this fingerprint.
    #[arg(long, value_name = "FINGERPRINT")]
    pub(super) error: Option<String>,
    /// About this order.
    #[arg(long)]
    pub(super) order: Option<OrderId>,
    /// About this rider's newest orders.
    #[arg(long)]
    pub(super) rider: Option<RiderId>,
    /// About this trip's orders.
    #[arg(long)]
    pub(super) trip: Option<TripId>,
    /// Enqueued since then (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<Instant>,
    /// Enqueued before then.
    #[arg(long, value_name = "TIME")]
    pub(super) before: Option<Instant>,
    /// With at least this number of failed attempts: of live and dead jobs.
    #[arg(long, value_name = "TIMES")]
    pub(super) failures: Option<i32>,
    /// At most this many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_LIST)))]
    pub(super) limit: u16,
    /// Older than this job.
    #[arg(long, value_name = "ID")]
    pub(super) after: Option<Id>,
}

#[derive(Args)]
pub(crate) struct One {
    #[command(flatten)]
    pub(super) shown: Shown,
    pub(super) id: Id,
}

#[derive(Args)]
pub(crate) struct Reason {
    /// Why, for the audit log.
    #[arg(long)]
    pub(super) reason: String,
}

#[derive(Args)]
pub(crate) struct Acted {
    #[command(flatten)]
    pub(super) one: One,
    #[command(flatten)]
    pub(super) why: Reason,
}

#[derive(Args)]
pub(crate) struct Snooze {
    #[command(flatten)]
    pub(super) one: One,
    #[command(flatten)]
    pub(super) why: Reason,
    /// Until then (RFC 3339).
    #[arg(long, value_name = "TIME", required_unless_present = "secs", conflicts_with = "secs")]
    pub(super) until: Option<Instant>,
    /// For this long, seconds.
    #[arg(long = "for", value_name = "SECONDS", id = "secs", value_parser = clap::value_parser!(u32))]
    pub(super) secs: Option<u32>,
}

#[derive(Args)]
pub(crate) struct OfTag {
    #[command(flatten)]
    pub(super) shown: Shown,
    pub(super) tag: MqTag,
    #[command(flatten)]
    pub(super) why: Reason,
}

#[derive(Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(super) of: OfTag,
    /// How long to wait, seconds.
    #[arg(long, default_value_t = 60)]
    pub(super) wait: u32,
}

impl Jobs {
    pub(crate) fn data(&self) -> &super::database::Data {
        match self {
            Self::List(list) => &list.shown.data,
            Self::Show(one) => &one.shown.data,
            Self::Retry(act) | Self::Cancel(act) | Self::Redrive(act) | Self::Discard(act) => {
                &act.one.shown.data
            }
            Self::Snooze(snooze) => &snooze.one.shown.data,
        }
    }
}

impl Queues {
    pub(crate) fn data(&self) -> &super::database::Data {
        match self {
            Self::List(shown) => &shown.data,
            Self::Pause(of) | Self::Resume(of) | Self::Drain(Drain { of, .. }) => &of.shown.data,
        }
    }
}
