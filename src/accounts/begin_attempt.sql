-- Counts an attempt at a password in each of its counts, unless one of them refuses it. Returns which
-- counts it is in: an attempt that is not let through after all is taken back from those.
--
-- $1 subjects, $2 attempts before the first delay, $3 seconds until one is forgiven, $4 scopes: 0 the
-- name from one network, 1 the name from known networks, 2 the name from others, 3 an address or a
-- network. $5 are the digests of the known network, one for each pepper, $6 for how many days it is known.
with rule as not materialized (
    select $7::float8 as longest, $8::float8 as beyond
), known as materialized (
    select exists(select from known_network
                  where subject = any($5::bytea[]) and seen_at > now() - make_interval(secs => $6::float8 * 86400)) as is_known
), asked as materialized (
    -- A refusal of the address does not bind somebody who comes from a known network.
    select a.subject, a.tries, a.leak, a.scope < 3 or not k.is_known as binds
    from unnest($1::bytea[], $2::float8[], $3::float8[], $4::smallint[]) as a (subject, tries, leak, scope)
    cross join known k
    where a.scope <> case when k.is_known then 2 else 1 end
), barred as materialized (
    select max(t.locked_until) filter (where a.binds) as until,
           max(t.locked_until) filter (where not a.binds) as others_until
    from asked a
    join sign_in_tries t using (subject)
    where t.locked_until > now()
), counted as (
    insert into sign_in_tries as t (subject, level, seen_at, locked_until)
    select subject, 1, now(), case when tries <= 1 then now() + interval '1 second' end
    from asked
    where (select until from barred) is null
    -- In one order everywhere, so that no two attempts deadlock.
    order by subject
    on conflict (subject) do update set (level, seen_at, locked_until) = (
        select c.level, now(),
               case when round(c.level) >= c.tries
                    then now() + make_interval(secs => least(power(2, round(c.level) - c.tries),
                                                             (select longest from rule))) end
        from (select a.tries,
                     least(greatest(t.level - extract(epoch from now() - t.seen_at)::float8 / a.leak, 0) + 1,
                           a.tries + (select beyond from rule)) as level
              from asked a where a.subject = excluded.subject) as c)
    where t.locked_until is null or t.locked_until <= now()
    returning t.subject
)
select coalesce((select array_agg(subject) from counted), '{}') as "counted!",
       not exists(select from asked where binds and subject not in (select subject from counted)) as "through!",
       extract(epoch from greatest(
           (select until from barred),
           (select max(t.locked_until) from asked a join sign_in_tries t using (subject)
            where a.binds)) - now())::float8 as wait,
       extract(epoch from (select others_until from barred) - now())::float8 as others_wait
