-- The queue is a crate of its own (jobs/queue) with migrations of its own, which keep their
-- versions in its schema. What its schema knows of this application moves to the application's; the
-- rest becomes version 1 of the queue's.

-- The application's readings of a payload. Indexes on the queue's tables that call them are the
-- application's, and stay.
do $$
declare
    name text;
begin
    foreach name in array array['order_of', 'rider_of', 'trip_of'] loop
        execute format('alter function queue.%I(jsonb) set schema %I', name, current_schema());
    end loop;
    execute format('alter table queue.recurring set schema %I', current_schema());
end $$;
alter table recurring rename to recurring_job;

-- Tasks get their row when they are first due, so the queue's table holds no names of the
-- application's.
alter table queue.duty rename to maintenance_task;
alter table queue.maintenance_task rename constraint duty_pkey to maintenance_task_pkey;

-- "Serial keys" are concurrency keys.
alter table queue.serial rename to concurrency_key;
alter table queue.concurrency_key rename constraint serial_holds_one_job to concurrency_key_holds_one_job;
alter table queue.job rename column serial to concurrency_key;
alter index queue.job_by_serial rename to job_by_concurrency_key;
alter table queue.dead_letter rename column serial to concurrency_key;
alter index queue.dead_letter_by_serial rename to dead_letter_by_concurrency_key;

drop view queue.any_job;
create view queue.any_job as
select id, tag, key::text, queue.state_of(lease_token, attempt, snoozed_attempt, failures, run_at) as state,
       priority::smallint, concurrency_key::text, attempt::integer, max_attempts::integer, run_at, created_at,
       leased_at as started_at,
       null::timestamptz as ended_at, payload, failures, cancel_asked as note, worker, 1 as rank, first_due_at
from queue.job
union all
select id, tag, key, 'dead', priority, concurrency_key, attempt, max_attempts, run_at, created_at, null, died_at, payload,
       failures, reason, null, 2, first_due_at
from queue.dead_letter
union all
select id, tag, key, outcome, null, null, attempt, attempt, run_at, created_at, started_at, ended_at, payload,
       failures, note, worker, 3, null
from queue.finished;


drop function queue.complete;
create function queue.complete(jobs uuid[], tokens uuid[], done_note text) returns setof uuid language plpgsql as $$
begin
    return query
    with gone as (
        delete from queue.job j using unnest(jobs, tokens) as held (id, token)
        where j.id = held.id and j.lease_token = held.token
        returning j.*
    ), freed as (
        delete from queue.concurrency_key c using gone g where c.key = g.concurrency_key and c.job_id = g.id
    )
    insert into queue.finished as f
        (id, tag, key, payload, outcome, attempt, worker, note, failures, run_at, created_at, started_at, ended_at)
    select g.id, g.tag, g.key, g.payload, 'done', g.attempt, g.worker, done_note, g.failures, g.run_at, g.created_at,
           g.leased_at, clock_timestamp()
    from gone g
    returning f.id;
end $$;
comment on function queue.complete is
    'Ends those of the jobs as done that are held under these tokens, and returns their ids; the others'' leases are lost.';

-- The next functions change the queue in a statement of the caller's, as `complete` does. A query
-- in `with` that calls one runs only if the statement refers to it.

-- Deletes the live jobs of these ids that do not run, and returns the ids of those that were
-- deleted.
create function queue.retire(jobs uuid[]) returns setof uuid language plpgsql as $$
begin
    return query
    delete from queue.job j where j.lease_token is null and j.id = any(jobs) returning j.id;
end $$;
comment on function queue.retire(uuid[]) is
    'Deletes the live jobs of these ids that do not run, and returns the ids of those that were deleted.';

-- The same by tag and key. Each key is looked up by itself: a plan that was made on an empty table
-- joins it as a whole.
create function queue.retire(of_tag text, keys text[]) returns setof uuid language plpgsql as $$
begin
    return query
    delete from queue.job j where j.lease_token is null and j.id = any(array(
        select found.id from unnest(keys) as k (key)
        cross join lateral (select l.id from queue.job l where l.tag = of_tag and l.key = k.key offset 0) as found))
    returning j.id;
end $$;
comment on function queue.retire(text, text[]) is
    'Deletes the live jobs of this tag and these keys that do not run, and returns the ids of those that were deleted.';

-- Enqueues jobs without a notification, each due at its time. A taken key is an error.
create function queue.arm(ids uuid[], tags text[], keys text[], payloads jsonb[], attempts integer[], due timestamptz[])
returns bigint language plpgsql as $$
declare
    armed bigint;
begin
    insert into queue.job (id, tag, key, payload, max_attempts, run_at)
    select * from unnest(ids, tags, keys, payloads, attempts, due) as g (id, tag, key, payload, max_attempts, run_at)
    order by g.tag, g.key;
    get diagnostics armed = row_count;
    return armed;
end $$;
comment on function queue.arm is
    'Enqueues jobs without a notification, each due at its time, and returns their number. A taken key is an error.';

-- Enqueues jobs due now, without a notification. A live job that has the key is made due now,
-- unless it runs.
create function queue.enqueue_or_expedite(ids uuid[], tags text[], keys text[], payloads jsonb[], attempts integer[])
returns bigint language plpgsql as $$
declare
    changed bigint;
begin
    insert into queue.job as j (id, tag, key, payload, max_attempts, run_at)
    select g.*, now() from unnest(ids, tags, keys, payloads, attempts) as g (id, tag, key, payload, max_attempts)
    order by g.tag, g.key
    on conflict (tag, key) do update set run_at = excluded.run_at
        where j.lease_token is null and j.run_at > excluded.run_at;
    get diagnostics changed = row_count;
    return changed;
end $$;
comment on function queue.enqueue_or_expedite is
    'Enqueues jobs due now, or makes the live jobs of their keys due now unless they run; returns how many it changed.';

-- The versions that the queue's own migrations keep: the first is what stands here.
create table queue.schema_version (
    version    integer     not null,
    applied_at timestamptz not null default now(),
    constraint schema_version_pkey primary key (version)
);
insert into queue.schema_version (version) values (1);
