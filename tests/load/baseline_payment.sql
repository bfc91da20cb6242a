\set o random(1, 100000)
\set w random(1, 20000)
select o.status, w.balance from floor.orders o, floor.wallet w where o.id = :o and w.id = :w;
begin;
update floor.wallet set balance = balance - 8 where id = :w and balance >= 8;
insert into floor.entry (wallet_id, order_id, amount, kind) values (:w, nextval('floor.oid'), -8, 'payment');
commit;
begin;
update floor.orders set status = 'paid' where id = :o and expires_at > now();
update floor.job set state = 'cancelled' where key = 'expire:' || :o and state = 'pending';
commit;
