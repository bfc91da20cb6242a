//! The tables that a job can be in, and the columns of a [`JobView`](super::JobView) in each.

/// The table that a job is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobTable {
    /// Waiting or running.
    Live,
    /// Given up.
    Dead,
    /// Done or cancelled.
    Finished,
}

impl JobTable {
    /// All.
    pub const ALL: &'static [Self] = &[Self::Live, Self::Dead, Self::Finished];

    /// Whether its jobs can be in this state.
    pub(super) fn has(self, state: &str) -> bool {
        let states: &[&str] = match self {
            Self::Live => &["ready", "delayed", "retrying", "running"],
            Self::Dead => &["dead"],
            Self::Finished => &["done", "cancelled"],
        };
        states.contains(&state)
    }
}

pub(super) fn table_name(table: JobTable) -> &'static str {
    match table {
        JobTable::Live => "queue.job",
        JobTable::Dead => "queue.dead_letter",
        JobTable::Finished => "queue.finished",
    }
}

pub(super) fn columns(table: JobTable) -> &'static str {
    match table {
        JobTable::Live => {
            "id, tag, key, queue.state_of(lease_token, attempt, snoozed_attempt, failures, run_at) \
             as state, priority, concurrency_key, attempt, \
             max_attempts, run_at, created_at, leased_at, lease_until, first_due_at, \
             null::timestamptz, payload, failures, cancel_asked, worker, \
             case when failures <> '[]' then queue.fingerprint(failures -> -1 ->> 'error') end"
        }
        JobTable::Dead => {
            "id, tag, key, 'dead', priority, concurrency_key, attempt, max_attempts, run_at, created_at, \
             null::timestamptz, \
             null::timestamptz, first_due_at, died_at, payload, failures, reason, null, fingerprint"
        }
        JobTable::Finished => {
            "id, tag, key, outcome, null::smallint, null, attempt, attempt, run_at, created_at, started_at, \
             null::timestamptz, null::timestamptz, ended_at, payload, failures, note, worker, \
             case when failures <> '[]' then queue.fingerprint(failures -> -1 ->> 'error') end"
        }
    }
}

/// In which order rows are read.
#[derive(Clone, Copy)]
pub(super) enum Order {
    NewestFirst,
    OldestFirst,
}

impl Order {
    /// By ids, which grow with time.
    pub(super) fn by_id(self) -> &'static str {
        match self {
            Self::NewestFirst => " order by id desc",
            Self::OldestFirst => " order by id",
        }
    }
}
