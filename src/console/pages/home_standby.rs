//! The home page's line on the standby.

use crate::console::{components::span, session::PageContext};
use crate::storage::Replica;
use maud::{Markup, html};

/// Whether this process reads from its standby, and how old its data is.
pub(super) fn standby(context: &PageContext, replica: &Replica) -> Markup {
    html! { p.quiet {
        (context.t("Standby: ", "备用数据库："))
        @match replica.lag() {
            Some(lag) => { (span(context, lag.as_secs_f64())) " " (context.t("behind", "延迟")) }
            None => (context.t("never reached", "从未连通")),
        }
        @if let Some(unread) = replica.unread() { " · " (context.t("lists are read from the primary: ", "列表从主库读取：")) (unread) }
    } }
}
