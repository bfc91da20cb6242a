//! Delays after wrong passwords, enforced before anything is hashed.
//!
//! Attempts are counted for a user name from one network and for one address, never for a name
//! alone: an attacker elsewhere does not delay the account's owner. The counts are in the database,
//! which all replicas share. With Redis, a flush or an outage would reset them, and a round trip is
//! cheap compared with a hash. An unknown name is treated like any other.
//!
//! An attempt is counted *before* its password is checked, and a right password resets the count,
//! so parallel guessing gains nothing. A caller of [`begin`] must end the attempt, even if the
//! client disconnects.

use super::user_name;
use crate::{
    domain::{Error, Refusal},
    limits::counted,
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
/// Most attempts that are counted beyond the first delay: enough doublings of a second for any
/// delay. All are forgiven within a day.
const MAX_LEVEL_BEYOND: f64 = 12.0;
/// Bytes of a digest.
const DIGEST_BYTES: usize = 16;
/// Expired rows that each wrong attempt deletes.
const PRUNE_BATCH: i64 = 10;

/// An attempt that may proceed.
#[derive(Debug)]
pub struct Attempt {
    pair: Vec<u8>,
    address: Vec<u8>,
}

/// Counts an attempt and lets it proceed, unless it comes too soon.
///
/// # Errors
/// [`Refusal::TooSoon`] with the seconds to wait; the database's.
pub async fn begin(pool: &PgPool, rules: &Lockout, name: &str, from: IpAddr) -> Result<Attempt, Error> {
    let attempt = Attempt {
        pair: digest("name", network(from), &user_name::folded(name)),
        address: digest("address", counted(from), ""),
    };
    let row = sqlx::query!(
        r#"with barred as (
               select locked_until from sign_in_tries where subject = $2 and locked_until > now()
           ), counted as (
               insert into sign_in_tries as t (subject, level, seen_at, locked_until)
               select $1, 1, now(), case when $3 <= 1::float8 then now() + interval '1 second' end
               where not exists (select from barred)
               on conflict (subject) do update set (level, seen_at, locked_until) = (
                   select level, now(), case when round(level) >= $3
                              then now() + make_interval(secs => least(power(2, round(level) - $3), $4::float8)) end
                   from (select least(greatest(t.level - extract(epoch from now() - t.seen_at)::float8 / $5, 0) + 1,
                                      $3 + $6::float8) as level) as counted)
               where t.locked_until is null or t.locked_until <= now()
               returning true
           )
           select exists(select from counted) as "through!",
                  extract(epoch from greatest(
                      (select locked_until from barred),
                      (select locked_until from sign_in_tries where subject = $1)) - now())::float8 as wait"#,
        attempt.pair,
        attempt.address,
        f64::from(rules.tries),
        f64::from(rules.longest_secs),
        NAME_LEAK_SECS,
        MAX_LEVEL_BEYOND,
    )
    .fetch_one(pool)
    .await?;
    if row.through {
        return Ok(attempt);
    }
    // A concurrent attempt may have locked it after this statement's snapshot: then the first delay
    // applies.
    let wait = row.wait.unwrap_or(1.0).clamp(1.0, f64::from(rules.longest_secs).max(1.0));
    Err(Refusal::TooSoon { retry_after_secs: wait.ceil() as u64 }.into())
}

impl Attempt {
    /// The password was right: resets the count for this name and network.
    ///
    /// # Errors
    /// The database's.
    pub async fn succeeded(self, pool: &PgPool) -> Result<(), sqlx::Error> {
        sqlx::query!("delete from sign_in_tries where subject = $1", self.pair).execute(pool).await.map(drop)
    }

    /// The password was wrong: counts for the address too.
    ///
    /// # Errors
    /// The database's.
    pub async fn failed(self, pool: &PgPool, rules: &Lockout) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "with old as (
                 delete from sign_in_tries where subject in (
                     select subject from sign_in_tries
                     where seen_at < now() - interval '1 day' and subject <> $1
                     order by seen_at limit $6 for update skip locked)
             )
             insert into sign_in_tries as t (subject, level, seen_at)
             values ($1, 1, now())
             on conflict (subject) do update set (level, seen_at, locked_until) = (
                 select level, now(), case when round(level) >= $2
                            then now() + make_interval(secs => least(power(2, round(level) - $2), $3::float8)) end
                 from (select least(greatest(t.level - extract(epoch from now() - t.seen_at)::float8 / $4, 0) + 1,
                                    $2::float8 + $5::float8) as level) as counted)",
            self.address,
            f64::from(rules.address_tries),
            f64::from(rules.longest_secs),
            ADDRESS_LEAK_SECS,
            MAX_LEVEL_BEYOND,
            PRUNE_BATCH,
        )
        .execute(pool)
        .await
        .map(drop)
    }

    /// The password was not checked: takes the count back.
    ///
    /// # Errors
    /// The database's.
    pub async fn withdraw(self, pool: &PgPool) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update sign_in_tries set level = greatest(level - 1, 0), locked_until = null where subject = $1",
            self.pair
        )
        .execute(pool)
        .await
        .map(drop)
    }
}

/// The network of an address: its addresses mostly belong to one customer.
fn network(address: IpAddr) -> IpAddr {
    match counted(address) {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from(u32::from(address) >> 8 << 8)),
        address @ IpAddr::V6(_) => address,
    }
}

fn digest(what: &str, network: IpAddr, name: &str) -> Vec<u8> {
    // Keyed: all addresses of IPv4 are quickly tried against a plain digest.
    let sum = security::digest(what, &format!("{network}\n{name}"));
    sum.iter().copied().take(DIGEST_BYTES).collect()
}
