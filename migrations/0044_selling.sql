-- Seats are sold as the bus's model has them: by label, by class, at a price for each class. Processes
-- of the version before run beside it: they read and write what they know, and an order of seats with
-- different prices comes only from a network that has them. Nothing here scans or rewrites a table;
-- what is not valid yet is validated by the next migration, which blocks no writer.

create function sum_of(amounts numeric[]) returns numeric
language sql immutable strict parallel safe as $$ select sum(amount) from unnest(amounts) as a(amount) $$;
comment on function sum_of is 'The sum of these amounts; null for none.';

create function class_prices_begin_at(prices jsonb, lowest numeric) returns boolean
language sql immutable strict parallel safe as $$
    select case when jsonb_typeof(prices) = 'object'
        then (select count(distinct p.value::numeric) >= 2 and min(p.value::numeric) = lowest and lowest > 0
              from jsonb_each_text(prices) as p)
        else false end
$$;
comment on function class_prices_begin_at is 'Whether these are prices of classes, not all equal, of which this is the lowest.';

alter table trip
    add column class_prices jsonb,
    add constraint trip_class_prices_are_of_a_model check (class_prices is null or model_id is not null) not valid,
    add constraint trip_price_is_its_lowest
        check (class_prices is null or class_prices_begin_at(class_prices, price)) not valid;
comment on column trip.class_prices is
    'The price of each class for sale, as a decimal text, if they differ; null if every seat costs `price`.';

-- The order's seats are numbers, which are keys; `labels` is what people see of them.
alter table orders
    add column labels text[],
    add column prices numeric(12, 2)[],
    alter column unit_price drop not null,
    add constraint order_labels_are_of_its_seats
        check (labels is null
               or cardinality(labels) = cardinality(seats) and array_position(labels, null) is null) not valid,
    add constraint order_has_one_price_or_one_for_each_seat
        check ((unit_price is null) = (prices is not null)) not valid,
    -- An order of one price has `order_amount_is_price_times_seats`, which says nothing of the others.
    add constraint order_amount_is_the_sum_of_its_prices
        check (prices is null
               or cardinality(prices) = cardinality(seats) and array_position(prices, null) is null
                  and 0 < all (prices) and amount = sum_of(prices)) not valid;
comment on column orders.labels is 'The labels of `seats`, in their order; null where the numbers are the labels.';
comment on column orders.unit_price is 'What each seat costs; null if `prices` says it.';
comment on column orders.prices is 'What each of `seats` costs, in their order, if they differ.';

create function seat_labels(of_trip uuid, numbers integer[]) returns text[]
language sql stable parallel safe as $$
    select coalesce(array_agg(coalesce(m.label, n.number::text) order by n.place), '{}')
    from unnest(numbers) with ordinality as n(number, place)
    left join trip t on t.id = of_trip
    left join model_seat m on m.model_id = t.model_id and m.number = n.number
$$;
comment on function seat_labels is 'The labels of these seats of a trip, in their order; a trip of no model has the numbers.';
