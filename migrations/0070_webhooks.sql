-- phase: expand
-- Events that leave the service: endpoints of operators, what happened, and what was sent of it to each
-- endpoint. A change asks `announce` in its own statement; a job writes the event and its deliveries down.

create table webhook_endpoint (
    id               uuid        not null,
    -- Its place among those that are not removed: so there are never more than 32.
    place            smallint,
    name             text        not null,
    url              text        not null,
    kinds            text[]      not null,
    state            text        not null default 'enabled',
    disabled_because text,
    -- The secret that signs is derived from it and from the pepper.
    nonce            bytea       not null,
    old_nonce        bytea,
    old_until        timestamptz,
    -- Attempts that failed since one was answered well.
    failures         integer     not null default 0,
    failing_since    timestamptz,
    paused_until     timestamptz,
    created_at       timestamptz not null default now(),
    changed_at       timestamptz not null default now(),
    constraint webhook_endpoint_pkey primary key (id),
    constraint webhook_endpoint_place_is_taken_once unique (place),
    constraint webhook_endpoint_place_is_bounded check (place between 1 and 32),
    constraint webhook_endpoint_has_a_place_until_removed check ((place is null) = (state = 'removed')),
    constraint webhook_endpoint_name_is_bounded check (length(name) between 1 and 100),
    constraint webhook_endpoint_url_is_bounded check (length(url) between 1 and 2000),
    constraint webhook_endpoint_kinds_are_known check (cardinality(kinds) > 0 and kinds <@ array[
        'hold.expired', 'order.paid', 'order.refunded', 'trip.cancelled', 'rollback.done', 'rollback.failed']),
    constraint webhook_endpoint_state_is_known check (state in ('enabled', 'disabled', 'removed')),
    constraint webhook_endpoint_says_why_it_is_disabled
        check (case state when 'disabled' then coalesce(disabled_because in ('operator', 'gone'), false)
                          else disabled_because is null end),
    constraint webhook_endpoint_nonces_are_whole
        check (length(nonce) = 32 and (old_nonce is null or length(old_nonce) = 32)),
    constraint webhook_endpoint_old_nonce_ends check ((old_nonce is null) = (old_until is null)),
    constraint webhook_endpoint_failures_have_a_begin
        check (failures >= 0 and (failures = 0) = (failing_since is null)),
    constraint webhook_endpoint_pauses_after_failures check (paused_until is null or failures > 0)
) with (fillfactor = 50);
comment on table webhook_endpoint is 'Where events are sent to. A removed one stays until its deliveries are deleted.';
comment on column webhook_endpoint.paused_until is 'Until when nothing is sent to it, because attempts in a row failed.';

create table webhook_event (
    id         uuid        not null,
    kind       text        not null,
    subject    uuid        not null,
    at         timestamptz not null,
    data       jsonb       not null,
    created_at timestamptz not null default now(),
    constraint webhook_event_pkey primary key (id),
    constraint webhook_event_kind_is_known check (kind in
        ('hold.expired', 'order.paid', 'order.refunded', 'trip.cancelled', 'rollback.done', 'rollback.failed')),
    constraint webhook_event_data_is_an_object check (jsonb_typeof(data) = 'object')
);
create index webhook_event_by_age on webhook_event (created_at);
comment on column webhook_event.id is 'A digest of kind and subject: the same change has the same id.';

create table webhook_delivery (
    endpoint_id  uuid        not null,
    event_id     uuid        not null,
    state        text        not null default 'pending',
    attempts     integer     not null default 0,
    created_at   timestamptz not null default now(),
    due_at       timestamptz default now(),
    give_up_at   timestamptz not null,
    last_at      timestamptz,
    last_status  smallint,
    last_error   text,
    last_ms      integer,
    delivered_at timestamptz,
    constraint webhook_delivery_is_one_for_each_endpoint primary key (endpoint_id, event_id),
    constraint webhook_delivery_has_its_endpoint foreign key (endpoint_id) references webhook_endpoint (id),
    constraint webhook_delivery_has_its_event foreign key (event_id) references webhook_event (id),
    constraint webhook_delivery_state_is_known check (state in ('pending', 'delivered', 'failed')),
    constraint webhook_delivery_is_due_while_pending check ((state = 'pending') = (due_at is not null)),
    constraint webhook_delivery_has_its_time check ((state = 'delivered') = (delivered_at is not null)),
    constraint webhook_delivery_attempts_have_a_last_one
        check (attempts >= 0 and (attempts = 0) = (last_at is null))
);
-- What is sent next to an endpoint.
create index webhook_delivery_by_due on webhook_delivery (endpoint_id, due_at) where state = 'pending';
-- What is given up next.
create index webhook_delivery_by_give_up on webhook_delivery (give_up_at) where state = 'pending';
create index webhook_delivery_by_event on webhook_delivery (event_id);
-- The log of an endpoint, newest first.
create index webhook_delivery_log on webhook_delivery (endpoint_id, created_at, event_id);
create index webhook_delivery_failed on webhook_delivery (endpoint_id, created_at, event_id) where state = 'failed';
comment on column webhook_delivery.give_up_at is 'No attempt begins later.';

-- Enqueues one job for each of the subjects, if an endpoint takes events of this kind; returns how many. It
-- belongs to the transaction of the change. Without such an endpoint it reads one page and writes nothing.
-- The key is the event's id: a change that is made again has no second job, and later no second event.
-- With the owner's rights: changes of processes that run before the grants are applied call it too.
create function announce(of_kind text, subjects uuid[], facts jsonb[]) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    enqueued bigint;
begin
    if subjects is null
        or not exists(select from webhook_endpoint where state = 'enabled' and of_kind = any(kinds)) then
        return 0;
    end if;
    with given as (
        select s.subject, s.fact,
               md5(of_kind || ':' || s.subject || coalesce(':' || (s.fact ->> 'died_at'), ''))::uuid as event_id
        from unnest(subjects, facts) as s (subject, fact)
    ), job as (
        -- A UUIDv7, as all ids of jobs are: the time in milliseconds, then random bits.
        select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
                   placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                   from 1 for 6), 52, 1), 53, 1), 'hex')::uuid as id,
               event_id::text as key,
               jsonb_build_object('v', 1, 'event_id', event_id, 'kind', of_kind, 'subject', subject,
                   'at', clock_timestamp(), 'facts', fact) as payload
        from given
    )
    select queue.enqueue_or_expedite(array_agg(id), array_agg('webhook_event'::text), array_agg(key),
               array_agg(payload), array_agg(600))
    into enqueued from job;
    return enqueued;
end $$;
comment on function announce is
    'Enqueues a job for each of these changes, if a webhook takes events of this kind; returns how many.';

-- The rule of closing an order, with the event of a hold that ended.
create or replace function close_orders(order_ids uuid[], closed_as text, history_reason text) returns setof uuid
language plpgsql as $$
declare
    closed_ids uuid[];
    closed_trips uuid[];
    closed_seats text[];
begin
    with closed as (
        update orders set status = 'closed', closed_reason = closed_as, closed_at = now()
        where id = any(order_ids) and status = 'unpaid' and (closed_as <> 'expired' or expires_at <= now())
        returning id, trip_id, seats
    ), recorded as (
        insert into order_event (order_id, status, reason) select id, 'closed', history_reason from closed
    )
    select array_agg(id), array_agg(trip_id), array_agg(seats::text) into closed_ids, closed_trips, closed_seats
    from closed;
    if closed_ids is not null then
        -- One call for all orders, so that all seats are locked in one order.
        perform free_seats(closed_ids, closed_trips, closed_seats);
        if closed_as = 'expired' then
            perform announce('hold.expired', closed_ids, null);
        end if;
        return query select unnest(closed_ids);
    end if;
end $$;

-- A rollback that was given up. The queue knows no events, and a dead letter is rare.
create function announce_dead_rollback() returns trigger language plpgsql as $$
begin
    perform announce('rollback.failed', array[new.id], array[jsonb_build_object('tag', new.tag, 'key', new.key,
        'order_id', order_of(new.payload), 'result', new.reason, 'died_at', new.died_at)]);
    return null;
end $$;
create trigger dead_rollback_is_announced after insert on queue.dead_letter for each row
    when (new.tag in ('order_seats_cancel', 'order_add_seats_cancle', 'order_calc_money_cancle', 'order_add_cancle',
                      'order_cancel', 'pay_check_cancle', 'pay_money_cancle', 'pay_cancle', 'pay_back_cancle'))
    execute function announce_dead_rollback();
