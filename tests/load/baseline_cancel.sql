\set o random(1, 100000)
\set t random(1, 50000)
\set s random(1, 39)
begin;
update baseline.orders set status = 'closed' where id = :o;
update baseline.seat set order_id = null where trip_id = :t and seat in (:s, :s + 1);
update baseline.job set state = 'cancelled' where key = 'expire:' || :o;
commit;
