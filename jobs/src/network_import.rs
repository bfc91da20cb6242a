//! `network_import`: carrying on an import that touches seats which riders have.

use crate::{
    MqTag,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Moves the riders of the import's trips, one trip after the other, until none is left. Enqueued with
/// the import; what it touches and how far it is stands in the database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetworkImport {
    import_id: Uuid,
}

impl NetworkImport {
    /// For an import that is written down.
    pub fn new(import_id: Uuid) -> Self {
        Self { import_id }
    }

    /// The import.
    pub fn import_id(&self) -> Uuid {
        self.import_id
    }
}

impl Job for NetworkImport {
    const TAG: &'static str = MqTag::NetworkImport.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.import_id.to_string()
    }
}
