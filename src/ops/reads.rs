//! What operators read of people, and their sign-ins, in the audit log.
//!
//! Pages are updated every second, so a read is written once for [`WINDOW`]: one row for each
//! operator and thing. The row is written before the data is shown: what could not be logged is not
//! read.

use super::audit::{self, Action, Actor, Subject, Through};
use crate::{
    accounts::{Caller, Rider, Role},
    domain::{OrderId, RiderId, TripId},
    security::{self, Event},
};
use chrono::{TimeDelta, Utc};
use farebox_jobs::queue::admin::first_id;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::net::IpAddr;

/// How long a row stands for further reads of the same thing by the same operator.
const WINDOW: TimeDelta = TimeDelta::minutes(10);
/// Hexadecimal digits of a search text's digest.
const DIGITS: usize = 16;

/// What is read.
#[derive(Clone, Debug)]
pub enum Read<'a> {
    /// An account's page.
    Rider(RiderId),
    /// An order's page or timeline.
    Order(OrderId),
    /// The passengers of a trip.
    Manifest(TripId),
    /// Accounts by a name or an e-mail address, and which were found.
    Search(&'a str, Vec<RiderId>),
}

impl Read<'_> {
    fn action(&self) -> Action {
        match self {
            Self::Rider(_) => Action::RiderRead,
            Self::Order(_) => Action::OrderRead,
            Self::Manifest(_) => Action::ManifestRead,
            Self::Search(..) => Action::RidersSearch,
        }
    }

    /// The order of an order's read is its subject and not its `order_id`, by which the order's page
    /// lists what operators did.
    fn subject(&self) -> Subject {
        match self {
            Self::Rider(rider) => Subject::of("account", rider),
            Self::Order(order) => Subject::of("order", order),
            Self::Manifest(trip) => Subject::of("trip", trip),
            Self::Search(text, _) => Subject::of("search", &digest_of(text)),
        }
    }

    fn detail(&self) -> Value {
        match self {
            Self::Search(_, found) => json!({ "found": found }),
            _ => json!({}),
        }
    }
}

/// The digest of a search text: the log holds no e-mail addresses.
fn digest_of(text: &str) -> String {
    let bytes = security::digest("search", &text.to_lowercase());
    bytes.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// Records a read, unless the same operator has read the same thing within [`WINDOW`].
///
/// # Errors
/// The database's; nothing may be shown then.
pub async fn record(
    pool: &PgPool,
    caller: &Caller,
    through: Through,
    read: &Read<'_>,
) -> Result<(), sqlx::Error> {
    let (action, subject) = (read.action(), read.subject());
    let mut conn = pool.acquire().await?;
    let known = sqlx::query_scalar!(
        r#"select exists(select from audit where subject = $1 and id >= $2 and act = $3 and actor_id = $4) as "known!""#,
        subject.id,
        first_id(Utc::now() - WINDOW),
        action.as_str(),
        caller.rider_id.0
    )
    .fetch_one(&mut *conn)
    .await?;
    if known {
        return Ok(());
    }
    let actor = Actor::caller(caller, through);
    audit::record(&mut conn, &actor, action, &subject, None, &read.detail()).await?;
    Event::PersonalDataRead.record(Some(&security::account(caller.rider_id)), None);
    Ok(())
}

/// Records the sign-in of an account of the operations side.
///
/// # Errors
/// The database's; the session's token may not be handed out then.
pub async fn signed_in(
    pool: &PgPool,
    account: &Rider,
    from: IpAddr,
    through: Through,
) -> Result<(), sqlx::Error> {
    let network = security::network(from);
    let actor = Actor { rider: Some(account.id), name: None, role: Role::as_str(account.role), through };
    let (subject, detail) = (Subject::of("account", &account.id), json!({ "network": network }));
    let mut conn = pool.acquire().await?;
    audit::record(&mut conn, &actor, Action::OperatorSignIn, &subject, None, &detail).await?;
    Event::OperatorSignIn.record(Some(&security::account(account.id)), Some(&network));
    Ok(())
}
