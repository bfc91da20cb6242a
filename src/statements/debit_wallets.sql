-- Debits the wallets for a batch of payments of different orders. Returns a row for each payment, in the
-- order of the batch, with one word for what became of it.
with rule as not materialized (
    select $10::float8 as key_stale_secs,
           -- The step's tag is the tag of its undo.
           $11::text as step, $12::int as undo_attempts, $13::float8 as undo_after_secs
), request as materialized (
    -- A payment whose order cannot be paid (any more) has no amount.
    select r.*, o.*
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::uuid[], $7::uuid[],
                $8::jsonb[], $9::bytea[])
        with ordinality
        as r (payment_id, order_id, rider_id, key, fingerprint, entry, undo, undo_payload, token_hash, nr)
    left join lateral (
        select o.trip_id, o.seats, o.labels, o.unit_price, o.prices, o.amount, o.created_at, o.expires_at
        from orders o join trip t on t.id = o.trip_id
        where o.id = r.order_id and o.rider_id = r.rider_id and o.status = 'unpaid' and o.expires_at > now()
          and t.cancelled_at is null and t.departs_at > now()
        offset 0 -- planner fence: an order is looked up by its id, docs/decisions/0009-planner-fences.md
    ) as o on true
    -- Marking it paid will wait for the disk, and bring this commit there.
    where (select set_config('synchronous_commit', 'off', true)) is not null
), locked as materialized (
    -- Wallets are locked by rider as everywhere, so that two statements never deadlock.
    select w.*
    from (select distinct rider_id from request where amount is not null order by rider_id) as r
    cross join lateral (
        select rider_id, balance, last_entry from wallet where rider_id = r.rider_id for update
    ) as w
), able as materialized (
    -- A wallet's payments are judged by their running sum, in the order of the batch.
    select r.*, l.balance, l.last_entry,
           sum(r.amount) over (partition by r.rider_id order by r.nr) <= l.balance as enough
    from request r join locked l using (rider_id)
    where r.amount is not null
), authorized as materialized (
    -- Locked, so that of two payments at once the second sees what the first used up.
    select r.payment_id
    from (select * from able where enough and token_hash is not null order by order_id) as r
    cross join lateral (
        select from payment_authorization
        where order_id = r.order_id and rider_id = r.rider_id and token_hash = r.token_hash
          and used_by is null and expires_at > now()
        for update
    ) as a
), keyed as (
    insert into idempotency as i (actor, key, fingerprint, subject)
    select rider_id, key, fingerprint, payment_id from able
    where enough and key is not null
      and (token_hash is null or payment_id in (select payment_id from authorized))
    on conflict (actor, key) do update
        set subject = excluded.subject, started_at = now()
        where i.fingerprint = excluded.fingerprint
          and (i.subject = excluded.subject and i.status is null
               or key_is_abandoned(i.status, i.started_at, i.subject, (select key_stale_secs from rule)))
    returning i.subject
), paid as (
    -- The index `one_live_payment_per_order` decides between two payments of one order.
    insert into payment (id, order_id, rider_id, amount, state)
    select payment_id, order_id, rider_id, amount, 'debited' from able
    where enough and (key is null or payment_id in (select subject from keyed))
      and (token_hash is null or payment_id in (select payment_id from authorized))
    on conflict (order_id) where is_live do nothing
    returning id
), debit as materialized (
    -- The ledger is a chain: each entry has the next number and the balance after it.
    select a.*,
           coalesce(a.last_entry, 0) + row_number() over chain as seq,
           a.balance - sum(a.amount) over chain as balance_after
    from able a join paid p on p.id = a.payment_id
    window chain as (partition by a.rider_id order by a.nr)
), used as (
    update payment_authorization a set used_by = d.payment_id from debit d
    where d.token_hash is not null and a.order_id = d.order_id and a.token_hash = d.token_hash
), stepped as (
    insert into barrier (subject, step, done_at)
    select payment_id, rule.step, now() from debit cross join rule
), entered as (
    insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, order_id, payment_id)
    select rider_id, seq, entry, 'payment', -amount, balance_after, order_id, payment_id from debit
), moved as (
    -- A wallet's last debit has its final balance.
    update wallet w set balance = d.balance_after, last_entry = d.seq
    from (select distinct on (rider_id) rider_id, seq, balance_after
          from debit order by rider_id, seq desc) as d
    where w.rider_id = d.rider_id
), armed as (
    insert into queue.job (id, tag, key, payload, max_attempts, run_at)
    select undo, rule.step, payment_id::text, undo_payload, rule.undo_attempts,
           now() + make_interval(secs => rule.undo_after_secs)
    from debit cross join rule
)
select case when (r.payment_id in (select id from paid)) is true then 'debited'
            when r.amount is null then 'not_payable'
            when a.enough is not true then 'balance_too_low'
            when r.token_hash is not null
                 and (r.payment_id in (select payment_id from authorized)) is not true then 'not_authorized'
            when r.key is not null
                 and (r.payment_id in (select subject from keyed)) is not true then 'key_taken'
            else 'already_paying' end as "verdict!",
       a.balance as "balance?", r.trip_id as "trip_id?", r.seats as "seats?", r.labels as "labels?",
       r.unit_price as "unit_price?", r.prices as "prices?: Vec<Decimal>", r.amount as "amount?",
       r.created_at as "created_at?", r.expires_at as "expires_at?"
from request r left join able a using (payment_id) order by r.nr
