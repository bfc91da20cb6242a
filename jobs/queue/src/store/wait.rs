//! Waiting for jobs to end.

use super::JobStore;
use crate::{
    Job, QueueConfig,
    admin::{self, JobView},
};
use apalis_core::{
    backend::{TaskResult, WaitForCompletion},
    task::{status::Status, task_id::TaskId},
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use sqlx::PgPool;
use std::{collections::VecDeque, time::Duration};
use tokio::time::sleep;
use uuid::Uuid;

/// How often the jobs that are waited for are looked up.
const POLL: Duration = Duration::from_millis(100);

/// The result of a job that has ended: the handler's note, or the error that it was given up for.
fn result_of(job: &JobView) -> Option<TaskResult<Option<String>>> {
    let (status, result) = match job.state.as_str() {
        "done" => (Status::Done, Ok(job.note.clone())),
        "dead" => (Status::Killed, Err(job.last_error().unwrap_or("given up").to_owned())),
        "cancelled" => {
            let note = job.note.as_deref().unwrap_or_default();
            (Status::Killed, Err(format!("cancelled: {note}")))
        }
        _ => return None,
    };
    let task_id = TaskId::from_string(job.id.to_string());
    Some(TaskResult { task_id, attempt: usize::try_from(job.attempt).unwrap_or(0), status, result })
}

/// Moves the ended jobs from `ids` to the results.
async fn ended(
    pool: &PgPool,
    queue: &QueueConfig,
    ids: &mut VecDeque<Uuid>,
) -> Result<VecDeque<TaskResult<Option<String>>>, sqlx::Error> {
    let mut results = VecDeque::new();
    for _ in 0..ids.len() {
        let Some(id) = ids.pop_front() else { break };
        match admin::find(queue.on(pool), id).await.map(|job| job.as_ref().and_then(result_of)) {
            Ok(Some(result)) => results.push_back(result),
            Ok(None) => ids.push_back(id),
            Err(error) => {
                ids.push_back(id);
                return Err(error);
            }
        }
    }
    Ok(results)
}

fn uuids(ids: impl IntoIterator<Item = TaskId>) -> VecDeque<Uuid> {
    ids.into_iter().filter_map(|id| id.to_string().parse().ok()).collect()
}

/// A job's output is its handler's note. A job that does not exist is waited for until it does.
impl<J: Job> WaitForCompletion<Option<String>> for JobStore<J> {
    type ResultStream = BoxStream<'static, Result<TaskResult<Option<String>>, sqlx::Error>>;

    fn wait_for(&mut self, task_ids: impl IntoIterator<Item = TaskId>) -> Self::ResultStream {
        let start = (self.pool.clone(), self.queue.clone(), uuids(task_ids), VecDeque::new());
        stream::unfold(start, |(pool, queue, mut ids, mut results)| async move {
            loop {
                if let Some(result) = results.pop_front() {
                    return Some((Ok(result), (pool, queue, ids, results)));
                }
                if ids.is_empty() {
                    return None;
                }
                match ended(&pool, &queue, &mut ids).await {
                    Ok(found) if found.is_empty() => sleep(POLL).await,
                    Ok(found) => results = found,
                    Err(error) => return Some((Err(error), (pool, queue, ids, results))),
                }
            }
        })
        .boxed()
    }

    async fn check_status(
        &mut self,
        task_ids: impl IntoIterator<Item = TaskId> + Send,
    ) -> Result<Vec<TaskResult<Option<String>>>, sqlx::Error> {
        let mut ids = uuids(task_ids);
        Ok(ended(&self.pool, &self.queue, &mut ids).await?.into())
    }
}
