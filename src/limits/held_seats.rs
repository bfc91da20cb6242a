//! How many seats an account or an address may take in a while, paid or not.
//!
//! An account costs nothing, and an unpaid order holds its seats for minutes. Without a bound a few
//! new accounts hold every seat of a timetable, again and again. The bound counts the seats of
//! bookings and not the open orders, since only the database knows which of those were paid. It is
//! counted in this process's memory before the booking's first statement, so a booking has no
//! further round trip; several API processes allow as many times more.

use super::{Counted, Key, Limits, Subject, of_networks};
use crate::{domain::RiderId, settings::quota::Rate};
use chrono::Utc;
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// Why the seats may not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldRefusal {
    /// They may be taken after this number of seconds.
    Wait(u64),
    /// The account may take this number at once, and never more.
    AtMost(u64),
}

/// Seats that are counted.
pub struct HeldSeats {
    limits: Limits,
    subjects: Vec<(Key, Rate)>,
    seats: u64,
}

impl Limits {
    /// Counts the seats of a booking, before it is made.
    ///
    /// # Errors
    /// [`HoldRefusal`].
    pub fn hold_seats(
        &self,
        rider: RiderId,
        address: IpAddr,
        seats: usize,
    ) -> Result<HeldSeats, HoldRefusal> {
        let (now, seats) = (Instant::now(), seats as u64);
        let subjects = self.held_by(rider, address);
        let never = subjects.iter().filter(|(_, rate)| rate.fits_in(0, seats).is_none());
        if let Some(most) = never.map(|(_, rate)| rate.requests).min() {
            return Err(HoldRefusal::AtMost(most));
        }
        let (fits, leads) = self.0.memory.take(&subjects, seats, now);
        if fits {
            return Ok(HeldSeats { limits: self.clone(), subjects, seats });
        }
        let waits = subjects.iter().zip(leads).filter_map(|((_, rate), lead)| rate.fits_in(lead, seats));
        Err(HoldRefusal::Wait(waits.max().unwrap_or(1).max(1)))
    }

    fn held_by(&self, rider: RiderId, address: IpAddr) -> Vec<(Key, Rate)> {
        let limits = &self.0.settings;
        if !limits.enabled {
            return Vec::new();
        }
        let new = is_new(rider, Duration::from_secs_f64(limits.new_account_secs));
        let own = if new { limits.holding_per_new_account } else { limits.holding_per_rider };
        let key = Key { counted: Counted::Seats, subject: Subject::Rider(rider.0) };
        let all = of_networks(Counted::Seats, address, limits.holding_per_address);
        let of_new =
            of_networks(Counted::SeatsOfNewAccounts, address, limits.holding_of_new_accounts_per_address);
        let own = own.rate().map(|rate| (key, rate));
        own.into_iter().chain(all).chain(of_new.filter(|_| new)).collect()
    }
}

impl HeldSeats {
    /// The booking was refused: takes its seats out of the count.
    pub fn give_back(self) {
        self.limits.0.memory.give_back(&self.subjects, self.seats, Instant::now());
    }
}

/// Seconds since 1970.
fn now_secs() -> u64 {
    Utc::now().timestamp().unsigned_abs()
}

/// Whether the account is younger than this. Its id is a UUIDv7, which holds when it was made.
fn is_new(rider: RiderId, age: Duration) -> bool {
    let Some(made) = rider.0.get_timestamp() else { return false };
    // Both times are of API processes' clocks: a clock that is late makes no account old.
    now_secs().saturating_sub(made.to_unix().0) < age.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::{NoContext, Timestamp, Uuid};

    #[test]
    fn an_account_is_new_for_a_while() {
        let day = Duration::from_secs(86_400);
        let two_days_ago = Timestamp::from_unix(NoContext, now_secs() - 2 * day.as_secs(), 0);
        assert!(is_new(RiderId::new(), day));
        assert!(!is_new(RiderId(Uuid::new_v7(two_days_ago)), day));
        assert!(!is_new(RiderId(Uuid::nil()), day), "an id without a time is of no new account");
    }
}
