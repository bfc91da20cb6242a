//! The network in the database: loading it, and importing another one.
//!
//! An import is previewed first. The preview's digest covers both networks and all trips that the
//! import touches, with the seats sold of them. It is computed again in the transaction that applies
//! the import, so that nothing is applied that was not previewed. That transaction may be dropped at
//! any time. It writes the network and all that belongs to the rows of trips. What is done with riders
//! it writes down (`network_import`, `network_import_trip`), and a job does that, trip by trip.
//!
//! An operator's change of one trip goes the same way ([`change`]): it is an import of one effect.

mod apply;
mod buses;
mod change;
mod change_plan;
mod change_request;
mod currency;
mod difference;
mod effect;
mod effects;
mod extra_trips;
mod imports;
mod job;
mod load;
mod riders;
mod rows;
mod sold;
mod store;
mod versions;

pub use change::{Changed, change, preview_change};
pub use change_plan::ChangePreview;
pub use change_request::{ChangeError, TripChange};
pub use difference::Difference;
pub use effect::{Effect, Kind};
pub use imports::{Progress, imports, progress};
pub use job::run;
pub use load::load;
pub(super) use load::{models, names, parsed};
pub use riders::Author;
pub(super) use rows::{OtherNames, StopRow};
pub use sold::{Lost, Sold};

use crate::network::Network;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

/// The key of the advisory lock that an import holds alone, and those who make trips share:
/// "network" in ASCII.
const LOCK: i64 = 0x006e_6574_776f_726b;
/// Digits of a preview's digest.
const DIGEST_DIGITS: usize = 32;
/// The SQLSTATE of an exclusion constraint.
const EXCLUDED: &str = "23P01";

/// Why an import is refused.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The network cannot be sold.
    #[error("{0}")]
    Refused(String),
    /// The database or the files changed since the preview.
    #[error("the preview is stale, so nothing was changed: preview the import again")]
    Stale,
    /// An earlier import still moves riders.
    #[error(
        "import {} is not finished, so nothing was changed: {} of its {} trips with riders are done",
        .0.id, .0.done, .0.trips
    )]
    Unfinished(Box<Progress>),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

/// What an import would do.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Between the networks.
    pub difference: Difference,
    /// To trips that are made already, in order of time.
    pub effects: Vec<Effect>,
    /// What applies it.
    pub digest: String,
    /// Whether it does anything.
    pub changes: bool,
    /// The import that was applied with this digest, now or before.
    pub import: Option<Uuid>,
}

impl Preview {
    /// The trips of one kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.effects.iter().filter(|effect| effect.kind == kind).count()
    }

    /// The trips of which riders have seats, and that end or change.
    pub fn riders(&self) -> impl Iterator<Item = &Effect> {
        self.effects.iter().filter(|effect| effect.touches_riders())
    }
}

/// Waits until no import runs, and keeps others away until the transaction ends.
///
/// # Errors
/// The database's.
pub(super) async fn keep_imports_away(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock_shared($1)").bind(LOCK).execute(conn).await.map(drop)
}

/// What importing this network would do. Changes nothing.
///
/// # Errors
/// A network that cannot be sold, a bus that would be on two trips, an import that is not finished; the
/// database's.
pub async fn preview(conn: &mut PgConnection, new: &Network) -> Result<Preview, ImportError> {
    let old = load(conn).await?;
    refuse_beside_another(conn).await?;
    compare(conn, old.as_ref(), new, false).await
}

/// Imports a network if its preview still has this digest. The import that was applied last is not
/// applied again: its preview then says that nothing changes. Needs a transaction.
///
/// # Errors
/// As [`preview`], and a stale digest.
pub async fn import(
    conn: &mut PgConnection,
    author: &Author<'_>,
    new: &Network,
    digest: &str,
) -> Result<Preview, ImportError> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *conn).await?;
    let old = load(conn).await?;
    if old.as_ref() == Some(new)
        && let Some(import) = imports::latest_with(conn, digest, None).await?
    {
        let (difference, digest) = (Difference::default(), digest.to_owned());
        return Ok(Preview { difference, effects: Vec::new(), digest, changes: false, import: Some(import) });
    }
    refuse_beside_another(conn).await?;
    let mut preview = compare(conn, old.as_ref(), new, true).await?;
    if preview.digest != digest {
        return Err(ImportError::Stale);
    }
    if preview.changes {
        apply::apply(conn, old.as_ref(), new, &preview.effects).await.map_err(bus_taken)?;
        preview.import = Some(riders::record(conn, author, &preview.digest, &preview.effects, None).await?);
    }
    Ok(preview)
}

async fn refuse_beside_another(conn: &mut PgConnection) -> Result<(), ImportError> {
    match imports::unfinished(conn).await? {
        Some(other) => Err(ImportError::Unfinished(Box::new(other))),
        None => Ok(()),
    }
}

async fn compare(
    conn: &mut PgConnection,
    old: Option<&Network>,
    new: &Network,
    lock: bool,
) -> Result<Preview, ImportError> {
    currency::check(conn, old, new, lock).await?;
    let others: Vec<String> = sqlx::query_scalar!(
        "select code from timetable where ended_at is null and route is null order by id"
    )
    .fetch_all(&mut *conn)
    .await?;
    let effects = effects::effects(conn, old, new, lock).await?;
    if let Some(conflict) = buses::conflict(conn, old, new, &effects).await? {
        return Err(ImportError::Refused(format!("{conflict}; nothing was changed")));
    }
    let mut digest = Sha256::new();
    let before = old.map(rows::digest).unwrap_or_default();
    digest.update(format!("{before} {} {others:?}\n", rows::digest(new)));
    for effect in &effects {
        digest.update(format!("{effect:?}\n"));
    }
    let digest = shortened(digest);
    let changes = old != Some(new) || !others.is_empty() || !effects.is_empty();
    let difference = difference::difference(old, new, &others);
    Ok(Preview { difference, effects, digest, changes, import: None })
}

/// A preview's digest.
fn shortened(digest: Sha256) -> String {
    let mut digest = rows::hex(&digest.finalize());
    digest.truncate(DIGEST_DIGITS);
    digest
}

/// Of a trip that is added while the import runs, the constraint tells.
fn bus_taken(error: sqlx::Error) -> ImportError {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.as_deref() == Some(EXCLUDED) {
        let rule = "a bus of a trip that changes is on another trip at that time, so nothing was changed";
        return ImportError::Refused(format!("{rule}: {error}"));
    }
    error.into()
}
