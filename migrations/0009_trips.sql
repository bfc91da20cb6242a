-- Operators' trips: blocked seats, cancelling a trip, and what operators did with a trip.

-- A blocked seat cannot be sold. The seats of a cancelled trip are all blocked in the end, which is how a claim that
-- began before the cancelling and ends after it finds no seat.
alter table seat
    add column blocked boolean not null default false,
    add constraint seat_blocked_has_no_owner check (not blocked or order_id is null);

-- What operators did with a trip, and why. Append-only.
create table trip_event (
    trip_id  uuid        not null,
    at       timestamptz not null default clock_timestamp(),
    what     text        not null,
    seats    integer[]   not null default '{}',
    reason   text        not null,
    operator uuid        not null,
    constraint trip_event_trip_exists foreign key (trip_id) references trip (id),
    constraint trip_event_is_known check (what in ('seats_blocked', 'seats_released', 'cancelled')),
    constraint trip_event_has_a_reason check (length(reason) between 1 and 500),
    constraint trip_event_names_its_seats check ((what = 'cancelled') = (seats = '{}'))
);
create index trip_event_by_trip on trip_event (trip_id, at);

-- The cancelling of a trip, carried on by its job until every seat of the trip is blocked.
create table trip_cancellation (
    trip_id     uuid        not null,
    reason      text        not null,
    started_at  timestamptz not null default now(),
    finished_at timestamptz,
    constraint trip_is_cancelled_once primary key (trip_id),
    constraint trip_cancellation_trip_exists foreign key (trip_id) references trip (id),
    constraint trip_cancellation_has_a_reason check (length(reason) between 1 and 500),
    constraint trip_cancellation_ends_after_it_began check (finished_at >= started_at)
);

-- The orders it closed or began to refund, written in the transaction that did. Orders have no index by trip, because
-- every booking would pay for it: what is still to be done is read off the trip's seats, and what was done off this.
create table trip_cancellation_order (
    trip_id  uuid not null,
    order_id uuid not null,
    constraint trip_cancels_an_order_once primary key (trip_id, order_id),
    constraint trip_cancellation_order_has_its_cancellation foreign key (trip_id) references trip_cancellation (trip_id)
);
