-- phase: expand
-- A block of orders without a summary is read by each search for the end of an id. Autovacuum makes summaries
-- when it comes by: under a load after minutes. With the owner's rights, since nobody else may. It waits for
-- no lock: a vacuum gives way to one who waits for longer.
create function summarize_orders() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
begin
    return brin_summarize_new_values('public.orders_by_filters'::regclass);
exception when lock_not_available then
    return 0;
end $$;
revoke all on function summarize_orders() from public;
comment on function summarize_orders is
    'Summarizes the blocks of new orders for the search; returns how many ranges of blocks.';
