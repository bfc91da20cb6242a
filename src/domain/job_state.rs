//! The states of a job.

use serde::Serialize;
use std::str::FromStr;

/// Where a job is in its life, as the queue's views name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Due, and waits for a worker.
    Ready,
    /// Not yet due.
    Delayed,
    /// Failed, and waits for its next attempt.
    Retrying,
    /// An attempt runs.
    Running,
    /// Completed.
    Done,
    /// A dead letter: it has given up.
    Dead,
    /// Cancelled by an operator.
    Cancelled,
}

impl JobState {
    /// All.
    pub const ALL: [Self; 7] =
        [Self::Ready, Self::Delayed, Self::Retrying, Self::Running, Self::Done, Self::Dead, Self::Cancelled];

    /// The word for it in the queue's views.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Delayed => "delayed",
            Self::Retrying => "retrying",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the job has neither ended nor given up.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Ready | Self::Delayed | Self::Retrying | Self::Running)
    }
}

impl FromStr for JobState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let state = Self::ALL.into_iter().find(|state| state.as_str() == text);
        state.ok_or_else(|| format!("unknown job state {text:?}"))
    }
}
