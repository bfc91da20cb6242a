//! The network of an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first address of an address's network: of `v4` leading bits for IPv4, of `v6` for IPv6. An
/// IPv4 address that is written as one of IPv6 is IPv4.
pub fn network(address: IpAddr, v4: u32, v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(v4)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(address) & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(v6)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_bits_are_kept_and_a_mapped_address_is_ipv4() {
        let of = |text: &str, v4, v6| network(text.parse().expect("an address"), v4, v6).to_string();
        assert_eq!(of("198.51.100.7", 24, 64), "198.51.100.0");
        assert_eq!(of("::ffff:198.51.100.7", 32, 64), "198.51.100.7");
        assert_eq!(of("2001:db8:1:234:5::6", 24, 64), "2001:db8:1:234::");
        assert_eq!(of("2001:db8:1:234:5::6", 24, 56), "2001:db8:1:200::");
        assert_eq!(of("2001:db8:1:234:5::6", 24, 128), "2001:db8:1:234:5::6");
        assert_eq!(
            (of("198.51.100.7", 0, 0), of("2001:db8::1", 0, 0)),
            ("0.0.0.0".to_owned(), "::".to_owned())
        );
    }
}
