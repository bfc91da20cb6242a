-- Takes an attempt back from its counts ($1 to $4 as in begin_attempt.sql). With a right password ($5),
-- the count of the name from this network is reset and the network ($6) is known from now on.
with own as materialized (
    -- In the order in which attempts are counted, so that no two statements deadlock.
    select t.subject, a.tries, $5 and a.scope = 0 as reset,
           greatest(t.level - extract(epoch from now() - t.seen_at)::float8 / a.leak, 0) - 1 as level
    from unnest($1::bytea[], $2::float8[], $3::float8[], $4::smallint[]) as a (subject, tries, leak, scope)
    join sign_in_tries t using (subject)
    order by t.subject
    for update of t
), gone as (
    delete from sign_in_tries t using own where t.subject = own.subject and (own.reset or own.level <= 0)
), left_over as (
    -- A delay ends only if the wrong attempts alone are too few for one.
    update sign_in_tries t
    set level = own.level, seen_at = now(),
        locked_until = case when round(own.level) >= own.tries then t.locked_until end
    from own
    where t.subject = own.subject and not own.reset and own.level > 0
)
insert into known_network as k (subject, seen_at) select $6, now() where $5
on conflict (subject) do update set seen_at = now()
