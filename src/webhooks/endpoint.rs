//! Endpoints: where operators have events sent to.

use super::secret::{self, new_nonce};
use crate::{
    accounts::passwords::Passwords,
    domain::{Error, FieldError, Refusal, WebhookName},
};
use chrono::{DateTime, Utc};
use farebox_jobs::EventKind;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// Most endpoints at once: an endpoint that is dead holds one slot of a worker.
pub const MAX_ENDPOINTS: usize = 32;
/// How often a place is looked for while others take places at the same moment.
const MAX_TRIES: usize = MAX_ENDPOINTS;
/// For how long the secret of before signs too after a rotation, seconds.
pub const ROTATION_SECS: u32 = 24 * 60 * 60;

/// An endpoint, without its secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Webhook")]
pub struct Endpoint {
    /// Its id.
    pub id: Uuid,
    /// What operators call it.
    pub name: String,
    /// Where events are sent to.
    pub url: String,
    /// The kinds of events that it takes.
    #[schemars(with = "Vec<farebox_jobs::EventKind>")]
    pub kinds: Vec<String>,
    /// Whether events are sent to it.
    #[schemars(with = "crate::domain::words::WebhookState")]
    pub state: String,
    /// Why it is disabled: `operator`, or `gone` if its receiver answered 410.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::domain::words::DisabledBecause>")]
    pub disabled_because: Option<String>,
    /// Attempts that failed since one was answered well; at 10 it is paused, and tried with one event.
    pub failures: i32,
    /// Since when every attempt has failed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub failing_since: Option<DateTime<Utc>>,
    /// Until when nothing is sent to it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub paused_until: Option<DateTime<Utc>>,
    /// Until when the secret of before signs too.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub old_secret_until: Option<DateTime<Utc>>,
    /// Deliveries that wait, counted up to 10,000.
    pub pending: i64,
    /// When it was added.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub created_at: DateTime<Utc>,
    /// When an operator last changed it, or its receiver ended it.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub changed_at: DateTime<Utc>,
}

/// An endpoint to add, with an address that was read.
#[derive(Clone, Debug)]
pub struct NewEndpoint {
    /// Its id, which the caller has drawn: what is added twice under one id is there once.
    pub id: Uuid,
    /// What operators call it.
    pub name: WebhookName,
    /// Where events are sent to.
    pub url: String,
    /// The kinds of events that it takes.
    pub kinds: Vec<EventKind>,
}

/// What is changed of an endpoint; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The state that was looked at, by [`Endpoint::changed_at`]; nothing changes if it is another by now.
    pub seen: Option<DateTime<Utc>>,
    /// What operators call it.
    pub name: Option<WebhookName>,
    /// Where events are sent to, an address that was read.
    pub url: Option<String>,
    /// The kinds of events that it takes.
    pub kinds: Option<Vec<EventKind>>,
}

/// The secret that signs an endpoint's events.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "WebhookSecret")]
pub struct Secret {
    /// `whsec_` and 32 bytes in Base64, as the convention's libraries take it.
    pub secret: String,
    /// Until when the secret of before signs too.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub old_secret_until: Option<DateTime<Utc>>,
}

macro_rules! endpoints {
    ($db:ident, $which:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Endpoint,
            r#"select e.id, e.name, e.url, e.kinds, e.state, e.disabled_because, e.failures, e.failing_since,
                      case when e.paused_until > now() then e.paused_until end as paused_until,
                      case when e.old_until > now() then e.old_until end as old_secret_until,
                      (select count(*) from (select from webhook_delivery d
                                             where d.endpoint_id = e.id and d.state = 'pending' limit 10000) as p)
                          as "pending!",
                      e.created_at, e.changed_at
               from webhook_endpoint e where e.state <> 'removed' and "# + $which + " order by e.id"
            $(, $argument)*
        )
    };
}

/// All endpoints, the oldest first; at most [`MAX_ENDPOINTS`].
///
/// # Errors
/// The database's.
pub async fn list(db: impl PgExecutor<'_>) -> Result<Vec<Endpoint>, sqlx::Error> {
    endpoints!(db, "true").fetch_all(db).await
}

/// One endpoint.
///
/// # Errors
/// The database's.
pub async fn find(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Endpoint>, sqlx::Error> {
    endpoints!(db, "e.id = $1", id).fetch_optional(db).await
}

/// Whether there is such an endpoint, or was: the log of a removed one stays until it is old.
///
/// # Errors
/// The database's.
pub async fn has_been(db: impl PgExecutor<'_>, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select exists(select from webhook_endpoint where id = $1) as "has!""#, id)
        .fetch_one(db)
        .await
}

async fn known(conn: &mut PgConnection, id: Uuid) -> Result<Endpoint, Error> {
    Ok(find(conn, id).await?.ok_or(Refusal::NotFound("webhook"))?)
}

/// The kinds in their order, each once.
fn words(mut kinds: Vec<EventKind>) -> Result<Vec<String>, Refusal> {
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        return Err(Refusal::Invalid(FieldError::new("/kinds", "at least one kind of event")));
    }
    Ok(kinds.into_iter().map(|kind| kind.wire().to_owned()).collect())
}

/// Adds an endpoint, enabled, in the caller's transaction, and says whether it is new: one that is there
/// already stays as it is. It gets the events of changes that begin after its commit.
///
/// # Errors
/// No kind; [`MAX_ENDPOINTS`] are there; the database's.
pub async fn add(conn: &mut PgConnection, new: NewEndpoint) -> Result<(Endpoint, bool), Error> {
    let kinds = words(new.kinds)?;
    let (id, nonce) = (new.id, new_nonce().map_err(Error::Broken)?);
    for _ in 0..MAX_TRIES {
        // Two that take the same place: the second waits for the first, gets no row, and takes the next one.
        let added = sqlx::query!(
            "insert into webhook_endpoint (id, place, name, url, kinds, nonce)
         select $1, min(p.place)::smallint, $2, $3, $4, $5 from generate_series(1, 32) as p (place)
         where not exists(select from webhook_endpoint e where e.place = p.place)
         having min(p.place) is not null
         on conflict do nothing",
            id,
            new.name.as_str(),
            new.url,
            &kinds,
            nonce.as_slice()
        )
        .execute(&mut *conn)
        .await?;
        if added.rows_affected() > 0 {
            return Ok((known(conn, id).await?, true));
        }
        if let Some(there) = find(&mut *conn, id).await? {
            return Ok((there, false));
        }
    }
    let rule = format!("one of at most {MAX_ENDPOINTS} webhooks: remove another one first");
    Err(Refusal::Invalid(FieldError::new("/name", rule)).into())
}

/// Changes an endpoint in the caller's transaction. Another address is tried at once, even if the one of
/// before was paused. Deliveries that wait stay, whatever kinds it takes from now on.
///
/// # Errors
/// No kind; an unknown endpoint; one that has changed since it was seen; the database's.
pub async fn change(conn: &mut PgConnection, id: Uuid, change: Change) -> Result<Endpoint, Error> {
    let kinds = change.kinds.map(words).transpose()?;
    let changed = sqlx::query!(
        "update webhook_endpoint e
         set name = coalesce($2, name), url = coalesce($3, url), kinds = coalesce($4, kinds),
             failures = case when $3 <> url then 0 else failures end,
             failing_since = case when $3 <> url then null else failing_since end,
             paused_until = case when $3 <> url then null else paused_until end,
             changed_at = now()
         where id = $1 and state <> 'removed' and ($5::timestamptz is null or changed_at = $5)",
        id,
        change.name.map(WebhookName::into_string),
        change.url,
        kinds.as_deref(),
        change.seen
    )
    .execute(&mut *conn)
    .await?;
    if changed.rows_affected() == 0 && find(&mut *conn, id).await?.is_some() {
        return Err(Refusal::PreviewStale.into());
    }
    super::event::wake(&mut *conn, &[id]).await?;
    known(conn, id).await
}

/// Enables or disables an endpoint in the caller's transaction. A disabled one is sent nothing, and no
/// deliveries are added for it; those that wait are sent once it is enabled, if their time is not over.
///
/// # Errors
/// An unknown endpoint; the database's.
pub async fn set_enabled(conn: &mut PgConnection, id: Uuid, enabled: bool) -> Result<Endpoint, Error> {
    sqlx::query!(
        "update webhook_endpoint
         set state = case when $2 then 'enabled' else 'disabled' end,
             disabled_because = case when not $2 then 'operator' end,
             failures = 0, failing_since = null, paused_until = null, changed_at = now()
         where id = $1 and state = case when $2 then 'disabled' else 'enabled' end",
        id,
        enabled
    )
    .execute(&mut *conn)
    .await?;
    if enabled {
        super::event::wake(&mut *conn, &[id]).await?;
    }
    known(conn, id).await
}

/// Gives an endpoint another secret in the caller's transaction. The one of before signs too for
/// [`ROTATION_SECS`]; an older one does no more.
///
/// # Errors
/// An unknown endpoint; the database's.
pub async fn rotate(conn: &mut PgConnection, id: Uuid) -> Result<Endpoint, Error> {
    let nonce = new_nonce().map_err(Error::Broken)?;
    sqlx::query!(
        "update webhook_endpoint
         set nonce = $2, old_nonce = nonce, old_until = now() + make_interval(secs => $3), changed_at = now()
         where id = $1 and state <> 'removed'",
        id,
        nonce.as_slice(),
        f64::from(ROTATION_SECS)
    )
    .execute(&mut *conn)
    .await?;
    known(conn, id).await
}

/// Removes an endpoint in the caller's transaction, and answers what it was. Its deliveries stay until they
/// are old.
///
/// # Errors
/// An unknown endpoint; the database's.
pub async fn remove(conn: &mut PgConnection, id: Uuid) -> Result<Endpoint, Error> {
    let endpoint = known(&mut *conn, id).await?;
    sqlx::query!(
        "update webhook_endpoint
         set state = 'removed', place = null, disabled_because = null, old_nonce = null, old_until = null,
             failures = 0, failing_since = null, paused_until = null, changed_at = now()
         where id = $1 and state <> 'removed'",
        id
    )
    .execute(conn)
    .await?;
    Ok(endpoint)
}

/// The secret of an endpoint. It is derived each time, and stands nowhere.
///
/// # Errors
/// An unknown endpoint; the database's.
pub async fn secret(conn: &mut PgConnection, passwords: &Passwords, id: Uuid) -> Result<Secret, Error> {
    let endpoint = known(&mut *conn, id).await?;
    let nonce =
        sqlx::query_scalar!("select nonce from webhook_endpoint where id = $1", id).fetch_one(conn).await?;
    let secret = secret::text_of(passwords, id, &nonce).map_err(Error::Broken)?;
    Ok(Secret { secret, old_secret_until: endpoint.old_secret_until })
}
