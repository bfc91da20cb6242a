-- The queue. One hot table holds only live jobs; what has ended moves to `finished` or `dead_letter`.
create schema queue;

-- A live job: delayed (run_at ahead), ready (run_at reached), or running (leased).
-- fillfactor and the choice of indexes keep claim, renew and release HOT: none of them touches an indexed column, and
-- a page that is claimed as a whole has room for the new version of each of its rows (jobs/BENCHMARK.md: at 70 only
-- 44 % of the claims of a hundred neighbours stayed HOT, at 45 all did).
create table queue.job (
    id           uuid        not null,
    tag          text        not null,
    key          text        not null,
    payload      jsonb       not null,
    max_attempts integer     not null,
    attempt      integer     not null default 0,
    run_at       timestamptz not null default now(),
    created_at   timestamptz not null default now(),
    lease_token  uuid,
    lease_until  timestamptz,
    leased_at    timestamptz,
    worker       text,
    -- One object per failed attempt: {attempt, worker, started_at, ended_at, error}.
    failures     jsonb       not null default '[]',
    constraint job_pkey primary key (id),
    -- A key is taken only while its job is alive: an ended job leaves this table and frees it.
    constraint job_key_is_unique_while_live unique (tag, key),
    constraint job_key_is_bounded check (length(key) between 1 and 200),
    constraint job_attempts_are_bounded check (attempt between 0 and max_attempts and max_attempts >= 1),
    constraint job_lease_is_whole check (
        (lease_token is null) = (lease_until is null)
        and (lease_token is null) = (leased_at is null)
        and (lease_token is null) = (worker is null)
    )
) with (fillfactor = 45);

-- Serves claim, rescue and "when is the next one due?". Running rows stay in it and are skipped:
-- there are never more of them than slots, and leaving lease_until out of the index keeps a claim HOT.
create index job_by_due on queue.job (tag, run_at);

-- What ended well, or was taken off by hand. Written once, read by people.
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
    -- With its time, so that old ones can become partitions to drop; an id may end twice if it was enqueued twice.
    constraint finished_pkey primary key (id, ended_at),
    constraint finished_outcome_is_known check (outcome in ('done', 'cancelled'))
);
create index finished_by_key on queue.finished (key, tag);

-- What gave up: an operator reads the reason and redrives it. Never pruned by age.
create table queue.dead_letter (
    id           uuid        not null,
    tag          text        not null,
    key          text        not null,
    payload      jsonb       not null,
    max_attempts integer     not null,
    attempt      integer     not null,
    reason       text        not null,
    failures     jsonb       not null,
    run_at       timestamptz not null,
    created_at   timestamptz not null,
    died_at      timestamptz not null default now(),
    constraint dead_letter_pkey primary key (id),
    constraint dead_letter_reason_is_known check (reason in ('exhausted', 'fatal', 'undecodable', 'operator', 'crashed'))
);
create index dead_letter_by_key on queue.dead_letter (key, tag);
create index dead_letter_by_tag on queue.dead_letter (tag, id);

-- Tags that no worker claims for now: an operator's switch. Jobs of a paused tag wait; running ones end.
create table queue.paused (
    tag       text        not null,
    paused_at timestamptz not null default now(),
    paused_by text        not null,
    reason    text        not null,
    constraint paused_pkey primary key (tag)
);
