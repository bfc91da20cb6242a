-- Nothing is booked or paid; every rider has topped up once.
set statement_timeout = 0;
set session_replication_role = replica;
truncate orders, order_event, barrier, idempotency, open_hold, queue.job, queue.finished, seat, payment, payment_authorization,
    ledger_entry, wallet cascade;
delete from trip where capacity <> 40;
-- Trip by trip, as the timetable makes them and as the baseline has them.
insert into seat (trip_id, seat) select t.id, s from trip t, generate_series(1, 40) s order by t.id, s;
insert into wallet (rider_id, balance, last_entry) select id, 1000000, 1 from rider;
insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, reference)
    select id, 1, gen_random_uuid(), 'top_up', 1000000, 1000000, 'first' from rider;
