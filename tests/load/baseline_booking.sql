\set t random(1, 50000)
\set s random(1, 39)
\set w random(1, 20000)
select price from baseline.trip where id = :t;
begin;
select nextval('baseline.oid') as o \gset
update baseline.seat set order_id = :o where trip_id = :t and seat in (:s, :s + 1) and order_id is null;
insert into baseline.job (queue, key, args, run_at) values ('expire', 'expire:' || :o, '{"o":1}', now() + interval '15 min');
commit;
insert into baseline.orders values (:o, :t, :w, array[:s, :s + 1], 8.00, 'unpaid', now() + interval '15 min');
