//! The chain over the audit log and the histories of trips and orders
//! (`migrations/0034_chain.sql`): chaining what is due, and copies of it.
//!
//! The audit log and the history of trips are chained as they are written. Orders' events are
//! chained afterwards, five minutes at a time, so that no booking waits for another.

use crate::storage::note_outage;
use chrono::{DateTime, Utc};
use farebox_jobs::queue;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::{collections::HashMap, fmt::Write as _, time::Duration};

/// The name of its lock in the queue's table of maintenance tasks.
const TASK: &str = "farebox_chain";
/// How often a worker checks whether the task is due.
const POLL: Duration = Duration::from_secs(5);
/// How often events are chained.
const CHAIN_EVERY: Duration = Duration::from_secs(60);
/// Most links of one statement, five minutes each: it has to end before its timeout.
const MAX_LINKS: i32 = 3;
/// Most statements of one turn; a day that no worker ran takes one turn.
const MAX_STATEMENTS: usize = 100;
/// Links of one page of an export.
const PAGE: i64 = 100;

/// Chains the events that are due, for as long as the process lives. Safe to drop: each statement
/// is a transaction.
pub async fn run_chain_loop(pool: PgPool) {
    loop {
        tokio::time::sleep(POLL).await;
        match if_due(&pool).await {
            Ok(0) => {}
            Ok(links) => tracing::debug!(links, "the history of orders is chained"),
            Err(error) => {
                let outage = note_outage(&error);
                tracing::warn!(%error, outage, "chaining the history of orders failed; retrying");
            }
        }
    }
}

/// Chains the events if that is due and no other worker does it; returns how many links it added.
async fn if_due(pool: &PgPool) -> Result<i32, sqlx::Error> {
    let mut links = 0;
    if queue::acquire_task(pool, TASK, CHAIN_EVERY).await? {
        for _ in 0..MAX_STATEMENTS {
            let added = chain_order_events(pool).await?;
            links += added;
            if added == 0 {
                break;
            }
        }
    }
    Ok(links)
}

/// Chains some of the events that nobody can add to any more, and returns how many links it added;
/// none if there are no more.
///
/// # Errors
/// The database's.
pub async fn chain_order_events(pool: &PgPool) -> Result<i32, sqlx::Error> {
    // A transaction of its own, which has no number yet when the function begins.
    sqlx::query_scalar!(r#"select chain_order_events($1) as "links!""#, MAX_LINKS).fetch_one(pool).await
}

/// A link of the chain, with what it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its number; the first is 1.
    pub nr: i64,
    /// `audit`, `trip_event` or `order_event`.
    pub source: String,
    /// When the row was written, or when the five minutes of order events began.
    pub at: DateTime<Utc>,
    /// What `digest` is over, after the digest before.
    pub record: String,
    /// The digest of the link before, in hexadecimal; empty for the first.
    pub before: String,
    /// SHA-256 over `before` and `record`, in hexadecimal.
    pub digest: String,
    /// What people wrote: its SHA-256 is the last item of `record`. None once it was erased.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// The order events of the five minutes: the SHA-256 over their SHA-256 is the last item.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub events: Option<Vec<String>>,
}

impl Link {
    /// Whether the link holds by itself, and follows the one before it in the same copy.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, before: Option<&(i64, String)>) -> Result<(), String> {
        let nr = self.nr;
        match before {
            Some((last, _)) if nr != last + 1 => return Err(format!("link {nr} follows link {last}")),
            Some((last, digest)) if *digest != self.before => {
                return Err(format!("link {nr} does not continue link {last}"));
            }
            None if nr < 1 || (nr == 1) != self.before.is_empty() => {
                return Err(format!("link {nr} has a wrong start"));
            }
            _ => {}
        }
        let start = bytes(&self.before).ok_or_else(|| format!("link {nr} has no digest before it"))?;
        if hex(&Sha256::new().chain_update(start).chain_update(&self.record).finalize()) != self.digest {
            return Err(format!("link {nr} has another digest"));
        }
        let record: Vec<serde_json::Value> =
            serde_json::from_str(&self.record).map_err(|error| format!("link {nr}: {error}"))?;
        let names = |at: usize| record.get(at).and_then(|item| item.as_str()).unwrap_or_default();
        if names(0) != self.source {
            return Err(format!("link {nr} is of {}", names(0)));
        }
        let of_rows = self.text.as_ref().map(|text| hex(&Sha256::digest(text))).or_else(|| {
            let digests = self.events.as_ref()?.iter().map(Sha256::digest);
            Some(hex(&digests.fold(Sha256::new(), Sha256::chain_update).finalize()))
        });
        if of_rows.is_some_and(|digest| digest != names(record.len().saturating_sub(1))) {
            return Err(format!("what link {nr} is over has another digest"));
        }
        Ok(())
    }
}

/// A page of links after this number, oldest first; empty at the end of the chain.
///
/// # Errors
/// The database's.
pub async fn links(pool: &PgPool, after: i64) -> Result<Vec<Link>, sqlx::Error> {
    sqlx::query_as!(
        Link,
        r#"select l.nr, l.source, l.at, l.record, encode(l.digest, 'hex') as "digest!",
                  coalesce((select encode(b.digest, 'hex') from chain_link b where b.nr = l.nr - 1), '') as "before!",
                  case when l.salt is null then null
                       when l.source = 'audit'
                       then (select audit_text(a, l.salt) from audit a where a.id = l.subject)
                       else (select trip_event_text(e, l.salt) from trip_event e
                             where e.trip_id = l.subject and e.at = l.at
                               and trip_event_record(e, trip_event_payload(e, l.salt)) = l.record limit 1) end as text,
                  case when l.source = 'order_event'
                       then (select array_agg(order_event_text(o) order by o.order_id, o.status) from order_event o
                             where o.at >= l.at and o.at < l.at + interval '5 min') end as "events: Vec<String>"
           from chain_link l where l.nr > $1 order by l.nr limit $2"#,
        after,
        PAGE
    )
    .fetch_all(pool)
    .await
}

/// The digests that the database has of these links, in hexadecimal, by number.
///
/// # Errors
/// The database's.
pub async fn digests(pool: &PgPool, numbers: &[i64]) -> Result<HashMap<i64, String>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select nr, encode(digest, 'hex') as "digest!" from chain_link where nr = any($1)"#,
        numbers
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.nr, row.digest)).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that hexadecimal digits stand for.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair.filter(|pair| pair.len() == 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(nr: i64, before: &str, text: &str) -> Link {
        let record = format!("[\"audit\", {nr}, \"{}\"]", hex(&Sha256::digest(text)));
        let start = bytes(before).expect("digits");
        let digest = hex(&Sha256::new().chain_update(start).chain_update(&record).finalize());
        let (source, text) = ("audit".to_owned(), Some(text.to_owned()));
        Link {
            nr,
            source,
            at: DateTime::UNIX_EPOCH,
            record,
            before: before.to_owned(),
            digest,
            text,
            events: None,
        }
    }

    #[test]
    fn a_link_is_checked_against_the_one_before_and_what_it_is_over() {
        let first = link(1, "", "top up");
        let second = link(2, &first.digest, "refund");
        let after = (1, first.digest.clone());
        first.check(None).expect("the first");
        second.check(Some(&after)).expect("the second");
        second.check(None).expect("a copy may begin anywhere");
        assert!(link(3, &first.digest, "x").check(Some(&after)).is_err(), "one is missing");
        assert!(link(2, &second.digest, "x").check(Some(&after)).is_err(), "another one before");
        assert!(Link { text: Some("none".into()), ..second.clone() }.check(Some(&after)).is_err());
        assert!(
            Link { record: second.record.replace("audit", "edit"), ..second.clone() }.check(None).is_err()
        );
        assert!(Link { before: "x1".into(), ..second.clone() }.check(None).is_err(), "no digits");
        Link { text: None, ..second }.check(Some(&after)).expect("what was erased is not checked");
    }
}
