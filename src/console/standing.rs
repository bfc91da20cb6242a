//! How things stand, in the title and the icon of a browser's tab: it is seen when its page is not.

use super::session::PageContext;
use crate::{http::ICON, ops::overview::HealthLevel};

/// A shape of its own for each state, so that no colour has to tell them apart.
macro_rules! icon {
    ($shape:literal, $colour:literal) => {
        concat!(
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='%23",
            $colour,
            "' d='",
            $shape,
            "'/%3E%3C/svg%3E"
        )
    };
}

const ROUND: &str = icon!("M8 1a7 7 0 1 0 .01 0z", "14683a");
const DIAMOND: &str = icon!("M8 0l8 8-8 8-8-8z", "d9822b");
const CROSS: &str = icon!("M3 0l5 5 5-5 3 3-5 5 5 5-3 3-5-5-5 5-3-3 5-5-5-5z", "a8171f");

/// What the tab of a page shows.
pub(crate) struct Standing {
    /// The whole title.
    pub(crate) title: String,
    /// The address of the icon.
    pub(crate) icon: &'static str,
}

impl Standing {
    /// Of a page with this heading, which tells this state.
    pub(crate) fn of(context: &PageContext, level: HealthLevel, heading: &str) -> Self {
        let (mark, words, icon) = match level {
            HealthLevel::Safe => ("✓", context.t("safe", "安全"), ROUND),
            HealthLevel::Working => ("◔", context.t("working it off", "正在处理"), DIAMOND),
            HealthLevel::NeedsYou => ("!", context.t("needs you", "需要您处理"), CROSS),
            HealthLevel::Corrupt => ("✗", context.t("corrupt", "数据有误"), CROSS),
        };
        Self { title: format!("{mark} {words} · {heading} · Farebox"), icon }
    }

    /// Of a page that tells no state.
    pub(super) fn plain(heading: &str) -> Self {
        Self { title: format!("{heading} · Farebox"), icon: ICON }
    }
}
