-- The operator's network: stops, routes, calendars, bus models, fares, and the departures that the
-- timetable becomes. Processes of 0.2.0 run beside it: what they read stays, and departures of before
-- keep their price and run every day. Nothing here scans or rewrites a table of riders' trips; what is
-- not valid yet is validated by the next migration, which blocks no writer.

-- One row: what holds for the whole network.
create table network (
    is_there       boolean     not null default true,
    name           text        not null,
    zone           text        not null,
    currency       text        not null,
    decimals       smallint    not null,
    languages      text[]      not null,
    url            text,
    ticket_url     text,
    hold_secs      integer,
    cut_off_secs   integer,
    refund_secs    integer,
    refund_percent smallint,
    digest         text        not null,
    imported_at    timestamptz not null default now(),
    constraint network_is_one primary key (is_there),
    constraint network_is_there check (is_there),
    constraint network_currency_has_its_decimals check (currency ~ '^[A-Z]{3}$' and decimals in (0, 2, 3)),
    constraint network_has_a_language check (cardinality(languages) >= 1),
    constraint network_rules_are_in_bounds check (hold_secs > 0 and cut_off_secs >= 0 and refund_secs >= 0
                                                  and refund_percent between 0 and 100)
);
comment on column network.digest is 'SHA-256 of the canonical files, in hexadecimal digits.';

-- What a later network does not have any more keeps its row, with the time: trips name it.
create table stop (
    code      text  not null,
    name      text  not null,
    names     jsonb not null,
    latitude  integer,
    longitude integer,
    zone      text,
    ended_at  timestamptz,
    constraint stop_pkey primary key (code),
    constraint stop_place_is_whole check ((latitude is null) = (longitude is null))
);
comment on column stop.names is 'The name in other languages, by their tags.';
comment on column stop.latitude is 'Millionths of a degree.';

create table route (
    code           text  not null,
    name           text  not null,
    names          jsonb not null,
    description    text,
    hold_secs      integer,
    cut_off_secs   integer,
    refund_secs    integer,
    refund_percent smallint,
    ended_at       timestamptz,
    constraint route_pkey primary key (code),
    constraint route_rules_are_in_bounds check (hold_secs > 0 and cut_off_secs >= 0 and refund_secs >= 0
                                                and refund_percent between 0 and 100)
);

create table direction (
    route    text     not null,
    number   smallint not null,
    name     text     not null,
    names    jsonb    not null,
    ended_at timestamptz,
    constraint direction_pkey primary key (route, number),
    constraint direction_route_exists foreign key (route) references route (code),
    constraint direction_is_not_negative check (number >= 0)
);

create table direction_stop (
    route     text     not null,
    direction smallint not null,
    position  smallint not null,
    stop      text     not null,
    constraint direction_stop_pkey primary key (route, direction, position),
    constraint direction_stop_direction_exists foreign key (route, direction) references direction (route, number),
    constraint direction_stop_stop_exists foreign key (stop) references stop (code),
    constraint direction_stop_is_counted_from_one check (position >= 1)
);

-- A version of a bus model. It never changes, because trips have its seats: a change makes another one.
create table bus_model (
    id       bigint not null generated always as identity,
    code     text   not null,
    name     text   not null,
    names    jsonb  not null,
    layout   jsonb  not null,
    ended_at timestamptz,
    constraint bus_model_pkey primary key (id)
);
create unique index bus_model_has_one_version_in_use on bus_model (code) where ended_at is null;
comment on column bus_model.layout is 'Decks as painted rows, classes with their labels, labels not for sale.';

create table model_seat (
    model_id bigint   not null,
    number   integer  not null,
    label    text     not null,
    class    text     not null,
    for_sale boolean  not null,
    deck     smallint not null,
    "row"    smallint not null,
    "column" smallint not null,
    constraint model_seat_pkey primary key (model_id, number),
    constraint model_seat_label_stands_once unique (model_id, label),
    constraint model_seat_model_exists foreign key (model_id) references bus_model (id),
    constraint model_seat_is_counted_from_one check (number >= 1)
);

create table driver (
    code  text not null,
    name  text not null,
    phone text,
    constraint driver_pkey primary key (code)
);

create table calendar (
    code      text     not null,
    days      smallint not null,
    first_day date,
    last_day  date,
    ended_at  timestamptz,
    constraint calendar_pkey primary key (code),
    constraint calendar_days_are_of_the_week check (days between 0 and 127),
    constraint calendar_period_is_whole check ((first_day is null) = (last_day is null) and first_day <= last_day)
);
comment on column calendar.days is 'The sum of 1 for Monday, 2 for Tuesday, 4 for Wednesday and so on.';

create table calendar_date (
    calendar text    not null,
    day      date    not null,
    runs     boolean not null,
    constraint calendar_date_pkey primary key (calendar, day),
    constraint calendar_date_calendar_exists foreign key (calendar) references calendar (code)
);

-- A fare is for a route, a direction of it or all others, and a class of seats. Its number is what makes
-- an equality in a GiST index possible without an extension, as for the buses of trips.
create table fare (
    id        integer  not null generated always as identity,
    route     text     not null,
    direction smallint,
    class     text     not null,
    constraint fare_pkey primary key (id),
    constraint fare_stands_once unique nulls not distinct (route, direction, class),
    constraint fare_direction_exists foreign key (route, direction) references direction (route, number),
    constraint fare_route_exists foreign key (route) references route (code)
);

create table fare_period (
    fare_id integer   not null,
    period  daterange not null,
    amount  numeric   not null,
    constraint fare_period_fare_exists foreign key (fare_id) references fare (id) on delete cascade,
    constraint fare_period_has_days check (not isempty(period)),
    constraint fare_period_amount_fits check (amount > 0 and amount < 10000000000),
    constraint fare_periods_do_not_overlap exclude using gist
        (int4range(fare_id, fare_id, '[]') with &&, period with &&)
);

create index fare_period_by_fare on fare_period (fare_id);

alter table bus
    add column plate text,
    add column model_id bigint,
    add column driver text,
    add column ended_at timestamptz,
    add constraint bus_model_exists foreign key (model_id) references bus_model (id),
    add constraint bus_driver_exists foreign key (driver) references driver (code);
create index bus_by_driver on bus (driver) where driver is not null;
comment on column bus.model_id is 'Null for a bus of before, which has `capacity` seats.';

-- A departure. One of a route has a calendar, a clock and fares; one of before runs every day, by the
-- clock of the settings, at its own price.
alter table timetable
    -- An old line may take longer than a day. It is updated here, and ended by an import.
    drop constraint timetable_takes_a_minute_to_a_day,
    drop constraint timetable_direction_is_known,
    alter column price drop not null,
    add column code text not null default 'departure-' || gen_random_uuid(),
    add column route text,
    add column calendar text,
    add column zone text,
    add column own_zone text,
    add column legs smallint[],
    add column dwells smallint[],
    add column ended_at timestamptz;
update timetable set code = 'departure-' || id;
alter table timetable
    add constraint timetable_takes_a_minute_to_a_day
        check (ended_at is not null or arrives_minute - departs_minute between 1 and 1440) not valid,
    add constraint timetable_code_is_taken_once unique (code),
    add constraint timetable_direction_is_not_negative check (direction >= 0),
    add constraint timetable_has_a_route_or_a_price check ((route is null) = (price is not null)),
    add constraint timetable_of_a_route_is_whole
        check ((route is null) = (num_nonnulls(calendar, zone, legs, dwells) = 0)
               and (route is not null) = (num_nulls(calendar, zone, legs, dwells) = 0)),
    add constraint timetable_direction_exists foreign key (route, direction) references direction (route, number),
    add constraint timetable_calendar_exists foreign key (calendar) references calendar (code);
comment on column timetable.zone is 'By which zone''s clock it departs; null for that of the settings.';
comment on column timetable.own_zone is 'The zone that the network''s files name for this departure.';

alter table trip
    add column route text,
    add column model_id bigint,
    drop constraint trip_direction_is_known;
alter table trip
    add constraint trip_direction_is_not_negative check (direction >= 0) not valid,
    add constraint trip_direction_exists
        foreign key (route, direction) references direction (route, number) not valid,
    add constraint trip_model_exists foreign key (model_id) references bus_model (id) not valid;
comment on column trip.model_id is 'The version of the model whose seats it has; null for a trip with seats 1 to capacity.';

-- Seats as the models of these trips have them. Seats that somebody owns stay. With the owner's rights,
-- because nobody else may delete a seat.
create function fit_seats(trip_ids uuid[]) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    delete from seat s using trip t
    where s.trip_id = any(trip_ids) and t.id = s.trip_id and t.model_id is not null and s.order_id is null
      and not exists (select from model_seat m where m.model_id = t.model_id and m.number = s.seat);
    insert into seat (trip_id, seat, blocked)
    select t.id, m.number, not m.for_sale from trip t join model_seat m on m.model_id = t.model_id
    where t.id = any(trip_ids)
    order by t.id, m.number
    on conflict do nothing;
    update seat s set blocked = not m.for_sale
    from trip t join model_seat m on m.model_id = t.model_id
    where s.trip_id = any(trip_ids) and t.id = s.trip_id and m.number = s.seat and s.order_id is null
      and s.blocked = m.for_sale;
end $$;
comment on function fit_seats is 'Makes the seats of these trips those of their models.';
