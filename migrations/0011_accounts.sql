-- What riders say of their trips, the lists of orders, how many orders a rider may leave unpaid, and what old rows go.

-- What a rider thought of a trip he took: once for each order, whoever asks at the same time.
create table evaluation (
    order_id   uuid        not null,
    rating     smallint    not null,
    comment    text,
    created_at timestamptz not null default now(),
    constraint evaluation_is_given_once primary key (order_id),
    constraint evaluation_order_exists foreign key (order_id) references orders (id),
    constraint evaluation_rating_is_1_to_5 check (rating between 1 and 5),
    constraint evaluation_comment_is_bounded check (length(comment) between 1 and 1000)
);

-- An order with the one list it is on: a single `case`, so that the lists part the orders by construction.
-- A paid order of a cancelled trip is on its way to be refunded: it is listed with those that are over.
create view order_listed as
select o.*,
       case when o.status in ('unpaid', 'paying') then 'unpaid'
            when o.status <> 'paid' or t.cancelled_at is not null then 'closed'
            when t.departs_at > now() then 'upcoming'
            when exists (select from evaluation e where e.order_id = o.id) then 'evaluated'
            else 'to_evaluate' end as list
from order_shown o join trip t on t.id = o.trip_id;

-- The orders a rider has claimed seats for and not paid yet. One row a rider: its lock makes his bookings take turns,
-- so that two at once cannot both be the last one allowed. An order that is settled, undone or past its deadline counts
-- no more, and goes at his next booking: nobody else has to keep this row.
create table open_hold (
    rider_id uuid          not null,
    orders   uuid[]        not null,
    until    timestamptz[] not null,
    constraint open_hold_is_one_row_a_rider primary key (rider_id),
    constraint open_hold_is_of_pairs check (cardinality(orders) = cardinality(until))
) with (fillfactor = 50);

-- A rider's leave to pay one order once, without his pay password. The newest of an order counts; only its hash is here.
-- `used_by` is the payment whose debit used it up, in the debit's own statement.
create table payment_authorization (
    order_id   uuid        not null,
    rider_id   uuid        not null,
    token_hash bytea       not null,
    expires_at timestamptz not null,
    used_by    uuid,
    constraint payment_authorization_is_the_orders_newest primary key (order_id),
    constraint payment_authorization_holds_a_hash check (octet_length(token_hash) = 32)
) with (fillfactor = 70);
create index payment_authorization_by_end on payment_authorization (expires_at);

-- Kept answers go when they are old.
create index idempotency_by_age on idempotency (started_at);

-- A sign-in that ends the rider's other sessions finds them.
create index session_by_rider on session (rider_id) where revoked_at is null;

-- What one worker process at a time does for Farebox itself, beside the queue's own duties.
insert into queue.duty (name) values ('farebox_prune');
