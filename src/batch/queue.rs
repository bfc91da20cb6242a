//! The batcher of one statement: a queue of requests, and the tasks that flush it.

use super::{
    meters::BatchMeter,
    statement::{BatchStatement, ConflictKey},
    traced::{BatchSpan, StatementSpans},
};
use crate::storage::{again, note_outage};
use std::{
    collections::{HashSet, VecDeque},
    io,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, task::yield_now, time::timeout};

/// Largest batch.
const MAX_BATCH: usize = 64;
/// Flushes of one statement that may run at once. Normally one: a second takes half of its batch away,
/// and two half-full flushes cost more than one full one. More start only when a flush is slow
/// ([`SLOW_FLUSH`]), or the queue is long ([`BatchStatement::SECOND_FLUSH_AT`]).
const MAX_CONCURRENT_FLUSHES: usize = 4;
/// A flush that takes longer is assumed to wait for a row lock; later requests need not wait with it.
pub(super) const SLOW_FLUSH: Duration = Duration::from_millis(25);
/// Yields to the scheduler before each flush, so that requests which are already runnable join it.
/// Without this the first caller that a flush wakes would start the next one alone. More yields delay
/// a flush without filling it better. Measured in docs/benchmarks.
const YIELDS_BEFORE_FLUSH: u32 = 2;

/// The batcher of one statement. Clones share its queue.
pub struct Batcher<T: BatchStatement>(Arc<Inner<T>>);

pub(super) struct Inner<T: BatchStatement> {
    pub(super) context: Arc<T::Context>,
    slow_after: Duration,
    meter: Arc<BatchMeter>,
    queue: Mutex<Queue<T>>,
}

pub(super) struct Queue<T: BatchStatement> {
    pub(super) pending: VecDeque<Pending<T>>,
    /// Flush tasks that run, and how many of them wait for a slow flush.
    running: usize,
    slow: usize,
}

impl<T: BatchStatement> Queue<T> {
    /// Counts one more flush task, unless enough of them run that are not slow.
    fn start_flush(&mut self) -> bool {
        let starts =
            self.running < self.slow + self.wanted_flushes() && self.running < MAX_CONCURRENT_FLUSHES;
        self.running += usize::from(starts);
        starts
    }

    /// How many flush tasks should run now, beside the slow ones.
    fn wanted_flushes(&self) -> usize {
        1 + usize::from(self.pending.len() >= T::SECOND_FLUSH_AT)
    }
}

/// A request that waits for a flush.
pub(super) struct Pending<T: BatchStatement> {
    request: T::Request,
    caller: Caller<T>,
    submitted_at: Instant,
}

/// Where a request's output goes, and its span.
struct Caller<T: BatchStatement> {
    reply: oneshot::Sender<Result<T::Output, sqlx::Error>>,
    span: Option<BatchSpan>,
}

/// The requests of one execution, and where their outputs go.
struct Batch<T: BatchStatement> {
    requests: Vec<T::Request>,
    callers: Vec<Caller<T>>,
}

impl<T: BatchStatement> Clone for Batcher<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: BatchStatement> Batcher<T> {
    /// A batcher that executes its statement with this context.
    pub fn new(context: Arc<T::Context>) -> Self {
        Self::with_slow_after(context, SLOW_FLUSH)
    }

    pub(super) fn with_slow_after(context: Arc<T::Context>, slow_after: Duration) -> Self {
        let queue = Queue { pending: VecDeque::new(), running: 0, slow: 0 };
        let meter = BatchMeter::of(T::NAME);
        Self(Arc::new(Inner { context, slow_after, meter, queue: Mutex::new(queue) }))
    }

    /// Submits a request, which shares an execution with the requests that arrive meanwhile.
    ///
    /// Safe to drop: the request stays in the queue and is executed like any other, on the flush's own
    /// task; its output is discarded. A client learns it by its idempotency key. An attempt at a job
    /// completes its job in the statement itself, under its lease's token.
    ///
    /// # Errors
    /// The database's; a panic in the statement's code.
    pub async fn submit(&self, request: T::Request) -> Result<T::Output, sqlx::Error> {
        let (reply, output) = oneshot::channel();
        let caller = Caller { reply, span: BatchSpan::begin(T::NAME) };
        let starts = {
            let mut queue = self.0.lock();
            queue.pending.push_back(Pending { request, caller, submitted_at: Instant::now() });
            queue.start_flush()
        };
        if starts {
            self.spawn_flush();
        }
        output.await.unwrap_or_else(|_| Err(sqlx::Error::Decode("the batch was aborted".into())))
    }

    /// Flushes the queue again and again until it is empty.
    fn spawn_flush(&self) {
        tokio::spawn(FlushTask { batcher: self.clone(), is_slow: false, started: false }.run());
    }

    #[cfg(test)]
    pub(super) fn inner(&self) -> &Inner<T> {
        &self.0
    }
}

/// One flush after another, on a task of its own, which no caller can drop. If it panics, another task
/// takes its place.
struct FlushTask<T: BatchStatement> {
    batcher: Batcher<T>,
    is_slow: bool,
    /// Runs, and has not ended. A task that a runtime drops before it ran needs no replacement.
    started: bool,
}

impl<T: BatchStatement> FlushTask<T> {
    async fn run(mut self) {
        self.started = true;
        let inner = Arc::clone(&self.batcher.0);
        yield_before_flush().await;
        while let Some(batch) = inner.take_batch() {
            let mut flush = pin!(inner.flush(batch));
            if timeout(inner.slow_after, &mut flush).await.is_err() {
                self.mark_slow();
                flush.await;
                self.unmark_slow();
            }
            yield_before_flush().await;
        }
        self.started = false;
    }

    /// Lets another flush task take the requests that wait behind this flush.
    fn mark_slow(&mut self) {
        self.is_slow = true;
        let starts = {
            let mut queue = self.batcher.0.lock();
            queue.slow += 1;
            !queue.pending.is_empty() && queue.start_flush()
        };
        if starts {
            self.batcher.spawn_flush();
        }
    }

    fn unmark_slow(&mut self) {
        self.is_slow = false;
        self.batcher.0.lock().slow -= 1;
    }
}

/// Lets runnable tasks submit first. The outputs of a flush wake all its callers at once, and the first
/// of them would start the next statement alone, ahead of the others. Requests that have arrived at a
/// socket can be read as well. Nothing is waited for that is not there yet.
async fn yield_before_flush() {
    for _ in 0..YIELDS_BEFORE_FLUSH {
        yield_now().await;
    }
}

impl<T: BatchStatement> Drop for FlushTask<T> {
    fn drop(&mut self) {
        if self.is_slow {
            self.unmark_slow();
        }
        if self.started {
            self.batcher.spawn_flush();
        }
    }
}

impl<T: BatchStatement> Inner<T> {
    /// The lock is never held over code that could panic half way.
    pub(super) fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the requests that have waited longest and conflict with none before them, at most
    /// [`MAX_BATCH`]. A request that conflicts with one that is taken, or with one that stays, stays too:
    /// so conflicting requests keep their order.
    ///
    /// `None` ends the flush task: nothing is pending, or a task that started while this one was slow
    /// does the work.
    fn take_batch(&self) -> Option<Batch<T>> {
        let mut queue = self.lock();
        if queue.running > queue.slow + queue.wanted_flushes() {
            queue.running -= 1;
            return None;
        }
        let now = Instant::now();
        let mut batch = Batch { requests: Vec::new(), callers: Vec::new() };
        let (mut seen, mut left) = (HashSet::<ConflictKey>::new(), VecDeque::new());
        while let Some(next) = queue.pending.pop_front() {
            if batch.requests.len() == MAX_BATCH {
                left.push_back(next);
                break;
            }
            let keys = T::conflict_keys(&next.request);
            let conflicts = keys.iter().any(|key| seen.contains(key));
            seen.extend(keys);
            if conflicts {
                left.push_back(next);
            } else {
                self.meter.wait.observe_time(now.duration_since(next.submitted_at));
                batch.requests.push(next.request);
                batch.callers.push(next.caller);
            }
        }
        left.append(&mut queue.pending);
        queue.pending = left;
        let is_empty = batch.requests.is_empty();
        if !is_empty {
            self.meter.size.observe(batch.requests.len() as u64);
        }
        queue.running -= usize::from(is_empty);
        (!is_empty).then_some(batch)
    }

    /// Executes once more if the plan is older than the schema: such a statement fails before it does
    /// anything.
    async fn execute(
        &self,
        requests: &[T::Request],
        callers: &[Caller<T>],
    ) -> Result<Vec<T::Output>, sqlx::Error> {
        let spans = StatementSpans::begin(T::NAME, callers.iter().map(|caller| caller.span.as_ref()));
        let done = again(|| T::execute(&self.context, requests)).await;
        spans.end(done.as_ref().err());
        done
    }

    async fn flush(&self, Batch { requests, callers }: Batch<T>) {
        match self.execute(&requests, &callers).await {
            Ok(outputs) => {
                for (caller, output) in callers.into_iter().zip(outputs) {
                    caller.answer(Ok(output));
                }
            }
            // In this order, so that an outage is noticed even if the batch has one request.
            Err(error) if !note_outage(&error) && requests.len() > 1 => {
                let many = requests.len();
                tracing::warn!(%error, requests = many, "batch failed; retrying each request alone");
                for (request, caller) in requests.iter().zip(callers) {
                    let (request, caller_alone) =
                        (std::slice::from_ref(request), std::slice::from_ref(&caller));
                    let alone = self.execute(request, caller_alone).await;
                    let alone =
                        alone.and_then(|outputs| outputs.into_iter().next().ok_or(sqlx::Error::RowNotFound));
                    caller.answer(alone);
                }
            }
            Err(error) => {
                let text = error.to_string();
                let mut error = Some(error);
                for caller in callers {
                    let own = error.take().unwrap_or_else(|| sqlx::Error::Io(io::Error::other(text.clone())));
                    caller.answer(Err(own));
                }
            }
        }
    }
}

impl<T: BatchStatement> Caller<T> {
    fn answer(self, output: Result<T::Output, sqlx::Error>) {
        if let Some(span) = self.span {
            span.end(output.as_ref().err());
        }
        // A caller that was dropped meanwhile does not receive it.
        let _ = self.reply.send(output);
    }
}
