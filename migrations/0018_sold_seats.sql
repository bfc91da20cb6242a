-- A seat says itself whether it is sold: its hold has no end then. Whoever draws a seat map need not look up the orders.
alter table seat drop constraint seat_hold_has_an_owner;
update seat s set held_until = null from orders o where o.id = s.order_id and o.status in ('paid', 'refunding');
alter table seat add constraint seat_hold_has_an_owner check (held_until is null or order_id is not null);
comment on column seat.held_until is 'Until when the owner may pay; null once he has, or if there is none.';
