-- no-transaction
-- phase: expand
-- squawk-disable-assume-in-transaction
-- orders_by_filters has its place; no build names an index.
drop index concurrently orders_by_blocks;
