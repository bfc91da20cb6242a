-- Failed and retried is a state of its own, and what is owed is owed since it first fell due.

-- A failure and a snooze move run_at to the next attempt. A debt is as old as its first due time, so it is kept then.
-- It is null for every job that has neither failed nor been put off, and claiming does not touch it.
alter table queue.job add column first_due_at timestamptz;
comment on column queue.job.first_due_at is
    'When it first fell due, once run_at tells of a later attempt; null while run_at is that time itself.';
alter table queue.dead_letter add column first_due_at timestamptz;
comment on column queue.dead_letter.first_due_at is 'When it first fell due; null if run_at tells.';

-- A handler may put its job off without an error: nothing fails then, whatever failed before. Claiming and failing do not touch
-- this: an attempt beyond it that is over has failed.
alter table queue.job
    add column snoozed_attempt integer not null default 0,
    add constraint job_snoozed_attempt_is_past check (snoozed_attempt between 0 and attempt);
comment on column queue.job.snoozed_attempt is
    'How many attempts had failed when its handler last put it off: while no more have, its last attempt did not fail.';

-- Of those that have failed already, the first attempt is known, which began no sooner than they were due.
update queue.job set first_due_at = least(run_at, (failures -> 0 ->> 'started_at')::timestamptz) where failures <> '[]';
update queue.dead_letter set first_due_at = least(run_at, (failures -> 0 ->> 'started_at')::timestamptz)
    where failures <> '[]';

-- The oldest of a tag is told at every scrape. Only failing and putting off write to it, which move run_at, and so its index, too.
create index job_by_first_due on queue.job (tag, first_due_at) where first_due_at is not null;

-- The state of a live job, in one place. A redriven dead letter has its old failures and no attempt yet: it is ready. So is,
-- or delayed, what its handler put off.
create function queue.state_of(lease_token uuid, attempt integer, snoozed_attempt integer, failures jsonb, run_at timestamptz)
returns text
language sql stable parallel safe as $$
    select case when lease_token is not null then 'running'
                when attempt > snoozed_attempt and failures <> '[]' then 'retrying'
                when run_at > now() then 'delayed'
                else 'ready' end
$$;

-- As before, with that state and, at the end, the first due time.
create or replace view queue.any_job as
select id, tag, key::text, queue.state_of(lease_token, attempt, snoozed_attempt, failures, run_at) as state,
       priority::smallint, serial::text, attempt::integer, max_attempts::integer, run_at, created_at,
       leased_at as started_at,
       null::timestamptz as ended_at, payload, failures, cancel_asked as note, worker, 1 as rank, first_due_at
from queue.job
union all
select id, tag, key, 'dead', priority, serial, attempt, max_attempts, run_at, created_at, null, died_at, payload,
       failures, reason, null, 2, first_due_at
from queue.dead_letter
union all
select id, tag, key, outcome, null, null, attempt, attempt, run_at, created_at, started_at, ended_at, payload,
       failures, note, worker, 3, null
from queue.finished;

alter table queue.depth
    add column retrying        bigint not null default 0,
    add column oldest_due_secs float8;
