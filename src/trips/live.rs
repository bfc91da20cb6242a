//! Live seats: events for riders who have a trip's seat map open.
//!
//! One task of each API process reads the seats of all streamed trips, in one statement every
//! `trips.live_poll_ms`, or less often for many streams, and publishes the differences. So it sends
//! what has committed on any replica, at no cost for bookings: a NOTIFY would take a cluster-wide
//! lock in their commits, and LISTEN a connection. A thousand streams of one trip cost the database
//! as much as one. Without streams, nothing is read.
//!
//! A stream keeps the last state that it sent, and sends the difference to the present one. The
//! difference between two published states is written once for all streams. There is no backlog:
//! for a slow reader, changes merge into one. A reader that reads nothing keeps its slot until the
//! stream is `trips.live_stream_secs` old; then the stream ends, and a client that is still there
//! reconnects. The id of an event names the whole state after it and is the same on
//! every replica: a client that reconnects with the present id has missed nothing, any other gets a
//! snapshot. Each stream says once that its trip is cancelled, also one that resumes.

mod seats;

pub use seats::{SeatEvent, SeatState, TripCancelled};

use super::layouts::Layouts;
use crate::{
    domain::TripId,
    limits::{OpenByNetwork, OpenSlot},
    settings::Trips as TripRules,
    storage::note_outage,
};
use seats::{Delta, Seats};
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

/// How many times as long as a read the pause after it is, at least: reads take at most a tenth of
/// one connection.
const PAUSE_FACTOR: u32 = 9;
/// The pause for each open stream. A round of events takes at most 25 µs of processor time a stream, that
/// of its reader included (docs/benchmarks/2026-11-30-riders-beside-bookings.md): a tenth of one processor.
const PAUSE_PER_STREAM: Duration = Duration::from_micros(250);
/// The longest pause because of many streams.
const LONGEST_PAUSE_FOR_STREAMS: Duration = Duration::from_secs(1);
/// The longest stream, whatever the settings say.
const MAX_STREAM: Duration = Duration::from_secs(24 * 3_600);

/// All streams of this process. Cloning it shares them.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    slots: Arc<Semaphore>,
    most: usize,
    by_network: OpenByNetwork,
    trips: Mutex<HashMap<TripId, watch::Sender<Arc<Seats>>>>,
    opened: Notify,
    layouts: Layouts,
    period: Duration,
    longest: Duration,
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum NoStream {
    /// The bound on streams is reached, or the server is stopping.
    #[error("too many streams")]
    Full,
    /// The bound on streams of one address is reached.
    #[error("too many streams of this address")]
    TooManyOfAddress,
    /// There is no such trip.
    #[error("there is no such trip")]
    UnknownTrip,
    /// The database's error.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// One open stream. Safe to drop: its slot and its receiver go with it, and a trip without
/// receivers is forgotten.
pub struct Stream {
    seats: watch::Receiver<Arc<Seats>>,
    known: Option<Arc<Seats>>,
    /// Whether this stream has said that its trip is cancelled.
    knows_cancelled: bool,
    ends: Instant,
    _slot: Slot,
}

/// One stream's share of both bounds, until it is dropped.
struct Slot {
    _network: OpenSlot,
    _permit: OwnedSemaphorePermit,
}

impl Live {
    /// With the bounds and times of the settings; `limited` says whether an address is bounded.
    pub fn new(rules: &TripRules, limited: bool, layouts: Layouts) -> Self {
        let most = rules.live_streams.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            slots: Arc::new(Semaphore::new(most)),
            most,
            by_network: OpenByNetwork::new(if limited { rules.live_streams_per_address } else { usize::MAX }),
            trips: Mutex::default(),
            opened: Notify::new(),
            layouts,
            period: Duration::from_millis(rules.live_poll_ms),
            longest: Duration::from_secs(rules.live_stream_secs).min(MAX_STREAM),
        }))
    }

    /// Opens a stream for a client at this address; `last_id` is the id of the last event that it
    /// has seen, if any.
    ///
    /// # Errors
    /// Too many streams, an unknown trip; the database's.
    pub async fn open(
        &self,
        pool: &PgPool,
        trip: TripId,
        last_id: Option<&str>,
        address: IpAddr,
    ) -> Result<Stream, NoStream> {
        let slot = self.reserve(address)?;
        let mut seats = match self.join(trip) {
            Some(seats) => seats,
            None => {
                let now = self.read_states(pool, &[trip]).await?.pop().ok_or(NoStream::UnknownTrip)?;
                self.begin(trip, now.1)?
            }
        };
        let present = Arc::clone(&seats.borrow_and_update());
        let known = (last_id == Some(present.id.as_str())).then_some(present);
        let ends = Instant::now() + self.0.longest;
        Ok(Stream { seats, known, knows_cancelled: false, ends, _slot: slot })
    }

    fn reserve(&self, address: IpAddr) -> Result<Slot, NoStream> {
        let permit = Arc::clone(&self.0.slots).try_acquire_owned().map_err(|_| NoStream::Full)?;
        let network = self.0.by_network.enter(address).ok_or(NoStream::TooManyOfAddress)?;
        Ok(Slot { _network: network, _permit: permit })
    }

    /// Ends every stream and opens no more.
    pub fn close(&self) {
        self.0.slots.close();
        self.trips().clear();
    }

    /// Reads and publishes for as long as the process lives. Safe to drop: it only reads.
    pub async fn run_poll_loop(self, pool: PgPool) {
        let mut failing = false;
        loop {
            let trips = self.streamed();
            if trips.is_empty() {
                self.0.opened.notified().await;
                continue;
            }
            let began = Instant::now();
            match self.read_states(&pool, &trips).await {
                Ok(seen) => {
                    failing = false;
                    for (trip, now) in seen {
                        self.publish(trip, now);
                        // Requests are not to wait until the streams of all trips have been woken.
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) => {
                    let outage = note_outage(&error);
                    if !failing {
                        tracing::warn!(%error, outage, "reading live seats failed; retrying");
                    }
                    failing = true;
                }
            }
            let open = self.0.most.saturating_sub(self.0.slots.available_permits());
            tokio::time::sleep(pause(self.0.period, began.elapsed(), open)).await;
        }
    }

    /// The streamed trips; others are removed.
    fn streamed(&self) -> Vec<TripId> {
        let mut trips = self.trips();
        trips.retain(|_, seats| seats.receiver_count() > 0);
        trips.keys().copied().collect()
    }

    fn publish(&self, trip: TripId, mut now: Seats) {
        let trips = self.trips();
        let Some(seats) = trips.get(&trip) else { return };
        let before = Arc::clone(&seats.borrow());
        if before.id != now.id {
            now.step = now.step_from(&before);
            seats.send_replace(Arc::new(now));
        }
    }

    fn join(&self, trip: TripId) -> Option<watch::Receiver<Arc<Seats>>> {
        self.trips().get(&trip).map(watch::Sender::subscribe)
    }

    /// Adds the trip to the streamed ones, unless another stream has added it meanwhile.
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

/// The pause after a read that took this long, with as many streams open.
fn pause(period: Duration, took: Duration, open: usize) -> Duration {
    let for_streams = PAUSE_PER_STREAM.saturating_mul(u32::try_from(open).unwrap_or(u32::MAX));
    period.max(took * PAUSE_FACTOR).max(for_streams.min(LONGEST_PAUSE_FOR_STREAMS))
}

impl Stream {
    /// The next event; `None` when the server stops or the stream is too old.
    pub async fn next(&mut self) -> Option<SeatEvent> {
        loop {
            let present = Arc::clone(&self.seats.borrow_and_update());
            let Some(known) = self.known.clone().filter(|known| present.has_seats_of(known)) else {
                let event = SeatEvent::new(Some(&present.id), &Delta::Seats(present.all())).ok()?;
                self.known = Some(present);
                return Some(event);
            };
            if let Some(cancelled) = present.cancelled.clone().filter(|_| !self.knows_cancelled) {
                self.knows_cancelled = true;
                // Without an id: a client that is cut off now has not seen the seats of this state.
                return SeatEvent::new(None, &Delta::Cancelled(cancelled)).ok();
            }
            let event = match &present.step {
                Some(step) if step.from == known.id => step.event.clone(),
                _ => present.event_since(&known).ok()?,
            };
            self.known = Some(present);
            if event.is_some() {
                return event;
            }
            timeout_at(self.ends.into(), self.seats.changed()).await.ok()?.ok()?;
        }
    }
}

impl Live {
    /// The present state of these trips' seats, by the database's clock: a hold that has expired since
    /// the last read is a change, although no row has changed. A trip's seats are numbered from 1
    /// without gaps.
    async fn read_states(
        &self,
        pool: &PgPool,
        trips: &[TripId],
    ) -> Result<Vec<(TripId, Seats)>, sqlx::Error> {
        let ids: Vec<Uuid> = trips.iter().map(|trip| trip.0).collect();
        let mut conn = pool.acquire().await?;
        let rows = sqlx::query!(
            r#"select t.id, of_trip.letters as "letters!", t.model_id, t.cancelled_at,
                      case when t.cancelled_at is not null
                           then (select c.message from trip_cancellation c where c.trip_id = t.id) end as message
               from (select s.trip_id,
                            string_agg(seat_state(s.blocked, s.order_id, s.held_until), '' order by s.seat) as letters
                     from seat s where s.trip_id = any($1) group by s.trip_id) as of_trip
               join trip t on t.id = of_trip.trip_id"#,
            &ids
        )
        .fetch_all(&mut *conn)
        .await?;
        let layouts = self.0.layouts.of(&mut conn, rows.iter().filter_map(|row| row.model_id)).await?;
        let seats = rows.into_iter().map(|row| {
            let model = row.model_id.and_then(|model| Some((model, Arc::clone(layouts.get(&model)?))));
            let message = row.message;
            let cancelled = row.cancelled_at.map(|cancelled_at| TripCancelled { cancelled_at, message });
            (TripId(row.id), Seats::new(row.letters, model, cancelled))
        });
        Ok(seats.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_with_slow_reads_and_many_streams() {
        let millis = Duration::from_millis;
        let after = |took: u64, open: usize| pause(millis(250), millis(took), open);
        assert_eq!(after(1, 1_000), millis(250));
        assert_eq!(after(1, 2_000), millis(500));
        assert_eq!(after(100, 2_000), millis(900));
        assert_eq!(after(1, usize::MAX), LONGEST_PAUSE_FOR_STREAMS);
    }
}
