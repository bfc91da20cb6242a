//! How many requests a rider or an address may make, and delays after wrong passwords.

use super::{Quota, time::secs};
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
    /// All else that riders change.
    pub changing_per_rider: Quota,
    /// All else that riders change.
    pub changing_per_address: Quota,
    /// What operators change.
    pub operating_per_account: Quota,
    /// What operators change.
    pub operating_per_address: Quota,
    /// Reads.
    pub reading_per_rider: Quota,
    /// Reads.
    pub reading_per_address: Quota,
    /// Reads of the operations side that search or add up.
    pub searching_per_account: Quota,
    /// Reads of the operations side that search or add up.
    pub searching_per_address: Quota,
    /// Seats that bookings take.
    pub holding_per_rider: Quota,
    /// Seats that bookings of a new account take.
    pub holding_per_new_account: Quota,
    /// Seats that bookings take.
    pub holding_per_address: Quota,
    /// Seats that bookings of new accounts take.
    pub holding_of_new_accounts_per_address: Quota,
    /// How long an account is new, seconds.
    #[serde(deserialize_with = "secs")]
    pub new_account_secs: f64,
    /// Refusals stored under idempotency keys.
    pub stored_refusals_per_rider: Quota,
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
    /// For one name from all unknown networks, before the first delay.
    pub account_tries: u32,
    /// For one name from all known networks, before the first delay.
    pub known_tries: u32,
    /// How long a network is known after a sign-in, days.
    pub known_days: u32,
    /// The longest delay, seconds.
    pub longest_secs: u32,
}
