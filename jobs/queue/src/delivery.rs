//! What a handler is given, and what it answers.

use crate::{
    Job, JobError, Lease,
    job::{TRACE_FIELD, TRACEPARENT_FIELD, VERSION_FIELD},
};
use serde_json::Value;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One attempt at one job. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The right to change the job.
    pub lease: Arc<Lease>,
    /// The payload as enqueued: JSON, maybe of a kind that Rust cannot hold.
    pub payload: Arc<str>,
    pub(crate) cancelled: CancellationToken,
}

/// How an attempt ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The handler completed or snoozed the job in its own transaction.
    Settled,
    /// The job is done and the queue is to say so, with this note. The note of completion commits
    /// after the effect, not with it: a crash in between runs the job again.
    Done(Option<String>),
}

impl Delivery {
    pub(crate) fn new(lease: Lease, payload: &str) -> Self {
        Self { lease: Arc::new(lease), payload: payload.into(), cancelled: CancellationToken::new() }
    }

    /// The payload in its typed form.
    ///
    /// # Errors
    /// [`JobError::Undecodable`]: another tag, a newer version, or not this type's fields.
    pub fn decode<J: Job>(&self) -> Result<J, JobError> {
        if self.lease.tag != J::TAG {
            return Err(JobError::undecodable(format!(
                "a {:?} where a {:?} is read",
                self.lease.tag,
                J::TAG
            )));
        }
        let payload = serde_json::from_str(&self.payload).map_err(JobError::undecodable)?;
        let (fields, version) = without_envelope(payload);
        if version > u64::from(J::VERSION) {
            return Err(JobError::undecodable(format!(
                "version {version}; this build reads up to {}",
                J::VERSION
            )));
        }
        serde_json::from_value(fields).map_err(JobError::undecodable)
    }

    /// Whether the cancellation of the job was requested. A handler that acts on it changes nothing
    /// and returns [`JobError::Cancelled`]. A handler that completes the job all the same has done
    /// it.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Waits until [`Self::is_cancelled`].
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }
}

/// The job's own fields, and the version that they were written in.
pub(crate) fn without_envelope(mut payload: Value) -> (Value, u64) {
    let mut version = 0;
    if let Some(fields) = payload.as_object_mut() {
        fields.remove(TRACE_FIELD);
        fields.remove(TRACEPARENT_FIELD);
        version = fields.remove(VERSION_FIELD).as_ref().and_then(Value::as_u64).unwrap_or(0);
    }
    (payload, version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewJob, RetryPolicy, with_trace_id, with_traceparent};
    use chrono::Utc;
    use serde::{Deserialize, Serialize};
    use std::time::Duration;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Greet {
        name: String,
        #[serde(default)]
        loudly: bool,
    }

    impl Job for Greet {
        const TAG: &'static str = "greet";
        const VERSION: u16 = 2;
        const RETRY: RetryPolicy = RetryPolicy { max_attempts: 3, base: Duration::ZERO, cap: Duration::ZERO };

        fn key(&self) -> String {
            self.name.clone()
        }
    }

    fn delivery(payload: &Value) -> Delivery {
        Delivery::new(Lease::of_test("greet", Utc::now()), &payload.to_string())
    }

    #[tokio::test]
    async fn a_payload_reads_back_in_its_own_and_in_older_versions() {
        let job = Greet { name: "ann".to_owned(), loudly: true };
        let made = with_trace_id("4bf92f".to_owned(), async { NewJob::of(&job) }).await;
        let payload: Value = serde_json::from_str(made.payload.get()).expect("an object");
        assert_eq!(payload, serde_json::json!({"name": "ann", "loudly": true, "v": 2, "trace": "4bf92f"}));
        assert_eq!(delivery(&payload).decode::<Greet>().ok().as_ref(), Some(&job));
        let within = with_traceparent("00-4bf92f-00f067-01".to_owned(), async { NewJob::of(&job) });
        let made = with_trace_id("4bf92f".to_owned(), within).await;
        let payload: Value = serde_json::from_str(made.payload.get()).expect("an object");
        assert_eq!(
            (&payload["trace"], &payload["traceparent"]),
            (&"4bf92f".into(), &"00-4bf92f-00f067-01".into())
        );
        assert_eq!(delivery(&payload).decode::<Greet>().ok(), Some(job));
        let older = delivery(&serde_json::json!({ "v": 1, "name": "ann" })).decode::<Greet>();
        assert_eq!(older.ok(), Some(Greet { name: "ann".to_owned(), loudly: false }));
    }

    #[test]
    fn a_newer_or_a_broken_payload_is_undecodable() {
        for payload in
            [serde_json::json!({ "v": 3, "name": "ann" }), serde_json::json!({ "v": 2 }), Value::Null]
        {
            assert!(matches!(delivery(&payload).decode::<Greet>(), Err(JobError::Undecodable(_))));
        }
    }
}
