//! A typed job's contract, and a job that is ready to be enqueued.

use crate::{RetryPolicy, trace};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};
use sqlx::types::Json;
use uuid::Uuid;

/// The payload's field that carries [`Job::VERSION`]; a job must not have a field of this name.
pub(crate) const VERSION_FIELD: &str = "v";
/// The payload's field that carries the trace id of the enqueuing task; a job must not have a field
/// of this name either.
pub(crate) const TRACE_FIELD: &str = "trace";
/// The payload's field that carries the enqueuing span as a W3C `traceparent`; likewise. A build that
/// does not know it reads the payload without it.
pub(crate) const TRACEPARENT_FIELD: &str = "traceparent";

/// What is written: the job's own fields, [`VERSION_FIELD`], [`TRACE_FIELD`] and
/// [`TRACEPARENT_FIELD`].
#[derive(Serialize)]
pub(crate) struct Payload<'a, J> {
    #[serde(flatten)]
    job: &'a J,
    v: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

/// What is claimed before what else is due. Strictly: a low job waits for as long as there are
/// higher ones that are due, whatever their tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// First.
    High,
    /// The default.
    #[default]
    Normal,
    /// Last.
    Low,
}

impl Priority {
    /// All, in the order they are claimed in.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// As it stands in `queue.job.priority`.
    pub const fn rank(self) -> i16 {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }
}

/// A kind of job: its tag, its payload (what `Self` serializes to), its unique key.
pub trait Job: Serialize + DeserializeOwned {
    /// What it is called in the queue. It outlives type names.
    const TAG: &'static str;
    /// The payload's version. Raise it when an older worker must not read a new payload; payloads
    /// of older versions must still deserialize, through `#[serde(default)]`.
    const VERSION: u16;
    /// How often and how patiently it is tried.
    const RETRY: RetryPolicy;
    /// What it is claimed before.
    const PRIORITY: Priority = Priority::Normal;

    /// Unique among the live jobs of this tag; 1 to 200 characters.
    fn key(&self) -> String;

    /// If given: at most one job with this concurrency key runs at a time, whatever its tag and
    /// key; 1 to 200 characters.
    fn concurrency_key(&self) -> Option<String> {
        None
    }
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
    /// What it is claimed before.
    pub priority: Priority,
    /// Jobs that share one run one at a time.
    pub concurrency_key: Option<String>,
    /// Its payload, a JSON object with the version in the field `v`, in `trace` the trace id it was
    /// enqueued under, and in `traceparent` the span, if that is recorded. As text: it is written once
    /// and only the database reads it.
    pub payload: Box<RawValue>,
    /// Attempts before it is a dead letter.
    pub max_attempts: i32,
}

/// The payload of a job: its fields, its version, the trace of this task.
pub(crate) fn payload_of<J: Job>(job: &J) -> Payload<'_, J> {
    let (trace, traceparent) = trace::current().map_or((None, None), |trace| (Some(trace.id), trace.parent));
    Payload { job, v: J::VERSION, trace, traceparent }
}

impl NewJob {
    /// Makes a job of its typed form, under a fresh id.
    ///
    /// # Panics
    /// If the type does not serialize to a JSON object: a mistake in the type, not in its values.
    pub fn of<J: Job>(job: &J) -> Self {
        Self {
            id: Uuid::now_v7(),
            tag: J::TAG,
            key: job.key(),
            priority: J::PRIORITY,
            concurrency_key: job.concurrency_key(),
            payload: to_raw_value(&payload_of(job)).expect("a job serializes to a JSON object"),
            max_attempts: J::RETRY.max_attempts,
        }
    }

    /// The payload as a statement's parameter.
    pub fn json(&self) -> Json<&RawValue> {
        Json(&self.payload)
    }
}
