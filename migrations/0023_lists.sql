-- What a seat is to whoever looks at it, and who had seats of a trip when it was cancelled.

-- A seat's state in one letter: blocked, free, sold or held. Seat maps, live seats and counts of free seats all ask this,
-- so they agree. A hold that is overdue is free: whoever books the seat gets it. Inlined by the planner, so it costs what
-- the `case` costs.
create function seat_state(blocked boolean, order_id uuid, held_until timestamptz) returns text
    language sql stable parallel safe
return case when blocked then 'b'
            when order_id is null or held_until <= now() then 'f'
            when held_until is null then 's'
            else 'h' end;

-- Orders lose their seats when their trip is cancelled, and orders have no index by trip: those that had seats are written
-- down in the statement that cancels it. Orders that the cancelling found later are in trip_cancellation_order.
alter table trip_cancellation
    add column order_ids uuid[] not null default '{}',
    add constraint trip_cancellation_names_orders check (array_position(order_ids, null) is null);
comment on column trip_cancellation.order_ids is
    'Who owned seats when the trip was cancelled; a booking under way may be among them that never became an order.';
