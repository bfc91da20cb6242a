-- no-transaction
-- phase: expand
-- squawk-disable-assume-in-transaction
-- As orders_by_blocks, but one filter in a thousand is wrong instead of one in a hundred: of a million orders
-- that is read for each search for the end of an id.
create index concurrently orders_by_filters on orders
    using brin (right(id::text, 12) text_bloom_ops (false_positive_rate = 0.001),
                trip_id uuid_bloom_ops (false_positive_rate = 0.001))
    with (pages_per_range = 16, autosummarize = on);
