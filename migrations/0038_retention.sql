-- Retention by settings: what people wrote in old rows of the audit log, and accounts that nobody uses.

-- The log stays append-only with one exception: a row that is old enough loses its reason and its
-- details, through erase_audit_text. Who did what to what, and when, stays.
create or replace function audit_is_append_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and current_setting('farebox.erasing', true) = 'on' then return null; end if;
    raise exception 'the audit log is never changed or deleted' using constraint = 'audit_is_append_only';
end $$;
create function audit_loses_only_text() returns trigger language plpgsql as $$
begin
    if new.at < now() - interval '90 days'
       and to_jsonb(new) = to_jsonb(old) || jsonb_build_object('reason', null, 'detail', '{}'::jsonb) then
        return new;
    end if;
    raise exception 'a row of the audit log loses its text after 90 days, and nothing else'
        using constraint = 'audit_loses_only_text';
end $$;
create trigger audit_loses_only_text before update on audit
    for each row execute function audit_loses_only_text();

-- Without its salt, a link's digest of what people wrote says nothing about it, and the chain stays
-- whole (decision 0019).
create or replace function chain_is_append_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and current_setting('farebox.erasing', true) = 'on' then return null; end if;
    raise exception 'links of the chain are never changed or deleted' using constraint = 'chain_is_append_only';
end $$;
create function chain_loses_only_salt() returns trigger language plpgsql as $$
begin
    if new.at < now() - interval '90 days' and new.salt is null
       and to_jsonb(new) - 'salt' = to_jsonb(old) - 'salt' then
        return new;
    end if;
    raise exception 'a link of the chain loses its salt after 90 days, and nothing else'
        using constraint = 'chain_loses_only_salt';
end $$;
create trigger chain_loses_only_salt before update on chain_link
    for each row execute function chain_loses_only_salt();

-- Rows that still have text, the oldest first.
create index audit_with_text on audit (id) where reason is not null or detail <> '{}';

-- Erases what was written in rows that are older than `keep`, at most `most` of them; returns how many.
create function erase_audit_text(keep interval, most integer) returns integer
language plpgsql security definer as $$
declare
    erased uuid[];
begin
    select array_agg(old.id) into erased
    from (select id from audit
          where (reason is not null or detail <> '{}') and at < now() - greatest(keep, interval '90 days')
          order by id limit most) old;
    if erased is null then return 0; end if;
    perform set_config('farebox.erasing', 'on', true);
    update audit set reason = null, detail = '{}' where id = any(erased);
    update chain_link set salt = null where source = 'audit' and subject = any(erased);
    perform set_config('farebox.erasing', 'off', true);
    return cardinality(erased);
end $$;

-- A request of the account's own that is under way puts nothing back.
alter table rider add constraint rider_forgotten_names_nobody
    check (forgotten_at is null or num_nonnulls(nick_name, sex, email, phone, email_verified_at) = 0) not valid;
alter table rider validate constraint rider_forgotten_names_nobody;

-- Replaces or deletes what names the person whose account it is. `no_password` is a hash of none. The
-- caller has made sure that nothing of the account is open.
create function erase_rider(of uuid, no_password text) returns void language plpgsql as $$
begin
    update rider
    set user_name = 'forgotten-' || left(replace(gen_random_uuid()::text, '-', ''), 24),
        password_hash = no_password, nick_name = null, sex = null, email = null, phone = null,
        email_verified_at = null, forgotten_at = now()
    where id = of;
    update session set revoked_at = now() where rider_id = of and revoked_at is null;
    delete from password_reset where rider_id = of;
    -- Its recovery codes go with it.
    delete from second_factor where rider_id = of;
    delete from pay_password where rider_id = of;
    delete from idempotency where actor = of;
    delete from payment_authorization
    where order_id in (select id from orders where rider_id = of) and used_by is null;
    update evaluation set comment = null
    where order_id in (select id from orders where rider_id = of);
    update bulk set actor = of::text where actor_id = of;
end $$;

-- Whether a rider has neither booked nor had money moved since then, is signed in nowhere, and has
-- nothing open and no money. Volatile, so that it sees what was committed before its caller's lock.
create function is_idle_rider(of uuid, since timestamptz) returns boolean language plpgsql as $$
begin
    return exists (select from rider r where r.id = of and r.role = 'rider' and r.forgotten_at is null
                                         and r.created_at < since)
       and not exists (select from session s where s.rider_id = of and s.revoked_at is null)
       and not exists (select from wallet w where w.rider_id = of and w.balance <> 0)
       and not exists (select from ledger_entry e where e.rider_id = of and e.at >= since)
       and not exists (select from wallet_approval a
                       where a.rider_id = of and a.outcome is null and a.expires_at > now())
       and not exists (select from orders o join trip t on t.id = o.trip_id
                       where o.rider_id = of
                         and (o.created_at >= since or o.status in ('unpaid', 'refunding')
                              or o.status = 'paid' and t.arrives_at > now() and t.cancelled_at is null))
       and not exists (select from payment p join orders o on o.id = p.order_id
                       where o.rider_id = of and p.state = 'debited');
end $$;

-- Looks at the `most` accounts after the id `after` and forgets the idle riders among them. Returns the
-- last id it looked at, null when there was none, and the accounts that it forgot.
create function forget_idle_riders(after uuid, idle interval, most integer, no_password text,
                                   out reached uuid, out forgotten uuid[])
language plpgsql security definer as $$
declare
    since timestamptz := now() - greatest(idle, interval '90 days');
    one uuid;
begin
    forgotten := '{}';
    for one in select id from rider where id > after order by id limit most loop
        reached := one;
        continue when not is_idle_rider(one, since);
        -- A sign-in locks the account too. One that is being changed is left for the next time.
        perform from rider where id = one for no key update skip locked;
        continue when not found;
        -- Locked until the end, so that no money comes in meanwhile; afterwards it takes none.
        perform from wallet where rider_id = one for update;
        -- Once more, now that nobody can sign in: what was done before the lock is seen here.
        continue when not is_idle_rider(one, since);
        perform erase_rider(one, no_password);
        forgotten := forgotten || one;
    end loop;
end $$;

do $$
declare
    name text;
begin
    -- Functions that run with the owner's rights find names in this schema only, temporary tables last.
    foreach name in array array['erase_audit_text(interval, integer)',
                                'forget_idle_riders(uuid, interval, integer, text)'] loop
        execute format('alter function %s set search_path = %I, pg_temp', name, current_schema());
        execute format('revoke all on function %s from public', name);
    end loop;
end $$;
revoke all on function erase_rider(uuid, text) from public;
revoke all on function is_idle_rider(uuid, timestamptz) from public;
