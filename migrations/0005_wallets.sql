-- Money. A wallet's balance is the sum of its entries by construction: entries form a numbered chain in which each
-- continues from the balance the one before it left, and the wallet points at the last.
create table ledger_entry (
    rider_id       uuid           not null,
    seq            bigint         not null,
    id             uuid           not null,
    kind           text           not null,
    amount         numeric(14, 2) not null,
    balance_after  numeric(14, 2) not null,
    order_id       uuid,
    payment_id     uuid,
    reference      text,
    at             timestamptz    not null default now(),
    previous       bigint         generated always as (nullif(seq - 1, 0)) stored,
    balance_before numeric(14, 2) generated always as (balance_after - amount) stored,
    constraint ledger_entry_pkey primary key (rider_id, seq),
    constraint ledger_entry_can_be_continued unique (rider_id, seq, balance_after),
    constraint ledger_entry_continues_the_last
        foreign key (rider_id, previous, balance_before) references ledger_entry (rider_id, seq, balance_after),
    constraint ledger_first_entry_starts_at_zero check (seq > 1 or (seq = 1 and balance_before = 0)),
    constraint ledger_balance_is_never_negative check (balance_after >= 0),
    constraint ledger_entry_kind_is_known check (kind in ('top_up', 'payment', 'payment_reversed', 'refund')),
    constraint ledger_entry_sign_fits_its_kind check ((kind = 'payment') = (amount < 0) and amount <> 0),
    constraint ledger_entry_names_its_cause check (
        case when kind = 'top_up' then reference is not null and payment_id is null
             else reference is null and payment_id is not null and order_id is not null end
    )
);
-- A payment is debited once, reversed once, refunded once, whoever tries.
create unique index one_entry_per_payment_and_kind on ledger_entry (payment_id, kind) where payment_id is not null;
create unique index one_top_up_per_reference on ledger_entry (rider_id, reference) where reference is not null;

create function ledger_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'ledger entries are never changed or deleted' using constraint = 'ledger_is_append_only';
end $$;
create trigger ledger_is_append_only before update or delete or truncate on ledger_entry
    for each statement execute function ledger_is_append_only();

create table wallet (
    rider_id   uuid           not null,
    balance    numeric(14, 2) not null default 0,
    last_entry bigint,
    constraint wallet_pkey primary key (rider_id),
    constraint wallet_rider_exists foreign key (rider_id) references rider (id),
    constraint wallet_balance_is_never_negative check (balance >= 0),
    constraint wallet_without_entries_is_empty check (last_entry is not null or balance = 0),
    constraint wallet_balance_is_what_its_entries_say
        foreign key (rider_id, last_entry, balance) references ledger_entry (rider_id, seq, balance_after)
) with (fillfactor = 50);

-- One try at paying an order. `debited` until the order is marked paid (`settled`) or the money is back.
create table payment (
    id         uuid           not null,
    order_id   uuid           not null,
    rider_id   uuid           not null,
    amount     numeric(14, 2) not null,
    state      text           not null,
    created_at timestamptz    not null default now(),
    changed_at timestamptz    not null default now(),
    constraint payment_pkey primary key (id),
    constraint payment_amount_is_positive check (amount > 0),
    constraint payment_state_is_known check (state in ('debited', 'settled', 'reversed', 'refunded'))
) with (fillfactor = 70);
-- Two devices paying one order at once: one debit.
create unique index one_live_payment_per_order on payment (order_id) where state <> 'reversed';
create index payment_by_order on payment (order_id);

-- An order as it is shown: unpaid shows as paying while money is debited for it. Derived, so nothing has to be set back.
create view order_shown as
select o.id, o.rider_id, o.trip_id, o.seats, o.unit_price, o.amount,
       case when o.status = 'unpaid' and exists (select from payment p where p.order_id = o.id and p.state = 'debited')
            then 'paying' else o.status end as status,
       o.created_at, o.expires_at, o.paid_at, o.closed_reason
from orders o;
