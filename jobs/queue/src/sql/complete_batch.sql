with completion as (
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::float8[])
        as a (id, token, word, text, wait_secs)
), mine as (
    -- The jobs whose leases are held, each with what is written about it.
    select job.id, completion.token, completion.text, completion.wait_secs,
           case when completion.word in ('retry', 'release') and job.cancel_asked is not null
                then 'cancelled'
                else completion.word end as word,
           case when completion.word in ('done', 'release') or completion.text is null
                then job.failures else
               job.failures || jsonb_build_object('attempt', job.attempt, 'worker', job.worker,
                   'started_at', job.leased_at, 'ended_at', clock_timestamp(),
                   'trace_id', job.payload->>'trace', 'error', completion.text) end
               as failures
    from completion join queue.job on job.id = completion.id and job.lease_token = completion.token
    for update of job skip locked
), given_back as (
    update queue.job
    set run_at = case when mine.word = 'release' then job.run_at
                 else clock_timestamp() + make_interval(secs => mine.wait_secs) end,
        first_due_at = case when mine.word = 'release' then job.first_due_at
                       else coalesce(job.first_due_at, job.run_at) end,
        attempt = case when mine.word = 'release' then job.attempt - 1 else job.attempt end,
        failures = mine.failures,
        lease_token = null, lease_until = null, leased_at = null, worker = null
    from mine where job.id = mine.id and mine.word in ('retry', 'release')
    returning job.id, job.concurrency_key
), ended as (
    delete from queue.job using mine
    where job.id = mine.id and mine.word not in ('retry', 'release')
    returning job.id, job.tag, job.key, job.payload, job.priority, job.concurrency_key,
              job.max_attempts, job.attempt, job.worker, job.run_at, job.created_at, job.leased_at,
              job.cancel_asked, job.first_due_at,
              mine.failures, mine.word, mine.text
), freed as (
    delete from queue.concurrency_key using (
        select id, concurrency_key from given_back union all select id, concurrency_key from ended
    ) let_go
    where queue.concurrency_key.key = let_go.concurrency_key and job_id = let_go.id
), finished as (
    insert into queue.finished
        (id, tag, key, payload, outcome, attempt, worker, note, failures,
         run_at, created_at, started_at, ended_at)
    select id, tag, key, payload, word, attempt, worker,
           case when word = 'done' then text else coalesce(cancel_asked, 'by its handler') end,
           failures, run_at, created_at, leased_at, clock_timestamp()
    from ended where word in ('done', 'cancelled')
), given_up as (
    insert into queue.dead_letter
        (id, tag, key, payload, priority, concurrency_key, max_attempts, attempt, reason, failures,
         run_at, created_at, first_due_at)
    select id, tag, key, payload, priority, concurrency_key, max_attempts, attempt, word, failures,
           run_at, created_at, coalesce(first_due_at, run_at)
    from ended where word not in ('done', 'cancelled')
    on conflict (id) do update
        set attempt = excluded.attempt, reason = excluded.reason, failures = excluded.failures,
            died_at = excluded.died_at
)
select id as "id!", token as "token!", (id, token) in (select id, token from mine) as "written!",
       case when (id, token) in (select id, token from mine) then true else exists (
           select from queue.job
           where job.id = completion.id and job.lease_token = completion.token) end as "held!"
from completion
