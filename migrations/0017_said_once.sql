-- What an order and a payment say themselves is not written a second time: that a booked order has been booked, that a paid one
-- has been paid, and what the client is answered who asks again under the key of the booking or the payment.

-- Whether a key that was taken may be taken again: its request has left no answer, is too old to run still, and has not done
-- what it began for this subject. Whoever was booked or paid is answered by that, however late he asks.
-- A function, so that a statement sets it up only for a key that is taken; volatile, so that it sees what was committed since
-- that statement began.
create function key_is_abandoned(answered smallint, taken_at timestamptz, taken_for uuid, stale_secs float8) returns boolean
language plpgsql as $$
begin
    return answered is null
        and taken_at < now() - make_interval(secs => stale_secs)
        and not exists (select from orders where id = taken_for)
        and not exists (select from payment where id = taken_for and state in ('settled', 'refunded'));
end $$;

-- A state's row says only what the order does not.
create view order_history as
select order_id, at, status, reason from order_event where status not in ('unpaid', 'paid')
union all
select id, created_at, 'unpaid', 'booked' from orders
union all
select id, paid_at, 'paid', 'paid by its rider' from orders where paid_at is not null;
delete from order_event where status in ('unpaid', 'paid');

-- Settling a payment touches no index: `state` was in the condition of this one, so every settled payment went into all three anew.
alter table payment add column is_live boolean not null generated always as (state <> 'reversed') stored;
drop index one_live_payment_per_order;
create unique index one_live_payment_per_order on payment (order_id) where is_live;
