-- The queue. One hot table holds only live jobs; a job that has ended moves to `finished` or `dead_letter`.
-- `queue` stands for the schema's name, and is replaced by the configured one.

-- The bounds of a job's columns are domains: PostgreSQL reads a table's checks anew in every statement that writes to it,
-- and keeps those of a domain.
create domain queue.label as text
    constraint label_is_bounded check (length(value) between 1 and 200);
create domain queue.rank as smallint
    constraint rank_is_known check (value between 0 and 2);
create domain queue.attempts as integer
    constraint attempts_are_not_negative check (value >= 0);
create domain queue.max_attempts as integer
    constraint max_attempts_is_positive check (value >= 1);

-- A short name for an error: the same for the same mistake, whatever id, number, address or time the error names.
create function queue.fingerprint(error text) returns text
language sql immutable parallel safe strict as $$
    select left(md5(regexp_replace(regexp_replace(regexp_replace(lower(left(error, 1000)),
        '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\m[0-9a-f]{16,}\M', '?', 'g'),
        '\d+', '#', 'g'), '\s+', ' ', 'g')), 12)
$$;

-- The sum of two histograms.
create function queue.added(a bigint[], b bigint[]) returns bigint[]
language sql immutable parallel safe as
'select array_agg(coalesce(x, 0) + coalesce(y, 0) order by nr) from unnest(a, b) with ordinality as u (x, y, nr)';

-- The state of a live job. A redriven dead letter has its old failures and no attempt yet: it is ready. So is, or
-- delayed, what its handler snoozed.
create function queue.state_of(lease_token uuid, attempt integer, snoozed_attempt integer, failures jsonb, run_at timestamptz)
returns text
language sql stable parallel safe as $$
    select case when lease_token is not null then 'running'
                when attempt > snoozed_attempt and failures <> '[]' then 'retrying'
                when run_at > now() then 'delayed'
                else 'ready' end
$$;

-- A live job. The fillfactor and the choice of indexes keep claim, renewal and release HOT: none of them touches an indexed
-- column, and a page that is claimed as a whole has space for the new version of each of its rows.
create table queue.job (
    id              uuid               not null,
    tag             text               not null,
    key             queue.label        not null,
    payload         jsonb              not null,
    max_attempts    queue.max_attempts not null,
    attempt         queue.attempts     not null default 0,
    run_at          timestamptz        not null default now(),
    created_at      timestamptz        not null default now(),
    lease_token     uuid,
    lease_until     timestamptz,
    leased_at       timestamptz,
    worker          text,
    -- One object for each failed attempt: {attempt, worker, started_at, ended_at, trace_id, error}.
    failures        jsonb              not null default '[]',
    -- 0 before 1 before 2, within and across tags.
    priority        queue.rank         not null default 1,
    -- Of the jobs that share one, at most one runs at a time.
    concurrency_key queue.label,
    -- Why it is to end without being done: set while an attempt runs, which may act on it.
    cancel_asked    text,
    first_due_at    timestamptz,
    snoozed_attempt integer            not null default 0,
    constraint job_pkey primary key (id),
    -- A key is taken only while its job is live: an ended job leaves this table and frees it.
    constraint job_key_is_unique_while_live unique (tag, key),
    constraint job_attempts_are_bounded check (attempt <= max_attempts),
    constraint job_lease_is_whole check (num_nulls(lease_token, lease_until, leased_at, worker) in (0, 4)),
    constraint job_snoozed_attempt_is_past check (snoozed_attempt between 0 and attempt),
    constraint job_that_failed_has_fallen_due check (failures = '[]' or first_due_at is not null)
) with (fillfactor = 40);
comment on column queue.job.first_due_at is
    'When it first fell due, once run_at tells of a later attempt; null while run_at is that time itself.';
comment on column queue.job.snoozed_attempt is
    'How many attempts had failed when its handler last put it off: while no more have, its last attempt did not fail.';

-- Serves claim, rescue and "when is the next one due?". Running rows stay in it and are skipped.
create index job_by_due on queue.job (tag, priority, run_at);
-- A job is in these three only after it failed or was snoozed, or if it has a concurrency key.
create index job_failed on queue.job (queue.fingerprint(failures -> -1 ->> 'error'), id) where failures <> '[]';
create index job_by_concurrency_key on queue.job (concurrency_key, id) where concurrency_key is not null;
create index job_by_first_due on queue.job (tag, first_due_at) where first_due_at is not null;

-- The job that runs under a concurrency key. Written and deleted by the statements that begin and end attempts, in the same
-- commit: its primary key decides between two workers that claim two jobs of one key at the same moment.
create table queue.concurrency_key (
    key    text not null,
    job_id uuid not null,
    constraint concurrency_key_holds_one_job primary key (key)
);

-- What ended well or was cancelled; a partition for each day, so that old days are dropped as a whole.
create table queue.finished (
    id         uuid        not null,
    tag        text        not null,
    key        text        not null,
    payload    jsonb       not null,
    outcome    text        not null,
    attempt    integer     not null,
    worker     text,
    note       text,
    failures   jsonb       not null,
    run_at     timestamptz not null,
    created_at timestamptz not null,
    started_at timestamptz,
    ended_at   timestamptz not null default now(),
    -- With its time: an id may end twice if it was enqueued twice.
    constraint finished_pkey primary key (id, ended_at),
    constraint finished_outcome_is_known check (outcome in ('done', 'cancelled'))
) partition by range (ended_at);
create index finished_by_key on queue.finished (key, tag);
create index finished_by_tag on queue.finished (tag, id);
create index finished_cancelled on queue.finished (id) where outcome = 'cancelled';

-- If a day has no partition yet, its jobs are kept here until it has one.
create table queue.finished_stray partition of queue.finished default;

-- What was given up: an operator reads the reason and redrives it. Never deleted by age.
create table queue.dead_letter (
    id              uuid        not null,
    tag             text        not null,
    key             text        not null,
    payload         jsonb       not null,
    max_attempts    integer     not null,
    attempt         integer     not null,
    reason          text        not null,
    failures        jsonb       not null,
    run_at          timestamptz not null,
    created_at      timestamptz not null,
    died_at         timestamptz not null default now(),
    priority        smallint    not null default 1,
    concurrency_key text,
    fingerprint     text generated always as (queue.fingerprint(failures -> -1 ->> 'error')) stored,
    first_due_at    timestamptz,
    constraint dead_letter_pkey primary key (id),
    constraint dead_letter_reason_is_known check (reason in ('exhausted', 'fatal', 'undecodable', 'operator', 'crashed'))
);
comment on column queue.dead_letter.first_due_at is 'When it first fell due; null if run_at tells.';
create index dead_letter_by_key on queue.dead_letter (key, tag);
create index dead_letter_by_tag on queue.dead_letter (tag, id);
create index dead_letter_by_fingerprint on queue.dead_letter (fingerprint, id);
create index dead_letter_by_concurrency_key on queue.dead_letter (concurrency_key, id) where concurrency_key is not null;

-- Tags that no worker claims for now. Jobs of a paused tag wait; running ones end.
create table queue.paused (
    tag       text        not null,
    paused_at timestamptz not null default now(),
    paused_by text        not null,
    reason    text        not null,
    constraint paused_pkey primary key (tag)
);

-- The workers that are alive, and for a day those that are missing.
create table queue.worker (
    -- Its name with an id of this start: two starts are never one worker.
    id           text        not null,
    name         text        not null,
    host         text        not null,
    pid          integer     not null,
    build        text        not null,
    tags         text[]      not null,
    slots        integer     not null,
    -- Jobs it holds.
    held         integer     not null,
    state        text        not null,
    -- How long its leases last: without a heartbeat for longer than this, it has lost them.
    lease_secs   float8      not null,
    started_at   timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    constraint worker_pkey primary key (id),
    constraint worker_state_is_known check (state in ('working', 'draining'))
) with (fillfactor = 50);

-- What ended in a minute, by tag: counted by the workers, added up here every few seconds.
create table queue.tally (
    tag       text        not null,
    minute    timestamptz not null,
    done      bigint      not null default 0,
    failed    bigint      not null default 0,
    dead      bigint      not null default 0,
    cancelled bigint      not null default 0,
    rescued   bigint      not null default 0,
    lost      bigint      not null default 0,
    run_secs  float8      not null default 0,
    -- How many waits and run times fell into each bucket of the histograms (src/metrics.rs).
    pickup    bigint[]    not null default '{}',
    lateness  bigint[]    not null default '{}',
    run       bigint[]    not null default '{}',
    constraint tally_pkey primary key (minute, tag)
) with (fillfactor = 50);

-- The depth of the queue, measured every few seconds by one of the workers. Counts are bounded (src/admin/views.rs).
create table queue.depth (
    at                timestamptz not null,
    tag               text        not null,
    ready             bigint      not null,
    delayed           bigint      not null,
    running           bigint      not null,
    dead              bigint      not null,
    oldest_ready_secs float8,
    retrying          bigint      not null default 0,
    oldest_due_secs   float8,
    constraint depth_pkey primary key (at, tag)
);

-- Tasks that one process at a time does for all; the time says when next.
create table queue.maintenance_task (
    name    text        not null,
    next_at timestamptz not null default now(),
    constraint maintenance_task_pkey primary key (name)
);

-- Makes the partitions of today and of the days ahead, and drops those whose jobs ended longer ago than `keep`. A lock
-- that cannot be had soon is left for the next time.
create function queue.keep_finished(keep interval, ahead integer) returns integer
language plpgsql as $$
declare
    today date := (now() at time zone 'UTC')::date;
    day date;
    old record;
    name text;
    changed integer := 0;
begin
    perform set_config('lock_timeout', '200ms', true);
    for day in select today + n from generate_series(0, ahead) n loop
        name := 'finished_' || to_char(day, 'YYYYMMDD');
        continue when to_regclass('queue.' || name) is not null;
        execute format('create table queue.%I (like queue.finished including defaults including constraints)', name);
        -- Attaching checks that the strays have none of this day: move them first.
        execute format(
            'with moved as (delete from queue.finished_stray where ended_at >= %L and ended_at < %L returning *)
             insert into queue.%I select * from moved',
            day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC', name);
        execute format('alter table queue.finished attach partition queue.%I for values from (%L) to (%L)',
            name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
        changed := changed + 1;
    end loop;
    for old in
        select child.relname
        from pg_inherits join pg_class child on child.oid = inhrelid
        where inhparent = 'queue.finished'::regclass and child.relname ~ '^finished_\d{8}$'
          and to_date(right(child.relname, 8), 'YYYYMMDD') + 1 <= ((now() - keep) at time zone 'UTC')::date
    loop
        execute format('drop table queue.%I', old.relname);
        changed := changed + 1;
    end loop;
    return changed;
end $$;

-- A job wherever it is. Ids are UUIDv7: newest first is by id. The types are those of all three tables, or conditions on
-- these columns would not reach the tables' indexes.
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

-- Ends those of the jobs as done that are held under these tokens, and returns their ids; the others' leases are lost. A
-- function, so that a statement with the job's effect can call it; PL/pgSQL, because it keeps the plan.
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

-- The next functions change the queue in a statement of the caller's, as `complete` does. A query in `with` that calls one runs
-- only if the statement refers to it.

-- Deletes the live jobs of these ids that do not run, and returns the ids of those that were deleted.
create function queue.retire(jobs uuid[]) returns setof uuid language plpgsql as $$
begin
    return query
    delete from queue.job j where j.lease_token is null and j.id = any(jobs) returning j.id;
end $$;
comment on function queue.retire(uuid[]) is
    'Deletes the live jobs of these ids that do not run, and returns the ids of those that were deleted.';

-- The same by tag and key. Each key is looked up by itself: a plan that was made on an empty table joins it as a whole.
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

-- Enqueues jobs due now, without a notification. A live job that has the key is made due now, unless it runs.
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

do $$ begin perform queue.keep_finished('100 years', 7); end $$;
insert into queue.maintenance_task (name) values ('depth'), ('retention');
