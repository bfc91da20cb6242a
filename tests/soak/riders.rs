//! Riders who book, pay, cancel, refund, repeat themselves and hang up, and remember the replies.

use super::{
    book::{Ask, Book, Event, Reply},
    requests::{BROKEN_KEY, RUNNING, body, path, same_answer, send},
};
use crate::harness::{Answer, Client};
use chrono::{DateTime, Utc};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use std::{
    sync::{Arc, RwLock},
    time::Duration,
};
use uuid::Uuid;

/// Seats of a trip: few, so that riders meet.
pub const SEATS: i32 = 12;
/// Orders a rider remembers to act upon.
const REMEMBERED: usize = 6;
/// Percentage of requests that are made under a fault of [`FAULTS`].
const FAULTY: u32 = 10;
/// Percentage of requests that are given up after a few milliseconds.
const HANG_UP: u32 = 4;
/// How long before the deadline a payment at the deadline is sent, milliseconds.
const EARLY: std::ops::Range<i64> = -2..80;
/// A rider waits for an event that is due within this number of milliseconds, and does something else
/// if it is later.
const SOON: i64 = 150;
/// A rider that is this number of milliseconds late has missed it.
const LATE: i64 = 200;
/// After a 5xx a rider waits this long.
const BREATH: Duration = Duration::from_millis(50);

/// Simulated exceptions at every step, with the hangs that let an undo overtake its step.
pub const FAULTS: [&str; 22] = [
    "order_seats_cancel.after=error",
    "order_seats_cancel.after=sleep:30",
    "order_add_seats_cancle.before=error",
    // Somebody else takes the seats meanwhile; then this one's undo comes.
    "order_seats_cancel.after=sleep:150,order_add_seats_cancle.before=error",
    "order_seats_cancel.after=sleep:400,order_add_seats_cancle.before=error",
    "order_add_seats_cancle.after=panic",
    "order_add_seats_cancle.after=abort",
    "order_calc_money_cancle.before=error",
    "order_calc_money_cancle.after=sleep:1800",
    "order_calc_money_cancle.after=sleep:2200",
    "order_add_cancle.before=panic",
    "order_add_cancle.after=abort",
    "order_add_cancle.after=error",
    "order_cancel.after=error",
    "pay_check_cancle.after=error",
    "pay_money_cancle.before=error",
    "pay_money_cancle.after=abort",
    "pay_money_cancle.after=error",
    "pay_cancle.before=sleep:1800",
    "pay_cancle.before=sleep:2200",
    "pay_cancle.after=error",
    "pay_back_cancle.after=abort",
];

/// Where the API processes are.
pub type Bases = Arc<RwLock<Vec<String>>>;

/// An order that a rider holds.
struct Own {
    id: Uuid,
    expires_at: DateTime<Utc>,
}

impl Own {
    /// Milliseconds until this number of milliseconds before its deadline.
    fn to_go(&self, early: i64) -> i64 {
        (self.expires_at - Utc::now()).num_milliseconds() - early
    }
}

/// A booking with its key, to be repeated.
struct LastBooking {
    key: String,
    body: Value,
    answer: Option<Value>,
}

pub struct Rider {
    client: Client,
    random: StdRng,
    bases: Bases,
    trips: Arc<Vec<String>>,
    book: Arc<Book>,
    orders: Vec<Own>,
    /// An order to be paid at its deadline, and by how much before it, milliseconds.
    appointment: Option<(Own, i64)>,
    last_booking: Option<LastBooking>,
    keys: u32,
    /// Makes no request under a fault.
    careful: bool,
}

impl Rider {
    pub fn new(
        client: Client,
        random: StdRng,
        bases: Bases,
        trips: Arc<Vec<String>>,
        book: Arc<Book>,
    ) -> Self {
        Self {
            client,
            random,
            bases,
            trips,
            book,
            orders: Vec::new(),
            appointment: None,
            last_booking: None,
            keys: 0,
            careful: false,
        }
    }

    /// One under whose requests nothing breaks on purpose: dead processes are not restarted there.
    pub fn careful(self) -> Self {
        Self { careful: true, ..self }
    }

    /// One click, or two at once.
    pub async fn click(&mut self) {
        if let Some((own, early)) = self.appointment.take_if(|(own, early)| own.to_go(*early) < SOON) {
            return self.pay_at_the_deadline(own, early).await;
        }
        if self.orders.len() > REMEMBERED {
            return self.give_back().await;
        }
        let chance = self.random.random_range(0..100);
        match self.orders.choose(&mut self.random).map(|own| own.id) {
            Some(order) if chance < 65 => match chance {
                0..20 => self.act(Ask::Pay, order).await,
                20..26 => self.make_an_appointment(order),
                26..30 => self.twice(Ask::Pay, order).await,
                30..44 => self.act(Ask::Cancel, order).await,
                44..62 => self.act(Ask::Refund, order).await,
                _ => self.twice(Ask::Refund, order).await,
            },
            _ if chance > 92 && self.last_booking.is_some() => self.repeat().await,
            _ if chance > 89 => self.book_twice().await,
            _ => self.book().await,
        }
    }

    fn at(&mut self) -> Client {
        let base = {
            let bases = self.bases.read().unwrap();
            bases.choose(&mut self.random).unwrap().clone()
        };
        self.client.toward(&base)
    }

    fn doomed(&mut self, client: Client) -> Client {
        if self.careful || !self.random.random_ratio(FAULTY, 100) {
            return client;
        }
        client.fault(FAULTS.choose(&mut self.random).unwrap())
    }

    /// A trip, a seat of it or two, and the request for them.
    fn wish(&mut self) -> (String, Vec<i32>, Value) {
        let first = self.random.random_range(1..SEATS);
        let seats = if self.random.random_bool(0.5) { vec![first] } else { vec![first + 1, first] };
        let trip = self.trips.choose(&mut self.random).unwrap().clone();
        let body =
            json!({"trip_id": trip, "seats": seats.iter().map(ToString::to_string).collect::<Vec<_>>()});
        (trip, seats, body)
    }

    fn fresh_key(&mut self) -> String {
        self.keys += 1;
        format!("{}-{}", self.client.id, self.keys)
    }

    async fn book(&mut self) {
        let (trip, seats, body) = self.wish();
        let client = self.at();
        let mut client = self.doomed(client);
        let key = self.random.random_bool(0.5).then(|| self.fresh_key());
        if let Some(key) = &key {
            client = client.key(key);
        }
        let reply = self.ask(client, "/v1/orders", &body).await;
        let order = self.took(&reply);
        if let Some(key) = key {
            let answer = if let Reply::Done(answer) = &reply { Some(answer.clone()) } else { None };
            self.last_booking = Some(LastBooking { key, body, answer });
        }
        self.note(Ask::Book, order, Some((&trip, seats)), reply);
    }

    /// One booking under one key, from two devices at once: both get the same answer, or one is
    /// asked to wait for it.
    async fn book_twice(&mut self) {
        let ((trip, seats, body), key) = (self.wish(), self.fresh_key());
        let (one, other) = (self.at().key(&key), self.at().key(&key));
        let (first, second) = tokio::join!(send(one, "/v1/orders", &body), send(other, "/v1/orders", &body));
        let reply = [self.heard(first), self.heard(second)];
        match &reply {
            [Reply::Done(one), Reply::Done(other)] => same_answer(one, other),
            [Reply::Done(answer), Reply::Refused { code, .. }]
            | [Reply::Refused { code, .. }, Reply::Done(answer)] => {
                assert_eq!(code, RUNNING, "{BROKEN_KEY}: {answer} and {code}");
            }
            _ => {}
        }
        for reply in reply {
            let order = self.took(&reply);
            self.note(Ask::Book, order, Some((&trip, seats.clone())), reply);
        }
    }

    /// These seats of this trip, under this fault if there is one.
    pub async fn book_exactly(&mut self, trip: &str, seats: Vec<i32>, fault: Option<&str>) {
        let body =
            json!({"trip_id": trip, "seats": seats.iter().map(ToString::to_string).collect::<Vec<_>>()});
        let client = self.at();
        let client = fault.map_or_else(|| client.clone(), |fault| client.fault(fault));
        let answer = send(client, "/v1/orders", &body).await;
        let reply = self.heard(answer);
        let order = self.took(&reply);
        self.note(Ask::Book, order, Some((trip, seats)), reply);
    }

    /// Gives back what it has paid for, then books this seat and pays for it.
    pub async fn book_and_pay(&mut self, trip: &str, seat: i32) {
        for order in self.orders.iter().map(|own| own.id).collect::<Vec<_>>() {
            self.act(Ask::Refund, order).await;
        }
        self.book_exactly(trip, vec![seat], None).await;
        if let Some(order) = self.orders.last().map(|own| own.id) {
            self.act(Ask::Pay, order).await;
        }
    }

    /// The last booking with a key once more, word by word: the same answer, or the first one.
    async fn repeat(&mut self) {
        let Some(last_booking) = self.last_booking.take() else { return };
        let client = self.at().key(&last_booking.key);
        let reply = self.ask(client, "/v1/orders", &last_booking.body).await;
        let order = self.took(&reply);
        match (&reply, &last_booking.answer) {
            (Reply::Done(now), Some(first)) => same_answer(now, first),
            (Reply::Refused { code, .. }, Some(first)) => panic!("{BROKEN_KEY}: {first}, then {code}"),
            _ => {}
        }
        let trip = last_booking.body["trip_id"].as_str().unwrap();
        let seats = last_booking.body["seats"].as_array().unwrap().iter();
        let seats = seats.map(|seat| seat.as_str().unwrap().parse().unwrap()).collect();
        self.note(Ask::Book, order, Some((trip, seats)), reply);
    }

    /// The order of a booking that was answered or half answered; it is remembered.
    fn took(&mut self, reply: &Reply) -> Option<Uuid> {
        let Reply::Done(order) = reply else {
            return if let Reply::Unknown(order) = reply { *order } else { None };
        };
        let id = order["id"].as_str().unwrap().parse().unwrap();
        let known = |own: &Own| own.id == id;
        if !self.orders.iter().any(known) && !self.appointment.as_ref().is_some_and(|(own, _)| known(own)) {
            self.orders.push(Own { id, expires_at: order["expires_at"].as_str().unwrap().parse().unwrap() });
        }
        Some(id)
    }

    /// The oldest order, so that its seats are not held for ever: paid or not, one of the two ends it.
    async fn give_back(&mut self) {
        let ask = if self.random.random_bool(0.5) { Ask::Refund } else { Ask::Cancel };
        self.act(ask, self.orders[0].id).await;
    }

    async fn act(&mut self, ask: Ask, order: Uuid) {
        let client = self.at();
        let client = self.doomed(client);
        let reply = self.ask(client, &path(ask, order), &body(ask)).await;
        self.done(ask, order, reply);
    }

    /// Two devices at once, at two processes.
    async fn twice(&mut self, ask: Ask, order: Uuid) {
        let (one, other) = (self.at(), self.at());
        let (path, body) = (path(ask, order), body(ask));
        let (first, second) = tokio::join!(send(one, &path, &body), send(other, &path, &body));
        for answer in [first, second] {
            let reply = self.heard(answer);
            self.done(ask, order, reply);
        }
    }

    /// The order is to be paid as late as can be; until then nothing else is done with it.
    fn make_an_appointment(&mut self, order: Uuid) {
        let early = self.random.random_range(EARLY);
        let at = self.orders.iter().position(|own| own.id == order && own.to_go(early) > 0);
        if let (None, Some(at)) = (&self.appointment, at) {
            self.appointment = Some((self.orders.remove(at), early));
        }
    }

    async fn pay_at_the_deadline(&mut self, own: Own, early: i64) {
        let (order, to_go) = (own.id, own.to_go(early));
        self.orders.push(own);
        tokio::time::sleep(Duration::from_millis(to_go.try_into().unwrap_or(0))).await;
        let client = self.at();
        let reply = self.ask(client, &path(Ask::Pay, order), &body(Ask::Pay)).await;
        if to_go > -LATE {
            let mut seen = self.book.seen.lock().unwrap();
            match &reply {
                Reply::Done(_) => seen.paid_at_the_deadline += 1,
                Reply::Refused { code, ended } if code == "006001" || *ended => {
                    seen.expired_at_the_deadline += 1;
                }
                _ => {}
            }
        }
        self.done(Ask::Pay, order, reply);
    }

    fn done(&mut self, ask: Ask, order: Uuid, reply: Reply) {
        let over = match &reply {
            Reply::Done(_) => ask != Ask::Pay,
            Reply::Refused { ended, .. } => *ended,
            Reply::Unknown(_) => false,
        };
        if over {
            self.orders.retain(|own| own.id != order);
        }
        self.note(ask, Some(order), None, reply);
    }

    /// Asks, and now and then hangs up on the answer.
    async fn ask(&mut self, client: Client, path: &str, body: &Value) -> Reply {
        if self.random.random_ratio(HANG_UP, 100) {
            let soon = Duration::from_micros(self.random.random_range(200..12_000));
            let Ok(answer) = tokio::time::timeout(soon, send(client, path, body)).await else {
                let mut seen = self.book.seen.lock().unwrap();
                seen.requests += 1;
                seen.hung_up += 1;
                return Reply::Unknown(None);
            };
            return self.heard(answer);
        }
        let answer = send(client, path, body).await;
        let reply = self.heard(answer);
        if let Reply::Unknown(_) = reply {
            tokio::time::sleep(BREATH).await;
        }
        reply
    }

    fn heard(&self, answer: Option<Answer>) -> Reply {
        let mut seen = self.book.seen.lock().unwrap();
        seen.requests += 1;
        let Some(answer) = answer else { return Reply::Unknown(None) };
        let status = answer.status.as_u16();
        let code = answer.body["code"].as_str().unwrap_or_default();
        seen.replayed += u64::from(answer.headers.contains_key("idempotent-replayed"));
        seen.refused_as_running += u64::from(code == RUNNING);
        seen.answered += u64::from(status < 500);
        match status {
            200..300 => Reply::Done(answer.body),
            500 | 503 => Reply::Unknown(answer.body["order_id"].as_str().map(|id| id.parse().unwrap())),
            // 423: the tries of processes that were killed count for a while.
            402 | 404 | 409 | 422 | 423 => {
                let ended =
                    ["closed", "refunded"].iter().any(|status| answer.body["order_status"] == *status);
                Reply::Refused { code: code.to_owned(), ended }
            }
            _ => panic!("{status}: {}", answer.text),
        }
    }

    fn note(&self, ask: Ask, order: Option<Uuid>, wanted: Option<(&str, Vec<i32>)>, reply: Reply) {
        let wanted = wanted.map(|(trip, mut seats)| {
            seats.sort_unstable();
            (trip.parse().unwrap(), seats)
        });
        let reply = if let Reply::Done(_) = reply { Reply::Done(Value::Null) } else { reply };
        let event = Event { rider: self.client.id.0, ask, order, wanted, reply };
        self.book.events.lock().unwrap().push(event);
    }
}
