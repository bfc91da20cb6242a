-- no-transaction
-- phase: expand
-- squawk-disable-assume-in-transaction
create index concurrently idempotency_by_key on idempotency using hash (key);
