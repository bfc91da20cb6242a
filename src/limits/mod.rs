//! How many requests a rider or an address may make: counted in Redis while there is one, so that replicas share the
//! count, and in memory otherwise. Counting never fails a request and never waits longer than `redis.timeout_ms`.

mod memory;

use crate::settings::quota::Rate;
use crate::{
    domain::RiderId,
    settings::{self, Settings},
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

/// Goes into Redis's keys; other arithmetic gets another.
const LAYOUT: u8 = 1;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
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

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Rider(Uuid),
    Address(IpAddr),
}

/// Who is counted for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    act: Act,
    who: Who,
}

/// Where one limit stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The limit's name.
    pub policy: &'static str,
    /// Requests it allows at once, and again in each window.
    pub quota: u64,
    /// Its window, seconds.
    pub window_secs: u64,
    /// Requests it would let through now.
    pub left: u64,
    /// How long until it would let one more through than now, seconds.
    pub more_in_secs: u64,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where each limit stands.
    pub standings: Vec<Standing>,
    /// If it was refused: the seconds after which it would not have been.
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

    /// Counts a request; nothing if no limit is set for it.
    pub async fn count(&self, act: Act, rider: Option<RiderId>, address: IpAddr) -> Option<Verdict> {
        let whom = self.0.whom(act, rider, address);
        if whom.is_empty() {
            return None;
        }
        // Taken before Redis is asked: what it says is owed was owed no earlier, so nobody is charged for the way there.
        let now = Instant::now();
        let shared = self.0.shared(&whom, now).await;
        let (fits, debts) = shared.unwrap_or_else(|| self.0.memory.take(&whom, now));
        Some(verdict(&whom, fits, &debts))
    }
}

impl Inner {
    fn whom(&self, act: Act, rider: Option<RiderId>, address: IpAddr) -> Vec<(Key, Rate)> {
        let limits = &self.settings;
        let (per_rider, per_address) = match act {
            Act::Register => (None, limits.registering_per_address),
            Act::SignIn => (None, limits.signing_in_per_address),
            Act::Book => (Some(limits.booking_per_rider), limits.booking_per_address),
            Act::Pay => (Some(limits.paying_per_rider), limits.paying_per_address),
            Act::Refund => (Some(limits.refunding_per_rider), limits.refunding_per_address),
        };
        let rider = rider.zip(per_rider).map(|(rider, allowance)| (Who::Rider(rider.0), allowance));
        let both = rider.into_iter().chain([(Who::Address(counted(address)), per_address)]);
        let set = both.filter_map(|(who, allowance)| Some((Key { act, who }, allowance.rate()?)));
        set.filter(|_| limits.enabled).collect()
    }

    /// Asks Redis; nothing if there is none, or not in time.
    async fn shared(&self, whom: &[(Key, Rate)], now: Instant) -> Option<(bool, Vec<u64>)> {
        let redis = self.redis.as_ref()?;
        let mut call = self.script.prepare_invoke();
        for ((key, rate), known) in whom.iter().zip(self.memory.debts(whom, now)) {
            call.key(key.to_string()).arg(rate.interval()).arg(rate.burst()).arg(known);
        }
        let asked = redis.ask(|mut line| async move { call.invoke_async::<Vec<u64>>(&mut line).await });
        let mut debts = asked.await?;
        let fits = debts.pop()? == 1;
        self.memory.learn(whom, &debts, now);
        (debts.len() == whom.len()).then_some((fits, debts))
    }
}

fn verdict(whom: &[(Key, Rate)], fits: bool, debts: &[u64]) -> Verdict {
    let standings = whom.iter().zip(debts).map(|((key, rate), debt)| Standing {
        policy: key.policy(),
        quota: rate.quota,
        window_secs: rate.window,
        left: rate.left(*debt),
        more_in_secs: rate.more_in(*debt),
    });
    let standings: Vec<Standing> = standings.collect();
    let full = standings.iter().filter(|standing| standing.left == 0);
    let wait = full.map(|standing| standing.more_in_secs).max().unwrap_or(1).max(1);
    Verdict { standings, retry_after: (!fits).then_some(wait) }
}

/// An address as it is counted: one of IPv4, a network of 64 bits of IPv6, of which each customer has a whole one.
pub fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
    }
}

impl Key {
    /// The limit's name in headers.
    fn policy(self) -> &'static str {
        match (self.act, self.who) {
            (Act::Register, _) => "registering-address",
            (Act::SignIn, _) => "signing-in-address",
            (Act::Book, Who::Rider(_)) => "booking",
            (Act::Book, Who::Address(_)) => "booking-address",
            (Act::Pay, Who::Rider(_)) => "paying",
            (Act::Pay, Who::Address(_)) => "paying-address",
            (Act::Refund, Who::Rider(_)) => "refunding",
            (Act::Refund, Who::Address(_)) => "refunding-address",
        }
    }
}

/// The key in Redis.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.policy();
        match self.who {
            Who::Rider(rider) => write!(f, "farebox:limit:{LAYOUT}:{policy}:{rider}"),
            Who::Address(address) => write!(f, "farebox:limit:{LAYOUT}:{policy}:{address}"),
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
