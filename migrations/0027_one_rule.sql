-- Freeing the seats of an order and closing orders each stand once. Six statements freed seats and three
-- closed orders; a new column of either table had to be remembered in each.
-- PL/pgSQL, because it keeps the plans; volatile, so that it sees what the calling statement has locked.

-- The owner's condition stands in both parts: what is freed is what this order owns, and nothing else.
create function free_seats(owner_ids uuid[], trip_ids uuid[], seat_lists text[]) returns void
language plpgsql as $$
begin
    with owned as materialized (
        -- Locked by (trip, seat) as everywhere, so that two statements never deadlock.
        select w.owner_id, w.trip_id, w.seat
        from (select c.owner_id, c.trip_id, unnest(c.seat_list::int[]) as seat
              from unnest(owner_ids, trip_ids, seat_lists) as c (owner_id, trip_id, seat_list)
              order by trip_id, seat) as w
        cross join lateral (
            select from seat where trip_id = w.trip_id and seat = w.seat and order_id = w.owner_id for update
        ) as s
    )
    update seat s set order_id = null, held_until = null
    from owned o where s.trip_id = o.trip_id and s.seat = o.seat and s.order_id = o.owner_id;
end $$;
comment on function free_seats is
    'Frees those of the seats that their order owns. Each list of seats is the text of an array.';

create function close_orders(order_ids uuid[], closed_as text, history_reason text) returns setof uuid
language plpgsql as $$
declare
    closed_ids uuid[];
    closed_trips uuid[];
    closed_seats text[];
begin
    with closed as (
        update orders set status = 'closed', closed_reason = closed_as, closed_at = now()
        where id = any(order_ids) and status = 'unpaid' and (closed_as <> 'expired' or expires_at <= now())
        returning id, trip_id, seats
    ), recorded as (
        insert into order_event (order_id, status, reason) select id, 'closed', history_reason from closed
    )
    select array_agg(id), array_agg(trip_id), array_agg(seats::text) into closed_ids, closed_trips, closed_seats
    from closed;
    if closed_ids is not null then
        -- One call for all orders, so that all seats are locked in one order.
        perform free_seats(closed_ids, closed_trips, closed_seats);
        return query select unnest(closed_ids);
    end if;
end $$;
comment on function close_orders is
    'Closes those of the orders that are unpaid (and overdue, if they expire), frees their seats, writes their history, '
    'and returns which it closed. The timers of the orders are the caller''s to remove.';
