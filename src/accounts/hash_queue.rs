//! Turns for hashing passwords. A hash takes a core for some 20 ms, so only a few run at once, and
//! the others wait.
//!
//! Sign-ins of riders, payments and sign-ins of operators wait in queues of their own, which are
//! served in turn. However many sign-ins wait, a payment waits for one hash of each other queue
//! between two of its own. Riders' sign-ins leave one hash to the others, if more than one may run:
//! a flood of them must not take every core. Each queue is bounded: beyond the bound a request is
//! refused at once, since a longer wait would only end in a timeout.
//!
//! A waiting future may be dropped at any await: its place is skipped, and a turn that was just
//! handed to it goes to the next one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// How long a hash may wait for its turn before the request fails.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// How many sign-ins and registrations may wait for each hash that may run: some 0.7 s alone.
const MAX_WAITING_RIDERS: usize = 32;
/// The same of payments: a rush of riders that pay waits longer, but is not refused.
const MAX_WAITING_PAYMENTS: usize = 128;
/// The same of operators' sign-ins.
const MAX_WAITING_OPERATORS: usize = 16;

/// Too many passwords wait to be checked.
#[derive(Debug, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

/// Who waits for a hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashQueue {
    /// Registrations, and sign-ins of riders and of unknown names.
    #[default]
    Riders,
    /// Pay passwords.
    Payments,
    /// Sign-ins of accounts that may see the operations side.
    Operators,
}

/// Every queue, in the order in which they are served.
const ALL: [HashQueue; 3] = [HashQueue::Riders, HashQueue::Payments, HashQueue::Operators];

impl HashQueue {
    fn max_waiting(self) -> usize {
        match self {
            Self::Riders => MAX_WAITING_RIDERS,
            Self::Payments => MAX_WAITING_PAYMENTS,
            Self::Operators => MAX_WAITING_OPERATORS,
        }
    }
}

/// The queues of one process.
pub(super) struct HashTurns {
    /// Hashes that may run at once.
    parallel: usize,
    state: Mutex<State>,
}

struct State {
    /// Hashes that run, by their queues.
    running: [usize; ALL.len()],
    waiting: [VecDeque<oneshot::Sender<HashTurn>>; ALL.len()],
    /// Requests that have entered and will wait, wait, or hash.
    entered: [usize; ALL.len()],
    /// The queue that is served next, unless it is empty.
    next: usize,
}

/// The right to run one hash, until it is dropped.
pub(super) struct HashTurn(Option<(Arc<HashTurns>, HashQueue)>);

impl Drop for HashTurn {
    fn drop(&mut self) {
        if let Some((turns, queue)) = self.0.take() {
            turns.state().running[queue as usize] -= 1;
            turns.hand_on();
        }
    }
}

/// A request's place in its queue, taken before work is done for it, until it is dropped.
pub struct HashPlace {
    turns: Arc<HashTurns>,
    queue: HashQueue,
}

impl Drop for HashPlace {
    fn drop(&mut self) {
        self.turns.state().entered[self.queue as usize] -= 1;
    }
}

impl HashTurns {
    /// With this number of hashes at once, at least one.
    pub(super) fn new(parallel: usize) -> Arc<Self> {
        let parallel = parallel.max(1);
        let state = State {
            running: Default::default(),
            waiting: Default::default(),
            entered: Default::default(),
            next: 0,
        };
        Arc::new(Self { parallel, state: Mutex::new(state) })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Busy`] at once if the queue is full, or after [`MAX_WAIT`].
    pub(super) async fn take(self: &Arc<Self>, queue: HashQueue) -> Result<HashTurn, Busy> {
        let receiver = {
            let mut state = self.state();
            if state.may_run(queue, self.parallel) {
                state.running[queue as usize] += 1;
                return Ok(HashTurn(Some((Arc::clone(self), queue))));
            }
            if !self.admits(&mut state, queue) {
                return Err(Busy);
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting[queue as usize].push_back(sender);
            receiver
        };
        timeout(MAX_WAIT, receiver).await.map_err(|_| Busy)?.map_err(|_| Busy)
    }

    /// Takes a place in the queue, for a request that will hash.
    ///
    /// # Errors
    /// [`Busy`] if as many have entered as may wait and hash.
    pub(super) fn enter(self: &Arc<Self>, queue: HashQueue) -> Result<HashPlace, Busy> {
        let most = queue.max_waiting().saturating_add(1).saturating_mul(self.parallel);
        let mut state = self.state();
        if state.entered[queue as usize] >= most {
            return Err(Busy);
        }
        state.entered[queue as usize] += 1;
        Ok(HashPlace { turns: Arc::clone(self), queue })
    }

    fn admits(&self, state: &mut State, queue: HashQueue) -> bool {
        let (waiting, most) =
            (&mut state.waiting[queue as usize], queue.max_waiting().saturating_mul(self.parallel));
        if waiting.len() >= most {
            waiting.retain(|sender| !sender.is_closed());
        }
        waiting.len() < most
    }

    /// Hands a turn that has ended to the next one that waits.
    fn hand_on(self: Arc<Self>) {
        loop {
            let Some((next, queue)) = self.state().pop(self.parallel) else { return };
            match next.send(HashTurn(Some((Arc::clone(&self), queue)))) {
                Ok(()) => return,
                // That one no longer waits. Dropping its turn would call this function again.
                Err(mut turn) => {
                    turn.0 = None;
                    self.state().running[queue as usize] -= 1;
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether one more of this queue may run.
    fn may_run(&self, queue: HashQueue, parallel: usize) -> bool {
        let left = usize::from(queue == HashQueue::Riders && parallel > 1);
        self.running.iter().sum::<usize>() < parallel && self.running[queue as usize] < parallel - left
    }

    /// The next one that waits and may run; it counts as running.
    fn pop(&mut self, parallel: usize) -> Option<(oneshot::Sender<HashTurn>, HashQueue)> {
        for offset in 0..ALL.len() {
            let at = (self.next + offset) % ALL.len();
            if self.may_run(ALL[at], parallel)
                && let Some(sender) = self.waiting[at].pop_front()
            {
                self.next = (at + 1) % ALL.len();
                self.running[at] += 1;
                return Some((sender, ALL[at]));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::{JoinHandle, yield_now};

    /// Waits in the queue and reports its name when it has its turn.
    async fn wait(
        turns: &Arc<HashTurns>,
        queue: HashQueue,
        served: &Arc<Mutex<Vec<HashQueue>>>,
    ) -> JoinHandle<()> {
        let (turns, served) = (Arc::clone(turns), Arc::clone(served));
        let waiting = tokio::spawn(async move {
            let turn = turns.take(queue).await;
            assert!(turn.is_ok(), "{queue:?} was refused");
            served.lock().expect("no panic").push(queue);
        });
        yield_now().await;
        waiting
    }

    #[tokio::test]
    async fn a_crowd_in_one_queue_delays_the_others_by_one_turn() {
        let turns = HashTurns::new(1);
        let running = turns.take(HashQueue::Riders).await.expect("nothing runs");
        let served = Arc::default();
        let mut all = Vec::new();
        for _ in 0..20 {
            all.push(wait(&turns, HashQueue::Riders, &served).await);
        }
        for queue in [HashQueue::Payments, HashQueue::Operators, HashQueue::Payments] {
            all.push(wait(&turns, queue, &served).await);
        }
        drop(running);
        for waiting in all {
            waiting.await.expect("served");
        }
        let served = served.lock().expect("no panic");
        let (rider, payment, operator) = (HashQueue::Riders, HashQueue::Payments, HashQueue::Operators);
        assert_eq!(served[..5], [rider, payment, operator, rider, payment], "{served:?}");
        assert_eq!(served.len(), 23);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_no_other_queue_does() {
        let turns = HashTurns::new(1);
        let running = turns.take(HashQueue::Riders).await.expect("nothing runs");
        let served = Arc::default();
        let mut all = Vec::new();
        for _ in 0..MAX_WAITING_RIDERS {
            all.push(wait(&turns, HashQueue::Riders, &served).await);
        }
        assert!(turns.take(HashQueue::Riders).await.is_err());
        all.push(wait(&turns, HashQueue::Payments, &served).await);
        // One that no longer waits leaves its place.
        all.swap_remove(0).abort();
        yield_now().await;
        all.push(wait(&turns, HashQueue::Riders, &served).await);
        drop(running);
        for waiting in all {
            waiting.await.expect("served");
        }
    }

    #[tokio::test]
    async fn riders_leave_one_hash_to_the_others() {
        let turns = HashTurns::new(2);
        let (running, served) = (turns.take(HashQueue::Riders).await.expect("nothing runs"), Arc::default());
        let rider = wait(&turns, HashQueue::Riders, &served).await;
        assert!(!rider.is_finished(), "a second rider waits");
        drop(turns.take(HashQueue::Payments).await.expect("a payment does not"));
        yield_now().await;
        assert!(!rider.is_finished());
        drop(running);
        rider.await.expect("served");
        let both = [turns.take(HashQueue::Payments).await, turns.take(HashQueue::Operators).await];
        assert!(both.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn as_many_enter_as_may_wait_and_hash() {
        let turns = HashTurns::new(1);
        let places: Vec<_> = (0..=MAX_WAITING_RIDERS).map(|_| turns.enter(HashQueue::Riders)).collect();
        assert!(places.iter().all(Result::is_ok) && turns.enter(HashQueue::Riders).is_err());
        assert!(turns.enter(HashQueue::Operators).is_ok());
        drop(places);
        assert!(turns.enter(HashQueue::Riders).is_ok());
    }

    #[tokio::test]
    async fn a_turn_is_not_lost_with_the_one_that_waited_for_it() {
        let turns = HashTurns::new(1);
        let running = turns.take(HashQueue::Riders).await.expect("nothing runs");
        let served = Arc::default();
        let gone = wait(&turns, HashQueue::Riders, &served).await;
        // Handed to one that is dropped before it sees it.
        drop(running);
        gone.abort();
        assert!(gone.await.is_err());
        for _ in 0..3 {
            drop(turns.take(HashQueue::Riders).await.expect("the turn is free"));
        }
        assert_eq!(turns.state().running, [0; ALL.len()]);
    }
}
