-- What every flow needs: barriers and idempotency keys.

-- One row per (subject, step), written in the step's own transaction, or by its undo in its place:
--   done_at only: the step is done · both: done, then undone · undone_at only: barred, the step may never run.
-- The primary key is the judge between a step and its undo. Ids are UUIDv7, so old rows can be pruned by key range.
create table barrier (
    subject   uuid not null,
    step      text not null,
    done_at   timestamptz,
    undone_at timestamptz,
    constraint barrier_pkey primary key (subject, step),
    constraint barrier_says_something check (done_at is not null or undone_at is not null)
) with (fillfactor = 70);

-- An answer kept for a client that asks again. Without a status its first request is still running.
create table idempotency (
    actor       uuid        not null,
    key         text        not null,
    fingerprint bytea       not null,
    subject     uuid        not null,
    started_at  timestamptz not null default now(),
    status      smallint,
    body        jsonb,
    constraint idempotency_pkey primary key (actor, key),
    constraint idempotency_key_is_bounded check (length(key) between 1 and 200),
    constraint idempotency_answer_is_whole check ((status is null) = (body is null)),
    -- A failure of ours is never an answer to keep.
    constraint idempotency_keeps_no_5xx check (status between 200 and 499)
) with (fillfactor = 70);
