//! Who runs a command.

use crate::{embedded, ops::audit::Actor};

/// The user who runs this command, by the real user id: neither the environment nor a program that
/// is found through it can name another. A user id without a name is named by its number.
pub(super) fn user() -> Actor {
    let id = rustix::process::getuid().as_raw();
    Actor::shell(&embedded::user_name(id).unwrap_or_else(|| format!("user id {id}")))
}
