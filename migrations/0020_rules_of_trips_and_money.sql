-- Recurring jobs that are looked after, trips that are one bus's and take a duration, and room in the ledger for all that may
-- come back to a wallet.

-- The recurring jobs that are to be in the queue, by the workers that run with them switched on. Who is missing is read off
-- this table by any process, whatever its own settings say.
create table queue.recurring (
    tag       text        not null,
    key       text        not null,
    wanted_at timestamptz not null default now(),
    constraint recurring_pkey primary key (tag),
    constraint recurring_is_bounded check (length(tag) between 1 and 200 and length(key) between 1 and 200)
);
insert into queue.duty (name) values ('farebox_recurring') on conflict do nothing;

-- How long a departure takes, minutes. Its trips arrive so long after they depart, whatever the clocks do in between: the
-- two wall times of the timetable lie on one clock, those of a night on which the clocks change do not.
alter table timetable
    add column minutes integer not null generated always as (arrives_minute - departs_minute) stored,
    -- Not valid: an old line that takes longer stays as it is.
    add constraint timetable_takes_a_minute_to_a_day check (arrives_minute - departs_minute between 1 and 1440) not valid;
comment on column timetable.arrives_minute is
    'Wall time of the arrival on a day without a change of the clock; a trip arrives `minutes` after it departs.';

-- Departures of the coming days that could not be made, and why. The others of their day are made; who is made after all goes.
create table departure_not_made (
    timetable_id integer     not null,
    service_date date        not null,
    at           timestamptz not null default now(),
    error        text        not null,
    constraint departure_not_made_pkey primary key (timetable_id, service_date),
    constraint departure_not_made_is_of_the_timetable foreign key (timetable_id) references timetable (id) on delete cascade,
    constraint departure_not_made_error_is_bounded check (length(error) between 1 and 500)
);

-- A bus is on one trip at a time. An equality in a GiST index needs the extension btree_gist, and so a superuser or a trusted
-- installation; a range that holds nothing but the bus's number needs neither, and a constraint holds in every race.
-- Trips of before that share a bus with an older one stay as they are, and stand outside the rule.
alter table trip add column shares_bus boolean not null default false;
comment on column trip.shares_bus is 'Made before a bus could be on one trip at a time only, and at the same time as an older trip of its bus.';
create index trip_by_bus_and_time on trip using gist (int8range(bus_id, bus_id, '[]'), tstzrange(departs_at, arrives_at));
update trip t set shares_bus = true
where t.cancelled_at is null
  and exists (select from trip o
              where int8range(o.bus_id, o.bus_id, '[]') && int8range(t.bus_id, t.bus_id, '[]')
                and tstzrange(o.departs_at, o.arrives_at) && tstzrange(t.departs_at, t.arrives_at)
                and o.cancelled_at is null and o.id < t.id);
drop index trip_by_bus_and_time;
alter table trip add constraint trip_has_its_bus_to_itself exclude using gist
    (int8range(bus_id, bus_id, '[]') with &&, tstzrange(departs_at, arrives_at) with &&)
    where (cancelled_at is null and not shares_bus);

-- Room for what comes back. Reversals and refunds are never refused, so a balance may pass what top-ups may fill it to. A
-- top-up leaves less than 10^12 (its cap, wallets.max_balance, is at most 10^9), and a balance holds up to 10^16 now, up from
-- 10^12. A balance is never more than all that was ever topped up, so it takes ten million top-ups of the greatest cap, each
-- spent and all given back, to pass that: with the default cap 10^11 of them.
alter table wallet
    drop constraint wallet_balance_is_what_its_entries_say,
    alter column balance type numeric(18, 2);
alter table ledger_entry
    drop constraint ledger_entry_continues_the_last,
    drop constraint ledger_first_entry_starts_at_zero,
    drop column balance_before;
alter table ledger_entry
    alter column balance_after type numeric(18, 2),
    add column balance_before numeric(18, 2) generated always as (balance_after - amount) stored;
alter table ledger_entry
    add constraint ledger_entry_continues_the_last
        foreign key (rider_id, previous, balance_before) references ledger_entry (rider_id, seq, balance_after),
    add constraint ledger_first_entry_starts_at_zero check (seq > 1 or (seq = 1 and balance_before = 0)),
    add constraint ledger_top_up_leaves_room check (kind <> 'top_up' or balance_after < 1000000000000);
alter table wallet
    add constraint wallet_balance_is_what_its_entries_say
        foreign key (rider_id, last_entry, balance) references ledger_entry (rider_id, seq, balance_after);
