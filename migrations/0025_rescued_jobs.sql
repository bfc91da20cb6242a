-- A job whose worker died has failed as well: it has a first due time like every other that failed, and so the jobs that
-- failed are found by the index of those times.
update queue.job set first_due_at = run_at where failures <> '[]' and first_due_at is null;
alter table queue.job
    add constraint job_that_failed_has_fallen_due check (failures = '[]' or first_due_at is not null);
