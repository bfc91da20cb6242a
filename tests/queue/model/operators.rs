//! What operators do to jobs: cancel, retry and redrive.

use super::{
    bench::Bench,
    life::{Event, State},
    steps::{Pick, picked},
};
use farebox_jobs::queue::admin::{self, AdminOutcome, DeadFilter, JobRef};
use proptest::{prelude::*, test_runner::TestCaseResult};
use uuid::Uuid;

impl<'c> Bench<'c> {
    pub async fn cancel_id(&mut self, job: Pick) -> TestCaseResult {
        let Some(id) = picked(&self.enqueued, job).copied() else { return Ok(()) };
        self.cancel(JobRef::Id(id), Some(id)).await
    }

    pub async fn cancel(&mut self, which: JobRef<'_>, id: Option<Uuid>) -> TestCaseResult {
        let changed = admin::cancel(self.conn, which, "a whim").await.unwrap();
        let (expected, event) = match id.map(|id| self.model.jobs[&id].state) {
            Some(State::Waiting) => (AdminOutcome::Changed, Some(Event::Cancelled)),
            Some(State::Leased { .. }) => (AdminOutcome::CancelRequested, Some(Event::Asked)),
            Some(State::Ended(_)) | None => (AdminOutcome::Gone, None),
        };
        prop_assert_eq!(changed, expected, "cancel");
        if let (Some(id), Some(event)) = (id, event) {
            self.model.apply(id, event);
        }
        Ok(())
    }

    pub async fn retry(&mut self, job: Pick) -> TestCaseResult {
        let Some(id) = picked(&self.enqueued, job).copied() else { return Ok(()) };
        let changed = admin::retry(self.conn, id).await.unwrap();
        let expected = match self.model.jobs[&id].state {
            State::Waiting => {
                self.model.apply(id, Event::Hurried);
                AdminOutcome::Changed
            }
            State::Leased { .. } => AdminOutcome::Busy,
            State::Ended("done" | "cancelled") => AdminOutcome::Gone,
            State::Ended(_) => {
                if self.model.restore(id) {
                    AdminOutcome::Changed
                } else {
                    AdminOutcome::Busy
                }
            }
        };
        prop_assert_eq!(changed, expected, "retry");
        Ok(())
    }

    pub async fn redrive(&mut self) -> TestCaseResult {
        let redriven = admin::redrive(self.conn, &DeadFilter::default()).await.unwrap();
        let revived = self.enqueued.iter().filter(|id| self.model.restore(**id)).count();
        prop_assert_eq!(redriven, u64::try_from(revived).unwrap(), "redriven");
        Ok(())
    }
}
