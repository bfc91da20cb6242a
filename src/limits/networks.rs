//! The networks that an address belongs to, as they are counted.

use crate::domain;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bits of an IPv4 address.
const IPV4_BITS: u32 = 32;
/// The networks of an IPv6 address, from the inside, and how many times as much as one address each
/// may use. A customer has 64 bits or 56, a site 48; a site has 65,536 networks of 64 bits.
const IPV6_NETWORKS: [(u32, u32); 3] = [(64, 1), (56, 2), (48, 4)];

/// What is counted as one client: an IPv4 address, or a network of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// How many leading bits of the address are its own.
    pub bits: u32,
    /// How many times as much as one address it may use.
    pub factor: u32,
}

/// What an address counts as, the narrowest network first: an IPv4 address, or the networks of 64,
/// 56 and 48 bits of an IPv6 address.
pub fn networks(address: IpAddr) -> impl Iterator<Item = Network> {
    let of_v6 = address.to_canonical().is_ipv6();
    let v4 = (!of_v6).then_some((IPV4_BITS, 1));
    let v6 = of_v6.then_some(IPV6_NETWORKS);
    v4.into_iter().chain(v6.into_iter().flatten()).map(move |(bits, factor)| Network {
        address: domain::network(address, bits, bits),
        bits,
        factor,
    })
}

/// The narrowest of [`networks`].
pub fn counted(address: IpAddr) -> IpAddr {
    domain::network(address, IPV4_BITS, IPV6_NETWORKS[0].0)
}

/// Counts what clients hold open, by their networks. Cloning it shares the counts.
#[derive(Clone)]
pub struct OpenByNetwork(Arc<Inner>);

struct Inner {
    /// For one address; a wider network may hold as many times more as its factor says.
    most: usize,
    open: Mutex<HashMap<Network, usize>>,
}

/// The share of one open thing, until it is dropped.
pub struct OpenSlot {
    all: OpenByNetwork,
    address: IpAddr,
}

impl OpenByNetwork {
    /// With a bound for one address; `usize::MAX` is none.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most, open: Mutex::default() }))
    }

    /// A slot for a client at this address, unless one of its networks has as many as it may have.
    pub fn enter(&self, address: IpAddr) -> Option<OpenSlot> {
        let mut open = self.open();
        let fits = |network: Network| {
            let most = self.0.most.saturating_mul(network.factor as usize);
            open.get(&network).copied().unwrap_or(0) < most
        };
        if !networks(address).all(fits) {
            return None;
        }
        networks(address).for_each(|network| *open.entry(network).or_insert(0) += 1);
        drop(open);
        Some(OpenSlot { all: self.clone(), address })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Network, usize>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenSlot {
    fn drop(&mut self) {
        let mut open = self.all.open();
        for network in networks(self.address) {
            if let Some(count) = open.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    open.remove(&network);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_whole_network_of_ipv6_is_one_and_a_mapped_address_is_ipv4() {
        let of = |text: &str| counted(address(text));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(networks(address("::ffff:192.0.2.1")).count(), 1);
        let wide: Vec<_> = networks(address("2001:db8:1:234::9")).map(|n| n.address.to_string()).collect();
        assert_eq!(wide, ["2001:db8:1:234::", "2001:db8:1:200::", "2001:db8:1::"]);
    }

    #[test]
    fn a_site_holds_more_than_one_address_but_not_as_much_as_all_of_its_networks() {
        let all = OpenByNetwork::new(2);
        let enter = |text: String| all.enter(address(&text));
        let mut held: Vec<_> = (0..2).map(|n| enter(format!("2001:db8::{n}"))).collect();
        assert!(enter("2001:db8::9".to_owned()).is_none(), "one network of 64 bits has two");
        held.extend((1..3).map(|n| enter(format!("2001:db8:0:{n}::1"))));
        assert!(enter("2001:db8:0:9::1".to_owned()).is_none(), "one of 56 bits has four");
        held.extend((1..5).map(|n| enter(format!("2001:db8:0:{n}00::1"))));
        assert!(enter("2001:db8:0:f00::1".to_owned()).is_none(), "one of 48 bits has eight");
        assert!(held.iter().all(Option::is_some) && enter("192.0.2.1".to_owned()).is_some());
        drop(held);
        assert!(all.open().is_empty(), "nothing is counted that is not open");
    }
}
