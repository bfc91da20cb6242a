//! `bulk`: one change of many jobs by an operator.

use crate::{
    MqTag,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Goes through what an operation covers, from where it is, to its end. Enqueued with the operation;
/// what it covers and how far it is stands in the database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bulk {
    bulk_id: Uuid,
}

impl Bulk {
    /// For an operation that is written down.
    pub fn new(bulk_id: Uuid) -> Self {
        Self { bulk_id }
    }

    /// The operation.
    pub fn bulk_id(&self) -> Uuid {
        self.bulk_id
    }
}

impl Job for Bulk {
    const TAG: &'static str = MqTag::Bulk.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.bulk_id.to_string()
    }
}
