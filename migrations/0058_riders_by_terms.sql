-- no-transaction
-- phase: expand
-- squawk-disable-assume-in-transaction
-- What is added goes into the index itself: no search reads a list of what waits, and no registration
-- has to empty one.
create index concurrently rider_by_terms on rider
    using gin (rider_terms(id, user_name, nick_name, email, phone)) with (fastupdate = off);
