//! Importing a network.

pub mod one_trip;
pub mod touched;
pub mod uploads;
pub mod view;

use super::Attribution;
use crate::{
    network::Network,
    ops::audit::{Action, Subject},
    trips::network::{self, Author, ImportError, Kind, Preview},
};
use farebox_jobs::{
    Timetable,
    queue::{self, NewJob},
};
use serde_json::json;
use sqlx::PgConnection;

/// The reason of an import for which none is given.
const NO_REASON: &str = "another timetable was imported";

/// Imports a network if its preview has this digest, and has its trips made by the next worker. Riders
/// of trips that change or end are moved and refunded by the import's job. An import that changes
/// nothing is not recorded.
///
/// # Errors
/// As [`network::import`].
pub async fn import(
    conn: &mut PgConnection,
    by: &Attribution,
    new: &Network,
    digest: &str,
) -> Result<Preview, ImportError> {
    let reason = by.reason.as_deref().unwrap_or(NO_REASON);
    let author = Author { operator: by.actor.rider, actor: by.actor.name.as_deref(), reason };
    let preview = network::import(&mut *conn, &author, new, digest).await?;
    if !preview.changes {
        return Ok(preview);
    }
    queue::enqueue_or_expedite(&mut *conn, &NewJob::of(&Timetable {})).await?;
    let difference = &preview.difference;
    let detail = json!({
        "preview": preview.digest,
        "import": preview.import,
        "departures": {
            "added": difference.added.len(),
            "changed": difference.changed.len(),
            "ended": difference.ended.len(),
        },
        "trips": {
            "changed": preview.count(Kind::Changes),
            "ended": preview.count(Kind::Ends),
            "returned": preview.count(Kind::Returns),
            "price": preview.count(Kind::Price),
        },
    });
    by.record(conn, Action::NetworkImport, &Subject::of("network", &"network"), &detail).await?;
    Ok(preview)
}
