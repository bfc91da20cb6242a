-- no-transaction
-- phase: expand
-- squawk-disable-assume-in-transaction
-- Dead letters that failed often are found without reading the attempts of all others.
create index concurrently dead_letter_by_failures on queue.dead_letter (jsonb_array_length(failures), id);
