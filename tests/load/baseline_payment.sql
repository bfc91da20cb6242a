\set o random(1, 100000)
\set w random(1, 20000)
select o.status, w.balance from baseline.orders o, baseline.wallet w where o.id = :o and w.id = :w;
begin;
update baseline.wallet set balance = balance - 8 where id = :w and balance >= 8;
insert into baseline.entry (wallet_id, order_id, amount, kind) values (:w, nextval('baseline.oid'), -8, 'payment');
commit;
begin;
update baseline.orders set status = 'paid' where id = :o and expires_at > now();
update baseline.job set state = 'cancelled' where key = 'expire:' || :o and state = 'pending';
commit;
