-- The bounds of a job's columns become domains, and what is left as a check of the row is said in fewer words. PostgreSQL
-- reads a table's checks anew in every statement that writes to it, and keeps a domain's: enqueueing one job took the
-- server 26 microseconds, 14 of them for reading the checks, and takes 17 now (jobs/BENCHMARK.md).

create domain queue.label as text
    constraint label_is_bounded check (length(value) between 1 and 200);
create domain queue.rank as smallint
    constraint rank_is_known check (value between 0 and 2);
create domain queue.attempts as integer
    constraint attempts_are_not_negative check (value >= 0);
create domain queue.max_attempts as integer
    constraint max_attempts_is_positive check (value >= 1);

drop view queue.any_job;

alter table queue.job
    drop constraint job_key_is_bounded,
    drop constraint job_serial_is_bounded,
    drop constraint job_priority_is_known,
    drop constraint job_attempts_are_bounded,
    drop constraint job_lease_is_whole,
    alter column key type queue.label,
    alter column serial type queue.label,
    alter column priority type queue.rank,
    alter column attempt type queue.attempts,
    alter column max_attempts type queue.max_attempts,
    add constraint job_attempts_are_bounded check (attempt <= max_attempts),
    add constraint job_lease_is_whole check (num_nulls(lease_token, lease_until, leased_at, worker) in (0, 4));

-- As before; with the types of the other two, or conditions on these columns would not reach the tables' indexes.
create view queue.any_job as
select id, tag, key::text,
       case when lease_token is not null then 'running' when run_at > now() then 'delayed' else 'ready' end as state,
       priority::smallint, serial::text, attempt::integer, max_attempts::integer, run_at, created_at,
       leased_at as started_at,
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
