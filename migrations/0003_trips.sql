-- Buses, the daily timetable, trips and their seats.
create table bus (
    id           integer not null,
    driver_name  text    not null,
    driver_phone text    not null,
    capacity     integer not null default 20,
    constraint bus_pkey primary key (id),
    constraint bus_capacity_is_positive check (capacity between 1 and 100000)
);

-- One daily departure; the minutes count from local midnight and may reach into the next day (24:00 is 1440).
create table timetable (
    id             integer        not null,
    bus_id         integer        not null,
    direction      smallint       not null,
    departs_minute integer        not null,
    arrives_minute integer        not null,
    price          numeric(12, 2) not null,
    constraint timetable_pkey primary key (id),
    constraint timetable_bus_exists foreign key (bus_id) references bus (id),
    constraint timetable_direction_is_known check (direction in (0, 1)),
    constraint timetable_arrives_after_departing check (arrives_minute > departs_minute and departs_minute >= 0),
    constraint timetable_price_is_positive check (price > 0)
);

create table trip (
    id           uuid           not null,
    bus_id       integer        not null,
    direction    smallint       not null,
    departs_at   timestamptz    not null,
    arrives_at   timestamptz    not null,
    price        numeric(12, 2) not null,
    capacity     integer        not null,
    timetable_id integer,
    service_date date,
    cancelled_at timestamptz,
    created_at   timestamptz    not null default now(),
    constraint trip_pkey primary key (id),
    constraint trip_bus_exists foreign key (bus_id) references bus (id),
    constraint trip_direction_is_known check (direction in (0, 1)),
    constraint trip_arrives_after_departing check (arrives_at > departs_at),
    constraint trip_price_is_positive check (price > 0),
    constraint trip_capacity_is_positive check (capacity between 1 and 100000),
    -- The generator may run any number of times, anywhere: a departure of a day exists once.
    constraint trip_of_a_day_is_made_once unique (timetable_id, service_date),
    constraint trip_of_the_timetable_has_its_day check ((timetable_id is null) = (service_date is null))
);
create index trip_by_departure on trip (departs_at, id);

-- A seat exists from the trip's first day and has one owner column: two owners cannot be written down.
-- Claiming and freeing touch no indexed column, and half-empty pages keep both HOT.
create table seat (
    trip_id    uuid        not null,
    seat       integer     not null,
    order_id   uuid,
    held_until timestamptz,
    constraint seat_has_one_owner primary key (trip_id, seat),
    constraint seat_trip_exists foreign key (trip_id) references trip (id),
    constraint seat_number_is_positive check (seat >= 1),
    constraint seat_hold_has_an_owner check ((order_id is null) = (held_until is null))
) with (fillfactor = 50);

insert into bus (id, driver_name, driver_phone)
values (1, 'Zhao Lei', '028-5550-0101'), (2, 'Qian Fang', '028-5550-0102'), (3, 'Sun Hao', '028-5550-0103'),
       (4, 'Li Na', '028-5550-0104'), (5, 'Zhou Min', '028-5550-0105'), (6, 'Wu Gang', '028-5550-0106'),
       (7, 'Zheng Yu', '028-5550-0107'), (8, 'Wang Jing', '028-5550-0108');

-- Direction 0 is Shahe to Qingshuihe, 1 the way back.
insert into timetable (id, bus_id, direction, departs_minute, arrives_minute, price)
values (1, 1, 1, 480, 540, 4.00), (2, 2, 1, 510, 570, 4.00), (3, 3, 1, 540, 600, 4.00), (4, 4, 1, 570, 630, 4.00),
       (5, 1, 0, 570, 630, 4.00), (6, 2, 0, 600, 660, 4.00), (7, 5, 0, 480, 540, 4.00), (8, 6, 0, 570, 630, 4.00),
       (9, 3, 0, 840, 900, 4.00), (10, 4, 0, 930, 990, 4.00), (11, 7, 0, 1020, 1080, 4.00),
       (12, 5, 1, 840, 900, 4.00), (13, 6, 1, 930, 990, 4.00), (14, 8, 1, 1020, 1080, 4.00),
       (15, 7, 1, 1200, 1260, 4.00), (16, 8, 0, 1200, 1260, 4.00), (17, 8, 0, 1440, 1470, 4.00);
