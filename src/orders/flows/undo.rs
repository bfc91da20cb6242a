//! What became of the undo of a step, from its job.

use chrono::{DateTime, TimeDelta, Utc};
use farebox_jobs::{MqTag, queue::admin::JobView};
use uuid::Uuid;

/// What became of the undo of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Undo {
    /// There is none: the step changed nothing, or the flow went on and needs it no more.
    NotNeeded,
    /// It runs at this time if the flow has not ended by then.
    Armed(UndoJob),
    /// It is due, or was put off.
    Waiting(UndoJob),
    /// It failed, and is tried again.
    Retrying(UndoJob),
    /// It runs.
    Running(UndoJob),
    /// It gave up; an operator has to look at it.
    Dead(UndoJob),
    /// An operator cancelled or discarded it.
    Cancelled(UndoJob),
    /// It is done. Absent a job, another way undid the step: the request itself, or a booking of the
    /// same seats.
    Done {
        /// When.
        at: DateTime<Utc>,
        /// The job that did it.
        job: Option<UndoJob>,
    },
    /// It ran, and there was nothing to undo.
    NothingToUndo(UndoJob),
}

/// The job of an undo.
#[derive(Clone, Debug, PartialEq)]
pub struct UndoJob {
    /// Its id.
    pub id: Uuid,
    /// Its tag. The undo of a later step undoes the earlier ones, too.
    pub tag: String,
    /// How many of its attempts failed since it was enqueued or redriven.
    pub failures: i32,
    /// When it runs, runs since, or ended.
    pub at: DateTime<Utc>,
    /// How long its last attempt took, of a job that is done.
    pub took: Option<TimeDelta>,
    /// The last error, unless it is done.
    pub error: Option<String>,
    /// What the job said when it ended.
    pub note: Option<String>,
}

/// How the notes of undos begin that changed nothing.
const NOTHING: [&str; 5] =
    ["nothing to ", "barred; ", "refused: ", "the order was closed already", "refunded already"];

impl Undo {
    /// The state of this job. An undo that no failure raised is only armed.
    pub(super) fn of(job: &JobView, raised: bool) -> Self {
        let is_done = job.state == "done";
        let at = match job.state.as_str() {
            "running" => job.started_at,
            _ => job.ended_at,
        };
        let at = at.unwrap_or(job.run_at);
        let undo = UndoJob {
            id: job.id,
            tag: job.tag.clone(),
            failures: job.failures(),
            at,
            took: job.started_at.filter(|_| is_done).map(|began| (at - began).max(TimeDelta::zero())),
            error: job.last_error().filter(|_| !is_done).map(str::to_owned),
            note: job.note.clone(),
        };
        match job.state.as_str() {
            "delayed" if !raised && undo.failures == 0 && undo.error.is_none() => Self::Armed(undo),
            "retrying" => Self::Retrying(undo),
            "running" => Self::Running(undo),
            "dead" => Self::Dead(undo),
            "cancelled" => Self::Cancelled(undo),
            "done" if undo.note.as_deref().is_some_and(changed_nothing) => Self::NothingToUndo(undo),
            "done" => Self::Done { at, job: Some(undo) },
            _ => Self::Waiting(undo),
        }
    }

    /// The job, if there is one.
    pub fn job(&self) -> Option<&UndoJob> {
        match self {
            Self::NotNeeded => None,
            Self::Armed(job)
            | Self::Waiting(job)
            | Self::Retrying(job)
            | Self::Running(job)
            | Self::Dead(job)
            | Self::Cancelled(job)
            | Self::NothingToUndo(job) => Some(job),
            Self::Done { job, .. } => job.as_ref(),
        }
    }

    /// Whether it is the job of another step that undoes this one.
    pub fn is_by_another(&self, step: MqTag) -> bool {
        self.job().is_some_and(|job| job.tag != step.wire())
    }
}

/// Whether a done undo says that it changed nothing.
fn changed_nothing(note: &str) -> bool {
    NOTHING.iter().any(|begin| note.starts_with(begin))
}
