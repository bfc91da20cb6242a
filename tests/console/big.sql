-- A database as it is after a busy month, by statements over sets: :orders orders (a fiftieth as
-- many riders, a twenty-second as many trips), :jobs finished jobs, :live unpaid orders with their
-- timers and as many ready jobs of a paused tag, :dead dead letters, :accounts accounts that never
-- booked, a bulk operation of as many jobs as one may cover, a week of roll-ups, :acts acts in the audit
-- log. Each part between two lines of `-- part` is one transaction.
--
-- `farebox verify` holds on it, but for nothing_is_dead: dead letters are what is asked for.
-- Left out: sessions, which live
-- for half a day; and one wallet of a rider is topped up once only.
--
-- Before: a rider `model`, whose passwords everybody gets. Written by hand into empty tables, so no
-- trigger has to look: verify does that afterwards.

-- part: the scale of it
set session_replication_role = replica;
set synchronous_commit = off;
set work_mem = '256MB';
set maintenance_work_mem = '1GB';
set jit = off;

-- UUIDv7 of a time.
create function pg_temp.uuid7(at timestamptz) returns uuid language sql volatile as $$
    select (left(h, 8) || '-' || right(h, 4) || '-7' || substr(r, 16))::uuid
    from (select lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') as h, gen_random_uuid()::text as r) x
$$;

-- part: a partition for each of the last thirty days, as a month of running would have made them
do $$
declare
    day date;
    today date := (now() at time zone 'UTC')::date;
    name text;
begin
    execute format('drop table queue.%I', 'finished_' || to_char(today, 'YYYYMMDD'));
    for day in select today - n from generate_series(0, 30) n loop
        name := 'finished_' || to_char(day, 'YYYYMMDD');
        execute format('create table queue.%I partition of queue.finished for values from (%L) to (%L)', name,
            day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
    end loop;
end $$;

-- part: the index of names is built at the end
drop index rider_by_terms;

-- part: riders and their wallets
create temp table r as
select n, pg_temp.uuid7(now() - interval '40 days' + n * interval '1 s') as id from generate_series(0, :orders / 50 - 1) n;
insert into rider (id, user_name, password_hash, created_at, nick_name, email, phone)
select r.id, 'load' || n, m.password_hash, now() - interval '40 days',
       case when n % 3000 = 7 then '王小明' when n % 100 = 0 then '李小明' else 'Rider ' || n end,
       'load' || n || '@example.com', '+86 138' || lpad((n * 7919 % 100000000)::text, 8, '0')
from r, rider m where m.user_name = 'model';
insert into rider (id, user_name, password_hash, created_at, nick_name, email)
select pg_temp.uuid7(now() - interval '39 days' + n * interval '1 s'), 'user' || n, m.password_hash,
       now() - interval '39 days', case when n % 3000 = 7 then '王小明' else 'Somebody ' || n end,
       'user' || n || case when n % 3 = 0 then '@example.com' else '@example.org' end
from rider m cross join generate_series(0, :accounts - 1) n where m.user_name = 'model';
insert into pay_password (rider_id, hash)
select r.id, p.hash from r, rider m join pay_password p on p.rider_id = m.id where m.user_name = 'model';
create unique index on r (n);
analyze r;

-- part: trips of twenty-two orders each, and the orders as they came
create temp table t as
select k, pg_temp.uuid7(now() - interval '31 days' + k * interval '30 days' / (:orders / 22)) as id,
       now() - interval '29 days' + k * interval '30 days' / (:orders / 22) as departs_at
from generate_series(0, (:orders + :live) / 22 + 1) k;
-- The latest are those of the unpaid orders: all of them ahead.
update t set departs_at = greatest(departs_at, now() + interval '2 days') where k >= :orders / 22;
insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity, created_at, shares_bus)
select id, 1 + k % 8, k % 2, departs_at, departs_at + interval '1 hour', 4.00, 44, now() - interval '40 days', true from t;
create unique index on t (k);
analyze t;

create temp table o as
select i, pg_temp.uuid7(at) as id, pg_temp.uuid7(at + interval '20 s') as payment_id, at, kind,
       i / 22 as k, (i * 7919::bigint) % (:orders / 50) as n,
       case when i % 3 = 0 then array[2 * (i % 22) + 1] else array[2 * (i % 22) + 1, 2 * (i % 22) + 2] end as seats
from (select i, now() - interval '30 days' + i * (interval '30 days' - interval '10 min') / :orders as at,
             case when i % 20 < 14 then 'paid' when i % 20 < 16 then 'expired' when i % 20 = 16 then 'cancelled'
                  when i % 20 = 17 then 'rolled_back' else 'refunded' end as kind
      from generate_series(0, :orders - 1) i) x
union all
select i, pg_temp.uuid7(now() - interval '1 min'), null, now() - interval '1 min', 'unpaid', i / 22,
       (i * 7919::bigint) % (:orders / 50),
       case when i % 3 = 0 then array[2 * (i % 22) + 1] else array[2 * (i % 22) + 1, 2 * (i % 22) + 2] end
from generate_series(:orders, :orders + :live - 1) i;
alter table o add column rider_id uuid, add column trip_id uuid;
update o set rider_id = r.id, trip_id = t.id from r, t where r.n = o.n and t.k = o.k;
create index on o (i);
analyze o;

-- part: orders
insert into orders (id, rider_id, trip_id, seats, unit_price, amount, status, created_at, expires_at, payment_id, paid_at,
                    closed_at, closed_reason)
select id, rider_id, trip_id, seats, 4.00, 4.00 * cardinality(seats),
       case kind when 'paid' then 'paid' when 'refunded' then 'refunded' when 'unpaid' then 'unpaid' else 'closed' end,
       at, case when kind = 'unpaid' then now() + (4 + i % 9) * interval '1 hour' else at + interval '5 min' end,
       case when kind in ('paid', 'refunded') then payment_id end,
       case when kind in ('paid', 'refunded') then at + interval '21 s' end,
       case kind when 'refunded' then at + interval '3 min' when 'expired' then at + interval '5 min'
                 when 'cancelled' then at + interval '1 min' when 'rolled_back' then at + interval '2 s' end,
       case kind when 'expired' then 'expired' when 'cancelled' then 'cancelled_by_rider'
                 when 'rolled_back' then 'cancelled_by_system' end
from o order by i;

-- part: states and steps
insert into order_event (order_id, at, status, reason)
select o.id, o.at + e.after, e.status, e.reason
from o join (values
    ('refunding', 'refunded', interval '3 min', 'refunded by its rider'),
    ('refunded', 'refunded', interval '3 min 1 s', 'money back, seats free'),
    ('closed', 'expired', interval '5 min', 'expired'),
    ('closed', 'cancelled', interval '1 min', 'cancelled_by_rider'),
    ('closed', 'rolled_back', interval '2 s', 'cancelled_by_system')
) e (status, kinds, after, reason) on o.kind = any(string_to_array(e.kinds, ','))
order by o.i;
-- Half of what expired had a payment that failed and was reversed.
insert into barrier (subject, step, done_at, undone_at)
select id, s.step, at, case when kind = 'rolled_back' then at + interval '2 s' end
from o, (values ('order_add_seats_cancle'), ('order_add_cancle')) s (step)
union all
select payment_id, s.step, case when kind = 'expired' and s.step = 'pay_cancle' then null else at + interval '20 s' end,
       case when kind = 'expired' then at + interval '25 s' end
from o, (values ('pay_money_cancle'), ('pay_cancle')) s (step)
where kind in ('paid', 'refunded') or (kind = 'expired' and i % 10 = 4);

-- part: seats
insert into seat (trip_id, seat, order_id, held_until)
select t.id, s.seat, o.id, case o.kind when 'unpaid' then now() + (4 + o.i % 9) * interval '1 hour' end
from t cross join generate_series(1, 44) s (seat)
left join o on o.i = t.k * 22 + (s.seat - 1) / 2 and o.kind in ('paid', 'unpaid') and s.seat = any(o.seats)
order by t.k, s.seat;

-- part: payments
insert into payment (id, order_id, rider_id, amount, state, created_at, changed_at)
select payment_id, id, rider_id, 4.00 * cardinality(seats),
       case kind when 'paid' then 'settled' when 'refunded' then 'refunded' else 'reversed' end,
       at + interval '20 s', at + interval '25 s'
from o where kind in ('paid', 'refunded') or (kind = 'expired' and i % 10 = 4) order by i;

-- part: the ledger
create temp table e as
select rider_id, row_number() over w as seq, kind, amount, sum(amount) over w as balance_after, order_id, payment_id, at
from (
    select id as rider_id, 'top_up' as kind, 10000.00 as amount, null::uuid as order_id, null::uuid as payment_id,
           now() - interval '40 days' as at, -1 as i, 0 as nr
    from r
    union all
    select rider_id, 'payment', -4.00 * cardinality(seats), id, payment_id, at + interval '20 s', i, 1
    from o where kind in ('paid', 'refunded') or (kind = 'expired' and i % 10 = 4)
    union all
    select rider_id, case kind when 'refunded' then 'refund' else 'payment_reversed' end, 4.00 * cardinality(seats), id,
           payment_id, at + interval '25 s', i, 2
    from o where kind = 'refunded' or (kind = 'expired' and i % 10 = 4)
) x
window w as (partition by rider_id order by i, nr);
insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, order_id, payment_id, reference, at)
select rider_id, seq, pg_temp.uuid7(at), kind, amount, balance_after, order_id, payment_id,
       case when kind = 'top_up' then 'the first' end, at
from e;
insert into wallet (rider_id, balance, last_entry)
select distinct on (rider_id) rider_id, balance_after, seq from e order by rider_id, seq desc;
drop table e;

-- part: kept answers, which live for two days
insert into idempotency (actor, key, fingerprint, subject, started_at, status, body)
select rider_id, 'book ' || id, '\x00'::bytea, id, at, null::smallint, null::jsonb
from o where kind <> 'rolled_back' and at > now() - interval '2 days'
union all
select rider_id, 'pay ' || id, '\x00'::bytea, payment_id, at + interval '20 s', null, null
from o where kind in ('paid', 'refunded') and at > now() - interval '2 days';

-- part: live jobs: the timers of what is unpaid, and ready ones of a tag that is paused
insert into queue.job (id, tag, key, payload, max_attempts, run_at, created_at)
select pg_temp.uuid7(at), 'order_unpaid', id::text,
       jsonb_build_object('v', 1, 'booking', jsonb_build_object('order_id', id, 'rider_id', rider_id, 'trip_id', trip_id, 'seats', seats)),
       25, now() + (4 + i % 9) * interval '1 hour', at
from o where kind = 'unpaid';
insert into queue.job (id, tag, key, payload, max_attempts, run_at, created_at)
select pg_temp.uuid7(now() - interval '5 min'), 'order_seats_cancel', id::text,
       jsonb_build_object('v', 1, 'booking', jsonb_build_object('order_id', id, 'rider_id', rider_id, 'trip_id', trip_id, 'seats', seats)),
       25, now() - interval '5 min', now() - interval '5 min'
from o where kind = 'cancelled' order by i desc limit :live;
insert into queue.paused (tag, paused_by, reason) values ('order_seats_cancel', 'the benchmark', 'so that these stay ready');

-- part: dead letters, with their errors
insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at, died_at)
select pg_temp.uuid7(at), tag, id::text,
       jsonb_build_object('v', 1, 'booking', jsonb_build_object('order_id', id, 'rider_id', rider_id, 'trip_id', trip_id, 'seats', seats)),
       25, 25, 'exhausted',
       (select jsonb_agg(jsonb_build_object('attempt', a, 'worker', 'worker-1', 'started_at', at + a * interval '1 min',
                'ended_at', at + a * interval '1 min' + interval '10 ms', 'trace_id', md5(i::text),
                'error', case when i % 4 = 0 then 'connection refused (os error 111)'
                              when i % 4 = 1 then 'canceling statement due to lock timeout'
                              else 'simulated system exception Before ' || tag end))
        from generate_series(1, 25) a),
       at + interval '26 min', at, least(at + interval '26 min', now())
from (select *, case when i % 2 = 0 then 'order_add_cancle' else 'order_cancel' end as tag
      from o where kind in ('rolled_back', 'cancelled') order by i desc limit :dead) x order by i;

-- part: finished jobs, several for each order
insert into queue.finished (id, tag, key, payload, outcome, attempt, worker, note, failures, run_at, created_at, started_at, ended_at)
select pg_temp.uuid7(at), tag, case when tag like 'pay%' then coalesce(payment_id, id) else id end::text,
       case when tag like 'pay%' and payment_id is not null
            then jsonb_build_object('v', 1, 'paying', jsonb_build_object('payment_id', payment_id, 'order_id', id, 'rider_id', rider_id))
            else jsonb_build_object('v', 1, 'booking', jsonb_build_object('order_id', id, 'rider_id', rider_id, 'trip_id', trip_id, 'seats', seats)) end,
       case when nr % 33 = 0 then 'cancelled' else 'done' end, case when nr % 19 = 0 then 2 else 1 end,
       case when nr % 33 <> 0 then 'farebox-worker-' || nr % 5 end,
       case when nr % 33 = 0 then 'not needed' else 'nothing to undo' end,
       case when nr % 19 = 0
            then jsonb_build_array(jsonb_build_object('attempt', 1, 'worker', 'farebox-worker-1', 'started_at', at,
                 'ended_at', at + interval '8 ms', 'trace_id', md5(nr::text), 'error', 'canceling statement due to lock timeout'))
            else '[]' end,
       at + interval '1 s', at, at + interval '1.005 s', at + interval '1.012 s'
from (select o.*, j.j, o.i * (:jobs / :orders) + j.j as nr,
             (array['order_seats_cancel', 'order_add_seats_cancle', 'order_calc_money_cancle', 'order_add_cancle',
                    'order_cancel', 'pay_check_cancle', 'pay_money_cancle', 'pay_cancle', 'pay_back_cancle',
                    'order_unpaid'])[1 + j.j % 10] as tag
      from o cross join generate_series(0, :jobs / :orders - 1) j (j) where o.i < :orders) x;

-- part: a bulk operation that has ended: of five jobs one is live, one dead again, the others are done
insert into bulk (id, act, selection, actor, reason, covers, more, reached, done, created_at, started_at, finished_at)
select pg_temp.uuid7(now() - interval '1 hour'), 'redrive', '{"filter": {"state": "dead"}}', 'the benchmark', 'a large one',
       many, false, many, many, now() - interval '1 hour', now() - interval '1 hour', now() - interval '50 min'
from (select least(:dead, 100000) as many) x where many > 0;
insert into bulk_item (bulk_id, nr, job_id, tag, key, order_id, outcome)
select b.id, row_number() over (order by j.id), j.id, j.tag, j.key, j.key::uuid, 'done'
from bulk b cross join lateral (
    (select id, tag, key from queue.job limit b.covers / 5) union all
    (select id, tag, key from queue.dead_letter limit b.covers / 5) union all
    (select id, tag, key from queue.finished where tag = 'order_cancel' and ended_at > now() - interval '10 days'
     limit b.covers - 2 * (b.covers / 5))
) j;

-- part: a week of roll-ups
insert into queue.tally (tag, minute, done, failed, run_secs, pickup, lateness, run)
select tag, m, 20 + (extract(minute from m)::int * 7) % 30, extract(minute from m)::int % 5, 1.5,
       array[0,0,0,10,10,5,2,0,0,0,0,0,0,0,0]::bigint[], array[0,0,0,10,10,5,2,0,0,0,0,0,0,0,0]::bigint[],
       array[0,0,10,10,5,2,0,0,0,0,0,0,0,0,0]::bigint[]
from unnest(array['order_seats_cancel', 'order_add_seats_cancle', 'order_calc_money_cancle', 'order_add_cancle',
    'order_cancel', 'pay_check_cancle', 'pay_money_cancle', 'pay_cancle', 'pay_back_cancle', 'order_unpaid']) tag,
     generate_series(date_trunc('minute', now()) - interval '7 days', date_trunc('minute', now()) - interval '1 min', interval '1 min') m
on conflict do nothing;
insert into minute_tally (minute, booked, paid, refused, failed)
select m, 20, 15, 2, extract(minute from m)::int % 7
from generate_series(date_trunc('minute', now()) - interval '7 days', date_trunc('minute', now()) - interval '1 min',
                     interval '1 min') m
on conflict do nothing;

-- part: acts of operators, each with its link of the chain
set session_replication_role = origin;
insert into audit (id, at, actor_id, actor, role, through, act, subject_kind, subject, order_id, reason)
select pg_temp.uuid7(at), at, ops.id, 'ops', 'operator', 'console', case when nr % 10 = 0 then 'job_redrive' else 'order_read' end,
       'order', o.id, case when nr % 10 = 0 then o.id end, case when nr % 10 = 0 then 'the bank is back' end
from (select o.id, o.at, row_number() over (order by o.i desc) as nr from o order by o.i desc limit :acts) o, rider ops
where ops.user_name = 'ops';
set session_replication_role = replica;

-- part: what waits for a second operator
insert into wallet_approval (id, rider_id, kind, amount, reference, reference_key, reason, asked_by, asked_at, expires_at)
select pg_temp.uuid7(now()), r.id, 'top_up', 5000, 'wire ' || n, 'wire ' || n, 'a large one', ops.id, now(), now() + interval '1 day'
from r, rider ops where n < 1000 and ops.user_name = 'ops';

-- part: the index of names
create index rider_by_terms on rider
    using gin (rider_terms(id, user_name, nick_name, email, phone)) with (fastupdate = off);

-- part: what the planner knows
set session_replication_role = origin;
analyze;
