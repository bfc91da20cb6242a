-- The owner of the database and of all that is in it, which a superuser makes {owner}. Nothing else
-- changes, and running processes go on, except that the owner of before may do nothing any more that it was
-- not granted.
do $$
declare
    one record;
begin
    execute format('alter database %I owner to %I', current_database(), '{owner}');
    execute format('grant usage, create on schema public to %I', '{owner}');
    for one in select nspname as name from pg_namespace where nspname = 'queue' loop
        execute format('alter schema %I owner to %I', one.name, '{owner}');
    end loop;
    -- Whatever belongs to an extension stays as it is. Indexes and sequences of a column go with their table.
    for one in
        select c.oid::regclass as name
        from pg_class c
        where c.relnamespace in (select oid from pg_namespace where nspname in ('public', 'queue'))
          and c.relkind in ('r', 'p', 'v', 'm', 'S')
          and not exists (select from pg_depend d
                          where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('e', 'a', 'i')
                            and c.relkind in ('r', 'p', 'v', 'm', 'S') and (d.deptype = 'e' or c.relkind = 'S'))
    loop
        execute format('alter table %s owner to %I', one.name, '{owner}');
    end loop;
    for one in
        select p.oid::regprocedure as name
        from pg_proc p
        where p.pronamespace in (select oid from pg_namespace where nspname in ('public', 'queue'))
          and not exists (select from pg_depend d
                          where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
    loop
        execute format('alter routine %s owner to %I', one.name, '{owner}');
    end loop;
    for one in
        select t.oid::regtype as name
        from pg_type t
        where t.typnamespace in (select oid from pg_namespace where nspname in ('public', 'queue')) and t.typtype = 'd'
          and not exists (select from pg_depend d
                          where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
    loop
        execute format('alter domain %s owner to %I', one.name, '{owner}');
    end loop;
end $$;
