-- Imports that touch seats which riders have. An import writes what it previewed for each such trip, and a
-- job carries it on trip by trip. Processes of before run beside it: they neither read nor write what is new.
create table network_import (
    id          uuid        not null,
    digest      text        not null,
    reason      text        not null,
    operator    uuid,
    actor       text,
    preview     jsonb       not null,
    started_at  timestamptz not null default now(),
    finished_at timestamptz,
    constraint network_import_pkey primary key (id),
    constraint network_import_names_its_operator check (num_nonnulls(operator, actor) = 1),
    constraint network_import_has_a_reason check (length(reason) between 1 and 500),
    constraint network_import_ends_after_it_began check (finished_at >= started_at)
);
comment on column network_import.operator is 'The account; null for a user of the operating system, who is `actor`.';
comment on column network_import.preview is 'What was previewed of each trip with seats that riders have.';
-- Two imports at once would each move what the other has read.
create unique index one_unfinished_import on network_import ((finished_at is null)) where finished_at is null;

create table network_import_trip (
    import_id uuid           not null,
    trip_id   uuid           not null,
    kind      text           not null,
    what      text           not null,
    model_id  bigint,
    price     numeric(12, 2),
    class_prices jsonb,
    sold      integer        not null,
    held      integer        not null,
    riders    integer        not null,
    money     numeric(16, 2) not null,
    tries     integer        not null default 0,
    done_at   timestamptz,
    moved     integer        not null default 0,
    refunded  integer        not null default 0,
    closed    integer        not null default 0,
    constraint network_import_touches_a_trip_once primary key (import_id, trip_id),
    constraint network_import_trip_has_its_import foreign key (import_id) references network_import (id),
    constraint network_import_trip_exists foreign key (trip_id) references trip (id),
    constraint network_import_trip_model_exists foreign key (model_id) references bus_model (id),
    constraint network_import_trip_kind_is_known check (kind in ('ends', 'changes')),
    constraint network_import_ended_trip_has_no_model check (kind = 'changes' or model_id is null),
    constraint network_import_other_seats_have_prices check ((model_id is null) = (price is null)),
    constraint network_import_class_prices_are_of_a_model
        check (class_prices is null or (model_id is not null and class_prices_begin_at(class_prices, price)))
);
create index network_import_trip_by_trip on network_import_trip (trip_id);
comment on column network_import_trip.model_id is 'The version of the model whose seats it gets; null if it keeps its seats.';
comment on column network_import_trip.class_prices is 'What the classes of these seats cost, as `trip.class_prices`.';
comment on column network_import_trip.tries is 'How often its job found somebody in the way.';

-- What an import changed for an order. Not a state of the order, of which `order_event` has one row each.
create table order_change (
    order_id  uuid        not null,
    import_id uuid        not null,
    at        timestamptz not null default clock_timestamp(),
    what      text        not null,
    constraint order_is_changed_once_by_an_import primary key (order_id, import_id),
    constraint order_change_order_exists foreign key (order_id) references orders (id),
    constraint order_change_has_its_import foreign key (import_id) references network_import (id)
);
create index order_change_by_import on order_change (import_id);
create function order_change_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the history of orders is never changed or deleted' using constraint = 'order_change_is_append_only';
end $$;
create trigger order_change_is_append_only before update or delete or truncate on order_change
    for each statement execute function order_change_is_append_only();

-- A constant default rewrites no row.
alter table orders add column free_refund boolean not null default false;
comment on column orders.free_refund is 'An import changed what was bought: refunded until departure, without a cut-off.';

-- A seat moves between models by its label. A trip without a model has its numbers as labels.
create function seats_without_place(of_trip uuid, to_model bigint) returns setof integer
language sql stable parallel safe set search_path = public, pg_temp as $$
    select s.seat from seat s join trip t on t.id = s.trip_id
    left join model_seat was on was.model_id = t.model_id and was.number = s.seat
    where s.trip_id = of_trip
      and not exists (select from model_seat m where m.model_id = to_model and m.for_sale
                      and m.label = coalesce(was.label, s.seat::text))
$$;
comment on function seats_without_place is 'The seats of a trip whose labels the other model does not have for sale.';

-- Moves a trip's seats to the model that an import has for it. Returns `moved`, or a word for who is in
-- the way; then nothing is changed. With the owner's rights, because nobody else may delete a seat or
-- renumber an order.
create function move_seats(of_import uuid, of_trip uuid) returns text
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    to_model bigint;
    new_price numeric;
    new_class_prices jsonb;
    trip_now record;
    movable uuid[];
    owned_numbers integer[];
    owned_labels text[];
    owners uuid[];
    holds timestamptz[];
    blocked_labels text[];
begin
    select model_id, price, class_prices into strict to_model, new_price, new_class_prices
    from network_import_trip where import_id = of_import and trip_id = of_trip and model_id is not null;
    select model_id, cancelled_at into trip_now from trip where id = of_trip for no key update;
    if trip_now.cancelled_at is not null then
        return 'cancelled';
    end if;
    -- Orders before wallets before seats, each by its key, as everywhere.
    select coalesce(array_agg(locked.id), '{}') into movable from (
        select o.id from orders o
        where o.id in (select s.order_id from seat s where s.trip_id = of_trip and s.order_id is not null)
          and o.status in ('unpaid', 'paid')
        order by o.id for update
    ) as locked;
    -- A payment marks seats as sold by the rows that it sees, and does not see rows that are inserted here
    -- while it waits for its order. A debit precedes it, and waits for these wallets or has committed.
    perform from wallet w
    where w.rider_id in (select o.rider_id from orders o where o.id = any(movable) and o.status = 'unpaid')
    order by w.rider_id for update;
    perform from seat where trip_id = of_trip order by trip_id, seat for update;
    -- A booking, a payment or a refund under way knows the numbers that it began with.
    if exists (select from seat s where s.trip_id = of_trip and s.order_id is not null and s.order_id <> all(movable))
       or exists (select from payment p where p.order_id = any(movable) and p.state = 'debited') then
        return 'busy';
    end if;
    if exists (select from seat s where s.trip_id = of_trip and s.order_id is not null
               and s.seat in (select seats_without_place(of_trip, to_model))) then
        return 'without_place';
    end if;
    select array_agg(s.seat) filter (where s.order_id is not null),
           array_agg(coalesce(was.label, s.seat::text)) filter (where s.order_id is not null),
           array_agg(s.order_id) filter (where s.order_id is not null),
           array_agg(s.held_until) filter (where s.order_id is not null),
           -- What an operator blocked stays blocked.
           coalesce(array_agg(coalesce(was.label, s.seat::text)) filter (where s.blocked and coalesce(was.for_sale, true)), '{}')
    into owned_numbers, owned_labels, owners, holds, blocked_labels
    from seat s left join model_seat was on was.model_id = trip_now.model_id and was.number = s.seat
    where s.trip_id = of_trip;
    -- Rows are made afresh: a claim that waits for a row of before finds it gone, and never gets the seat
    -- that has its number now.
    delete from seat where trip_id = of_trip;
    insert into seat (trip_id, seat, order_id, held_until, blocked)
    select of_trip, m.number, o.owner, o.hold, o.owner is null and (not m.for_sale or m.label = any(blocked_labels))
    from model_seat m left join unnest(owned_labels, owners, holds) as o (label, owner, hold) on o.label = m.label
    where m.model_id = to_model
    order by m.number;
    -- Each number in the place of the one before: an order's labels and prices stay those of its seats. An
    -- order without labels has its numbers of before as labels.
    update orders o set seats = moved.seats, labels = coalesce(o.labels, moved.labels)
    from (select w.id, array_agg(m.number order by w.place) as seats, array_agg(m.label order by w.place) as labels
          from (select o.id, n.seat, n.place from orders o cross join unnest(o.seats) with ordinality as n (seat, place)
                where o.id = any(movable)) as w
          join unnest(owned_numbers, owned_labels) as l (seat, label) on l.seat = w.seat
          join model_seat m on m.model_id = to_model and m.label = l.label
          group by w.id) as moved
    where o.id = moved.id and (o.labels is null or o.seats <> moved.seats);
    update trip set model_id = to_model, price = new_price, class_prices = new_class_prices,
        capacity = (select count(*) from model_seat where model_id = to_model)
    where id = of_trip;
    return 'moved';
end $$;
comment on function move_seats is 'Moves the sold and held seats of a trip to the model that an import has for it, by their labels.';

-- Seats of trips without riders: made afresh, for the same reason.
create or replace function fit_seats(trip_ids uuid[]) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    delete from seat s using trip t
    where s.trip_id = any(trip_ids) and t.id = s.trip_id and t.model_id is not null and s.order_id is null;
    insert into seat (trip_id, seat, blocked)
    select t.id, m.number, not m.for_sale from trip t join model_seat m on m.model_id = t.model_id
    where t.id = any(trip_ids)
    order by t.id, m.number
    on conflict do nothing;
end $$;
