//! How many requests a rider or an address may make, and delays after wrong passwords.

use super::Quota;
use serde::Deserialize;

/// How many requests a rider or an address may make.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Limits {
    /// Whether requests are counted at all.
    pub enabled: bool,
    /// Registrations.
    pub registering_per_address: Quota,
    /// Sign-ins.
    pub signing_in_per_address: Quota,
    /// Bookings.
    pub booking_per_rider: Quota,
    /// Bookings.
    pub booking_per_address: Quota,
    /// Payments.
    pub paying_per_rider: Quota,
    /// Payments.
    pub paying_per_address: Quota,
    /// Refunds and cancellations.
    pub refunding_per_rider: Quota,
    /// Refunds and cancellations.
    pub refunding_per_address: Quota,
    /// Riders and addresses remembered in memory.
    pub remembered: usize,
}

/// Delays after wrong passwords.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Lockout {
    /// For one name from one network, before the first delay.
    pub tries: u32,
    /// From one address, before the first delay.
    pub address_tries: u32,
    /// The longest delay, seconds.
    pub longest_secs: u32,
}
