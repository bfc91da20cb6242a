-- phase: expand
-- The payload of an undo says which step failed, when, and with what error, in the field `failed`. A new job
-- brings the field with it. An undo that its step armed in time gets it here, in the statement that makes the
-- undo due.
create function keep_failures(of_tags text[], of_keys text[], causes jsonb[]) returns bigint language plpgsql as $$
declare
    kept bigint;
begin
    -- `queue.enqueue_or_expedite` has locked the rows.
    update queue.job j set payload = j.payload || jsonb_build_object('failed', found.failure)
    from unnest(of_tags, of_keys, causes) as f (tag, key, failure)
    cross join lateral (
        -- planner fence: each key through the unique index, whatever the plan was made on
        select l.id, f.failure from queue.job l where l.tag = f.tag and l.key = f.key offset 0
    ) as found
    where j.id = found.id and j.lease_token is null and not j.payload ? 'failed';
    get diagnostics kept = row_count;
    return kept;
end $$;
comment on function keep_failures is
    'Adds the failure of a step to the live jobs of these tags and keys that do not run and have none yet.';
