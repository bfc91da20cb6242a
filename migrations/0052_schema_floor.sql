-- phase: expand
-- How old a build may be on this schema. A build of before does not read it, and starts only on exactly its
-- own schema. See docs/decisions/0024-expand-then-contract.md.

create table schema_floor (
    one    boolean not null default true,
    lowest bigint  not null,
    constraint schema_floor_is_one_row primary key (one),
    constraint schema_floor_is_the_only_one check (one)
);
comment on column schema_floor.lowest is 'A build whose newest migration is older does not start.';
insert into schema_floor (lowest) values (52);

-- A migration takes away what older builds use, and nothing brings it back.
create function schema_floor_only_rises() returns trigger language plpgsql as $$
begin
    if tg_op <> 'UPDATE' or new.lowest < old.lowest then
        raise exception 'the lowest build of a schema is never lowered' using constraint = 'schema_floor_only_rises';
    end if;
    return new;
end $$;
create trigger schema_floor_only_rises before update or delete on schema_floor
    for each row execute function schema_floor_only_rises();
