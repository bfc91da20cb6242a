//! Jobs as the queue's tables have them, in the words of the model.

use super::{
    Hours,
    life::{Job, State},
};
use uuid::Uuid;

/// A job as the tables have it, or as the model thinks they do. Times are counted from now.
#[derive(Debug, PartialEq, sqlx::FromRow)]
pub struct Row {
    pub id: Uuid,
    pub state: String,
    pub attempt: i32,
    pub failures: i32,
    pub token: Option<Uuid>,
    pub until: Option<Hours>,
    pub due: Option<Hours>,
    pub asked: bool,
}

impl Row {
    pub fn of(id: Uuid, job: &Job, now: Hours) -> Self {
        let (state, until) = match job.state {
            State::Waiting => ("waiting", None),
            State::Leased { until, .. } => ("leased", Some(until - now)),
            State::Ended(how) => (how, None),
        };
        Self {
            id,
            state: state.to_owned(),
            attempt: job.attempt,
            failures: job.failures,
            token: job.token(),
            until,
            due: job.live().then_some(job.due - now),
            asked: job.live() && job.asked,
        }
    }
}

pub const ROWS: &str = "
    select id, case when lease_token is null then 'waiting' else 'leased' end as state, attempt,
           jsonb_array_length(failures) as failures, lease_token as token,
           round(extract(epoch from lease_until - clock_timestamp()) / 3600)::bigint as until,
           round(extract(epoch from run_at - clock_timestamp()) / 3600)::bigint as due,
           cancel_asked is not null as asked
    from queue.job
    union all
    select id, outcome, attempt, jsonb_array_length(failures), null, null, null, false from queue.finished
    union all
    select id, reason, attempt, jsonb_array_length(failures), null, null, null, false from queue.dead_letter
    order by id";

pub const CLEAR: &str = "delete from queue.job; delete from queue.finished; delete from queue.dead_letter;
                     delete from queue.concurrency_key; delete from queue.paused; delete from queue.worker";

/// What a later or an earlier hour is to the queue: all that it knows of time lies further back, or less far.
pub const JUMP: &str = "
    update queue.job
    set run_at = run_at - make_interval(hours => $1), created_at = created_at - make_interval(hours => $1),
        leased_at = leased_at - make_interval(hours => $1), lease_until = lease_until - make_interval(hours => $1)";
