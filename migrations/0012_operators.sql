-- What operators do: the audit log, bulk operations, and how their pages find jobs.

-- Every act of an operator, written in the transaction of its effect. Append-only.
create table audit (
    id           uuid        not null, -- UUIDv7: newest first is by id
    at           timestamptz not null default clock_timestamp(),
    actor_id     uuid,                 -- the account; none for somebody at the command line
    actor        text        not null, -- its user name, or the name in the operating system
    role         text        not null,
    through      text        not null,
    act          text        not null,
    subject_kind text        not null,
    subject      text        not null,
    order_id     uuid,                 -- whose order it was about, if it was about one
    reason       text,
    detail       jsonb       not null default '{}',
    constraint audit_pkey primary key (id),
    constraint audit_way_is_known check (through in ('api', 'console', 'cli')),
    constraint audit_names_its_actor check ((actor_id is null) = (through = 'cli') and length(actor) between 1 and 200),
    constraint audit_reason_is_bounded check (length(reason) between 1 and 500),
    constraint audit_subject_is_bounded check (length(subject) between 1 and 200)
);
create index audit_by_subject on audit (subject, id);
create index audit_by_actor on audit (actor, id);
create index audit_by_act on audit (act, id);
create index audit_by_order on audit (order_id, id) where order_id is not null;

create function audit_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is never changed or deleted' using constraint = 'audit_is_append_only';
end $$;
create trigger audit_is_append_only before update or delete or truncate on audit
    for each statement execute function audit_is_append_only();

-- One act upon many jobs. What it covers is written down when it is started; its job goes through that in chunks, each
-- one transaction with the progress, so nothing is done twice whatever dies.
create table bulk (
    id          uuid        not null,
    act         text        not null,
    selection   jsonb       not null,
    actor_id    uuid,
    actor       text        not null,
    reason      text        not null,
    covers      integer     not null, -- how many jobs it covers
    more        boolean     not null, -- whether the selection held more than one operation may cover
    reached     integer     not null default 0,
    done        integer     not null default 0,
    asked       integer     not null default 0,
    busy        integer     not null default 0,
    gone        integer     not null default 0,
    created_at  timestamptz not null default now(),
    started_at  timestamptz,
    finished_at timestamptz,
    stopped_by  text,
    constraint bulk_pkey primary key (id),
    constraint bulk_act_is_known check (act in ('retry', 'cancel', 'redrive')),
    constraint bulk_has_a_reason check (length(reason) between 1 and 500),
    constraint bulk_covers_something check (covers >= 1),
    constraint bulk_counts_what_it_reached check (reached = done + asked + busy + gone and reached <= covers),
    constraint bulk_ends_whole_or_stopped check (finished_at is null or reached = covers or stopped_by is not null)
) with (fillfactor = 50);

-- The jobs it covers, in the order they are gone through, and what became of each.
create table bulk_item (
    bulk_id  uuid    not null,
    nr       integer not null,
    job_id   uuid    not null,
    tag      text    not null,
    key      text    not null,
    order_id uuid,
    outcome  text,
    constraint bulk_item_pkey primary key (bulk_id, nr),
    constraint bulk_covers_a_job_once unique (bulk_id, job_id),
    constraint bulk_item_belongs_to_an_operation foreign key (bulk_id) references bulk (id),
    constraint bulk_outcome_is_known check (outcome in ('done', 'asked', 'busy', 'gone'))
) with (fillfactor = 70);
create index bulk_item_by_order on bulk_item (order_id, bulk_id) where order_id is not null;
create index bulk_item_by_outcome on bulk_item (bulk_id, outcome, nr);

-- A short name for an error: the same for the same mistake, whatever order, number, address or time it speaks of.
create function queue.fingerprint(error text) returns text
language sql immutable parallel safe strict as $$
    select left(md5(regexp_replace(regexp_replace(regexp_replace(lower(left(error, 1000)),
        '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\m[0-9a-f]{16,}\M', '?', 'g'),
        '\d+', '#', 'g'), '\s+', ' ', 'g')), 12)
$$;

-- The order, rider and trip a payload speaks of, wherever its kind of job keeps them.
create function queue.order_of(payload jsonb) returns text
language sql immutable parallel safe strict as $$
    select coalesce(payload #>> '{booking,order_id}', payload #>> '{paying,order_id}', payload ->> 'order_id')
$$;
create function queue.rider_of(payload jsonb) returns text
language sql immutable parallel safe strict as $$
    select coalesce(payload #>> '{booking,rider_id}', payload #>> '{paying,rider_id}')
$$;
create function queue.trip_of(payload jsonb) returns text
language sql immutable parallel safe strict as $$
    select coalesce(payload #>> '{booking,trip_id}', payload ->> 'trip_id')
$$;

-- Dead letters are few and written seldom: they are found by anything.
alter table queue.dead_letter
    add column fingerprint text generated always as (queue.fingerprint(failures -> -1 ->> 'error')) stored;
create index dead_letter_by_fingerprint on queue.dead_letter (fingerprint, id);
create index dead_letter_by_order on queue.dead_letter (queue.order_of(payload), id);
create index dead_letter_by_rider on queue.dead_letter (queue.rider_of(payload), id);
create index dead_letter_by_trip on queue.dead_letter (queue.trip_of(payload), id);
create index dead_letter_by_serial on queue.dead_letter (serial, id) where serial is not null;

-- Live jobs: two indexes that a job is in only after it failed, or if it has a serial key. What is enqueued and claimed
-- for the first time pays for neither, and claiming and renewing touch none of their columns.
create index job_failed on queue.job (queue.fingerprint(failures -> -1 ->> 'error'), id) where failures <> '[]';
create index job_by_serial on queue.job (serial, id) where serial is not null;

-- What ended, newest first by tag; what was called off; and, of failed bookings and payments that left no order or
-- payment behind to find their jobs by, by whom they speak of. The last are few: most jobs that end are timers.
create index finished_by_tag on queue.finished (tag, id);
create index finished_cancelled on queue.finished (id) where outcome = 'cancelled';
create index finished_by_rider on queue.finished (queue.rider_of(payload), id)
    where tag in ('order_seats_cancel', 'order_add_seats_cancle', 'order_calc_money_cancle');
create index finished_by_trip on queue.finished (queue.trip_of(payload), id)
    where tag in ('order_seats_cancel', 'order_add_seats_cancle', 'order_calc_money_cancle');
create index finished_by_order on queue.finished (queue.order_of(payload), id) where tag = 'pay_check_cancle';
