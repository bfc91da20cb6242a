-- An account can be switched off, its sessions ended and its password reset. Every API process reads
-- what changed, twice a second, so that a change holds everywhere within a second, also one that is
-- made by hand in SQL.

-- A constant default rewrites nothing; rows from before are checked by no scan, since they have the default.
alter table rider
    add column state text not null default 'active',
    add column sessions_from timestamptz; -- sessions that are older have ended
alter table rider add constraint rider_state_is_known check (state in ('active', 'disabled')) not valid;

-- Accounts whose role or state changed, or whose sessions were ended. A reader asks for the
-- transactions that its last read did not see, so it misses none, however long one took.
create table authority_change (
    rider_id    uuid        not null,
    changed_at  timestamptz not null,
    changed_xid bigint      not null,
    constraint authority_change_is_the_accounts_newest primary key (rider_id),
    constraint authority_change_account_exists foreign key (rider_id) references rider (id)
);
create index authority_change_by_transaction on authority_change (changed_xid);

-- With the owner's rights: who may change an account's role need not be given the table above.
create function note_authority_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    insert into authority_change (rider_id, changed_at, changed_xid)
    values (new.id, clock_timestamp(), pg_current_xact_id()::text::bigint)
    on conflict (rider_id) do update set changed_at = excluded.changed_at, changed_xid = excluded.changed_xid;
    if new.state = 'disabled' or new.sessions_from is distinct from old.sessions_from then
        update session set revoked_at = clock_timestamp() where rider_id = new.id and revoked_at is null;
    end if;
    -- A code that was made for what the account was opens nothing of what it is.
    if (new.role, new.state) is distinct from (old.role, old.state) then
        delete from password_reset where rider_id = new.id;
    end if;
    return null;
end $$;
create trigger rider_authority_is_noted after update of role, state, sessions_from on rider
    for each row
    when ((old.role, old.state, old.sessions_from) is distinct from (new.role, new.state, new.sessions_from))
    execute function note_authority_change();

-- When an operator's session was last used (kept within a minute), and when its account last gave
-- its password.
alter table session
    add column seen_at timestamptz not null default now(),
    add column confirmed_at timestamptz not null default now();

-- An authorization to pay ends with the session that asked for it.
alter table payment_authorization add column session_id uuid;
create function end_payment_authorizations() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    -- In the order in which payments lock them. Expired ones are left out, so that the index by expiry
    -- is used.
    delete from payment_authorization where order_id in (
        select order_id from payment_authorization
        where session_id = new.id and used_by is null and expires_at > now()
        order by order_id for update);
    return null;
end $$;
create trigger session_ends_its_authorizations after update of revoked_at on session
    for each row when (old.revoked_at is null and new.revoked_at is not null)
    execute function end_payment_authorizations();

-- A one-time code for a new sign-in password; only its digest is here. The newest of an account counts.
create table password_reset (
    rider_id   uuid        not null,
    digest     bytea       not null,
    expires_at timestamptz not null,
    constraint password_reset_is_the_accounts_newest primary key (rider_id),
    constraint password_reset_account_exists foreign key (rider_id) references rider (id),
    constraint password_reset_holds_a_digest check (octet_length(digest) = 32)
);
