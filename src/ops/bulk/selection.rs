//! Which jobs an operation covers.

use crate::{
    domain::{Error, FieldError, Refusal},
    ops::search::JobQuery,
};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, JobFilter, JobTable},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use std::str::FromStr;
use uuid::Uuid;

/// Most jobs of one operation: the oldest. The rest is for another operation.
pub const MAX_JOBS: i64 = 100_000;
/// Most jobs that are chosen by id.
pub const MAX_IDS: usize = 1_000;
/// Bytes of a digest that are shown: enough that no other selection of a console has the same.
const DIGEST_BYTES: usize = 8;

/// What is done to each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "BulkAct")]
pub enum BulkAction {
    /// Waiting jobs are made due now, dead letters are redriven.
    Retry,
    /// Live jobs are cancelled.
    Cancel,
    /// Dead letters are redriven.
    Redrive,
    /// Dead letters that owe nothing are discarded.
    Discard,
}

impl BulkAction {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }

    /// The places of the jobs that it applies to.
    pub(super) fn places(self) -> &'static [JobTable] {
        match self {
            Self::Retry => &[JobTable::Live, JobTable::Dead],
            Self::Cancel => &[JobTable::Live],
            Self::Redrive | Self::Discard => &[JobTable::Dead],
        }
    }
}

impl FromStr for BulkAction {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let all = [Self::Retry, Self::Cancel, Self::Redrive, Self::Discard];
        let rule = || FieldError::new("act", "retry, cancel, redrive or discard");
        all.into_iter().find(|action| action.as_str() == text).ok_or_else(rule)
    }
}

/// Which jobs. Those of bulk operations are never among them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// These, at most [`MAX_IDS`].
    Ids(Vec<Uuid>),
    /// All that match now.
    Filter(JobQuery),
    /// The oldest one of those: it is tried before the rest.
    FirstOf(Box<Self>),
}

impl Selection {
    /// What is left to do once the first one was tried; `None` if this is no trial.
    pub fn rest(self) -> Option<Self> {
        if let Self::FirstOf(all) = self { Some(*all) } else { None }
    }
}

/// The jobs of a selection.
#[derive(Clone, Debug)]
pub(super) struct Selected {
    /// Oldest first, at most [`MAX_JOBS`].
    pub(super) ids: Vec<Uuid>,
    /// Whether there are more than one operation may cover.
    pub(super) more: bool,
    /// The digest of the ids: an act that names it is refused if it would cover other jobs.
    pub(super) digest: String,
}

fn digest_of(ids: &[Uuid]) -> String {
    let mut all = Sha256::new();
    ids.iter().for_each(|id| all.update(id.as_bytes()));
    all.finalize().iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// A selection that keeps the rules, as the queue reads it.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    filter: JobFilter,
    most: i64,
}

impl Wanted {
    /// Checks a selection.
    ///
    /// # Errors
    /// A selection that breaks a rule; the database's.
    pub(super) async fn of(
        conn: &mut PgConnection,
        action: BulkAction,
        selection: &Selection,
    ) -> Result<Self, Error> {
        let (selection, most) = match selection {
            Selection::FirstOf(all) => (&**all, 1),
            all => (all, MAX_JOBS),
        };
        let mut filter = filter_of(conn, action, selection).await?;
        if filter.tags.is_empty() {
            filter.tags = MqTag::ALL.map(|tag| tag.wire().to_owned()).to_vec();
        }
        filter.tags.retain(|tag| tag != MqTag::Bulk.wire());
        if filter.tags.is_empty() {
            let rule = "a bulk operation can be stopped, not acted upon";
            return Err(Refusal::Invalid(FieldError::new("/filter/tag", rule)).into());
        }
        Ok(Self { filter, most })
    }

    /// The jobs.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn select(&self, conn: &mut PgConnection) -> Result<Selected, sqlx::Error> {
        let mut ids = admin::ids(conn, &self.filter, self.most + 1).await?;
        let more = count(ids.len()) > self.most;
        ids.truncate(usize::try_from(self.most).unwrap_or(usize::MAX));
        Ok(Selected { digest: digest_of(&ids), ids, more })
    }

    /// The jobs, if there are at most `few`.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn select_few(
        &self,
        conn: &mut PgConnection,
        few: i64,
    ) -> Result<Option<Selected>, sqlx::Error> {
        let first = Self { filter: self.filter.clone(), most: self.most.min(few) };
        let selected = first.select(conn).await?;
        Ok(if selected.more && first.most < self.most { None } else { Some(selected) })
    }
}

async fn filter_of(
    conn: &mut PgConnection,
    action: BulkAction,
    selection: &Selection,
) -> Result<JobFilter, Error> {
    match selection {
        Selection::FirstOf(_) => {
            Err(Refusal::Invalid(FieldError::new("/filter", "one is tried of a filter or of ids")).into())
        }
        Selection::Ids(ids) if ids.is_empty() || ids.len() > MAX_IDS => {
            Err(Refusal::Invalid(FieldError::new("/ids", format!("1 to {MAX_IDS} ids"))).into())
        }
        Selection::Ids(ids) => Ok(JobFilter {
            tables: action.places(),
            key_filter: Some(admin::KeyFilter { keys: Vec::new(), ids: ids.clone() }),
            ..JobFilter::default()
        }),
        Selection::Filter(query) if query == &JobQuery::default() => {
            let rule = "at least one condition is needed";
            Err(Refusal::Invalid(FieldError::new("/filter", rule)).into())
        }
        Selection::Filter(query) => query.filter(conn, action.places()).await,
    }
}

pub(super) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
