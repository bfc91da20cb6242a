//! Networks that are uploaded: read, previewed, and kept for a day to be applied.

use super::view::PreviewView;
use crate::{
    domain::{Error, Refusal, RiderId},
    network::{
        Faults, Network, Read,
        check::{self, Window},
        read_zip,
    },
    settings::Wallets,
    storage,
    trips::{
        MAX_DAYS,
        network::{self, ImportError},
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use std::sync::Arc;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Uploads that are kept; one more ends the oldest.
pub const MAX_KEPT: i64 = 20;
/// How long an upload is kept, hours.
const KEPT_HOURS: i32 = 24;
/// The key of the advisory lock of those who add an upload: "upload" in ASCII.
const LOCK: i64 = 0x7570_6c6f_6164;

/// Networks are read one at a time: one may take the memory of a whole folder.
static READING: Semaphore = Semaphore::const_new(1);

/// Why an upload is not previewed or applied.
#[derive(Debug)]
pub enum UploadError {
    /// What is wrong in its files.
    Faults(Faults),
    /// The import is refused.
    Import(ImportError),
    /// Anything else.
    Other(Error),
}

impl From<ImportError> for UploadError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Database(error) => error.into(),
            refused => Self::Import(refused),
        }
    }
}

impl From<sqlx::Error> for UploadError {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<Refusal> for UploadError {
    fn from(refusal: Refusal) -> Self {
        Self::Other(refusal.into())
    }
}

/// An upload that is kept.
struct Upload {
    id: Uuid,
    at: DateTime<Utc>,
    zip: Arc<[u8]>,
}

impl Upload {
    fn expires_at(&self) -> DateTime<Utc> {
        self.at + TimeDelta::hours(KEPT_HOURS.into())
    }
}

/// The network that was read, if it can be run for as many days as trips are ever made ahead.
///
/// # Errors
/// The faults of reading; buses in two places, seats without a fare.
pub fn checked(read: Result<Read, Faults>) -> Result<Network, Faults> {
    let Read { network, lines } = read?;
    let first = Utc::now().with_timezone(&network.zone).date_naive();
    let faults = check::check(&network, &lines, Window { first, days: MAX_DAYS }).faults;
    if faults.is_empty() { Ok(network) } else { Err(faults) }
}

/// Reads and checks a zip, and the settings against its currency.
async fn read(zip: Arc<[u8]>, wallets: &Wallets) -> Result<Network, UploadError> {
    let permit = READING.acquire().await;
    let reading = tokio::task::spawn_blocking(move || {
        // The thread goes on if the future is dropped, so the permit goes with it.
        let _permit = permit;
        checked(read_zip(zip))
    });
    let read = reading.await.map_err(|error| UploadError::Other(Error::Broken(error.into())))?;
    let network = read.map_err(UploadError::Faults)?;
    let fits = wallets.check(network.currency);
    fits.map_err(|error| UploadError::Import(ImportError::Refused(error.to_string())))?;
    Ok(network)
}

/// Previews the network in a zip, and keeps the zip. All that is written is one row, so the future
/// may be dropped at any time.
///
/// # Errors
/// The zip's faults; a network that cannot be sold; the database's.
pub async fn preview(
    pool: &PgPool,
    operator: RiderId,
    zip: Vec<u8>,
    wallets: &Wallets,
) -> Result<PreviewView, UploadError> {
    let zip: Arc<[u8]> = zip.into();
    let network = read(Arc::clone(&zip), wallets).await?;
    let mut tx = storage::begin(pool).await?;
    let preview = network::preview(&mut tx, &network).await?;
    let upload = save(&mut tx, operator, zip, &preview.digest).await?;
    tx.commit().await?;
    Ok(PreviewView::of(upload.id, upload.expires_at(), &network, &preview))
}

/// The preview of an upload as it is now.
///
/// # Errors
/// No such upload; as [`preview`].
pub async fn preview_again(pool: &PgPool, id: Uuid, wallets: &Wallets) -> Result<PreviewView, UploadError> {
    let upload = find(pool, id).await?.ok_or(Refusal::NotFound("preview"))?;
    let network = read(Arc::clone(&upload.zip), wallets).await?;
    let mut tx = storage::begin(pool).await?;
    let preview = network::preview(&mut tx, &network).await?;
    Ok(PreviewView::of(upload.id, upload.expires_at(), &network, &preview))
}

/// The network of an upload.
///
/// # Errors
/// No such upload; as [`preview`].
pub async fn network_of(pool: &PgPool, id: Uuid, wallets: &Wallets) -> Result<Network, UploadError> {
    let upload = find(pool, id).await?.ok_or(Refusal::NotFound("preview"))?;
    read(upload.zip, wallets).await
}

async fn save(
    conn: &mut PgConnection,
    operator: RiderId,
    zip: Arc<[u8]>,
    digest: &str,
) -> Result<Upload, sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *conn).await?;
    sqlx::query!(
        "delete from network_preview where id in (select id from network_preview order by id desc offset $1)",
        MAX_KEPT - 1
    )
    .execute(&mut *conn)
    .await?;
    let id = Uuid::now_v7();
    let at = sqlx::query_scalar!(
        "insert into network_preview (id, operator, zip, digest) values ($1, $2, $3, $4) returning at",
        id,
        operator.0,
        &*zip,
        digest
    )
    .fetch_one(conn)
    .await?;
    Ok(Upload { id, at, zip })
}

async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Upload>, sqlx::Error> {
    let row = sqlx::query!(
        "select id, at, zip from network_preview where id = $1 and at > now() - make_interval(hours => $2)",
        id,
        KEPT_HOURS
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Upload { id: row.id, at: row.at, zip: row.zip.into() }))
}

/// Deletes uploads that are older than a day; returns how many. There are at most [`MAX_KEPT`].
///
/// # Errors
/// The database's.
pub async fn prune(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query!(
        "delete from network_preview where at <= now() - make_interval(hours => $1)",
        KEPT_HOURS
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
