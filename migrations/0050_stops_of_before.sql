-- Where a direction went until an import changed its stops. A trip that had departed by then keeps these.
create table direction_stops_before (
    route     text        not null,
    direction smallint    not null,
    ended_at  timestamptz not null default now(),
    stops     text[]      not null,
    constraint direction_stops_before_pkey primary key (route, direction, ended_at),
    constraint direction_stops_before_direction_exists
        foreign key (route, direction) references direction (route, number),
    constraint direction_stops_before_are_two check (cardinality(stops) >= 2)
);
comment on column direction_stops_before.stops is 'Codes in order. Each has its row in `stop`, which is never deleted.';
