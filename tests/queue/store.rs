//! The queue over apalis-core's traits for tools.

use crate::harness::{Database, count};
use apalis_core::{
    backend::{
        FetchById, Filter, ListAllTasks, ListQueues, ListTasks, ListWorkers, Metrics, TaskSink,
        WaitForCompletion,
    },
    task::{builder::TaskBuilder, status::Status, task_id::TaskId},
};
use farebox_jobs::queue::{
    Delivery, Job, JobError, Outcome, RetryPolicy, WorkerConfig, admin, run, store::JobStore,
};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::{collections::BTreeMap, time::Duration};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Letter {
    to: String,
}

impl Job for Letter {
    const TAG: &'static str = "letter";
    const VERSION: u16 = 3;
    const RETRY: RetryPolicy =
        RetryPolicy { max_attempts: 1, base: Duration::from_millis(1), cap: Duration::from_millis(1) };

    fn key(&self) -> String {
        self.to.clone()
    }
}

fn letter(to: &str) -> Letter {
    Letter { to: to.to_owned() }
}

fn filter(status: Option<Status>, page: u32) -> Filter {
    Filter { status, page, page_size: Some(3) }
}

async fn handle(delivery: Delivery) -> Result<Outcome, JobError> {
    let letter: Letter = delivery.decode()?;
    if letter.to == "nobody" {
        return Err(JobError::fatal("no such address"));
    }
    Ok(Outcome::Done(Some(format!("to {}", letter.to))))
}

#[tokio::test]
async fn tools_of_apalis_push_list_count_and_wait() {
    let db = Database::fresh().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    let mut store = JobStore::<Letter>::new(pool.clone());
    store.push(letter("ann")).await.unwrap();
    store.push_bulk(vec![letter("bob"), letter("ann")]).await.unwrap();
    store.push_stream(stream::iter(["cem", "nobody"].map(letter))).await.unwrap();
    let later = TaskBuilder::new(letter("dee")).run_after(Duration::from_secs(600)).max_attempts(7);
    store.push_task(later.idempotency_key("dee, later").build()).await.unwrap();
    assert_eq!(count(&pool, "select count(*) from queue.job where tag = 'letter'").await, 5, "one ann");
    let dee =
        "select count(*) from queue.job where key = 'dee, later' and max_attempts = 7 and run_at > now()";
    assert_eq!(count(&pool, dee).await, 1);

    let (first, second) = (filter(Some(Status::Pending), 1), filter(Some(Status::Pending), 2));
    let mut waiting = store.list_tasks(&first).await.unwrap();
    waiting.extend(store.list_tasks(&second).await.unwrap());
    assert_eq!(waiting.len(), 5);
    assert!(store.list_tasks(&filter(Some(Status::Done), 1)).await.unwrap().is_empty());
    let id = waiting[0].ctx().task_id().unwrap().clone();
    let found = store.fetch_by_id(&id).await.unwrap().unwrap();
    assert_eq!(found.args["v"], 3);
    assert_eq!(found.ctx().queue().unwrap().as_ref(), "letter");
    assert!(store.fetch_by_id(&TaskId::from_string("nonsense")).await.unwrap().is_none());
    assert!(store.check_status([id]).await.unwrap().is_empty());

    let immediate = waiting.iter().filter(|task| task.ctx().max_attempts() == Some(1));
    let ids: Vec<TaskId> = immediate.filter_map(|task| task.ctx().task_id().cloned()).collect();
    let wait = async {
        let results: Vec<_> = store.clone().wait_for(ids).collect().await;
        let workers = store.list_workers().await.unwrap();
        (results, workers.len())
    };
    let (sent, received) = tokio::sync::oneshot::channel();
    let config = WorkerConfig::new("letters", &[Letter::TAG]);
    let stop = async {
        sent.send(wait.await).map_err(drop).unwrap();
    };
    run(pool.clone(), config, |_: &str| Letter::RETRY, handle, stop).await.unwrap();
    let (results, workers) = received.await.unwrap();
    let results: BTreeMap<_, _> = results
        .into_iter()
        .map(|result| result.unwrap())
        .map(|result| (result.result.clone().unwrap_or_else(Some).unwrap(), result.status))
        .collect();
    let expected = [
        ("no such address", Status::Killed),
        ("to ann", Status::Done),
        ("to bob", Status::Done),
        ("to cem", Status::Done),
    ];
    assert_eq!(results, expected.map(|(text, status)| (text.to_owned(), status)).into());
    assert_eq!(workers, 1);

    assert_eq!(store.list_all_tasks(&filter(Some(Status::Done), 1)).await.unwrap().len(), 3);
    assert_eq!(store.list_tasks(&filter(Some(Status::Killed), 1)).await.unwrap().len(), 1);
    let queues = store.list_queues().await.unwrap();
    let queue = queues.iter().find(|queue| queue.name == "letter").unwrap();
    assert_eq!(queue.activity.len(), 7);
    assert_eq!(queue.activity.iter().sum::<usize>(), 3);
    let dead = |statistics: Vec<apalis_core::backend::Statistic>| {
        statistics.into_iter().find(|statistic| statistic.title == "dead").unwrap().value
    };
    assert_eq!(dead(store.fetch_by_queue().await.unwrap()), "1");
    assert_eq!(dead(store.global().await.unwrap()), "1");
    assert!(store.list_all_workers().await.unwrap().is_empty(), "it has stopped");
    assert_eq!(admin::queues(&pool, &["letter".to_owned()]).await.unwrap()[0].delayed, 1);
}
