-- no-transaction
-- phase: expand
-- squawk-disable-assume-in-transaction
-- A filter for each sixteen blocks. An order goes into no filter when it is added: vacuum makes them.
create index concurrently orders_by_blocks on orders
    using brin (right(id::text, 12) text_bloom_ops, trip_id uuid_bloom_ops)
    with (pages_per_range = 16, autosummarize = on);
