//! The tables that a job can be in, and the columns of a [`JobView`](super::JobView) in each.

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Waiting or running.
    Live,
    /// Given up.
    Dead,
    /// Done or called off.
    Finished,
}

impl Place {
    /// All.
    pub const ALL: &'static [Self] = &[Self::Live, Self::Dead, Self::Finished];

    /// What the pages call its jobs' states.
    pub(super) fn has(self, state: &str) -> bool {
        let states: &[&str] = match self {
            Self::Live => &["ready", "delayed", "retrying", "running"],
            Self::Dead => &["dead"],
            Self::Finished => &["done", "cancelled"],
        };
        states.contains(&state)
    }
}

pub(super) fn table(place: Place) -> &'static str {
    match place {
        Place::Live => "queue.job",
        Place::Dead => "queue.dead_letter",
        Place::Finished => "queue.finished",
    }
}

pub(super) fn columns(place: Place) -> &'static str {
    match place {
        Place::Live => {
            "id, tag, key, queue.state_of(lease_token, attempt, snoozed_attempt, failures, run_at) as state, priority, serial, attempt, \
             max_attempts, run_at, created_at, leased_at, lease_until, first_due_at, null::timestamptz, payload, failures, cancel_asked, worker, \
             case when failures <> '[]' then queue.fingerprint(failures -> -1 ->> 'error') end"
        }
        Place::Dead => {
            "id, tag, key, 'dead', priority, serial, attempt, max_attempts, run_at, created_at, null::timestamptz, \
             null::timestamptz, first_due_at, died_at, payload, failures, reason, null, fingerprint"
        }
        Place::Finished => {
            "id, tag, key, outcome, null::smallint, null, attempt, attempt, run_at, created_at, started_at, \
             null::timestamptz, null::timestamptz, ended_at, payload, failures, note, worker, \
             case when failures <> '[]' then queue.fingerprint(failures -> -1 ->> 'error') end"
        }
    }
}
