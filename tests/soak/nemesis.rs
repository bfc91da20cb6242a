//! What breaks the system, act by act: processes killed, stopped, asked to end; the server stopped
//! at once; lines cut and slowed; rows locked the wrong way round; Redis emptied.

use super::{
    fleet::{Fleet, Kind},
    riders::SEATS,
};
use crate::harness::{Cut, Process};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom, seq::SliceRandom};
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Longer than a lease: a worker stopped for this time has lost its leases.
const ASLEEP: Duration = Duration::from_millis(2_600);
/// How long a lock is held the wrong way round before the second row is asked for.
const ACROSS: Duration = Duration::from_millis(150);

/// Longer than an undo is put off.
const HANG: &str = "order_calc_money_cancle.after=sleep:2600";

/// Looks, and fails before the claim.
const HESITATE: &str = "order_seats_cancel.after=sleep:900,order_add_seats_cancle.before=error";
/// Adds its order when the undo of its claim has been picked up already, and has not read yet: it
/// is a slow one.
const TARDY: &str = "order_calc_money_cancle.after=sleep:1630";
/// The order is not added before.
const UNTIL_IT_ADDS: Duration = Duration::from_millis(1_400);
/// From then on until after the undo has begun to read.
const PAST_ITS_READ: Duration = Duration::from_millis(800);

/// Its undo is the one that [`SLOW_UNDOS`](super::fleet::SLOW_UNDOS) makes slow.
const SLOWLY_UNDONE: &str = "order_calc_money_cancle.before=error";
/// How long a worker may need to pick it up.
const PICKED_UP: Duration = Duration::from_millis(100);

/// How wrong a clock may go, seconds.
pub const WRONG_BY_SECS: i64 = 3_600;

/// An act against the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    KillApi,
    KillWorker,
    StopWorker,
    EndApi,
    EndWorker,
    KillServer,
    CutLines,
    CutAtACommit,
    SlowLines,
    LockAcross,
    HangPastTheUndo,
    LoseTheSeat,
    HoldAStepOpen,
    FlushRedis,
    JumpTheClock,
}

impl Act {
    /// A shuffled deck, so that every run of some length has every act in it.
    pub fn deck(random: &mut StdRng) -> Vec<Self> {
        let mut deck = vec![
            Self::KillApi,
            Self::KillApi,
            Self::KillApi,
            Self::KillWorker,
            Self::KillWorker,
            Self::KillWorker,
            Self::StopWorker,
            Self::StopWorker,
            Self::EndApi,
            Self::EndWorker,
            Self::KillServer,
            Self::CutLines,
            Self::CutAtACommit,
            Self::CutAtACommit,
            Self::SlowLines,
            Self::LockAcross,
            Self::HangPastTheUndo,
            Self::LoseTheSeat,
            Self::LoseTheSeat,
            Self::HoldAStepOpen,
            Self::HoldAStepOpen,
            Self::FlushRedis,
            Self::JumpTheClock,
        ];
        deck.shuffle(random);
        deck
    }

    /// Whether it ends something that was at work.
    pub fn kills(self) -> bool {
        matches!(self, Self::KillApi | Self::KillWorker | Self::KillServer | Self::StopWorker)
    }
}

impl Fleet {
    pub async fn commit(&mut self, act: Act, random: &mut StdRng) {
        self.proxy.slow(Duration::ZERO);
        match act {
            Act::KillApi => self.replace(Kind::Api, random, Process::kill),
            Act::KillWorker => {
                self.keep_workers_busy(random).await;
                self.replace(Kind::Worker, random, Process::kill);
                self.replace(Kind::Worker, random, Process::kill);
            }
            Act::EndApi => self.replace(Kind::Api, random, end),
            Act::EndWorker => self.replace(Kind::Worker, random, end),
            Act::StopWorker => self.put_to_sleep(random).await,
            Act::KillServer => self.restart_the_server().await,
            Act::CutLines => self.proxy.cut_all(),
            Act::CutAtACommit => {
                // A trip's id is a parameter of a booking's check, claim and adding.
                let cut = if random.random_bool(0.5) { Cut::Request } else { Cut::Answer };
                self.proxy.arm(cut, self.trips.choose(random).unwrap(), random.random_range(0..6));
            }
            Act::SlowLines => self.proxy.slow(Duration::from_millis(random.random_range(1..20))),
            Act::LockAcross => self.lock_across(random).await,
            Act::HangPastTheUndo => {
                // Its claim's undo falls due and is done meanwhile; then the step comes after all.
                if let Some(mut rider) = self.accomplice.take() {
                    let seat = random.random_range(1..=SEATS);
                    rider.book_exactly(&self.quiet_trip, vec![seat], Some(HANG)).await;
                    self.accomplice = Some(rider);
                }
            }
            Act::LoseTheSeat => {
                // One reads, hesitates and fails; the other takes the seat meanwhile and pays. Then
                // the first one's undo comes.
                if let (Some(mut one), Some(mut other)) = (self.accomplice.take(), self.rival.take()) {
                    let (trip, seat) = (self.quiet_trip.as_str(), random.random_range(1..=SEATS));
                    tokio::join!(one.book_exactly(trip, vec![seat], Some(HESITATE)), async {
                        sleep(ACROSS).await;
                        other.book_and_pay(trip, seat).await;
                    });
                    (self.accomplice, self.rival) = (Some(one), Some(other));
                }
            }
            Act::HoldAStepOpen => self.hold_a_step_open(random).await,
            // Once of an API and a worker that run, and of those that are started in their places.
            Act::JumpTheClock => self.clock.jump(random.random_range(-WRONG_BY_SECS..=WRONG_BY_SECS)),
            Act::FlushRedis => drop(self.redis.say("FLUSHALL")),
        }
    }

    /// A job that takes a while runs in some worker when this returns, if possible.
    async fn keep_workers_busy(&mut self, random: &mut StdRng) {
        if let Some(mut rider) = self.accomplice.take() {
            let seat = random.random_range(1..=SEATS);
            rider.book_exactly(&self.quiet_trip, vec![seat], Some(SLOWLY_UNDONE)).await;
            self.accomplice = Some(rider);
        }
        sleep(PICKED_UP).await;
    }

    /// All workers but one, in the middle of a job if it can be had: its undo is slow.
    async fn put_to_sleep(&mut self, random: &mut StdRng) {
        self.wake();
        self.keep_workers_busy(random).await;
        let awake = random.random_range(0..self.workers.len());
        let asleep: Vec<usize> = (0..self.workers.len()).filter(|worker| *worker != awake).collect();
        for worker in &asleep {
            if self.workers[*worker].is_alive() {
                self.workers[*worker].signal(libc::SIGSTOP);
            }
        }
        self.asleep = Some((asleep, Instant::now()));
    }

    /// Wakes up who has slept long enough.
    pub fn wake_if_due(&mut self) {
        if self.asleep.as_ref().is_some_and(|(_, since)| since.elapsed() > ASLEEP) {
            self.wake();
        }
    }

    pub fn wake(&mut self) {
        for worker in self.asleep.take().into_iter().flat_map(|(asleep, _)| asleep) {
            if self.workers[worker].is_alive() {
                self.workers[worker].signal(libc::SIGCONT);
            }
        }
    }

    /// The undo of a claim reads while the step that adds its order has done everything but
    /// committed. It has to wait, and to see then that the order was added.
    async fn hold_a_step_open(&mut self, random: &mut StdRng) {
        let Some(mut rider) = self.accomplice.take() else { return };
        let (trip, seat) = (self.quiet_trip.as_str(), random.random_range(1..=SEATS));
        let in_the_way = async {
            sleep(UNTIL_IT_ADDS).await;
            let mut db = PgConnection::connect(&self.url).await?;
            let lock = "select pg_advisory_lock(hashtextextended($1, 0))";
            sqlx::query(lock).bind(trip).execute(&mut db).await?;
            sleep(PAST_ITS_READ).await;
            db.close().await
        };
        // While the server is away there is nothing to hold open.
        let (_, ended) = tokio::join!(rider.book_exactly(trip, vec![seat], Some(TARDY)), in_the_way);
        drop(ended);
        self.accomplice = Some(rider);
    }

    /// Two seats of a trip in descending order, while a rider books them, which locks them
    /// ascending: one of the two has to give way, and which is the server's choice.
    async fn lock_across(&mut self, random: &mut StdRng) {
        let (trip, low) = (self.quiet_trip.clone(), random.random_range(1..SEATS));
        let seats = [low + 1, low];
        let mut booking = None;
        let mut lock = async || {
            let mut db = PgConnection::connect(&self.url).await?;
            let mut tx = db.begin().await?;
            for seat in seats {
                sqlx::query("select from seat where trip_id = $1::uuid and seat = $2 for update")
                    .bind(&trip)
                    .bind(seat)
                    .execute(&mut *tx)
                    .await?;
                if let Some(mut rider) = self.accomplice.take() {
                    let trip = trip.clone();
                    booking = Some(tokio::spawn(async move {
                        rider.book_exactly(&trip, seats.to_vec(), None).await;
                        rider
                    }));
                }
                sleep(ACROSS).await;
            }
            tx.rollback().await
        };
        let ended = lock().await;
        if let Some(booking) = booking {
            self.accomplice = Some(booking.await.unwrap());
        }
        if ended.is_err_and(|error| error.to_string().contains("deadlock")) {
            *self.marks.entry("deadlock").or_default() += 1;
        }
    }
}

fn end(process: &mut Process) {
    process.signal(libc::SIGTERM);
    process.wait();
}
