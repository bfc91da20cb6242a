-- The roles, which an administrator makes: a superuser, or a role with CREATEROLE. One that exists stays as
-- it is.
do $$
declare
    one text;
begin
    foreach one in array array['{owner}', '{api}', '{worker}', '{reader}'] loop
        begin
            if not exists (select from pg_roles where rolname = one) then
                execute format('create role %I login', one);
            end if;
        exception when duplicate_object or unique_violation then
            null; -- Another session has just made it.
        end;
    end loop;
end $$;
