-- Orders and what has become of them.
-- No foreign key to trip: it would take a key-share lock on one hot row for every booking; the claim reads the trip,
-- and trips are never deleted.
create table orders (
    id            uuid           not null,
    rider_id      uuid           not null,
    trip_id       uuid           not null,
    seats         integer[]      not null,
    unit_price    numeric(12, 2) not null,
    amount        numeric(14, 2) not null,
    status        text           not null,
    created_at    timestamptz    not null,
    expires_at    timestamptz    not null,
    payment_id    uuid,
    paid_at       timestamptz,
    closed_at     timestamptz,
    closed_reason text,
    constraint orders_pkey primary key (id),
    constraint order_status_is_known check (status in ('unpaid', 'paid', 'refunding', 'refunded', 'closed')),
    constraint order_has_seats check (cardinality(seats) >= 1),
    constraint order_amount_is_price_times_seats check (amount = unit_price * cardinality(seats) and amount > 0),
    constraint order_expires_after_creation check (expires_at > created_at),
    -- Paid (or refunded since) if and only if a payment stands behind it.
    constraint order_paid_means_a_payment check (
        (status in ('paid', 'refunding', 'refunded')) = (payment_id is not null)
        and (payment_id is null) = (paid_at is null)
    ),
    constraint order_closed_has_a_reason check (
        (status = 'closed') = (closed_reason is not null)
        and (status in ('closed', 'refunded')) = (closed_at is not null)
    ),
    constraint order_closed_reason_is_known check (
        closed_reason in ('expired', 'cancelled_by_rider', 'cancelled_by_system')
    )
) with (fillfactor = 70);
-- UUIDv7 ids sort by time, so this one index serves every list of a rider, newest first.
create index orders_by_rider on orders (rider_id, id);

-- Every change of an order's state, with why. Append-only.
create table order_event (
    order_id uuid        not null,
    at       timestamptz not null default clock_timestamp(),
    status   text        not null,
    reason   text        not null,
    -- An order passes through each state at most once.
    constraint order_event_pkey primary key (order_id, status)
);
