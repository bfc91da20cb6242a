-- A million orders that were not paid in time, with their history and barriers, and ten million
-- ended jobs, of the last month.
set statement_timeout = 0;
set synchronous_commit = off;
create function pg_temp.id_at(at timestamptz) returns uuid language sql volatile as $$
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3) || '8'
            || substr(md5(random()::text), 1, 15))::uuid
$$;
create temp table made as
    select pg_temp.id_at(at) as id, at from (select now() - interval '30 days' * (1 - n / 1000000.0) - interval '1 hour' as at
                                             from generate_series(1, 1000000) n) as times;
create temp table one_of as select id, row_number() over () - 1 as nr from rider;
create unique index on one_of (nr);
insert into orders (id, rider_id, trip_id, seats, unit_price, amount, status, created_at, expires_at, closed_at, closed_reason)
    select m.id, r.id, m.id, '{1,2}', 4.00, 8.00, 'closed', m.at, m.at + interval '15 min', m.at + interval '15 min', 'expired'
    from (select *, floor(random() * (select count(*) from one_of)) as rider from made) m join one_of r on r.nr = m.rider;
insert into order_event (order_id, at, status, reason)
    select id, at + interval '15 min', 'closed', 'expired' from made;
insert into barrier (subject, step, done_at)
    select id, step, at from made cross join unnest(array['order_add_seats_cancle', 'order_add_cancle']) step;
insert into queue.finished (id, tag, key, payload, outcome, attempt, worker, note, failures, run_at, created_at, started_at, ended_at)
    select pg_temp.id_at(m.at), 'order_unpaid', m.id::text,
           jsonb_build_object('v', 1, 'booking', jsonb_build_object('order_id', m.id, 'rider_id', m.id, 'trip_id', m.id, 'seats', array[1, 2])),
           'done', 1, 'farebox-worker', 'closed: not paid in time', '[]', m.at, m.at, m.at, m.at
    from made m cross join generate_series(1, 10);
drop table made, one_of;
