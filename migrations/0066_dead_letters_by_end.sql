-- no-transaction
-- phase: expand
-- squawk-disable-assume-in-transaction
-- Dead letters are found by the end of their ids, which pages show.
create index concurrently dead_letter_by_end on queue.dead_letter (substring(uuid_send(id) from 11));
