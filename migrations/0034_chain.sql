-- A chain of digests over the audit log and the history of trips and orders: what the owner of the tables,
-- or somebody with the files, changes or removes afterwards shows. See
-- docs/decisions/0019-chained-records.md.

-- One link for each row of the audit log and of the history of trips, and one for each five minutes of the
-- history of orders. `digest` is SHA-256 over the digest of the link before and this link's `record`.
-- Append-only.
create table chain_link (
    nr        bigint      not null,
    source    text        not null,
    subject   uuid,                 -- the row of the audit log, or the trip
    at        timestamptz not null, -- of the row, or when the five minutes begin
    record    text        not null, -- what the digest is over
    salt      uuid,                 -- of the digest of what people wrote; without it that digest says nothing
    per_row   bigint[],             -- the start of the digest of each order event, to see which one was changed
    digest    bytea       not null,
    constraint chain_link_pkey primary key (nr),
    constraint chain_link_source_is_known check (source in ('audit', 'trip_event', 'order_event')),
    constraint chain_link_names_its_row check ((subject is null) = (source = 'order_event')),
    constraint chain_link_has_a_digest check (octet_length(digest) = 32)
);
create index chain_link_by_subject on chain_link (subject) where subject is not null;
create unique index chain_link_is_one_for_a_time on chain_link (at) where source = 'order_event';

create function chain_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'links of the chain are never changed or deleted' using constraint = 'chain_is_append_only';
end $$;
create trigger chain_is_append_only before update or delete or truncate on chain_link
    for each statement execute function chain_is_append_only();

-- How far the history of orders is chained, one row. Events are chained once every transaction that could
-- still add one of their time has ended: those older than the transaction `fence`, which began no earlier
-- than `fence_at`.
create table chain_seal (
    one          boolean     not null default true,
    begun_at     timestamptz not null, -- events from before are not chained
    sealed_until timestamptz not null,
    fence_at     timestamptz not null,
    fence        xid8        not null,
    constraint chain_seal_is_one_row primary key (one),
    constraint chain_seal_is_the_only_one check (one)
);
-- Events are found by their time only here; this kind of index costs those who write them nothing.
create index order_event_by_time on order_event using brin (at);

-- Texts that digests are over. They must not depend on a setting of the session: times are microseconds
-- since 1970.
create function micros(at timestamptz) returns bigint language sql stable parallel safe
return (date_part('epoch', at) * 1000000)::bigint;

-- What people wrote, and who: apart, by a digest of its own, so that it can be erased while the chain stays
-- whole.
create function audit_text(a audit, salt uuid) returns text language sql stable parallel safe as $$
    select jsonb_build_array(salt, a.actor, a.subject, a.reason, a.detail)::text
$$;

create function audit_payload(a audit, salt uuid) returns text language sql stable parallel safe as $$
    select encode(sha256(convert_to(audit_text(a, salt), 'UTF8')), 'hex')
$$;

create function audit_record(a audit, payload text) returns text language sql stable parallel safe as $$
    select jsonb_build_array('audit', a.id, micros(a.at), a.actor_id, a.role, a.through, a.act, a.subject_kind, a.order_id,
                         payload)::text
$$;

create function trip_event_text(e trip_event, salt uuid) returns text language sql stable parallel safe as $$
    select jsonb_build_array(salt, e.reason)::text
$$;

create function trip_event_payload(e trip_event, salt uuid) returns text language sql stable parallel safe as $$
    select encode(sha256(convert_to(trip_event_text(e, salt), 'UTF8')), 'hex')
$$;

create function trip_event_record(e trip_event, payload text) returns text language sql stable parallel safe as $$
    select jsonb_build_array('trip_event', e.trip_id, micros(e.at), e.what, e.seats, e.operator, payload)::text
$$;

create function order_event_text(e order_event) returns text language sql stable parallel safe as $$
    select concat_ws(' ', e.order_id, micros(e.at), e.status, e.reason)
$$;

create function order_event_digest(e order_event) returns bytea language sql stable parallel safe as $$
    select sha256(convert_to(order_event_text(e), 'UTF8'))
$$;

create function chain_window(at timestamptz) returns timestamptz language sql immutable parallel safe
return date_bin('5 min', at, timestamptz '2000-01-01 00:00:00+00');

create function order_events_record(window_start timestamptz, events bigint, digest bytea) returns text
language sql stable parallel safe as $$
    select jsonb_build_array('order_event', micros(window_start), events, encode(digest, 'hex'))::text
$$;

create function chain_digest(before bytea, record text) returns bytea language sql stable parallel safe as $$
    select sha256(coalesce(before, ''::bytea) || convert_to(record, 'UTF8'))
$$;

-- Adds a link. The lock is held until the caller's transaction ends, and each caller takes it as its last
-- one: links of rows are added when their transaction commits. So two that wait for each other cannot both
-- hold something the other needs.
create function chain_append(of_source text, of_subject uuid, of_at timestamptz, of_record text, of_salt uuid,
                             of_rows bigint[]) returns void language plpgsql as $$
declare
    last_nr bigint;
    last_digest bytea;
begin
    perform pg_advisory_xact_lock(x'636861696e'::bigint); -- "chain"
    select nr, digest into last_nr, last_digest from chain_link order by nr desc limit 1;
    insert into chain_link (nr, source, subject, at, record, salt, per_row, digest)
    values (coalesce(last_nr, 0) + 1, of_source, of_subject, of_at, of_record, of_salt, of_rows,
            chain_digest(last_digest, of_record));
end $$;

-- These run with the owner's rights: who acts can add rows, and no links.
create function audit_is_chained() returns trigger language plpgsql security definer as $$
declare
    salt uuid := gen_random_uuid();
begin
    perform chain_append('audit', new.id, new.at, audit_record(new, audit_payload(new, salt)), salt, null);
    return null;
end $$;

create function trip_event_is_chained() returns trigger language plpgsql security definer as $$
declare
    salt uuid := gen_random_uuid();
begin
    perform chain_append('trip_event', new.trip_id, new.at, trip_event_record(new, trip_event_payload(new, salt)), salt,
                         null);
    return null;
end $$;

-- Chains the order events of the oldest five minutes that nobody can add to any more and that are not
-- chained yet, and of as many later ones that there are `most` in all; returns how many links it added. To
-- be called in a transaction of its own, by one process at a time.
create function chain_order_events(most integer) returns integer language plpgsql security definer as $$
declare
    -- Before this transaction has a number: a transaction that wrote an event before this moment has a
    -- lower one.
    began timestamptz := clock_timestamp();
    now_running pg_snapshot := pg_current_snapshot();
    seal chain_seal;
    upto timestamptz;
    first_at timestamptz;
    part record;
    added integer := 0;
begin
    if pg_current_xact_id_if_assigned() is not null then
        raise exception 'chain_order_events wants a transaction of its own';
    end if;
    select * into strict seal from chain_seal for update;
    if seal.fence < pg_snapshot_xmin(now_running) then
        -- A clock that is set back after a failover may be behind by as much as this.
        upto := greatest(chain_window(seal.fence_at - interval '10 min'), seal.sealed_until);
        select min(e.at) into first_at from order_event e where e.at >= seal.sealed_until and e.at < upto;
        seal.sealed_until := coalesce(chain_window(first_at), upto);
        upto := least(upto, seal.sealed_until + most * interval '5 min');
        for part in
            select chain_window(e.at) as start, count(*) as events,
                   sha256(string_agg(order_event_digest(e), ''::bytea order by e.order_id, e.status)) as digest,
                   array_agg(('x' || encode(substr(order_event_digest(e), 1, 8), 'hex'))::bit(64)::bigint
                             order by e.order_id, e.status) as per_row
            from order_event e
            where e.at >= seal.sealed_until and e.at < upto
            group by 1 order by 1
        loop
            perform chain_append('order_event', null, part.start,
                                 order_events_record(part.start, part.events, part.digest), null, part.per_row);
            added := added + 1;
        end loop;
        seal.sealed_until := upto;
    elsif seal.fence <= pg_snapshot_xmax(now_running) then
        return 0;
    end if;
    -- A fence that is higher than both is another cluster's: the database was restored from a dump.
    update chain_seal set sealed_until = seal.sealed_until, fence_at = began, fence = pg_current_xact_id();
    return added;
end $$;
comment on function chain_order_events is
    'Chains the order events of the five minutes that nobody can add to any more, and returns how many links it added.';

-- Where the chain and what it is over disagree, the first place first; rows and links since `since` are
-- compared.
create function chain_breaks(since timestamptz) returns setof text language sql stable parallel safe as $$
    with links as (
        select l.*, lag(l.nr, 1, 0::bigint) over (order by l.nr) as before_nr, lag(l.digest) over (order by l.nr) as before
        from chain_link l
    ), events as (
        select chain_window(e.at) as start, count(*) as events,
               sha256(string_agg(order_event_digest(e), ''::bytea order by e.order_id, e.status)) as digest
        from order_event e, chain_seal s
        where e.at >= greatest(chain_window(since), s.begun_at) and e.at < s.sealed_until
        group by 1
    ), breaks (at, nr, place) as (
        select at, nr, format('link %s follows link %s', nr, before_nr) from links
        where nr <> before_nr + 1 and at >= since
        union all
        select at, nr, format('link %s has another digest', nr) from links
        where digest <> chain_digest(before, record) and at >= since
        union all
        select l.at, l.nr, format('audit %s (link %s) is %s', l.subject, l.nr,
                                  case when a.id is null then 'missing' else 'changed' end)
        from links l left join audit a on a.id = l.subject
        where l.source = 'audit' and l.at >= since
          and (a.id is null
               or l.record <> audit_record(a, case when l.salt is null then l.record::jsonb ->> -1
                                                   else audit_payload(a, l.salt) end))
        union all
        select a.at, null, format('audit %s is not chained', a.id) from audit a
        where a.at >= since and not exists (select from chain_link l where l.subject = a.id)
        union all
        select l.at, l.nr, format('trip event %s (link %s) is missing or changed', l.subject, l.nr)
        from links l
        where l.source = 'trip_event' and l.at >= since
          and not exists (select from trip_event e
                          where e.trip_id = l.subject and e.at = l.at
                            and l.record = trip_event_record(e, case when l.salt is null then l.record::jsonb ->> -1
                                                                     else trip_event_payload(e, l.salt) end))
        union all
        select e.at, null, format('trip event %s of %s is not chained', e.trip_id, e.at) from trip_event e
        where e.at >= since
          and (select count(*) from chain_link l where l.subject = e.trip_id and l.at = e.at)
              <> (select count(*) from trip_event o where o.trip_id = e.trip_id and o.at = e.at)
        union all
        select coalesce(l.at, e.start), l.nr,
               format('order events from %s on (link %s): %s are there, %s', coalesce(l.at, e.start),
                      coalesce(l.nr::text, 'none'), coalesce(e.events, 0),
                      coalesce('changed is ' || (
                          select o.order_id || ' ' || o.status from order_event o
                          where o.at >= l.at and o.at < l.at + interval '5 min'
                            and ('x' || encode(substr(order_event_digest(o), 1, 8), 'hex'))::bit(64)::bigint
                                <> all(l.per_row)
                          order by o.order_id, o.status limit 1), format('%s were chained', coalesce(cardinality(l.per_row), 0))))
        from (select * from links where source = 'order_event' and at >= chain_window(since)) l
        full join events e on e.start = l.at
        where l.record is distinct from order_events_record(e.start, e.events, e.digest)
    )
    select place from breaks order by nr nulls last, at, place
$$;
comment on function chain_breaks is
    'Where the chain and the rows that it is over disagree, the first place first.';

do $$
declare
    name text;
begin
    -- Functions that run with the owner's rights find names in this schema only, temporary tables last.
    foreach name in array array['audit_is_chained()', 'trip_event_is_chained()', 'chain_order_events(integer)'] loop
        execute format('alter function %s set search_path = %I, pg_temp', name, current_schema());
    end loop;
end $$;
revoke all on function chain_append(text, uuid, timestamptz, text, uuid, bigint[]) from public;
revoke all on function audit_is_chained() from public;
revoke all on function trip_event_is_chained() from public;
revoke all on function chain_order_events(integer) from public;

-- The triggers come first: they lock the tables against writers until this transaction ends, so that no row
-- is missed. Operators wait for as long as chaining the rows of before takes; nobody who books or pays
-- does.
create constraint trigger audit_is_chained after insert on audit deferrable initially deferred
    for each row execute function audit_is_chained();
create constraint trigger trip_event_is_chained after insert on trip_event deferrable initially deferred
    for each row execute function trip_event_is_chained();
do $$
declare
    a audit;
    e trip_event;
    salt uuid;
begin
    for a in select * from audit order by id loop
        salt := gen_random_uuid();
        perform chain_append('audit', a.id, a.at, audit_record(a, audit_payload(a, salt)), salt, null);
    end loop;
    for e in select * from trip_event order by at, trip_id loop
        salt := gen_random_uuid();
        perform chain_append('trip_event', e.trip_id, e.at, trip_event_record(e, trip_event_payload(e, salt)), salt, null);
    end loop;
end $$;
insert into chain_seal (begun_at, sealed_until, fence_at, fence)
values (chain_window(now()), chain_window(now()), now(), pg_current_xact_id());
