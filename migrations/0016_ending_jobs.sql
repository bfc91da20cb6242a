-- Ending a job in the statement of its effect: a function, so that such a statement need not know how the queue keeps what has
-- ended. PL/pgSQL, because it keeps the plan.
create function queue.complete(jobs uuid[], tokens uuid[], told text) returns setof uuid language plpgsql as $$
begin
    return query
    with gone as (
        delete from queue.job j using unnest(jobs, tokens) as held (id, token)
        where j.id = held.id and j.lease_token = held.token
        returning j.*
    ), freed as (
        delete from queue.serial s using gone g where s.key = g.serial and s.job_id = g.id
    )
    insert into queue.finished as f
        (id, tag, key, payload, outcome, attempt, worker, note, failures, run_at, created_at, started_at, ended_at)
    select g.id, g.tag, g.key, g.payload, 'done', g.attempt, g.worker, told, g.failures, g.run_at, g.created_at, g.leased_at,
           clock_timestamp()
    from gone g
    returning f.id;
end $$;
comment on function queue.complete is
    'Ends those of the jobs as done that are held under these tokens, and says which; the others'' leases are lost.';
