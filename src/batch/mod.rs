//! Many requests, one statement, one commit. A step's statement takes any number of bookings; while it is on its way to
//! the disk, those who come meanwhile wait together for the next. A flush never waits for company: whoever comes to an idle
//! step takes off at once, with those who are awake at that moment.
//!
//! What one request wants never decides over another's. Asks that share something (a seat, a key, an order) are not put
//! into one statement, so the database decides between them as between two processes; a statement that fails is made again
//! for each of its asks alone, unless the database is away. Whether it had committed is then unknown, as it is for a request alone, and the barriers stand that.
//!
//! How many can wait is bounded by how many requests are let in at all ([`Admission`](crate::settings::Admission)).

mod connections;
mod in_flight;
mod pacer;

pub use in_flight::{InFlightGuard, InFlightSeats};
pub use pacer::OverduePacer;

use crate::batch::connections::AtHand;
use crate::{
    settings::Booking as BookingRules,
    storage::{again, note_outage},
};
use sqlx::PgPool;
use std::{
    any::{Any, TypeId},
    collections::{HashMap, HashSet, VecDeque},
    future::Future,
    io,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};
use tokio::{sync::oneshot, task::yield_now, time::timeout};
use uuid::Uuid;

/// Asks of one statement at the most.
const MOST: usize = 64;
/// Statements of one step that may be under way at once. Usually it is one: with a second, both are half as full, which
/// costs more than it brings (opened after 3 ms or 1 ms already, bookings at 8 and 64 clients were 10 to 20 % fewer).
const LANES: usize = 4;
/// A statement that takes longer waits for something, a lock most likely; whoever comes then need not wait for it too.
const HELD_UP: Duration = Duration::from_millis(25);
/// Times a lane lets other tasks run before it takes off: those who were awake, and those whom they wake. Bookings became 12 %
/// more at 64 clients and 20 % more at 8; one time brought half of it, and 4, 8 or 16 no more.
const GATHERINGS: u32 = 2;

/// A step whose statement takes many asks.
pub trait BatchStatement: 'static {
    /// So many who wait are worth a second statement under way. Only where two are not in each other's way: they read, or the
    /// first waits for the disk. Of other writing steps they are (a second claim for eight, sixteen or twenty-four who wait: the
    /// server's time became longer, and bookings no more).
    const CROWD: usize = usize::MAX;

    /// What the statement stands on.
    type BatchContext: Send + Sync + 'static;
    /// What one request wants of the step.
    type Ask: Send + Sync + 'static;
    /// What it gets.
    type Answer: Send + 'static;

    /// What two asks of one statement may not have in common.
    fn shared(ask: &Self::Ask) -> Vec<ConflictKey>;

    /// The statement. Its answers stand in the order of the asks.
    fn ask_all(
        ground: &Self::BatchContext,
        asks: &[Self::Ask],
    ) -> impl Future<Output = Result<Vec<Self::Answer>, sqlx::Error>> + Send;
}

/// Something that two asks could both want.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConflictKey {
    /// A seat of a trip.
    Seat(Uuid, i32),
    /// A client's idempotency key.
    Key(Uuid, String),
    /// An order, or its payment.
    Order(Uuid),
    /// A live job's place in the queue.
    Job(&'static str, String),
}

/// What the statements of flows stand on.
pub struct BatchContext {
    /// The database.
    pub db: AtHand,
    /// Hold time, cut-offs, the delay of armed undos.
    pub rules: BookingRules,
}

/// The steps' lines, one for each step of a process. Clones share them.
#[derive(Clone)]
pub struct Batchers {
    ground: Arc<BatchContext>,
    lines: Arc<RwLock<Lines>>,
}

type Lines = HashMap<TypeId, Box<dyn Any + Send + Sync>>;

impl Batchers {
    /// Lines to this database.
    pub fn new(pool: PgPool, rules: BookingRules) -> Self {
        Self { ground: Arc::new(BatchContext { db: AtHand::new(pool), rules }), lines: Arc::default() }
    }

    /// Asks the step, together with whoever asks it meanwhile.
    ///
    /// # Errors
    /// The database's; a panic in the statement's code.
    pub async fn ask<T: BatchStatement<BatchContext = BatchContext>>(
        &self,
        ask: T::Ask,
    ) -> Result<T::Answer, sqlx::Error> {
        self.line::<T>().ask(ask).await
    }

    fn line<T: BatchStatement<BatchContext = BatchContext>>(&self) -> Coalescer<T> {
        let known = |lines: &Lines| {
            lines.get(&TypeId::of::<T>()).and_then(|line| line.downcast_ref::<Coalescer<T>>()).cloned()
        };
        if let Some(line) = known(&self.lines.read().unwrap_or_else(PoisonError::into_inner)) {
            return line;
        }
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        known(&lines).unwrap_or_else(|| {
            let line = Coalescer::<T>::new(Arc::clone(&self.ground), HELD_UP);
            lines.insert(TypeId::of::<T>(), Box::new(line.clone()));
            line
        })
    }
}

/// The line of one step.
struct Coalescer<T: BatchStatement>(Arc<Inner<T>>);

struct Inner<T: BatchStatement> {
    ground: Arc<T::BatchContext>,
    held_up_after: Duration,
    line: Mutex<Line<T>>,
}

struct Line<T: BatchStatement> {
    waiting: VecDeque<Waiting<T>>,
    /// Lanes that are open, and how many of them are held up.
    open: usize,
    held_up: usize,
}

impl<T: BatchStatement> Line<T> {
    /// Opens a lane, unless there are enough that are not held up.
    fn opens(&mut self) -> bool {
        let opens = self.open < self.held_up + self.lanes() && self.open < LANES;
        self.open += usize::from(opens);
        opens
    }

    /// How many lanes there should be at this moment, but for those that are held up.
    fn lanes(&self) -> usize {
        1 + usize::from(self.waiting.len() >= T::CROWD)
    }
}

struct Waiting<T: BatchStatement> {
    ask: T::Ask,
    answer: Answers<T>,
}

type Answers<T> = oneshot::Sender<Result<<T as BatchStatement>::Answer, sqlx::Error>>;

/// The asks of one statement, and where their answers go.
type Boarded<T> = (Vec<<T as BatchStatement>::Ask>, Vec<Answers<T>>);

impl<T: BatchStatement> Clone for Coalescer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: BatchStatement> Coalescer<T> {
    fn new(ground: Arc<T::BatchContext>, held_up_after: Duration) -> Self {
        let line = Line { waiting: VecDeque::new(), open: 0, held_up: 0 };
        Self(Arc::new(Inner { ground, held_up_after, line: Mutex::new(line) }))
    }

    /// Safe to drop: the ask stays in the line and is done like any other, on the lane's own task; its answer goes nowhere. A
    /// client learns it by his key. An attempt at a job completes its job in the statement itself, under its lease's token.
    async fn ask(&self, ask: T::Ask) -> Result<T::Answer, sqlx::Error> {
        let (answer, answered) = oneshot::channel();
        let opens = {
            let mut line = self.0.line();
            line.waiting.push_back(Waiting { ask, answer });
            line.opens()
        };
        if opens {
            self.fly();
        }
        answered.await.unwrap_or_else(|_| Err(sqlx::Error::Decode("the statement broke off".into())))
    }

    /// Takes off with whoever waits, again and again until nobody does.
    fn fly(&self) {
        tokio::spawn(Lane { coalescer: self.clone(), held_up: false, flying: false }.fly());
    }
}

/// One statement after another, on a task of its own, which no caller can drop. Should one come to a bad end, another lane takes this one's place.
struct Lane<T: BatchStatement> {
    coalescer: Coalescer<T>,
    held_up: bool,
    /// Has begun, and not landed: what a runtime drops as it ends has not begun, and needs no other lane.
    flying: bool,
}

impl<T: BatchStatement> Lane<T> {
    async fn fly(mut self) {
        self.flying = true;
        let inner = Arc::clone(&self.coalescer.0);
        gather().await;
        while let Some((asks, answers)) = inner.board() {
            let mut flush = pin!(inner.flush(asks, answers));
            if timeout(inner.held_up_after, &mut flush).await.is_err() {
                self.hold_up();
                flush.await;
                self.go_on();
            }
            gather().await;
        }
        self.flying = false;
    }

    /// Whoever waits behind this statement goes by another lane.
    fn hold_up(&mut self) {
        self.held_up = true;
        let opens = {
            let mut line = self.coalescer.0.line();
            line.held_up += 1;
            !line.waiting.is_empty() && line.opens()
        };
        if opens {
            self.coalescer.fly();
        }
    }

    fn go_on(&mut self) {
        self.held_up = false;
        self.coalescer.0.line().held_up -= 1;
    }
}

/// Lets whoever is awake come first. A statement's answers wake its askers all at once, and the first of them would set off
/// alone with the next step, ahead of the others; what has arrived at a socket meanwhile can be read as well. Nobody who is
/// not here yet is waited for.
async fn gather() {
    for _ in 0..GATHERINGS {
        yield_now().await;
    }
}

impl<T: BatchStatement> Drop for Lane<T> {
    fn drop(&mut self) {
        if self.held_up {
            self.go_on();
        }
        if self.flying {
            self.coalescer.fly();
        }
    }
}

impl<T: BatchStatement> Inner<T> {
    /// The lock is never held over anything that could panic half way.
    fn line(&self) -> MutexGuard<'_, Line<T>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The longest waiting that can go together, at most [`MOST`]. Who shares something with one that goes or has to wait
    /// waits too. Nobody if the lane is to close: nobody waits, or another lane has opened while this one was held up.
    fn board(&self) -> Option<Boarded<T>> {
        let mut line = self.line();
        if line.open > line.held_up + line.lanes() {
            line.open -= 1;
            return None;
        }
        let (mut asks, mut answers) = (Vec::new(), Vec::new());
        let (mut in_flight, mut left) = (HashSet::new(), VecDeque::new());
        while let Some(next) = line.waiting.pop_front() {
            if asks.len() == MOST {
                left.push_back(next);
                break;
            }
            let shared = T::shared(&next.ask);
            let alone = shared.iter().all(|one| !in_flight.contains(one));
            in_flight.extend(shared);
            if alone {
                asks.push(next.ask);
                answers.push(next.answer);
            } else {
                left.push_back(next);
            }
        }
        left.append(&mut line.waiting);
        line.waiting = left;
        line.open -= usize::from(asks.is_empty());
        (!asks.is_empty()).then_some((asks, answers))
    }

    /// A statement whose plan is older than the schema is made again at once: it is refused before it does anything.
    async fn ask_all(&self, asks: &[T::Ask]) -> Result<Vec<T::Answer>, sqlx::Error> {
        again(|| T::ask_all(&self.ground, asks)).await
    }

    async fn flush(&self, asks: Vec<T::Ask>, answers: Vec<Answers<T>>) {
        match self.ask_all(&asks).await {
            Ok(brought) => {
                for (answer, brought) in answers.into_iter().zip(brought) {
                    // Whoever has gone away meanwhile does not hear it.
                    let _ = answer.send(Ok(brought));
                }
            }
            // In this order, so that an outage which a lone ask meets is noticed, too.
            Err(error) if !note_outage(&error) && asks.len() > 1 => {
                tracing::warn!(%error, asks = asks.len(), "a statement of many failed; each is made alone");
                for (ask, answer) in asks.iter().zip(answers) {
                    let alone = self.ask_all(std::slice::from_ref(ask)).await;
                    let alone =
                        alone.and_then(|brought| brought.into_iter().next().ok_or(sqlx::Error::RowNotFound));
                    let _ = answer.send(alone);
                }
            }
            Err(error) => {
                let text = error.to_string();
                let mut error = Some(error);
                for answer in answers {
                    let own = error.take().unwrap_or_else(|| sqlx::Error::Io(io::Error::other(text.clone())));
                    let _ = answer.send(Err(own));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        sync::{Semaphore, mpsc},
        task::JoinHandle,
    };

    /// Doubles numbers once it is let; an ask of 13 breaks its statement.
    struct Doubling;

    struct Gate {
        let_go: Semaphore,
        flown: mpsc::UnboundedSender<Vec<i32>>,
    }

    impl BatchStatement for Doubling {
        type BatchContext = Gate;
        type Ask = i32;
        type Answer = i32;

        fn shared(ask: &i32) -> Vec<ConflictKey> {
            vec![ConflictKey::Seat(Uuid::nil(), ask % 100)]
        }

        async fn ask_all(gate: &Gate, asks: &[i32]) -> Result<Vec<i32>, sqlx::Error> {
            let _ = gate.flown.send(asks.to_vec());
            gate.let_go.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?.forget();
            if asks.contains(&13) {
                Err(sqlx::Error::RowNotFound)
            } else {
                Ok(asks.iter().map(|n| n * 2).collect())
            }
        }
    }

    /// Longer than any test takes.
    const NEVER: Duration = Duration::from_secs(600);

    fn doubling(held_up_after: Duration) -> (Coalescer<Doubling>, mpsc::UnboundedReceiver<Vec<i32>>) {
        let (flown, flights) = mpsc::unbounded_channel();
        (Coalescer::new(Arc::new(Gate { let_go: Semaphore::new(0), flown }), held_up_after), flights)
    }

    fn begin(coalescer: &Coalescer<Doubling>, ask: i32) -> JoinHandle<Option<i32>> {
        let own = coalescer.clone();
        tokio::spawn(async move { own.ask(ask).await.ok() })
    }

    /// The first takes off; the others ask in this order while it is under way. What they get, and what flew.
    async fn fly(asks: &[i32]) -> (Vec<Option<i32>>, Vec<Vec<i32>>) {
        let (coalescer, mut flights) = doubling(NEVER);
        let mut asked = vec![begin(&coalescer, asks[0])];
        let mut flown = vec![flights.recv().await.expect("it takes off")];
        for ask in &asks[1..] {
            asked.push(begin(&coalescer, *ask));
            yield_now().await;
        }
        coalescer.0.ground.let_go.add_permits(2 * asks.len());
        let mut answers = Vec::new();
        for one in asked {
            answers.push(one.await.expect("no panic"));
        }
        while let Ok(flight) = flights.try_recv() {
            flown.push(flight);
        }
        (answers, flown)
    }

    #[tokio::test]
    async fn the_first_goes_at_once_and_alone_and_the_others_together() {
        let (answers, flown) = fly(&[1, 2, 3, 4, 5]).await;
        assert_eq!(answers, [2, 4, 6, 8, 10].map(Some));
        assert_eq!(flown, [vec![1], vec![2, 3, 4, 5]]);
    }

    #[tokio::test]
    async fn who_wants_the_same_goes_later_and_in_order() {
        let (answers, flown) = fly(&[1, 2, 7, 107, 8, 207]).await;
        assert_eq!(answers, [2, 4, 14, 214, 16, 414].map(Some));
        assert_eq!(flown, [vec![1], vec![2, 7, 8], vec![107], vec![207]]);
    }

    #[tokio::test]
    async fn those_who_are_awake_go_with_the_first() {
        let (coalescer, mut flights) = doubling(NEVER);
        let asked: Vec<_> = [1, 2, 3].map(|ask| begin(&coalescer, ask)).into();
        assert_eq!(flights.recv().await, Some(vec![1, 2, 3]));
        coalescer.0.ground.let_go.add_permits(1);
        for (asked, answer) in asked.into_iter().zip([2, 4, 6]) {
            assert_eq!(asked.await.expect("no panic"), Some(answer));
        }
    }

    #[test]
    fn a_runtime_that_ends_ends_its_lanes() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let (coalescer, mut flights) = doubling(NEVER);
        runtime.block_on(async {
            begin(&coalescer, 1);
            begin(&coalescer, 101);
            assert_eq!(flights.recv().await, Some(vec![1]));
        });
        drop(runtime);
        assert_eq!(coalescer.0.line().waiting.len(), 1, "nobody flies any more");
    }

    #[tokio::test]
    async fn a_statement_that_is_held_up_does_not_hold_up_who_comes_later() {
        let (coalescer, mut flights) = doubling(Duration::from_millis(1));
        let ask = |n| begin(&coalescer, n);
        let first = ask(1);
        assert_eq!(flights.recv().await, Some(vec![1]));
        let second = ask(2);
        assert_eq!(flights.recv().await, Some(vec![2]), "once the first is held up");
        let third = ask(3);
        assert_eq!(flights.recv().await, Some(vec![3]), "once both are");
        coalescer.0.ground.let_go.add_permits(3);
        for (asked, answer) in [(first, 2), (second, 4), (third, 6)] {
            assert_eq!(asked.await.expect("no panic"), Some(answer));
        }
        let fourth = ask(4);
        assert_eq!(flights.recv().await, Some(vec![4]), "the lanes have closed");
        coalescer.0.ground.let_go.add_permits(1);
        assert_eq!(fourth.await.expect("no panic"), Some(8));
    }

    #[tokio::test]
    async fn one_that_breaks_its_statement_fails_alone() {
        let (answers, _) = fly(&[1, 2, 3, 13, 4]).await;
        assert_eq!(answers, [Some(2), Some(4), Some(6), None, Some(8)]);
    }
}
