//! The batcher, with a statement that doubles numbers.

use super::{
    queue::Batcher,
    statement::{BatchStatement, ConflictKey},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinHandle, yield_now},
};
use uuid::Uuid;

/// Doubles numbers once a permit is there; a request of 13 fails its batch.
struct Doubling;

struct Gate {
    permits: Semaphore,
    executed: mpsc::UnboundedSender<Vec<i32>>,
}

impl BatchStatement for Doubling {
    const NAME: &'static str = "double";
    type Context = Gate;
    type Request = i32;
    type Output = i32;

    fn conflict_keys(request: &i32) -> Vec<ConflictKey> {
        vec![ConflictKey::Seat(Uuid::nil(), (request % 100).to_string())]
    }

    async fn execute(gate: &Gate, batch: &[i32]) -> Result<Vec<i32>, sqlx::Error> {
        let _ = gate.executed.send(batch.to_vec());
        gate.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?.forget();
        if batch.contains(&13) {
            Err(sqlx::Error::RowNotFound)
        } else {
            Ok(batch.iter().map(|n| n * 2).collect())
        }
    }
}

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(600);

fn doubling(slow_after: Duration) -> (Batcher<Doubling>, mpsc::UnboundedReceiver<Vec<i32>>) {
    let (executed, batches) = mpsc::unbounded_channel();
    let gate = Arc::new(Gate { permits: Semaphore::new(0), executed });
    (Batcher::with_slow_after(gate, slow_after), batches)
}

fn begin(batcher: &Batcher<Doubling>, request: i32) -> JoinHandle<Option<i32>> {
    let own = batcher.clone();
    tokio::spawn(async move { own.submit(request).await.ok() })
}

fn permit(batcher: &Batcher<Doubling>, executions: usize) {
    batcher.inner().context.permits.add_permits(executions);
}

/// The first starts a flush; the others are submitted in this order meanwhile. Their outputs, and the
/// batches.
async fn run(requests: &[i32]) -> (Vec<Option<i32>>, Vec<Vec<i32>>) {
    let (batcher, mut batches) = doubling(NEVER);
    let mut submitted = vec![begin(&batcher, requests[0])];
    let mut executed = vec![batches.recv().await.expect("a flush starts")];
    for request in &requests[1..] {
        submitted.push(begin(&batcher, *request));
        yield_now().await;
    }
    permit(&batcher, 2 * requests.len());
    let mut outputs = Vec::new();
    for one in submitted {
        outputs.push(one.await.expect("no panic"));
    }
    while let Ok(batch) = batches.try_recv() {
        executed.push(batch);
    }
    (outputs, executed)
}

#[tokio::test]
async fn the_first_goes_at_once_and_alone_and_the_others_in_one_batch() {
    let (outputs, executed) = run(&[1, 2, 3, 4, 5]).await;
    assert_eq!(outputs, [2, 4, 6, 8, 10].map(Some));
    assert_eq!(executed, [vec![1], vec![2, 3, 4, 5]]);
}

#[tokio::test]
async fn conflicting_requests_go_later_and_in_order() {
    let (outputs, executed) = run(&[1, 2, 7, 107, 8, 207]).await;
    assert_eq!(outputs, [2, 4, 14, 214, 16, 414].map(Some));
    assert_eq!(executed, [vec![1], vec![2, 7, 8], vec![107], vec![207]]);
}

#[tokio::test]
async fn runnable_requests_join_the_first_flush() {
    let (batcher, mut batches) = doubling(NEVER);
    let submitted: Vec<_> = [1, 2, 3].map(|request| begin(&batcher, request)).into();
    assert_eq!(batches.recv().await, Some(vec![1, 2, 3]));
    permit(&batcher, 1);
    for (submitted, output) in submitted.into_iter().zip([2, 4, 6]) {
        assert_eq!(submitted.await.expect("no panic"), Some(output));
    }
}

#[test]
fn a_runtime_that_ends_ends_its_flush_tasks() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (batcher, mut batches) = doubling(NEVER);
    runtime.block_on(async {
        begin(&batcher, 1);
        begin(&batcher, 101);
        assert_eq!(batches.recv().await, Some(vec![1]));
    });
    drop(runtime);
    assert_eq!(batcher.inner().lock().pending.len(), 1, "no flush task runs any more");
}

#[tokio::test]
async fn a_slow_flush_does_not_delay_later_requests() {
    let (batcher, mut batches) = doubling(Duration::from_millis(1));
    let submit = |n| begin(&batcher, n);
    let first = submit(1);
    assert_eq!(batches.recv().await, Some(vec![1]));
    let second = submit(2);
    assert_eq!(batches.recv().await, Some(vec![2]), "once the first is slow");
    let third = submit(3);
    assert_eq!(batches.recv().await, Some(vec![3]), "once both are");
    permit(&batcher, 3);
    for (submitted, output) in [(first, 2), (second, 4), (third, 6)] {
        assert_eq!(submitted.await.expect("no panic"), Some(output));
    }
    let fourth = submit(4);
    assert_eq!(batches.recv().await, Some(vec![4]), "the flush tasks have ended");
    permit(&batcher, 1);
    assert_eq!(fourth.await.expect("no panic"), Some(8));
}

#[tokio::test]
async fn a_request_that_fails_its_batch_fails_alone() {
    let (outputs, _) = run(&[1, 2, 3, 13, 4]).await;
    assert_eq!(outputs, [Some(2), Some(4), Some(6), None, Some(8)]);
}
