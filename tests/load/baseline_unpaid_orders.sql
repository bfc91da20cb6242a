-- What the baselines of payments and cancels settle.
insert into baseline.orders select i, 1, 1, '{1,2}', 8.00, 'unpaid', now() + interval '1 day' from generate_series(1, 100000) i;
insert into baseline.job (queue, key, args, run_at)
    select 'expire', 'expire:' || i, '{"o":1}', now() + interval '1 day' from generate_series(1, 100000) i;
