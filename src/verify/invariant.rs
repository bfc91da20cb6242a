//! What an invariant is.

use super::Level;
use crate::domain::Localized;

/// A statement about the whole database that must hold.
///
/// Parameters of its query: `$2` are the tags of all jobs. `$3` is the oldest order or payment to
/// check (ids are UUIDv7, so they are ordered by time), the nil id for all. `$4` is the time of
/// `$3`, which leaves out trips that had departed, jobs that had ended and keys that had been
/// reserved by then: seats and stored responses have no index by order. `$5` is how long an undo
/// may be due, seconds, `$6` are the tags of undos, and `$7` is for how long nothing ran, seconds.
pub(super) struct Invariant {
    /// Its name in responses, metrics and documents.
    pub(super) name: &'static str,
    /// What it says.
    pub(super) sentence: &'static str,
    /// How bad a breach is.
    pub(super) level: Level,
    /// A breach in one place.
    pub(super) breach_one: &'static str,
    /// A breach in `{n}` places.
    pub(super) breach_many: &'static str,
    /// A breach in any number of places, in Chinese.
    pub(super) breach_zh: &'static str,
    /// The ids where it does not hold.
    pub(super) query: &'static str,
}

impl Invariant {
    /// What a breach in `count` places means.
    pub(super) fn breach(&self, count: i64) -> Localized {
        let en = if count == 1 { self.breach_one } else { self.breach_many };
        let text = |template: &str| template.replace("{n}", &count.to_string());
        Localized::new(text(en), text(self.breach_zh))
    }
}
