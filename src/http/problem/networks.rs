//! Problems of networks that are uploaded.

use super::{
    Problem,
    catalogue::{BUS_TAKEN, NETWORK_FAULTS, NETWORK_REFUSED, PREVIEW_STALE},
};
use crate::{
    domain::FieldError,
    network::{Fault, Faults},
    ops::networks::uploads::UploadError,
    trips::network::{ChangeError, ImportError},
};
use serde_json::{Value, json};

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Faults(faults) => Self::of_faults(&faults),
            UploadError::Import(refused) => Self::of_import(&refused),
            UploadError::Other(error) => error.into(),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Import(refused) => Self::of_import(&refused),
            ChangeError::BusTaken { trip, words, .. } => {
                Self::new(&BUS_TAKEN, words).with("field", json!("/bus_id")).with("trip_id", json!(trip))
            }
            ChangeError::Other(error) => error.into(),
        }
    }
}

impl Problem {
    fn of_faults(faults: &Faults) -> Self {
        let first = faults.first().first().map(ToString::to_string).unwrap_or_default();
        let all: Vec<Value> = faults.first().iter().map(shown).collect();
        // The body is no JSON, so the field at fault is the body.
        Self::new(&NETWORK_FAULTS, format!("{} faults; the first: {first}", faults.count()))
            .at(&FieldError::new("", first))
            .with("faults", json!(all))
            .with("fault_count", json!(faults.count()))
    }

    fn of_import(refused: &ImportError) -> Self {
        let kind = if matches!(refused, ImportError::Stale) { &PREVIEW_STALE } else { &NETWORK_REFUSED };
        let problem = Self::new(kind, refused.to_string());
        match refused {
            ImportError::Unfinished(other) => problem.with("import_id", json!(other.id)),
            _ => problem,
        }
    }
}

fn shown(fault: &Fault) -> Value {
    let mut shown = json!({ "file": fault.file, "rule": fault.rule });
    if let Some(line) = fault.line {
        shown["line"] = json!(line);
    }
    if let Some(column) = &fault.column {
        shown["column"] = json!(column);
    }
    shown
}
