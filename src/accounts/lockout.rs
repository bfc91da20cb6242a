//! Delays after wrong passwords, enforced before anything is hashed.
//!
//! Attempts are counted for a user name from one network, for the addresses and networks that they
//! come from, and for the user name from anywhere. The last count never delays the account's owner:
//! it applies only to networks from which nobody has signed in to the account before. Attempts from
//! the known ones have a count of their own (docs/decisions/0020-guessing-at-one-account.md). The
//! counts are in the database, which all replicas share. With Redis, a flush or an outage would
//! reset them, and a round trip is cheap compared with a hash. An unknown name is treated like any
//! other.
//!
//! An attempt is counted *before* its password is checked, in all counts, and a right password takes
//! it back, so parallel guessing gains nothing. A caller of [`begin`] must end the attempt, even if
//! the client disconnects.

use super::{passwords::Passwords, user_name};
use crate::{
    domain::{self, Error, Refusal},
    limits::networks,
    security,
    settings::Lockout,
};
use sqlx::PgPool;
use std::net::{IpAddr, Ipv4Addr};

/// How long until one attempt for a name is forgiven, seconds. Longer than the longest delay, or
/// waiting would pay.
const NAME_LEAK_SECS: f64 = 3600.0;
/// The same for an address: many people may share one.
const ADDRESS_LEAK_SECS: f64 = 60.0;
/// The same for an account, from anywhere.
const ACCOUNT_LEAK_SECS: f64 = 3600.0;
/// Most attempts that are counted beyond the first delay: enough doublings of a second for any
/// delay. All are forgiven within a day.
const MAX_LEVEL_BEYOND: f64 = 12.0;
/// Bytes of a digest.
const DIGEST_BYTES: usize = 16;
/// Leading bits of a known network of IPv4 and of IPv6: what a provider gives one customer, or a few.
const KNOWN_BITS: (u32, u32) = (24, 56);
/// Expired rows that each wrong attempt deletes: more than it leaves.
const PRUNE_BATCH: i64 = 30;

/// What a count is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// A name from one network.
    Pair = 0,
    /// A name from its known networks.
    Known = 1,
    /// A name from all other networks.
    Unknown = 2,
    /// An address, or a network of IPv6, whatever the name.
    Address = 3,
}

/// The counts of an attempt: one element of each list for each count.
#[derive(Clone, Debug, Default)]
struct Counts {
    subjects: Vec<Vec<u8>>,
    /// Attempts before the first delay.
    tries: Vec<f64>,
    /// How long until one attempt is forgiven, seconds.
    leaks: Vec<f64>,
    scopes: Vec<i16>,
}

/// An attempt that may proceed.
#[derive(Debug)]
pub struct Attempt {
    counts: Counts,
    known: Vec<Vec<u8>>,
    /// For how long attempts of others from this address are refused, seconds.
    others_wait_secs: Option<u64>,
}

/// Counts an attempt and lets it proceed, unless it comes too soon.
///
/// # Errors
/// [`Refusal::TooSoon`] with the seconds to wait; the database's.
pub async fn begin(
    pool: &PgPool,
    passwords: &Passwords,
    rules: &Lockout,
    name: &str,
    from: IpAddr,
) -> Result<Attempt, Error> {
    let name = user_name::folded(name);
    let known = known_network(from).to_string();
    let known = passwords.digests("a known network", &[&name, &known]);
    let counts = Counts::of(rules, &name, from);
    let row = sqlx::query_file!(
        "src/accounts/begin_attempt.sql",
        &counts.subjects,
        &counts.tries,
        &counts.leaks,
        &counts.scopes,
        &known,
        f64::from(rules.known_days),
        f64::from(rules.longest_secs),
        MAX_LEVEL_BEYOND,
    )
    .fetch_one(pool)
    .await?;
    // A concurrent attempt may have locked it after this statement's snapshot: then the first delay
    // applies.
    let longest = f64::from(rules.longest_secs).max(1.0);
    let wait = |secs: f64| secs.clamp(1.0, longest).ceil() as u64;
    let counts = counts.only(&row.counted);
    let attempt = Attempt { counts, known, others_wait_secs: row.others_wait.map(wait) };
    if row.through {
        return Ok(attempt);
    }
    if !row.counted.is_empty() {
        attempt.withdraw(pool).await?;
    }
    Err(Refusal::TooSoon { retry_after_secs: wait(row.wait.unwrap_or(1.0)) }.into())
}

impl Attempt {
    /// The password was right: resets the count for this name and network, takes the attempt back
    /// from the other counts, and remembers the network.
    ///
    /// # Errors
    /// The database's.
    pub async fn succeeded(self, pool: &PgPool) -> Result<(), sqlx::Error> {
        self.take_back(pool, true).await
    }

    /// The password was wrong: the attempt stays counted. Deletes some old counts.
    ///
    /// While the address is barred for others, an attempt from a known network is let through. A
    /// wrong password then gets their answer, so that a guesser does not learn which names sign in
    /// from here.
    ///
    /// # Errors
    /// [`Refusal::TooSoon`] with the seconds to wait; the database's.
    pub async fn failed(self, pool: &PgPool, rules: &Lockout) -> Result<(), Error> {
        sqlx::query!(
            "with old as (
                 delete from sign_in_tries where subject in (
                     select subject from sign_in_tries
                     where seen_at < now() - interval '1 day' and subject <> all($1)
                     order by seen_at limit $2 for update skip locked)
             )
             delete from known_network where subject in (
                 select subject from known_network
                 where seen_at < now() - make_interval(secs => $3::float8 * 86400)
                 order by seen_at limit $2 for update skip locked)",
            &self.counts.subjects,
            PRUNE_BATCH,
            f64::from(rules.known_days),
        )
        .execute(pool)
        .await?;
        match self.others_wait_secs {
            Some(retry_after_secs) => Err(Refusal::TooSoon { retry_after_secs }.into()),
            None => Ok(()),
        }
    }

    /// The password was not checked: takes the attempt back.
    ///
    /// # Errors
    /// The database's.
    pub async fn withdraw(self, pool: &PgPool) -> Result<(), sqlx::Error> {
        self.take_back(pool, false).await
    }

    async fn take_back(self, pool: &PgPool, right: bool) -> Result<(), sqlx::Error> {
        sqlx::query_file!(
            "src/accounts/end_attempt.sql",
            &self.counts.subjects,
            &self.counts.tries,
            &self.counts.leaks,
            &self.counts.scopes,
            right,
            self.known.first().map(Vec::as_slice),
        )
        .execute(pool)
        .await
        .map(drop)
    }
}

impl Counts {
    fn of(rules: &Lockout, name: &str, from: IpAddr) -> Self {
        let mut counts = Self::default();
        let pair = digest("name", security::network_of(from), name);
        counts.add(Scope::Pair, pair, rules.tries, NAME_LEAK_SECS);
        let anywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let known = digest("account from a known network", anywhere, name);
        counts.add(Scope::Known, known, rules.known_tries, ACCOUNT_LEAK_SECS);
        let unknown = digest("account from an unknown network", anywhere, name);
        counts.add(Scope::Unknown, unknown, rules.account_tries, ACCOUNT_LEAK_SECS);
        for (nr, network) in networks(from).enumerate() {
            let what = if nr == 0 { "address".to_owned() } else { format!("network of {}", network.bits) };
            let tries = rules.address_tries.saturating_mul(network.factor);
            let leak = ADDRESS_LEAK_SECS / f64::from(network.factor);
            counts.add(Scope::Address, digest(&what, network.address, ""), tries, leak);
        }
        counts
    }

    fn add(&mut self, scope: Scope, subject: Vec<u8>, tries: u32, leak_secs: f64) {
        self.subjects.push(subject);
        self.tries.push(f64::from(tries));
        self.leaks.push(leak_secs);
        self.scopes.push(scope as i16);
    }

    /// Those of these subjects.
    fn only(self, subjects: &[Vec<u8>]) -> Self {
        let mut only = Self::default();
        let tries_and_leaks = self.tries.into_iter().zip(self.leaks);
        for ((subject, (tries, leak)), scope) in
            self.subjects.into_iter().zip(tries_and_leaks).zip(self.scopes)
        {
            if subjects.contains(&subject) {
                only.subjects.push(subject);
                only.tries.push(tries);
                only.leaks.push(leak);
                only.scopes.push(scope);
            }
        }
        only
    }
}

/// The network by which an account's owner is known again. That of IPv6 is wider than the one that
/// is counted, since providers change the last bits.
fn known_network(address: IpAddr) -> IpAddr {
    domain::network(address, KNOWN_BITS.0, KNOWN_BITS.1)
}

fn digest(what: &str, network: IpAddr, name: &str) -> Vec<u8> {
    // Keyed: all addresses of IPv4 are quickly tried against a plain digest.
    let sum = security::digest(what, &format!("{network}\n{name}"));
    sum.iter().copied().take(DIGEST_BYTES).collect()
}
