//! The original's "simulated system exception", as a switch: `<tag>.<before|after>=<action>`, or
//! `undo.<tag>.<before|after>=<action>` inside undo jobs. Several are separated by commas.

use crate::domain::BoxError;
use farebox_jobs::MqTag;
use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Longest `sleep:MS` and `block:MS`, so that a fault never outlives a request by much.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Before or after the commit of a step (or undo).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// Before anything is written.
    Before,
    /// After the commit.
    After,
}

#[derive(Clone, Debug)]
enum Action {
    Error,
    /// The error as often as this, and then no more: what fails for a while and comes back.
    Errors(Arc<AtomicU32>),
    Panic,
    Abort,
    Sleep(Duration),
    /// Sleeps without yielding its thread, as a handler does that computes or calls something blocking.
    Block(Duration),
}

#[derive(Clone, Debug)]
struct Fault {
    undo: bool,
    tag: MqTag,
    point: FaultPoint,
    action: Action,
}

/// The faults that are armed; none by default.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<[Fault]>);

/// The text is not a fault.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown fault {0:?}: write [undo.]<tag>.<before|after>=<error[:TIMES]|panic|abort|sleep:MS|block:MS>"
)]
pub struct FaultSyntax(String);

#[derive(Debug, thiserror::Error)]
#[error("simulated system exception {point:?} {tag}")]
struct Simulated {
    tag: MqTag,
    point: FaultPoint,
}

impl Faults {
    /// These faults and `more`.
    pub fn and(&self, more: &Self) -> Self {
        Self(self.0.iter().chain(more.0.iter()).cloned().collect())
    }

    /// Whether nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Injects a fault if one is armed at this point of a step.
    ///
    /// # Errors
    /// The simulated exception.
    pub async fn in_step(&self, tag: MqTag, point: FaultPoint) -> Result<(), BoxError> {
        self.inject(false, tag, point).await
    }

    /// Injects a fault if one is armed at this point of an undo.
    ///
    /// # Errors
    /// The simulated exception.
    pub async fn in_undo(&self, tag: MqTag, point: FaultPoint) -> Result<(), BoxError> {
        self.inject(true, tag, point).await
    }

    async fn inject(&self, undo: bool, tag: MqTag, point: FaultPoint) -> Result<(), BoxError> {
        let here = |f: &&Fault| f.undo == undo && f.tag == tag && f.point == point;
        for fault in self.0.iter().filter(here) {
            match &fault.action {
                Action::Error => return Err(Box::new(Simulated { tag, point })),
                Action::Errors(left) if is_left(left) => return Err(Box::new(Simulated { tag, point })),
                Action::Errors(_) => {}
                #[allow(clippy::panic, reason = "the fault is a panic")]
                Action::Panic => panic!("simulated panic {point:?} {tag}"),
                Action::Abort => std::process::abort(),
                Action::Sleep(time) => tokio::time::sleep(*time).await,
                #[expect(clippy::disallowed_methods, reason = "the fault is a thread that stands still")]
                Action::Block(time) => std::thread::sleep(*time),
            }
        }
        Ok(())
    }
}

impl FromStr for Faults {
    type Err = FaultSyntax;

    fn from_str(text: &str) -> Result<Self, FaultSyntax> {
        text.split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(|one| parse(one).ok_or_else(|| FaultSyntax(one.to_owned())))
            .collect::<Result<Vec<_>, _>>()
            .map(|faults| Self(faults.into()))
    }
}

fn parse(text: &str) -> Option<Fault> {
    let (place, action) = text.split_once('=')?;
    let (place, point) = place.rsplit_once('.')?;
    let (undo, tag) = place.strip_prefix("undo.").map_or((false, place), |tag| (true, tag));
    Some(Fault {
        undo,
        tag: tag.parse().ok()?,
        point: match point {
            "before" => FaultPoint::Before,
            "after" => FaultPoint::After,
            _ => return None,
        },
        action: match action.split_once(':') {
            None if action == "error" => Action::Error,
            None if action == "panic" => Action::Panic,
            None if action == "abort" => Action::Abort,
            Some(("error", times)) => Action::Errors(Arc::new(AtomicU32::new(times.parse().ok()?))),
            Some(("sleep", ms)) => Action::Sleep(time(ms)?),
            Some(("block", ms)) => Action::Block(time(ms)?),
            _ => return None,
        },
    })
}

/// Takes one of the times that are left.
fn is_left(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |times| times.checked_sub(1)).is_ok()
}

fn time(ms: &str) -> Option<Duration> {
    Some(Duration::from_millis(ms.parse().ok()?)).filter(|time| *time <= LONGEST_SLEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_parsed_and_unknown_ones_refused() {
        let two = "order_add_cancle.after=abort, undo.pay_cancle.before=block:20".parse::<Faults>();
        assert_eq!(two.expect("two faults").0.len(), 2);
        for bad in [
            "x",
            "pay_cancle.after=error:",
            "pay_cancle.after=error:x",
            "order_add.after=abort",
            "pay_cancle.during=error",
            "pay_cancle.after=sleep:9999999",
        ] {
            assert!(bad.parse::<Faults>().is_err(), "{bad:?} was parsed as a fault");
        }
    }

    #[tokio::test]
    async fn a_counted_error_ends() {
        let faults: Faults = "undo.pay_cancle.before=error:2".parse().expect("a fault");
        let copy = faults.and(&Faults::default());
        for (nr, fails) in [true, true, false, false].into_iter().enumerate() {
            let faults = if nr == 1 { &copy } else { &faults };
            assert_eq!(faults.in_undo(MqTag::Pay, FaultPoint::Before).await.is_err(), fails, "{nr}");
        }
    }
}
