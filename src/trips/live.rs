//! Live seats: what riders who look at a trip's seat map are told while it changes.
//!
//! One task of each API process looks at the seats of all trips that somebody streams, in one statement every
//! `trips.live_poll_ms`, compares, and tells the streams what changed. So it tells what has committed, on whatever
//! replica, and a booking pays nothing for it: no NOTIFY, which would take a lock of the whole cluster in its commit, and
//! no LISTEN connection, since the statement goes through the pool. A thousand streams of one trip cost what one costs; while
//! there are none, nothing is asked.
//!
//! A stream holds the latest state it was sent and is told the difference to the present one. So there is no backlog: for
//! a reader that is slow, changes merge into one. One that reads nothing at all keeps its place until the stream is
//! `trips.live_stream_secs` old: then it ends, and whoever is there comes back. The id of an event names the whole state after it and is the same on
//! every replica: who comes back with the id of the present state has missed nothing, anybody else gets a snapshot.

use super::seat_map;
use crate::{domain::TripId, limits::counted, settings::Trips as TripRules, storage::is_outage};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::timeout_at,
};
use uuid::Uuid;

/// After a look that took long, a pause of so many times as long: looking takes a tenth of one connection at the most.
const REST: u32 = 9;
/// The longest a stream may last, whatever the settings say.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// All streams of this process. Cloning it shares them.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    slots: Arc<Semaphore>,
    /// How many streams each address has; only addresses that have some.
    by_address: Mutex<HashMap<IpAddr, usize>>,
    most_of_address: usize,
    trips: Mutex<HashMap<TripId, watch::Sender<Arc<Seats>>>>,
    opened: Notify,
    period: Duration,
    longest: Duration,
}

/// The states of a trip's seats: a letter for each, from seat 1 on.
#[derive(Debug)]
struct Seats {
    letters: String,
    id: String,
}

/// A seat's state, as everybody may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeatState {
    /// Its label.
    pub seat: String,
    /// `free`, `held`, `sold` or `blocked`.
    pub state: &'static str,
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Names the state after it.
    pub id: String,
    /// What is told.
    pub told: Told,
}

/// What an event tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Every seat.
    Seats(Vec<SeatState>),
    /// The seats that are no longer what they were.
    Changed(Vec<SeatState>),
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum NoStream {
    /// As many are open as may be, or the server is stopping.
    #[error("no room for another stream")]
    Full,
    /// The reader's address has as many open as one address may have.
    #[error("no room for another stream of this address")]
    TooManyOfAddress,
    /// There is no such trip.
    #[error("there is no such trip")]
    UnknownTrip,
    /// The database's error.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// One open stream. Safe to drop: its slot and its receiver go with it, and a trip without receivers is forgotten.
pub struct Stream {
    seats: watch::Receiver<Arc<Seats>>,
    known: Option<Arc<Seats>>,
    ends: Instant,
    _place: Place,
}

/// One stream's place among all, and among those of its address; both are free once it is dropped.
struct Place {
    live: Live,
    address: IpAddr,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.live.by_address();
        if let Some(open) = all.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                all.remove(&self.address);
            }
        }
    }
}

impl Live {
    /// With the bounds and times of the settings; `limited` says whether an address is bounded.
    pub fn new(rules: &TripRules, limited: bool) -> Self {
        Self(Arc::new(Inner {
            slots: Arc::new(Semaphore::new(rules.live_streams.min(Semaphore::MAX_PERMITS))),
            by_address: Mutex::default(),
            most_of_address: if limited { rules.live_streams_per_address } else { usize::MAX },
            trips: Mutex::default(),
            opened: Notify::new(),
            period: Duration::from_millis(rules.live_poll_ms),
            longest: Duration::from_secs(rules.live_stream_secs).min(LONGEST),
        }))
    }

    /// Opens a stream for a reader at this address; `last_id` is the id of the last event it has seen, if any.
    ///
    /// # Errors
    /// No room, no such trip; the database's.
    pub async fn open(
        &self,
        pool: &PgPool,
        trip: TripId,
        last_id: Option<&str>,
        address: IpAddr,
    ) -> Result<Stream, NoStream> {
        let place = self.take_place(counted(address))?;
        let mut seats = match self.join(trip) {
            Some(seats) => seats,
            None => {
                let now = look(pool, &[trip]).await?.pop().ok_or(NoStream::UnknownTrip)?;
                self.begin(trip, now.1)?
            }
        };
        let present = Arc::clone(&seats.borrow_and_update());
        let known = (last_id == Some(present.id.as_str())).then_some(present);
        Ok(Stream { seats, known, ends: Instant::now() + self.0.longest, _place: place })
    }

    fn take_place(&self, address: IpAddr) -> Result<Place, NoStream> {
        let slot = Arc::clone(&self.0.slots).try_acquire_owned().map_err(|_| NoStream::Full)?;
        let mut all = self.by_address();
        let open = all.entry(address).or_insert(0);
        if *open >= self.0.most_of_address {
            // Never zero, unless no address may have any.
            if *open == 0 {
                all.remove(&address);
            }
            return Err(NoStream::TooManyOfAddress);
        }
        *open += 1;
        drop(all);
        Ok(Place { live: self.clone(), address, _slot: slot })
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every stream, and opens none any more.
    pub fn close(&self) {
        self.0.slots.close();
        self.trips().clear();
    }

    /// Looks for as long as the process lives. Safe to drop: it only reads.
    pub async fn watch(self, pool: PgPool) {
        let mut failing = false;
        loop {
            let trips = self.streamed();
            if trips.is_empty() {
                self.0.opened.notified().await;
                continue;
            }
            let began = Instant::now();
            match look(&pool, &trips).await {
                Ok(seen) => {
                    failing = false;
                    self.tell(seen);
                }
                Err(error) => {
                    let outage = is_outage(&error);
                    if !failing {
                        tracing::warn!(%error, outage, "live seats cannot be looked at");
                    }
                    failing = true;
                }
            }
            tokio::time::sleep(self.0.period.max(began.elapsed() * REST)).await;
        }
    }

    /// The trips somebody streams; the others are forgotten.
    fn streamed(&self) -> Vec<TripId> {
        let mut trips = self.trips();
        trips.retain(|_, seats| seats.receiver_count() > 0);
        trips.keys().copied().collect()
    }

    fn tell(&self, seen: Vec<(TripId, Seats)>) {
        let trips = self.trips();
        for (trip, now) in seen {
            if let Some(seats) = trips.get(&trip)
                && seats.borrow().letters != now.letters
            {
                seats.send_replace(Arc::new(now));
            }
        }
    }

    fn join(&self, trip: TripId) -> Option<watch::Receiver<Arc<Seats>>> {
        self.trips().get(&trip).map(watch::Sender::subscribe)
    }

    /// Begins to look at the trip, unless another stream has begun meanwhile.
    fn begin(&self, trip: TripId, now: Seats) -> Result<watch::Receiver<Arc<Seats>>, NoStream> {
        let mut trips = self.trips();
        if self.0.slots.is_closed() {
            return Err(NoStream::Full);
        }
        let seats = trips.entry(trip).or_insert_with(|| watch::Sender::new(Arc::new(now)));
        self.0.opened.notify_one();
        Ok(seats.subscribe())
    }

    fn trips(&self) -> MutexGuard<'_, HashMap<TripId, watch::Sender<Arc<Seats>>>> {
        self.0.trips.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// The next event, once there is one; none when the server stops or the stream is too old.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            let Some(known) = &self.known else {
                let present = Arc::clone(&self.seats.borrow_and_update());
                let told = Told::Seats(present.all());
                let id = present.id.clone();
                self.known = Some(present);
                return Some(News { id, told });
            };
            timeout_at(self.ends.into(), self.seats.changed()).await.ok()?.ok()?;
            let present = Arc::clone(&self.seats.borrow_and_update());
            let changed = present.changed_since(known);
            let id = present.id.clone();
            self.known = Some(present);
            if !changed.is_empty() {
                return Some(News { id, told: Told::Changed(changed) });
            }
        }
    }
}

impl Seats {
    fn new(letters: String) -> Self {
        let hash = Sha256::digest(&letters);
        let id = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { letters, id }
    }

    fn all(&self) -> Vec<SeatState> {
        (1_usize..).zip(self.letters.bytes()).map(|(seat, letter)| state(seat, letter)).collect()
    }

    fn changed_since(&self, before: &Self) -> Vec<SeatState> {
        let both = self.letters.bytes().zip(before.letters.bytes());
        let changed = (1_usize..).zip(both).filter(|(_, (now, then))| now != then);
        changed.map(|(seat, (now, _))| state(seat, now)).collect()
    }
}

fn state(seat: usize, letter: u8) -> SeatState {
    SeatState { seat: seat.to_string(), state: seat_map::state(letter) }
}

/// The present state of these trips' seats, by the database's clock: a hold that has lapsed since the last look is a change,
/// though no row has changed. A trip's seats are numbered from 1 without gaps.
async fn look(pool: &PgPool, trips: &[TripId]) -> Result<Vec<(TripId, Seats)>, sqlx::Error> {
    let ids: Vec<Uuid> = trips.iter().map(|trip| trip.0).collect();
    let rows = sqlx::query!(
        r#"select s.trip_id,
                  string_agg(seat_state(s.blocked, s.order_id, s.held_until), '' order by s.seat) as "letters!"
           from seat s where s.trip_id = any($1) group by s.trip_id"#,
        &ids
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (TripId(row.trip_id), Seats::new(row.letters))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_a_state_and_a_change_names_its_seats() {
        let (then, now) = (Seats::new("ffhs".to_owned()), Seats::new("fhfb".to_owned()));
        assert_ne!(then.id, now.id);
        assert_eq!(now.id, Seats::new("fhfb".to_owned()).id, "the same on every replica");
        let changed: Vec<_> = now.changed_since(&then).into_iter().map(|s| (s.seat, s.state)).collect();
        let expected = [("2", "held"), ("3", "free"), ("4", "blocked")];
        assert_eq!(changed, expected.map(|(seat, state)| (seat.to_owned(), state)));
        assert_eq!(then.all().last().map(|s| s.state), Some("sold"));
    }
}
