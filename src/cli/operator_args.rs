//! The arguments of `farebox operators …`.

use super::database::Data;
use crate::accounts::Role;
use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum Operators {
    /// The accounts of the operations side.
    List(List),
    /// Add an account. The password is read from FAREBOX_OPERATOR_PASSWORD, else from the terminal
    /// or standard input; it is never an argument, which every user of the machine could read.
    Add(NewOperator),
    /// Switch an account off, a rider's too: its sessions end everywhere within a second.
    Disable(Acted),
    /// Switch an account on.
    Enable(Acted),
    /// Give an account another role.
    Role(NewRole),
    /// Print a one-time code with which the owner sets a new password; the old one ends now, and so
    /// do the sessions.
    Reset(ResetAccount),
    /// End every session of an account.
    Sessions(Acted),
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(super) data: Data,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(crate) struct Acted {
    #[command(flatten)]
    pub(super) data: Data,
    /// The account's name for signing in.
    pub(super) name: String,
    /// Why, for the audit log.
    #[arg(long)]
    pub(super) reason: Option<String>,
}

#[derive(Args)]
pub(crate) struct NewRole {
    #[command(flatten)]
    pub(super) acted: Acted,
    /// rider, viewer, operator or admin.
    pub(super) role: Role,
}

#[derive(Args)]
pub(crate) struct ResetAccount {
    #[command(flatten)]
    pub(super) acted: Acted,
    /// Remove the second factor too: its device is lost.
    #[arg(long)]
    pub(super) second_factor: bool,
}

impl Operators {
    pub(super) fn data(&self) -> &Data {
        match self {
            Self::List(list) => &list.data,
            Self::Add(new) => &new.data,
            Self::Disable(acted) | Self::Enable(acted) | Self::Sessions(acted) => &acted.data,
            Self::Role(new) => &new.acted.data,
            Self::Reset(reset) => &reset.acted.data,
        }
    }
}

#[derive(Args)]
pub(super) struct NewOperator {
    #[command(flatten)]
    pub(super) data: Data,
    /// The name for signing in.
    #[arg(
        long = "user-name",
        value_name = "NAME",
        required_unless_present = "name",
        conflicts_with = "name"
    )]
    pub(super) user_name: Option<String>,
    /// The same, without the option's name.
    pub(super) name: Option<String>,
    /// viewer, operator or admin.
    #[arg(long, default_value = "operator")]
    pub(super) role: String,
}
