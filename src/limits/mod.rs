//! How many requests a rider or an address may make. They are counted in Redis if there is one, so
//! that replicas share the count, and in memory otherwise. Counting never fails a request and never
//! takes longer than `redis.timeout_ms`.

mod memory;

use crate::{
    domain::RiderId,
    settings::{self, Settings, quota::Rate},
    storage::redis::RedisLink,
};
use memory::Memory;
use redis::Script;
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Instant,
};
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
}

/// Whose requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Rider(Uuid),
    Address(IpAddr),
}

/// One count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    class: RequestClass,
    subject: Subject,
}

/// The state of one limit after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaState {
    /// The limit's name.
    pub policy: &'static str,
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
        let shared = self.0.count_in_redis(&subjects, now).await;
        let (fits, leads) = shared.unwrap_or_else(|| self.0.memory.take(&subjects, now));
        Some(decide(&subjects, fits, &leads))
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
        };
        let rider = rider.zip(per_rider).map(|(rider, quota)| (Subject::Rider(rider.0), quota));
        let both = rider.into_iter().chain([(Subject::Address(counted(address)), per_address)]);
        let set = both.filter_map(|(subject, quota)| Some((Key { class, subject }, quota.rate()?)));
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
        policy: key.policy(),
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

/// The address that is counted: an IPv4 address, or the network of 64 bits of an IPv6 address,
/// which is one customer's.
pub fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
    }
}

impl Key {
    /// The limit's name in headers.
    fn policy(self) -> &'static str {
        match (self.class, self.subject) {
            (RequestClass::Register, _) => "registering-address",
            (RequestClass::SignIn, _) => "signing-in-address",
            (RequestClass::Book, Subject::Rider(_)) => "booking",
            (RequestClass::Book, Subject::Address(_)) => "booking-address",
            (RequestClass::Pay, Subject::Rider(_)) => "paying",
            (RequestClass::Pay, Subject::Address(_)) => "paying-address",
            (RequestClass::Refund, Subject::Rider(_)) => "refunding",
            (RequestClass::Refund, Subject::Address(_)) => "refunding-address",
        }
    }
}

/// The key in Redis.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.policy();
        match self.subject {
            Subject::Rider(rider) => write!(f, "farebox:limit:{LAYOUT}:{policy}:{rider}"),
            Subject::Address(address) => write!(f, "farebox:limit:{LAYOUT}:{policy}:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_network_of_ipv6_is_one_and_a_mapped_address_is_ipv4() {
        let address = |text: &str| counted(text.parse().expect("an address"));
        assert_eq!(address("2001:db8:1:2:3:4:5:6"), address("2001:db8:1:2::"));
        assert_ne!(address("2001:db8:1:2::"), address("2001:db8:1:3::"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }
}
