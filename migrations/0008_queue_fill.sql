-- Rows have grown by a priority and two more columns since 0001: at 45 only 88 % of the claims of 500 neighbours found
-- room for the new version on their page and stayed HOT, at 40 all do (jobs/BENCHMARK.md).
alter table queue.job set (fillfactor = 40);
