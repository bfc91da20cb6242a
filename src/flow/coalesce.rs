//! Many requests, one statement, one commit. A step's statement takes any number of bookings; while it is on its way to
//! the disk, those who come meanwhile wait together for the next. A flush never waits for company: whoever comes to an idle
//! step goes alone, at once.
//!
//! What one request wants never decides over another's. Asks that share something (a seat, a key, an order) are not put
//! into one statement, so the database decides between them as between two processes; a statement that fails is made again
//! for each of its asks alone, unless the database is away. Whether it had committed is then unknown, as it is for a request alone, and the barriers stand that.
//!
//! How many can wait is bounded by how many requests are let in at all ([`Admission`](crate::settings::Admission)).

use super::StepError;
use crate::schema::is_outage;
use std::{
    any::{Any, TypeId},
    collections::{HashMap, HashSet, VecDeque},
    future::Future,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Asks of one statement at the most.
const MOST: usize = 64;
/// Statements of one step that may be under way at once: one is at the disk while the next is at the tables.
const LANES: usize = 1;

/// A step whose statement takes many asks.
pub trait Together: Send + Sync + 'static {
    /// What one request wants of the step.
    type Ask: Send + Sync + 'static;
    /// What it gets.
    type Answer: Send + 'static;

    /// What two asks of one statement may not have in common.
    fn shared(ask: &Self::Ask) -> Vec<Shared>;

    /// The statement. Its answers stand in the order of the asks.
    fn ask_all(
        &self,
        asks: &[Self::Ask],
    ) -> impl Future<Output = Result<Vec<Self::Answer>, sqlx::Error>> + Send;
}

/// Something that two asks could both want.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Shared {
    /// A seat of a trip.
    Seat(Uuid, i32),
    /// A client's idempotency key.
    Key(Uuid, String),
    /// An order, or its payment.
    Order(Uuid),
}

/// The steps' lines, one for each step of a process. Clones share them.
#[derive(Clone, Default)]
pub struct Joint(Arc<RwLock<HashMap<TypeId, Box<dyn Any + Send + Sync>>>>);

impl Joint {
    /// Asks the step, together with whoever asks it meanwhile; the first to come makes it.
    ///
    /// # Errors
    /// The database's; a panic in the statement's code.
    pub async fn ask<T: Together>(
        &self,
        step: impl FnOnce() -> T,
        ask: T::Ask,
    ) -> Result<T::Answer, StepError> {
        self.line(step).ask(ask).await
    }

    fn line<T: Together>(&self, step: impl FnOnce() -> T) -> Coalescer<T> {
        let known = |lines: &HashMap<TypeId, Box<dyn Any + Send + Sync>>| {
            lines.get(&TypeId::of::<T>()).and_then(|line| line.downcast_ref::<Coalescer<T>>()).cloned()
        };
        if let Some(line) = known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return line;
        }
        let mut lines = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known(&lines).unwrap_or_else(|| {
            let line = Coalescer::new(step());
            lines.insert(TypeId::of::<T>(), Box::new(line.clone()));
            line
        })
    }
}

/// The line of one step.
struct Coalescer<T: Together>(Arc<Inner<T>>);

struct Inner<T: Together> {
    step: T,
    line: Mutex<Line<T>>,
}

struct Line<T: Together> {
    waiting: VecDeque<Waiting<T>>,
    flying: usize,
}

struct Waiting<T: Together> {
    ask: T::Ask,
    answer: Answers<T>,
}

type Answers<T> = oneshot::Sender<Result<<T as Together>::Answer, sqlx::Error>>;

/// The asks of one statement, and where their answers go.
type Boarded<T> = (Vec<<T as Together>::Ask>, Vec<Answers<T>>);

impl<T: Together> Clone for Coalescer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Together> Coalescer<T> {
    fn new(step: T) -> Self {
        let line = Line { waiting: VecDeque::new(), flying: 0 };
        Self(Arc::new(Inner { step, line: Mutex::new(line) }))
    }

    /// A caller who goes away meanwhile is answered by his key, like any other.
    async fn ask(&self, ask: T::Ask) -> Result<T::Answer, StepError> {
        let (answer, answered) = oneshot::channel();
        let starts = {
            let mut line = self.0.line();
            line.waiting.push_back(Waiting { ask, answer });
            let starts = line.flying < LANES;
            line.flying += usize::from(starts);
            starts
        };
        if starts {
            self.fly();
        }
        match answered.await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(StepError::Broken("the statement broke off".into())),
        }
    }

    /// Takes off with whoever waits, again and again until nobody does.
    fn fly(&self) {
        tokio::spawn(Lane { coalescer: self.clone(), landed: false }.fly());
    }
}

/// A flight that may come to a bad end: then another takes its place.
struct Lane<T: Together> {
    coalescer: Coalescer<T>,
    landed: bool,
}

impl<T: Together> Lane<T> {
    async fn fly(mut self) {
        while let Some((asks, answers)) = self.coalescer.0.board() {
            self.coalescer.0.flush(asks, answers).await;
        }
        self.landed = true;
    }
}

impl<T: Together> Drop for Lane<T> {
    fn drop(&mut self) {
        if !self.landed {
            self.coalescer.fly();
        }
    }
}

impl<T: Together> Inner<T> {
    /// The lock is never held over anything that could panic half way.
    fn line(&self) -> MutexGuard<'_, Line<T>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The longest waiting that can go together, at most [`MOST`]. Who shares something with one that goes or has to wait
    /// waits too. If nobody waits the flight is over.
    fn board(&self) -> Option<Boarded<T>> {
        let mut line = self.line();
        let (mut asks, mut answers) = (Vec::new(), Vec::new());
        let (mut wanted, mut left) = (HashSet::new(), VecDeque::new());
        while let Some(next) = line.waiting.pop_front() {
            if asks.len() == MOST {
                left.push_back(next);
                break;
            }
            let shared = T::shared(&next.ask);
            let alone = shared.iter().all(|one| !wanted.contains(one));
            wanted.extend(shared);
            if alone {
                asks.push(next.ask);
                answers.push(next.answer);
            } else {
                left.push_back(next);
            }
        }
        left.append(&mut line.waiting);
        line.waiting = left;
        line.flying -= usize::from(asks.is_empty());
        (!asks.is_empty()).then_some((asks, answers))
    }

    async fn flush(&self, asks: Vec<T::Ask>, answers: Vec<Answers<T>>) {
        match self.step.ask_all(&asks).await {
            Ok(brought) => {
                for (answer, brought) in answers.into_iter().zip(brought) {
                    // Whoever has gone away meanwhile does not hear it.
                    let _ = answer.send(Ok(brought));
                }
            }
            Err(error) if asks.len() > 1 && !is_outage(&error) => {
                tracing::warn!(%error, asks = asks.len(), "a statement of many failed; each is made alone");
                for (ask, answer) in asks.iter().zip(answers) {
                    let alone = self.step.ask_all(std::slice::from_ref(ask)).await;
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
    use tokio::sync::{Semaphore, mpsc};

    /// Doubles numbers once it is let; an ask of 13 breaks its statement.
    struct Doubling {
        let_go: Semaphore,
        flown: mpsc::UnboundedSender<Vec<i32>>,
    }

    impl Together for Doubling {
        type Ask = i32;
        type Answer = i32;

        fn shared(ask: &i32) -> Vec<Shared> {
            vec![Shared::Seat(Uuid::nil(), ask % 100)]
        }

        async fn ask_all(&self, asks: &[i32]) -> Result<Vec<i32>, sqlx::Error> {
            let _ = self.flown.send(asks.to_vec());
            self.let_go.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?.forget();
            if asks.contains(&13) {
                Err(sqlx::Error::RowNotFound)
            } else {
                Ok(asks.iter().map(|n| n * 2).collect())
            }
        }
    }

    fn doubling() -> (Coalescer<Doubling>, mpsc::UnboundedReceiver<Vec<i32>>) {
        let (flown, flights) = mpsc::unbounded_channel();
        (Coalescer::new(Doubling { let_go: Semaphore::new(0), flown }), flights)
    }

    /// Asks in this order, and lets so many statements go.
    async fn ask(coalescer: &Coalescer<Doubling>, asks: &[i32], statements: usize) -> Vec<Option<i32>> {
        let mut asked = Vec::new();
        for ask in asks.iter().copied() {
            let own = coalescer.clone();
            let task = tokio::spawn(async move { own.ask(ask).await.ok() });
            tokio::task::yield_now().await;
            asked.push(task);
        }
        coalescer.0.step.let_go.add_permits(statements);
        let mut answers = Vec::new();
        for task in asked {
            answers.push(task.await.expect("no panic"));
        }
        answers
    }

    #[tokio::test]
    async fn the_first_go_at_once_and_alone_and_the_others_together() {
        let (coalescer, mut flights) = doubling();
        let answers = ask(&coalescer, &[1, 2, 3, 4, 5], 9).await;
        assert_eq!(answers, [2, 4, 6, 8, 10].map(Some));
        let mut flown = Vec::new();
        while let Ok(flight) = flights.try_recv() {
            flown.push(flight);
        }
        assert_eq!(flown, [vec![1], vec![2], vec![3, 4, 5]]);
    }

    #[tokio::test]
    async fn who_wants_the_same_goes_later_and_in_order() {
        let (coalescer, mut flights) = doubling();
        let answers = ask(&coalescer, &[1, 2, 7, 107, 8, 207], 9).await;
        assert_eq!(answers, [2, 4, 14, 214, 16, 414].map(Some));
        let mut flown = Vec::new();
        while let Ok(flight) = flights.try_recv() {
            flown.push(flight);
        }
        assert_eq!(flown, [vec![1], vec![2], vec![7, 8], vec![107], vec![207]]);
    }

    #[tokio::test]
    async fn one_that_breaks_its_statement_fails_alone() {
        let (coalescer, _flights) = doubling();
        let answers = ask(&coalescer, &[1, 2, 3, 13, 4], 9).await;
        assert_eq!(answers, [Some(2), Some(4), Some(6), None, Some(8)]);
    }
}
