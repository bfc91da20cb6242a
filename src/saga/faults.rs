//! The original's hand-made "simulated system exception", as a switch: `<tag>.<before|after>=<action>`, or
//! `undo.<tag>.<before|after>=<action>` inside undo jobs. Several are separated by commas.

use farebox_jobs::MqTag;
use std::{str::FromStr, sync::Arc, time::Duration};

/// Longest `sleep:MS` and `block:MS`, so that a fault never outlives a request by much.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Which side of the step's (or undo's) commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// Before anything is written.
    Before,
    /// After the commit.
    After,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Error,
    Panic,
    Abort,
    Sleep(Duration),
    /// Sleeps without giving up its thread, as a handler does that computes or calls something blocking.
    Block(Duration),
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    undo: bool,
    tag: MqTag,
    moment: FaultPoint,
    action: Action,
}

/// The faults that are armed; none by default.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<[Fault]>);

/// The fault's text does not read as one.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no fault: write [undo.]<tag>.<before|after>=<error|panic|abort|sleep:MS|block:MS>")]
pub struct FaultSyntax(String);

#[derive(Debug, thiserror::Error)]
#[error("simulated system exception {moment:?} {tag}")]
struct Simulated {
    tag: MqTag,
    moment: FaultPoint,
}

impl Faults {
    /// These faults and those.
    pub fn and(&self, more: &Self) -> Self {
        Self(self.0.iter().chain(more.0.iter()).copied().collect())
    }

    /// Whether nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Strikes if a fault is armed here in a step.
    ///
    /// # Errors
    /// The simulated exception.
    pub async fn in_step(&self, tag: MqTag, moment: FaultPoint) -> Result<(), crate::domain::BoxError> {
        self.strike(false, tag, moment).await
    }

    /// Strikes if a fault is armed here in an undo.
    ///
    /// # Errors
    /// The simulated exception.
    pub async fn in_undo(&self, tag: MqTag, moment: FaultPoint) -> Result<(), crate::domain::BoxError> {
        self.strike(true, tag, moment).await
    }

    async fn strike(
        &self,
        undo: bool,
        tag: MqTag,
        moment: FaultPoint,
    ) -> Result<(), crate::domain::BoxError> {
        let here = |f: &&Fault| f.undo == undo && f.tag == tag && f.moment == moment;
        for fault in self.0.iter().filter(here) {
            match fault.action {
                Action::Error => return Err(Box::new(Simulated { tag, moment })),
                #[allow(clippy::panic, reason = "the fault is a panic")]
                Action::Panic => panic!("simulated panic {moment:?} {tag}"),
                Action::Abort => std::process::abort(),
                Action::Sleep(time) => tokio::time::sleep(time).await,
                #[expect(clippy::disallowed_methods, reason = "the fault is a thread that stands still")]
                Action::Block(time) => std::thread::sleep(time),
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
    let (point, action) = text.split_once('=')?;
    let (point, moment) = point.rsplit_once('.')?;
    let (undo, tag) = point.strip_prefix("undo.").map_or((false, point), |tag| (true, tag));
    Some(Fault {
        undo,
        tag: tag.parse().ok()?,
        moment: match moment {
            "before" => FaultPoint::Before,
            "after" => FaultPoint::After,
            _ => return None,
        },
        action: match action.split_once(':') {
            None if action == "error" => Action::Error,
            None if action == "panic" => Action::Panic,
            None if action == "abort" => Action::Abort,
            Some(("sleep", ms)) => Action::Sleep(time(ms)?),
            Some(("block", ms)) => Action::Block(time(ms)?),
            _ => return None,
        },
    })
}

fn time(ms: &str) -> Option<Duration> {
    Some(Duration::from_millis(ms.parse().ok()?)).filter(|time| *time <= LONGEST_SLEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_nonsense_is_refused() {
        let two = "order_add_cancle.after=abort, undo.pay_cancle.before=block:20".parse::<Faults>();
        assert_eq!(two.expect("two faults").0.len(), 2);
        for bad in ["x", "order_add.after=abort", "pay_cancle.during=error", "pay_cancle.after=sleep:9999999"]
        {
            assert!(bad.parse::<Faults>().is_err(), "{bad:?} was taken for a fault");
        }
    }
}
