//! How many requests a rider or an address may make. They are counted in Redis if there is one, so
//! that replicas share the count, and in memory otherwise. Counting never fails a request and never
//! takes longer than `redis.timeout_ms`. Reads are counted in memory alone: a round trip for each
//! would cost more than it protects.

mod held_seats;
mod memory;
mod networks;

pub use held_seats::{HeldSeats, HoldRefusal};
pub use networks::{Network, OpenByNetwork, OpenSlot, counted, networks};

use crate::{
    domain::RiderId,
    security::digest,
    settings::{
        self, Settings,
        quota::{Quota, Rate},
    },
    storage::redis::RedisLink,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use memory::Memory;
use redis::Script;
use std::{fmt, net::IpAddr, sync::Arc, time::Instant};
use uuid::Uuid;

/// Part of Redis's keys; a change of the arithmetic takes the next number.
const LAYOUT: u8 = 1;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestClass {
    /// Registering.
    Register,
    /// Signing in.
    SignIn,
    /// Booking.
    Book,
    /// Paying, authorizing a payment, and changing the pay password.
    Pay,
    /// Refunding and cancelling.
    Refund,
    /// All else that riders change.
    Change,
    /// What operators change.
    Operate,
    /// Reading.
    Read,
    /// Reads of the operations side that search or add up.
    Search,
}

impl RequestClass {
    /// Whether replicas share the count.
    fn is_shared(self) -> bool {
        !self.is_read()
    }

    /// Whether it counts what changes nothing: only a refusal tells of the limit.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Read | Self::Search)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Register => "registering",
            Self::SignIn => "signing-in",
            Self::Book => "booking",
            Self::Pay => "paying",
            Self::Refund => "refunding",
            Self::Change => "changing",
            Self::Operate => "operating",
            Self::Read => "reading",
            Self::Search => "searching",
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Requests(RequestClass),
    /// Seats that bookings took.
    Seats,
    /// Seats that bookings of new accounts took.
    SeatsOfNewAccounts,
    /// Refusals that are stored under idempotency keys.
    StoredRefusals,
}

/// Whose requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Rider(Uuid),
    Network(Network),
}

/// One count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    counted: Counted,
    subject: Subject,
}

/// The name of a limit in headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy(Key);

/// The state of one limit after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaState {
    /// The limit's name.
    pub policy: Policy,
    /// Requests it allows at once, and again in each window.
    pub quota: u64,
    /// Its window, seconds.
    pub window_secs: u64,
    /// Requests it would allow now.
    pub left: u64,
    /// How long until it allows one more request than now, seconds.
    pub more_in_secs: u64,
}

/// The outcome of counting a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The state of each limit.
    pub states: Vec<QuotaState>,
    /// If the request is refused: after how many seconds it would be allowed.
    pub retry_after: Option<u64>,
}

/// Counts requests.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    settings: settings::Limits,
    memory: Memory,
    redis: Option<RedisLink>,
    script: Script,
}

impl Limits {
    /// With the limits of the settings.
    pub fn new(settings: &Settings, redis: Option<RedisLink>) -> Self {
        let memory = Memory::new(settings.limits.remembered);
        let script = Script::new(include_str!("shared.lua"));
        Self(Arc::new(Inner { settings: settings.limits, memory, redis, script }))
    }

    /// Counts a request; `None` if no limit is set for it.
    pub async fn count(
        &self,
        class: RequestClass,
        rider: Option<RiderId>,
        address: IpAddr,
    ) -> Option<Decision> {
        let subjects = self.0.subjects(class, rider, address);
        if subjects.is_empty() {
            return None;
        }
        // Taken before the request to Redis, so that its round trip does not count.
        let now = Instant::now();
        let shared = if class.is_shared() { self.0.count_in_redis(&subjects, now).await } else { None };
        let (fits, leads) = shared.unwrap_or_else(|| self.0.memory.take(&subjects, 1, now));
        Some(decide(&subjects, fits, &leads))
    }

    /// Whether one more refusal may be stored under a key of this account. Counted in this process
    /// alone: the bound is of space, not of anybody's rights.
    pub fn may_store_refusal(&self, rider: RiderId) -> bool {
        let rate = self.0.settings.stored_refusals_per_rider.rate().filter(|_| self.0.settings.enabled);
        let Some(rate) = rate else { return true };
        let key = Key { counted: Counted::StoredRefusals, subject: Subject::Rider(rider.0) };
        self.0.memory.take(&[(key, rate)], 1, Instant::now()).0
    }
}

impl Inner {
    fn subjects(&self, class: RequestClass, rider: Option<RiderId>, address: IpAddr) -> Vec<(Key, Rate)> {
        let limits = &self.settings;
        let (per_rider, per_address) = match class {
            RequestClass::Register => (None, limits.registering_per_address),
            RequestClass::SignIn => (None, limits.signing_in_per_address),
            RequestClass::Book => (Some(limits.booking_per_rider), limits.booking_per_address),
            RequestClass::Pay => (Some(limits.paying_per_rider), limits.paying_per_address),
            RequestClass::Refund => (Some(limits.refunding_per_rider), limits.refunding_per_address),
            RequestClass::Change => (Some(limits.changing_per_rider), limits.changing_per_address),
            RequestClass::Operate => (Some(limits.operating_per_account), limits.operating_per_address),
            RequestClass::Read => (Some(limits.reading_per_rider), limits.reading_per_address),
            RequestClass::Search => (Some(limits.searching_per_account), limits.searching_per_address),
        };
        let rider = rider.zip(per_rider).map(|(rider, quota)| (Subject::Rider(rider.0), quota));
        let counted = Counted::Requests(class);
        let rider = rider.and_then(|(subject, quota)| Some((Key { counted, subject }, quota.rate()?)));
        let set = rider.into_iter().chain(of_networks(counted, address, per_address));
        set.filter(|_| limits.enabled).collect()
    }

    /// Counts in Redis; `None` if there is none, or it does not answer in time.
    async fn count_in_redis(&self, subjects: &[(Key, Rate)], now: Instant) -> Option<(bool, Vec<u64>)> {
        let redis = self.redis.as_ref()?;
        let mut call = self.script.prepare_invoke();
        for ((key, rate), known) in subjects.iter().zip(self.memory.leads(subjects, now)) {
            call.key(key.to_string()).arg(rate.interval()).arg(rate.burst()).arg(known);
        }
        let reply = redis
            .request(|mut connection| async move { call.invoke_async::<Vec<u64>>(&mut connection).await });
        let mut leads = reply.await?;
        let fits = leads.pop()? == 1;
        self.memory.merge(subjects, &leads, now);
        (leads.len() == subjects.len()).then_some((fits, leads))
    }
}

fn decide(subjects: &[(Key, Rate)], fits: bool, leads: &[u64]) -> Decision {
    let states = subjects.iter().zip(leads).map(|((key, rate), lead)| QuotaState {
        policy: Policy(*key),
        quota: rate.requests,
        window_secs: rate.window,
        left: rate.left(*lead),
        more_in_secs: rate.more_in(*lead),
    });
    let states: Vec<QuotaState> = states.collect();
    let full = states.iter().filter(|state| state.left == 0);
    let wait = full.map(|state| state.more_in_secs).max().unwrap_or(1).max(1);
    Decision { states, retry_after: (!fits).then_some(wait) }
}

/// The counts of an address and of its wider networks, which may use as many times more.
fn of_networks(counted: Counted, address: IpAddr, quota: Quota) -> impl Iterator<Item = (Key, Rate)> {
    quota.rate().into_iter().flat_map(move |rate| {
        networks(address).map(move |network| {
            (Key { counted, subject: Subject::Network(network) }, rate.times(network.factor))
        })
    })
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { counted, subject } = self.0;
        f.write_str(match counted {
            Counted::Requests(class) => class.name(),
            Counted::Seats => "holding",
            Counted::SeatsOfNewAccounts => "holding-new",
            Counted::StoredRefusals => "stored-refusals",
        })?;
        match subject {
            Subject::Rider(_) => Ok(()),
            Subject::Network(Network { factor: 1, .. }) => f.write_str("-address"),
            Subject::Network(Network { bits, .. }) => write!(f, "-network-{bits}"),
        }
    }
}

/// The key in Redis.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = Policy(*self);
        match self.subject {
            Subject::Rider(rider) => write!(f, "farebox:limit:{LAYOUT}:{policy}:{rider}"),
            Subject::Network(network) => {
                // Who reads Redis learns no client's address.
                let digest = URL_SAFE_NO_PAD.encode(digest("limit", &network.address.to_string()));
                write!(f, "farebox:limit:{LAYOUT}:{policy}:{digest}")
            }
        }
    }
}
