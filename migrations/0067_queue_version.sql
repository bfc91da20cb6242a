-- phase: expand
-- The queue's tables are those of its third migration now.
insert into queue.schema_version (version) values (3);
