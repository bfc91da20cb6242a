//! The arguments of `farebox orders …`.

use super::job_args::{Reason, Shown};
use crate::domain::OrderId;
use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum Orders {
    /// An order, what is owed, and what can be done to it now.
    Show(OneOrder),
    /// Close an unpaid order and free its seats.
    Close(ActedOrder),
    /// Refund a paid order, by its rules or as an exception; beyond `wallets.approval_above` two operators
    /// do it in the console.
    Refund(Refund),
    /// Redrive the dead letters of an order, with fresh attempts.
    Redrive(ActedOrder),
    /// Write a note on an order.
    Note(Note),
}

#[derive(Args)]
pub(crate) struct OneOrder {
    #[command(flatten)]
    pub(super) shown: Shown,
    pub(super) id: OrderId,
}

#[derive(Args)]
pub(crate) struct ActedOrder {
    #[command(flatten)]
    pub(super) one: OneOrder,
    #[command(flatten)]
    pub(super) why: Reason,
    /// Only if `show` still prints this digest.
    #[arg(long)]
    pub(super) digest: Option<String>,
}

#[derive(Args)]
pub(crate) struct Refund {
    #[command(flatten)]
    pub(super) act: ActedOrder,
    /// Although the time for refunds has ended.
    #[arg(long)]
    pub(super) late: bool,
    /// Keep no fee.
    #[arg(long)]
    pub(super) without_fee: bool,
}

#[derive(Args)]
pub(crate) struct Note {
    #[command(flatten)]
    pub(super) one: OneOrder,
    /// The note, for the order's page and the audit log.
    #[arg(long)]
    pub(super) text: String,
}

impl Orders {
    pub(crate) fn data(&self) -> &super::database::Data {
        match self {
            Self::Show(one) => &one.shown.data,
            Self::Close(act) | Self::Redrive(act) => &act.one.shown.data,
            Self::Refund(refund) => &refund.act.one.shown.data,
            Self::Note(note) => &note.one.shown.data,
        }
    }
}
