-- Workers need not own the queue's tables. Making and dropping partitions is the only thing they do that only the
-- owner may do: the function does it with the owner's rights, and nobody may call it who was not granted that. Its
-- names are qualified, and the search path holds no schema that anybody else can write to.
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
