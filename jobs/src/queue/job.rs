//! A typed job's contract, and a job that is ready to be enqueued.

use super::RetryPolicy;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

/// The payload's field that carries [`Job::VERSION`]; a job must not have a field of this name.
pub(super) const VERSION_FIELD: &str = "v";

/// A kind of job: its tag, its payload (what `Self` serializes to), its unique key.
pub trait Job: Serialize + DeserializeOwned {
    /// What it is called in the queue. It outlives type names.
    const TAG: &'static str;
    /// The payload's version. Raise it when an older worker must not read a new payload; payloads of older
    /// versions must still deserialize, through `#[serde(default)]`.
    const VERSION: u16;
    /// How often and how patiently it is tried.
    const RETRY: RetryPolicy;

    /// Unique among the live jobs of this tag; 1 to 200 characters.
    fn key(&self) -> String;
}

/// A job that is not yet in the queue.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// Its tag.
    pub tag: &'static str,
    /// Its key, unique with the tag among live jobs.
    pub key: String,
    /// Its payload, a JSON object with the version in the field `v`.
    pub payload: Value,
    /// Attempts before it is a dead letter.
    pub max_attempts: i32,
}

impl NewJob {
    /// Makes a job of its typed form, under a fresh id.
    ///
    /// # Panics
    /// If the type does not serialize to a JSON object: a mistake in the type, not in its values.
    pub fn of<J: Job>(job: &J) -> Self {
        let mut payload = serde_json::to_value(job).expect("a job serializes to JSON");
        let fields = payload.as_object_mut().expect("a job serializes to a JSON object");
        fields.insert(VERSION_FIELD.to_owned(), J::VERSION.into());
        Self { id: Uuid::now_v7(), tag: J::TAG, key: job.key(), payload, max_attempts: J::RETRY.max_attempts }
    }
}
