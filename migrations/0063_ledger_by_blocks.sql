-- no-transaction
-- phase: expand
-- squawk-disable-assume-in-transaction
-- An entry by its id. Ids grow with time as the ledger does, so the least and the largest of each
-- sixteen blocks name the blocks of an id. A debit adds nothing to the index: vacuum does.
create index concurrently ledger_by_blocks on ledger_entry
    using brin (id) with (pages_per_range = 16, autosummarize = on);
