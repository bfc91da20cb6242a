-- All events of order $1 and its payments, by time.
-- $2: limit, $3: tags, $4: longest change in seconds, $5: skip, $6: jobs that only their payload ties to it.
with subject as (
    select $1::uuid as id union all select id from payment where order_id = $1
), jobs as (
    select id, tag, key, state, attempt, run_at, failures, created_at, started_at, ended_at, note, payload
    from queue.any_job where key in (select id::text from subject) and tag = any($3)
    union all
    -- A payment that failed before it was written down: only the payload names the order.
    select id, tag, key, state, attempt, run_at, failures, created_at, started_at, ended_at, note, payload
    from queue.any_job where id = any($6) and key not in (select id::text from subject)
), attempts as (
    select j.id, j.tag, f.failure, coalesce((f.failure ->> 'ended_at')::timestamptz, j.run_at) as at,
           (f.failure ->> 'attempt')::int as attempt,
           -- A redriven job counts its attempts from one again: what it failed before, it died of.
           coalesce(lead((f.failure ->> 'attempt')::int) over (partition by j.id, j.state order by f.nr),
                    case when j.state = 'dead' then null
                         when j.state in ('done', 'running') then j.attempt
                         else j.attempt + 1 end) <= (f.failure ->> 'attempt')::int as died
    from jobs j cross join jsonb_array_elements(j.failures) with ordinality as f (failure, nr)
), changes as (
    -- A key is reserved in the transaction of the change, so both rows have the same time.
    select 'book' as what, id as subject, created_at as at from orders where id = $1
    union all
    select 'pay', id, created_at from payment where order_id = $1
    union all
    select 'cancel', null, closed_at from orders where id = $1
        and closed_reason = 'cancelled_by_rider'
    union all
    select 'evaluate', null, created_at from evaluation where order_id = $1
), requests as (
    -- Found by that time and by the order's rider: an index by subject would cost every
    -- booking a write.
    select i.started_at, a.what, i.key, i.actor,
           -- The responses to bookings and payments are rebuilt from what was written.
           coalesce(i.status, case when a.what = 'book' then 201
                                   when (select state in ('settled', 'refunded') from payment
                                       where id = a.subject)
                                   then 200 end) as status
    from orders o cross join changes a
    join idempotency i on i.started_at = a.at and i.actor = o.rider_id
    where o.id = $1
      and case a.what when 'cancel' then i.body ->> 'id' = o.id::text
          and i.body ->> 'status' = 'closed'
                      when 'evaluate' then i.body ? 'rating' else i.subject = a.subject end
    union all
    -- A refund's history has a later time of the same transaction: among its rider's keys
    -- shortly before.
    select i.started_at, 'refund', i.key, i.actor, i.status
    from order_event e join orders o on o.id = e.order_id
    join idempotency i on i.actor = o.rider_id
         and i.started_at between e.at - make_interval(secs => $4) and e.at
    where e.order_id = $1 and e.status = 'refunding'
      and i.body ->> 'id' = o.id::text and i.body ->> 'status' = 'refunded'
)
select at as "at!", kind as "kind!", what as "what!", detail as "detail!" from (
    select done_at as at, 'step' as kind, step as what, jsonb_build_object('subject',
        subject) as detail
    from barrier where subject in (select id from subject) and done_at is not null
    union all
    select undone_at, 'undo', step,
           jsonb_build_object('subject', subject, 'barred', done_at is null)
    from barrier where subject in (select id from subject) and undone_at is not null
    union all
    select at, 'state', status, jsonb_build_object('reason', reason)
    from order_history where order_id = $1
    union all
    select at, 'change', what, jsonb_build_object('import', import_id)
    from order_change where order_id = $1
    union all
    select at, 'ledger', kind,
           jsonb_build_object('amount', amount::text, 'balance_after', balance_after::text,
                              'payment', payment_id)
    from ledger_entry e where payment_id in (select id from subject)
    union all
    select coalesce((payload -> 'failed' ->> 'at')::timestamptz, created_at), 'failed_request', tag,
           jsonb_build_object('error', payload -> 'failed' ->> 'error', 'key', payload -> 'failed' ->> 'key',
                              'trace', payload ->> 'trace', 'undo', id)
    from jobs where payload ? 'failed'
    union all
    select at, 'attempt', tag,
           jsonb_build_object('id', id, 'attempt', attempt, 'error', failure ->> 'error',
                              'worker', failure ->> 'worker', 'trace', failure ->> 'trace_id',
                              'started_at', failure ->> 'started_at')
    from attempts
    union all
    select at, 'died', tag, jsonb_build_object('id', id, 'attempt', attempt)
    from attempts where died
    union all
    select at, 'act', act,
           jsonb_build_object('actor', coalesce((select user_name from rider where id = actor_id), actor),
                              'role', role, 'through', through, 'subject_kind', subject_kind,
                              'subject', subject, 'reason', reason, 'detail', detail)
    from (select * from audit where order_id = $1
          union all
          select * from audit where subject = any(array(
              select bulk_id::text from bulk_item where order_id = $1 and outcome is not null))) as acts
    where act <> 'order_read'
    union all
    select coalesce(ended_at, started_at, run_at), 'job', tag,
           jsonb_build_object('id', id, 'key', key, 'state', state, 'run_at', run_at,
                              'created_at', created_at, 'note', note, 'attempts', failures)
    from jobs
    union all
    select q.started_at, 'request', q.what,
           jsonb_build_object('key', q.key, 'actor', q.actor, 'status', q.status,
                              'user_name', (select user_name from rider r where r.id = q.actor))
    from requests q
    union all
    select created_at, 'evaluation', rating::text, jsonb_build_object('rating', rating,
        'comment', comment)
    from evaluation where order_id = $1
) as timeline order by 1, kind <> 'request', 2, 3, detail::text limit $2 offset $5
