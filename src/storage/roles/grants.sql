-- What the roles may do, which the owner of the tables grants. All of it is taken away first, in the same
-- transaction. Nobody may update or delete a record of the past, empty a table, make an object, or switch a
-- trigger off. A new table, function or updated column gets its line here.
do $$
declare
    one record;
    grantees text := format('public, %I, %I, %I', '{api}', '{worker}', '{reader}');
begin
    execute format('revoke all on database %I from %s', current_database(), grantees);
    execute format('grant connect on database %I to %I, %I, %I', current_database(), '{api}', '{worker}', '{reader}');
    execute format('revoke all on schema public, queue from %s', grantees);
    -- Of the owner only: what an extension brought is not ours. Partitions are reached through their table.
    for one in
        select c.oid::regclass as name from pg_class c
        where c.relnamespace in ('public'::regnamespace, 'queue'::regnamespace) and c.relkind in ('r', 'p', 'v', 'm', 'S')
          and not c.relispartition and pg_has_role(c.relowner, 'usage')
    loop
        execute format('revoke all on %s from %s', one.name, grantees);
    end loop;
    for one in
        select p.oid::regprocedure as name from pg_proc p
        where p.pronamespace in ('public'::regnamespace, 'queue'::regnamespace) and pg_has_role(p.proowner, 'usage')
    loop
        execute format('revoke all on routine %s from %s', one.name, grantees);
    end loop;
end $$;
-- Functions of later migrations are nobody's either, until they stand here. `farebox migrate` lets the roles
-- execute them while it runs, and may have ended half way.
alter default privileges revoke execute on functions from public, {api}, {worker}, {reader};
grant usage on schema public, queue to {api}, {worker}, {reader};

-- The schema's versions, which every process reads when it starts.
grant select on _sqlx_migrations, schema_floor, queue.schema_version to {api}, {worker}, {reader};

-- Accounts. Hashes of passwords are read by the API alone.
grant select, insert on rider to {api};
grant update (user_name, password_hash, nick_name, sex, email, phone, email_verified_at, forgotten_at, role, state,
              sessions_from) on rider to {api};
grant select (id, user_name, role, nick_name, sex, email, phone, created_at, email_verified_at, forgotten_at, state,
              sessions_from)
    on rider to {worker}, {reader};
grant select, insert, delete on pay_password to {api};
grant update (hash, wrong, checking, checked_at, locked_until, changed_at, last_change, was_first) on pay_password to {api};
grant select (rider_id, wrong, checking, checked_at, locked_until, changed_at, was_first) on pay_password to {reader};
grant select, insert on session to {api};
grant update (revoked_at, seen_at, confirmed_at, second_factor) on session to {api};
grant select, delete on session to {worker};
grant select on session to {reader};
-- Rows are added by a trigger with the owner's rights.
grant select on authority_change to {api}, {reader};
grant select, insert, delete on password_reset, second_factor to {api};
grant update (digest, expires_at) on password_reset to {api};
grant update (wrong, locked_until, last_step) on second_factor to {api};
grant select, insert on recovery_code to {api};
grant update (used_at) on recovery_code to {api};
grant select (rider_id, expires_at) on password_reset to {reader};
grant select (rider_id, enrolled_at, wrong, locked_until) on second_factor to {reader};
grant select (rider_id, used_at) on recovery_code to {reader};
grant select, insert, delete on sign_in_tries to {api};
grant update (level, seen_at, locked_until) on sign_in_tries to {api};
grant select on sign_in_tries to {reader};
grant select, insert, update, delete on known_network to {api};
grant select on known_network to {reader};
grant select, insert, update on secret_fingerprint to {api};
grant select on secret_fingerprint to {worker}, {reader};

-- The network, which operators import. What trips name is never deleted.
grant select on network, stop, route, direction, direction_stop, direction_stops_before, bus_model, model_seat, driver,
    bus, calendar, calendar_date, timetable, fare, fare_period to {api}, {worker}, {reader};
grant insert, update on network, stop, route, direction, calendar, bus, timetable, fare to {api};
grant insert on bus_model, model_seat, direction_stop, direction_stops_before, driver, calendar_date, fare_period to {api};
grant update (ended_at) on bus_model to {api};
grant delete on direction_stop, driver, calendar_date, fare to {api};
grant select, insert on network_import, network_import_trip to {api};
grant select on network_import, network_import_trip to {worker}, {reader};
grant update (finished_at) on network_import to {worker};
grant update (tries, done_at, moved, refunded, closed) on network_import_trip to {worker};
grant select, insert, delete on network_preview to {api};
grant select, delete on network_preview to {worker};
grant select on network_preview to {reader};

-- Trips and seats. The API makes trips too: extra ones, and those of the timetable at an operator's word.
grant select, insert on trip, seat to {api}, {worker};
grant update (cancelled_at) on trip to {api};
grant update (bus_id, direction, route, model_id, departs_at, arrives_at, price, class_prices, capacity,
    hold_secs, cut_off_secs, refund_secs, refund_percent, own_bus, own_price) on trip to {api};
grant update (order_id, held_until, blocked) on seat to {api}, {worker};
grant select on trip, seat to {reader};
grant select, insert on trip_event to {api};
grant select on trip_event to {worker}, {reader};
grant select, insert on trip_cancellation to {api};
grant select on trip_cancellation to {worker}, {reader};
grant update (finished_at) on trip_cancellation to {worker};
grant select, insert on trip_cancellation_order to {worker};
grant select on trip_cancellation_order to {api}, {reader};
grant select, insert, delete on departure_not_made to {api}, {worker};
grant update (at, error) on departure_not_made to {api}, {worker};
grant select on departure_not_made to {reader};

-- Orders.
grant select, insert on orders to {api};
grant select on orders to {worker}, {reader};
grant update (status, payment_id, paid_at, closed_at, closed_reason, refund_fee) on orders to {api}, {worker};
grant select, insert on order_event to {api}, {worker};
grant select on order_event to {reader};
grant update (free_refund, expires_at) on orders to {worker};
grant select, insert on order_change to {api}, {worker};
grant select on order_change to {reader};
grant select, insert on open_hold to {api};
grant update (orders, until) on open_hold to {api};
grant select on open_hold to {worker}, {reader};
grant select, insert on evaluation to {api};
grant update (comment) on evaluation to {api};
grant select on evaluation to {worker}, {reader};
grant select on order_shown, order_listed, order_history to {api}, {worker}, {reader};

-- Money. Entries of the ledger are added, and nothing else is ever done to them.
grant select, insert on wallet to {api};
grant select on wallet to {worker}, {reader};
grant update (balance, last_entry) on wallet to {api}, {worker};
grant select, insert on ledger_entry to {api}, {worker};
grant select on ledger_entry to {reader};
grant select, insert on wallet_change to {api};
grant select on wallet_change to {worker}, {reader};
grant select, insert on wallet_approval to {api};
grant update (outcome, decided_by, decided_at, decision, entry_id) on wallet_approval to {api};
grant select on wallet_approval to {worker}, {reader};
grant select, insert on top_up_reference to {api};
grant select on top_up_reference to {worker}, {reader};
grant select, insert on payment to {api};
grant select on payment to {worker}, {reader};
grant update (state, changed_at) on payment to {api}, {worker};
grant select, insert, delete on payment_authorization to {api};
grant update (rider_id, token_hash, expires_at, used_by, session_id) on payment_authorization to {api};
grant select (order_id, rider_id, expires_at, used_by, session_id), delete on payment_authorization to {worker};
grant update (used_by) on payment_authorization to {worker};
grant select (order_id, rider_id, expires_at, used_by, session_id) on payment_authorization to {reader};

-- Sagas.
grant select, insert on barrier to {api}, {worker};
grant update (undone_at) on barrier to {api}, {worker};
grant delete on barrier to {worker};
grant select on barrier to {reader};
grant select, insert, delete on idempotency to {api};
grant select, insert, delete on idempotency to {worker};
grant update (subject, started_at, status, body) on idempotency to {api}, {worker};
grant select on idempotency to {reader};

-- Operators.
grant select, insert on audit to {api};
grant select on audit to {worker}, {reader};
grant select, insert on bulk, bulk_item to {api};
grant update (finished_at, stopped_by, actor) on bulk to {api};
grant select on bulk, bulk_item to {worker}, {reader};
grant update (reached, done, asked, busy, gone, owes, started_at, finished_at, stopped_by) on bulk to {worker};
grant update (outcome) on bulk_item to {worker};
grant select on verdict to {api}, {reader};
grant select, insert on verdict to {worker};
grant update (at, took_secs, holds, invariants) on verdict to {worker};
grant select, insert, delete on minute_tally to {api};
grant update (booked, paid, refused, failed) on minute_tally to {api};
grant select on minute_tally to {worker}, {reader};
grant select on recurring_job to {api}, {reader};
grant select, insert, delete on recurring_job to {worker};

-- The chain. Links are added by triggers and by chain_order_events, with the owner's rights.
grant select on chain_link, chain_seal to {api}, {worker}, {reader};

-- Webhooks. Operators keep the endpoints; workers write events down and send them. A nonce is of no use
-- without the pepper, which the reader does not have either.
grant select, insert on webhook_endpoint to {api};
grant update (name, url, kinds, state, place, disabled_because, nonce, old_nonce, old_until, failures, failing_since,
              paused_until, changed_at) on webhook_endpoint to {api};
grant select, delete on webhook_endpoint to {worker};
grant update (state, disabled_because, failures, failing_since, paused_until, changed_at) on webhook_endpoint to {worker};
grant select (id, place, name, url, kinds, state, disabled_because, old_until, failures, failing_since, paused_until,
              created_at, changed_at) on webhook_endpoint to {reader};
grant select, insert, delete on webhook_event, webhook_delivery to {worker};
grant select on webhook_event, webhook_delivery to {api}, {reader};
grant update (state, attempts, due_at, last_at, last_status, last_error, last_ms, delivered_at) on webhook_delivery
    to {worker};
grant update (state, attempts, due_at, give_up_at, last_at, last_status, last_error, last_ms, delivered_at)
    on webhook_delivery to {api};

-- The queue. The API enqueues, and does what operators do to jobs; workers claim, end and count.
grant select, insert, delete on queue.job to {api}, {worker};
grant update (run_at, first_due_at, cancel_asked, payload) on queue.job to {api};
grant update (run_at, first_due_at, cancel_asked, attempt, lease_token, lease_until, leased_at, worker, failures,
              snoozed_attempt, max_attempts) on queue.job to {worker};
grant select on queue.job to {reader};
grant select, insert, delete on queue.dead_letter to {api}, {worker};
grant update (attempt, reason, failures, died_at) on queue.dead_letter to {api}, {worker};
grant select on queue.dead_letter to {reader};
grant select, insert on queue.finished to {api}, {worker};
grant select on queue.finished to {reader};
grant select, insert, delete on queue.paused to {api};
grant select on queue.paused to {worker}, {reader};
grant select, insert, delete on queue.concurrency_key to {worker};
grant update (job_id) on queue.concurrency_key to {worker};
grant select, delete on queue.concurrency_key to {api};
grant select on queue.concurrency_key to {reader};
grant select on queue.worker, queue.tally, queue.depth to {api}, {reader};
grant select, insert, delete on queue.worker, queue.tally, queue.depth to {worker};
grant update (held, state, last_seen_at) on queue.worker to {worker};
grant update (done, failed, dead, cancelled, rescued, lost, run_secs, pickup, lateness, run) on queue.tally to {worker};
grant select, insert on queue.maintenance_task to {worker};
grant update (next_at) on queue.maintenance_task to {worker};
grant select on queue.maintenance_task to {api}, {reader};
grant select on queue.any_job to {api}, {worker}, {reader};

-- Functions. Those that change something do it with the caller's rights, except `announce` and those of the
-- worker alone.
grant execute on function seat_state(boolean, uuid, timestamptz), order_of(jsonb), rider_of(jsonb),
    trip_of(jsonb), seat_labels(uuid, integer[]), sum_of(numeric[]),
    change_under_way(uuid, timestamptz) to {api}, {worker}, {reader};
grant execute on function key_is_abandoned(smallint, timestamptz, uuid, float8),
    with_room(uuid[], timestamptz[], uuid[], timestamptz[], integer, text),
    free_seats(uuid[], uuid[], text[]), close_orders(uuid[], text, text),
    announce(text, uuid[], jsonb[]), class_prices_begin_at(jsonb, numeric) to {api}, {worker};
grant execute on function micros(timestamptz), audit_text(audit, uuid), audit_payload(audit, uuid),
    audit_record(audit, text), trip_event_text(trip_event, uuid), trip_event_payload(trip_event, uuid),
    trip_event_record(trip_event, text), order_event_text(order_event), order_event_digest(order_event),
    chain_window(timestamptz), order_events_record(timestamptz, bigint, bytea), chain_digest(bytea, text),
    chain_breaks(timestamptz) to {api}, {worker}, {reader};
grant execute on function queue.fingerprint(text), queue.added(bigint[], bigint[]),
    queue.state_of(uuid, integer, integer, jsonb, timestamptz) to {api}, {worker}, {reader};
grant execute on function queue.complete(uuid[], uuid[], text), queue.retire(uuid[]),
    queue.retire(text, text[]), queue.arm(uuid[], text[], text[], jsonb[], integer[], timestamptz[]),
    queue.enqueue_or_expedite(uuid[], text[], text[], jsonb[], integer[]) to {api}, {worker};
-- The index of accounts calls them for the role that adds or changes one.
grant execute on function folded(text), search_grams(text), digits_of(text),
    rider_terms(uuid, text, text, text, text) to {api}, {worker}, {reader};
grant execute on function orders_by_end(text, integer), orders_of_trips(uuid[], integer) to {api}, {reader};
grant execute on function erase_rider(uuid, text), fit_seats(uuid[]), keep_failures(text[], text[], jsonb[]) to {api};
grant execute on function seats_without_place(uuid, bigint) to {api}, {worker};
grant execute on function move_seats(uuid, uuid) to {worker};
grant execute on function queue.keep_finished(interval, integer), chain_order_events(integer), summarize_orders(),
    erase_audit_text(interval, integer), forget_idle_riders(uuid, interval, integer, text) to {worker};
