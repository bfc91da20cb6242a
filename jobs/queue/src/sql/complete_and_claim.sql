with ended as (
    delete from queue.job
    using unnest($1::uuid[], $2::uuid[], $3::text[]) as done (id, token, note)
    where job.id = done.id and job.lease_token = done.token
    returning job.id, tag, key, payload, attempt, worker, note, failures, run_at, created_at,
              leased_at
), finished as (
    insert into queue.finished
        (id, tag, key, payload, outcome, attempt, worker, note, failures,
         run_at, created_at, started_at, ended_at)
    select id, tag, key, payload, 'done', attempt, worker, note, failures,
           run_at, created_at, leased_at, clock_timestamp()
    from ended
), claimable as (
    -- Each tag and priority, and where its claim starts; paused tags are left out. No join: the tags
    -- keep their order, which decides what is claimed first, whatever the planner likes.
    select tag, priority, since
    from unnest($4::text[], $5::smallint[], $6::timestamptz[]) as t (tag, priority, since)
    where tag <> all (array(select paused.tag from queue.paused))
), due as materialized (
    select found.at, found.id, found.expired, found.spent
    from claimable t
    cross join lateral (
        select job.ctid as at, job.id, job.lease_token is not null as expired,
               job.lease_token is not null and job.attempt = job.max_attempts as spent
        from queue.job
        where job.tag = t.tag and job.priority = t.priority
          and job.run_at >= coalesce(t.since, '-infinity') and job.run_at <= now()
          and (job.lease_until is null or job.lease_until <= now())
          and (job.concurrency_key is null or job.lease_token is not null
               or job.concurrency_key <> all (array(select key from queue.concurrency_key)))
        order by job.run_at limit $7::bigint for update of job skip locked
    ) found
    limit $7
), claimed as (
    update queue.job
    set attempt = least(attempt + 1, max_attempts), worker = $8, leased_at = clock_timestamp(),
        lease_token = $9, lease_until = now() + make_interval(secs => $10::float8),
        -- A rescued attempt has failed, so its job is among those with a first due time.
        first_due_at = case when lease_token is null then first_due_at
                       else coalesce(first_due_at, run_at) end,
        failures = case when lease_token is null then failures else
            failures || jsonb_build_object('attempt', attempt, 'worker', worker,
                'started_at', leased_at, 'ended_at', clock_timestamp(),
                'trace_id', payload->>'trace', 'error', 'lease expired') end
    where ctid = any (array(select at from due))
    returning id, tag, key, payload::text, attempt, max_attempts, run_at, created_at, leased_at,
              priority, concurrency_key, cancel_asked is not null as cancelled
)
select c.*, answer.completed, answer.rescued, answer.crashed, answer.due = $7 as "full!",
       answer.next
from (
    select (select count(*) from due) as due,
           case when (select count(*) from ended) < cardinality($1)
                then array(select id from ended) end as completed,
           nullif(array(select id from due where expired), '{}') as rescued,
           nullif(array(select id from due where spent), '{}') as crashed,
           case when (select count(*) from due) < $7 then (
               select extract(epoch from min(soonest.run_at) - clock_timestamp())::float8
               from claimable t
               cross join lateral (
                   select job.run_at from queue.job
                   where job.tag = t.tag and job.priority = t.priority and job.run_at > now()
                   order by job.run_at limit 1
               ) soonest
           ) end as next
) answer
left join claimed c on true
