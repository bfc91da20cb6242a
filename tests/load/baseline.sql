-- The baseline's tables: what bookings are at least, without HTTP, sign-in, keys, barriers, undos
-- and history.
drop schema if exists baseline cascade;
create schema baseline;
create table baseline.trip (id int primary key, price numeric(12, 2) not null, departs_at timestamptz not null);
create table baseline.seat (trip_id int, seat smallint, order_id bigint, primary key (trip_id, seat)) with (fillfactor = 50);
create table baseline.orders (id bigint primary key, trip_id int not null, rider_id bigint not null, seats smallint[] not null,
    amount numeric(12, 2) not null, status text not null, expires_at timestamptz not null, created_at timestamptz default now()
) with (fillfactor = 70);
create table baseline.job (id bigint generated always as identity primary key, queue text not null, key text unique,
    args jsonb not null, state text not null default 'pending', run_at timestamptz not null);
create index on baseline.job (queue, run_at) where state = 'pending';
create sequence baseline.oid;
insert into baseline.trip select i, 4.00, now() + interval '1 day' from generate_series(1, 50000) i;
insert into baseline.seat select t, s, null from generate_series(1, 50000) t, generate_series(1, 40) s;
create table baseline.wallet (id bigint primary key, balance numeric(14, 2) not null check (balance >= 0)) with (fillfactor = 70);
create table baseline.entry (id bigint generated always as identity primary key, wallet_id bigint not null, order_id bigint not null,
    amount numeric(14, 2) not null, kind text not null, unique (order_id, kind));
insert into baseline.wallet select i, 1000000 from generate_series(1, 20000) i;
