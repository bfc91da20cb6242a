-- The rules of routes, where bookings and refunds look for them. Processes of before write none of the
-- columns. Nothing here scans or rewrites a table; the next migration validates.

alter table trip
    add column hold_secs integer,
    add column cut_off_secs integer,
    add column refund_secs integer,
    add column refund_percent smallint,
    add constraint trip_rules_are_in_bounds check (hold_secs > 0 and cut_off_secs >= 0 and refund_secs >= 0
                                                   and refund_percent between 0 and 100) not valid;
comment on column trip.hold_secs is 'Of its route, else of the network; null for that of the settings.';

-- An order keeps the refund rules that it was sold by, whatever the route has become since.
alter table orders
    add column refund_secs integer,
    add column refund_percent smallint,
    add column refund_fee numeric(14, 2),
    add constraint order_refund_rules_are_in_bounds
        check (refund_secs >= 0 and refund_percent between 0 and 100) not valid,
    add constraint order_refund_fee_is_of_a_refund
        check (refund_fee is null
               or (refund_fee > 0 and refund_fee <= amount and status in ('refunding', 'refunded'))) not valid;
comment on column orders.refund_percent is 'How much of the amount its rider gets back; null for all of it.';
comment on column orders.refund_fee is 'What its rider does not get back; null for a refund of all.';

-- A refund with a fee is two entries: all of the money comes back, and the fee is taken.
alter table ledger_entry
    drop constraint ledger_entry_kind_is_known,
    drop constraint ledger_entry_sign_fits_its_kind;
alter table ledger_entry
    add constraint ledger_entry_kind_is_known
        check (kind in ('top_up', 'payment', 'payment_reversed', 'refund', 'refund_fee', 'correction')) not valid,
    add constraint ledger_entry_sign_fits_its_kind
        check (amount <> 0 and (kind = 'correction' or (kind in ('payment', 'refund_fee')) = (amount < 0))) not valid;

-- What an import changes of a trip, until its job has recorded it for the orders of before.
create function change_under_way(of_trip uuid, bought_at timestamptz)
returns table (import_id uuid, what text)
language sql stable parallel safe
begin atomic
    select x.import_id, x.what from network_import_trip x join network_import i on i.id = x.import_id
    where x.trip_id = of_trip and x.kind = 'changes' and x.done_at is null and bought_at < i.started_at;
end;

-- The views with the columns of this migration and of those before. A replaced view takes new columns
-- at its end only. What an import changed, or is changing, is refunded until departure, without a fee:
-- readers see these rules for such an order. The order keeps those that it was sold by.
create or replace view order_shown as
select o.id, o.rider_id, o.trip_id, o.seats, o.unit_price, o.amount,
       case when o.status = 'unpaid' and exists (select from payment p where p.order_id = o.id and p.state = 'debited')
            then 'paying' else o.status end as status,
       o.created_at, o.expires_at, o.paid_at, o.closed_reason, o.labels, o.prices,
       case when r.is_free then 0 else o.refund_secs end as refund_secs,
       case when r.is_free then 100::smallint else o.refund_percent end as refund_percent, o.refund_fee
from orders o cross join lateral (
    select o.free_refund or (o.status in ('refunding', 'refunded') and o.refund_fee is null)
           or (o.status = 'paid' and exists (select from change_under_way(o.trip_id, o.created_at))) as is_free
) as r;
create or replace view order_listed as
select o.id, o.rider_id, o.trip_id, o.seats, o.unit_price, o.amount, o.status, o.created_at, o.expires_at,
       o.paid_at, o.closed_reason,
       case when o.status in ('unpaid', 'paying') then 'unpaid'
            when o.status <> 'paid' or t.cancelled_at is not null then 'closed'
            when t.departs_at > now() then 'upcoming'
            when exists (select from evaluation e where e.order_id = o.id) then 'evaluated'
            else 'to_evaluate' end as list,
       o.labels, o.prices, o.refund_secs, o.refund_percent, o.refund_fee
from order_shown o join trip t on t.id = o.trip_id;
