-- What api and worker do without being the owner of their tables, and what nobody may do to records of the
-- past.

-- Version 2 of the queue (jobs/queue/migrations): partitions are made and dropped with the owner's rights,
-- since making a table is the only thing that workers do and only the owner may do.
create or replace function queue.keep_finished(keep interval, ahead integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    today date := (now() at time zone 'UTC')::date;
    day date;
    old record;
    name text;
    changed integer := 0;
begin
    perform set_config('lock_timeout', '200ms', true);
    for day in select today + n from generate_series(0, ahead) n loop
        name := 'finished_' || to_char(day, 'YYYYMMDD');
        continue when to_regclass('queue.' || name) is not null;
        execute format('create table queue.%I (like queue.finished including defaults including constraints)', name);
        -- Attaching checks that the strays have none of this day: move them first.
        execute format(
            'with moved as (delete from queue.finished_stray where ended_at >= %L and ended_at < %L returning *)
             insert into queue.%I select * from moved',
            day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC', name);
        execute format('alter table queue.finished attach partition queue.%I for values from (%L) to (%L)',
            name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
        changed := changed + 1;
    end loop;
    for old in
        select child.relname
        from pg_inherits join pg_class child on child.oid = inhrelid
        where inhparent = 'queue.finished'::regclass and child.relname ~ '^finished_\d{8}$'
          and to_date(right(child.relname, 8), 'YYYYMMDD') + 1 <= ((now() - keep) at time zone 'UTC')::date
    loop
        execute format('drop table queue.%I', old.relname);
        changed := changed + 1;
    end loop;
    return changed;
end $$;
revoke all on function queue.keep_finished(interval, integer) from public;
insert into queue.schema_version (version) values (2);

-- The history of orders and trips is append-only, as the audit log and the ledger are. Only the owner of a
-- table can switch its triggers off.
create function order_event_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the history of orders is never changed or deleted' using constraint = 'order_event_is_append_only';
end $$;
create trigger order_event_is_append_only before update or delete or truncate on order_event
    for each statement execute function order_event_is_append_only();

create function trip_event_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the history of trips is never changed or deleted' using constraint = 'trip_event_is_append_only';
end $$;
create trigger trip_event_is_append_only before update or delete or truncate on trip_event
    for each statement execute function trip_event_is_append_only();
