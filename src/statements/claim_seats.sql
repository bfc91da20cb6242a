-- Claims the seats of a batch of bookings, of which no two want the same seat. Returns a row for each
-- booking, in the order of the batch, with one word for what became of it.
--
-- Seats are wanted by label. A trip of a model has its labels, and so a seat's number and class, in
-- `model_seat`; on any other trip a label is the number. A trip that gets another model gets other
-- rows in `seat`: a row that is there when the lock is granted is of the model that its label was
-- looked up in.
--
-- `lateral (… offset 0)` is a planner fence, see docs/decisions/0009-planner-fences.md: rows are looked
-- up one by one, whatever the tables were like when this was planned. It also hides how few rows that
-- brings, so that the parts are joined by hashes and not each row with each.
with rule as not materialized (
    select $13::float8 as hold_secs, $14::float8 as cut_off_secs, $15::float8 as key_stale_secs,
           -- The step's tag is the tag of its undo.
           $16::text as step, $17::int as undo_attempts, $18::float8 as undo_after_secs,
           $19::text as timer_tag, $20::int as timer_attempts, $21::int as max_open_holds
), request as materialized (
    -- A booking of an unknown, cancelled or closed trip has no `expires_at`.
    select r.*, t.price, t.class_prices, t.model_id, t.expires_at, t.refund_secs, t.refund_percent
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[],
                $6::uuid[], $7::jsonb[], $8::uuid[], $9::jsonb[], $10::int[])
        with ordinality
        as r (order_id, rider_id, trip_id, key, fingerprint,
              undo, undo_payload, timer, timer_payload, seats, nr)
    cross join rule
    left join lateral (
        select price, class_prices, model_id, refund_secs, refund_percent,
               least(now() + make_interval(secs => coalesce(hold_secs, rule.hold_secs)),
                     departs_at - make_interval(secs => coalesce(cut_off_secs, rule.cut_off_secs)))
                   as expires_at
        from trip
        where id = r.trip_id and cancelled_at is null
          and departs_at - make_interval(secs => coalesce(cut_off_secs, rule.cut_off_secs)) > now()
        offset 0 -- planner fence: a trip is looked up by its id, docs/decisions/0009-planner-fences.md
    ) as t on true
    -- The order's commit will wait for the disk, and bring this one's there.
    where (select set_config('synchronous_commit', 'off', true)) is not null
), locked as materialized (
    -- Free seats, locked by (trip, seat) as everywhere, so that two statements never deadlock.
    select w.order_id, w.trip_id, s.seat, w.label, w.price, w.expires_at
    from (select r.order_id, r.trip_id, coalesce(m.number, w.number) as seat, m.label, r.expires_at,
                 coalesce((r.class_prices ->> m.class)::numeric, r.price) as price
          from unnest($11::uuid[], $12::int[], $22::text[]) as w (order_id, number, label)
          join request r using (order_id)
          left join lateral (
              select number, label, class from model_seat
              where r.model_id is not null and model_id = r.model_id and label = w.label and for_sale
              offset 0 -- planner fence: a seat is looked up by its label, docs/decisions/0009-planner-fences.md
          ) as m on true
          where r.expires_at is not null and (r.model_id is null or m.number is not null)
          order by r.trip_id, seat) as w
    cross join lateral (
        select seat from seat
        where trip_id = w.trip_id and seat = w.seat
          -- Evaluated once more when the lock is granted.
          and order_id is null and not blocked
        for update
    ) as s
), judged as materialized (
    select r.*, coalesce(l.free, '{}') as free, l.labels, l.prices,
           coalesce(cardinality(l.free), 0) = r.seats as all_free
    from request r
    left join (select order_id, array_agg(seat) as free, array_agg(label) as labels,
                      array_agg(price) as prices
               from locked group by order_id) as l using (order_id)
), keyed as (
    insert into idempotency as i (actor, key, fingerprint, subject)
    select rider_id, key, fingerprint, order_id from judged where all_free and key is not null
    on conflict (actor, key) do update
        set subject = excluded.subject, started_at = now()
        where i.fingerprint = excluded.fingerprint
          and key_is_abandoned(i.status, i.started_at, i.subject, (select key_stale_secs from rule))
    returning i.subject
), able as materialized (
    select * from judged
    where all_free and (key is null or order_id in (select subject from keyed))
), held as (
    -- The rider's row lists the orders that may be unpaid. A count of orders would not do: of two
    -- claims at once neither sees the other's. The upsert locks the row and reads it as it then is, so
    -- the second claim waits and finds the first's order in the list.
    insert into open_hold as h (rider_id, orders, until)
    select rider_id, (array_agg(order_id order by nr))[:(select max_open_holds from rule)],
           (array_agg(expires_at order by nr))[:(select max_open_holds from rule)]
    from able group by rider_id order by rider_id
    -- `with_room` drops what is settled, undone or overdue. It is a function so that its parts are set
    -- up only when a list is full.
    on conflict (rider_id) do update set
        orders = case
            when cardinality(h.orders) + cardinality(excluded.orders) <= (select max_open_holds from rule)
            then h.orders || excluded.orders
            else (with_room(h.orders, h.until, excluded.orders, excluded.until,
                            (select max_open_holds from rule), (select step from rule))).orders end,
        until = case
            when cardinality(h.orders) + cardinality(excluded.orders) <= (select max_open_holds from rule)
            then h.until || excluded.until
            else (with_room(h.orders, h.until, excluded.orders, excluded.until,
                            (select max_open_holds from rule), (select step from rule))).until end
    returning h.orders
), won as materialized (
    -- `is true` makes this a hash lookup; a semi-join of so few rows would compare each with each.
    select * from able where (order_id in (select unnest(orders) from held)) is true
), stepped as (
    insert into barrier (subject, step, done_at)
    select order_id, rule.step, now() from won cross join rule
), taken as (
    update seat s set order_id = l.order_id, held_until = l.expires_at
    from locked l
    where s.trip_id = l.trip_id and s.seat = l.seat
      and (l.order_id in (select order_id from won)) is true
), armed as (
    -- Jobs name seats by number, which only this statement knows of a trip of a model.
    insert into queue.job (id, tag, key, payload, max_attempts, run_at)
    select undo, rule.step, order_id::text,
           case when model_id is null then undo_payload
                else jsonb_set(undo_payload, '{booking,seats}', to_jsonb(free)) end,
           rule.undo_attempts, now() + make_interval(secs => rule.undo_after_secs)
    from won cross join rule
    union all
    select timer, rule.timer_tag, order_id::text,
           case when model_id is null then timer_payload
                else jsonb_set(timer_payload, '{booking,seats}', to_jsonb(free)) end,
           rule.timer_attempts, expires_at
    from won cross join rule
)
select case when expires_at is null then 'trip_closed'
            when not all_free then 'seats_taken'
            when (order_id in (select order_id from able)) is not true then 'key_taken'
            when (order_id in (select order_id from won)) is not true then 'too_many_holds'
            else 'won' end as "verdict!",
       free as "free!", case when model_id is not null then labels end as "labels?",
       case when class_prices is not null then prices end as "prices?: Vec<Decimal>",
       price as "unit_price?", now() as "at!", expires_at as "expires_at?",
       refund_secs, refund_percent
from judged
order by nr
