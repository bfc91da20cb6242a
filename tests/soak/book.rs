//! What riders asked for, and the replies that they remember.

use serde_json::Value;
use std::sync::Mutex;
use uuid::Uuid;

/// How a request ended, for the one who made it.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// 2xx, with the body (which is not kept for the record).
    Done(Value),
    /// 4xx: nothing has happened.
    Refused {
        /// The problem's code.
        code: String,
        /// The order was closed or refunded before, so it holds nothing any more.
        ended: bool,
    },
    /// 5xx, or no answer at all: anything may have happened. The order, if the answer named it.
    Unknown(Option<Uuid>),
}

/// What a rider asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ask {
    Book,
    Pay,
    Cancel,
    Refund,
}

/// One request and what came of it.
#[derive(Clone, Debug)]
pub struct Event {
    pub rider: Uuid,
    pub ask: Ask,
    /// The order it was about; of a booking, the one it made.
    pub order: Option<Uuid>,
    /// Of a booking: the trip and the seats, ascending.
    pub wanted: Option<(Uuid, Vec<i32>)>,
    pub reply: Reply,
}

/// What the riders have seen, besides their events.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub requests: u64,
    /// Of them, those that were answered by a 2xx or a 4xx.
    pub answered: u64,
    pub replayed: u64,
    pub refused_as_running: u64,
    pub paid_at_the_deadline: u64,
    pub expired_at_the_deadline: u64,
    pub hung_up: u64,
}

/// Where the riders write.
#[derive(Default)]
pub struct Book {
    pub events: Mutex<Vec<Event>>,
    pub seen: Mutex<Seen>,
}
