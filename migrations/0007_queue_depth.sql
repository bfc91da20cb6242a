-- Priorities, serial keys, calling off what runs, the workers, retention by partitions, roll-ups.

alter table queue.job
    -- 0 before 1 before 2, within and across tags.
    add column priority     smallint not null default 1,
    -- Of the jobs that share one, at most one runs at a time.
    add column serial       text,
    -- Why it is to end without being done: set while an attempt runs, which may heed it.
    add column cancel_asked text,
    add constraint job_priority_is_known check (priority between 0 and 2),
    add constraint job_serial_is_bounded check (length(serial) between 1 and 200);

-- Serves claim, rescue and "when is the next one due?" as before, now one priority after the other.
drop index queue.job_by_due;
create index job_by_due on queue.job (tag, priority, run_at);

-- Who runs under a serial key. Written and deleted by the statements that begin and end attempts, in the same commit:
-- its primary key decides between two workers that want two jobs of one key at the same moment.
create table queue.serial (
    key    text not null,
    job_id uuid not null,
    constraint serial_holds_one_job primary key (key)
);

alter table queue.dead_letter
    add column priority smallint not null default 1,
    add column serial   text;

-- Workers that are alive, and for a day those that went without a word.
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
    -- How long its leases last: silent for longer than this, it has lost them.
    lease_secs   float8      not null,
    started_at   timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    constraint worker_pkey primary key (id),
    constraint worker_state_is_known check (state in ('working', 'draining'))
) with (fillfactor = 50);

-- What ended in a minute, by tag; counted by the workers, added up here every few seconds.
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
    -- How many waits and run times fell into each bucket of the queue's histograms (jobs/src/queue/histogram.rs).
    pickup    bigint[]    not null default '{}',
    lateness  bigint[]    not null default '{}',
    run       bigint[]    not null default '{}',
    constraint tally_pkey primary key (minute, tag)
) with (fillfactor = 50);

-- How much lay in the queue, looked at every few seconds by one of the workers. Counts are bounded (admin.rs).
create table queue.depth (
    at                timestamptz not null,
    tag               text        not null,
    ready             bigint      not null,
    delayed           bigint      not null,
    running           bigint      not null,
    dead              bigint      not null,
    oldest_ready_secs float8,
    constraint depth_pkey primary key (at, tag)
);

-- Duties that one worker at a time does for all; the time says when next.
create table queue.duty (
    name    text        not null,
    next_at timestamptz not null default now(),
    constraint duty_pkey primary key (name)
);
insert into queue.duty (name) values ('depth'), ('retention');

-- What ended moves to the partition of its day, and a day is dropped as a whole. What is here already becomes the
-- partition of all days up to today.
alter table queue.finished rename to finished_before;
alter index queue.finished_pkey rename to finished_before_pkey;
alter index queue.finished_by_key rename to finished_before_by_key;

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
    constraint finished_pkey primary key (id, ended_at),
    constraint finished_outcome_is_known check (outcome in ('done', 'cancelled'))
) partition by range (ended_at);
create index finished_by_key on queue.finished (key, tag);

-- If nobody made a day's partition in time, its jobs are kept here until somebody does.
create table queue.finished_stray partition of queue.finished default;

-- Makes the partitions of today and of the days ahead, and drops those that ended longer ago than `keep`. A lock that
-- is not to be had soon is left for the next time: nobody waits behind this.
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

do $$
declare
    today date := (now() at time zone 'UTC')::date;
    name text := 'finished_' || to_char(today, 'YYYYMMDD');
begin
    execute format('alter table queue.finished_before rename to %I', name);
    execute format('alter table queue.finished attach partition queue.%I for values from (minvalue) to (%L)',
        name, (today + 1)::timestamp at time zone 'UTC');
    perform queue.keep_finished('100 years', 7);
end $$;

-- A job wherever it is. Ids are UUIDv7: newest first is by id.
create view queue.any_job as
select id, tag, key,
       case when lease_token is not null then 'running' when run_at > now() then 'delayed' else 'ready' end as state,
       priority, serial, attempt, max_attempts, run_at, created_at, leased_at as started_at,
       null::timestamptz as ended_at, payload, failures, cancel_asked as note, worker, 1 as rank
from queue.job
union all
select id, tag, key, 'dead', priority, serial, attempt, max_attempts, run_at, created_at, null, died_at, payload,
       failures, reason, null, 2
from queue.dead_letter
union all
select id, tag, key, outcome, null, null, attempt, attempt, run_at, created_at, started_at, ended_at, payload,
       failures, note, worker, 3
from queue.finished;

-- Two histograms' sum.
create function queue.added(a bigint[], b bigint[]) returns bigint[]
language sql immutable parallel safe as
'select array_agg(coalesce(x, 0) + coalesce(y, 0) order by nr) from unnest(a, b) with ordinality as u (x, y, nr)';
