-- What the console's home page reads, so that it computes nothing itself.

-- The last verdict over the invariants: written by the duty below, one row.
create table verdict (
    one        boolean     not null default true,
    at         timestamptz not null,
    took_secs  float8      not null,
    holds      boolean     not null,
    invariants jsonb       not null,
    constraint verdict_is_one_row primary key (one),
    constraint verdict_is_the_only_one check (one)
);
insert into queue.duty (name) values ('farebox_verify') on conflict do nothing;

-- What API processes answered in a minute: each adds its counts every few seconds, so bookings pay nothing for it.
create table minute_tally (
    minute  timestamptz not null,
    booked  bigint      not null default 0,
    paid    bigint      not null default 0,
    refused bigint      not null default 0, -- bookings and payments answered 4xx
    failed  bigint      not null default 0, -- bookings and payments answered 5xx
    constraint minute_tally_pkey primary key (minute)
) with (fillfactor = 50);

-- Finding a rider by the address that he writes to support from.
create index rider_by_email on rider (lower(email)) where email is not null;
