#!/usr/bin/env bash
# Makes the roles of Farebox in the PostgreSQL container, with the passwords of its environment, and gives
# the database to its owner. A new cluster runs it by itself; it may run again. docs/operators/roles.md
set -euo pipefail
psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv owner_password FAREBOX_DB_OWNER_PASSWORD
\getenv api_password FAREBOX_DB_API_PASSWORD
\getenv worker_password FAREBOX_DB_WORKER_PASSWORD
\getenv reader_password FAREBOX_DB_READER_PASSWORD
do $$
declare
    one text;
begin
    foreach one in array array['farebox_owner', 'farebox_api', 'farebox_worker', 'farebox_reader'] loop
        if not exists (select from pg_roles where rolname = one) then
            execute format('create role %I login', one);
        end if;
    end loop;
    execute format('alter database %I owner to farebox_owner', current_database());
end $$;
alter role farebox_owner password :'owner_password';
alter role farebox_api password :'api_password';
alter role farebox_worker password :'worker_password';
alter role farebox_reader password :'reader_password';
SQL
