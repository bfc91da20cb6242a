//! What generated clients call each operation, and what its developer has to know beyond the summary.

/// The name of an operation.
pub(super) struct Name {
    method: &'static str,
    path: &'static str,
    /// A method's name: a verb, then what it acts upon.
    pub(super) id: &'static str,
    /// Beyond the summary.
    pub(super) about: &'static str,
}

/// The name of this operation.
pub(super) fn name_of(method: &str, path: &str) -> Option<&'static Name> {
    NAMES.iter().find(|name| name.method == method && name.path == path)
}

const fn name(method: &'static str, path: &'static str, id: &'static str, about: &'static str) -> Name {
    Name { method, path, id, about }
}

#[rustfmt::skip] // A table.
const NAMES: &[Name] = &[
    name("get", "/health/live", "check_liveness", "For a supervisor: it restarts a process that does not answer."),
    name("get", "/health/ready", "check_readiness", "For a proxy: it sends requests only to processes that are ready. \
        A process that was asked to stop is not."),
    name("get", "/metrics", "scrape_metrics", "OpenMetrics, or Prometheus's text format for a reader that accepts that alone."),
    name("get", "/openapi.json", "read_description", "May be cached for five minutes."),
    name("get", "/docs", "read_docs", "For people; it needs no network but this API."),

    name("post", "/v1/riders", "register_rider", "The account is a rider's. The pay password may be set later; without one \
        nothing can be paid. Under the key only the new account's id is kept."),
    name("get", "/v1/riders/me", "get_profile", "Never has a balance or a password."),
    name("patch", "/v1/riders/me", "update_profile", "What is left out stays as it is. Harmless to repeat, so it takes no key."),
    name("put", "/v1/riders/me/pay-password", "set_pay_password", "The pay password is what a payment asks for, so that a \
        stolen token alone moves no money. Five wrong ones lock it for a while (423, with `retry_after`)."),
    name("put", "/v1/riders/me/password", "change_password", "Takes no key: a client that got no answer signs in with the new \
        password. Wrong ones count as wrong sign-ins do."),
    name("post", "/v1/password-resets", "reset_password", "The code comes from an operator, for a rider who has lost the \
        password. It works once."),
    name("post", "/v1/sessions", "sign_in", "Send the `token` as `Authorization: Bearer …` with every other request. It takes \
        no key, because the answer is a secret that is not stored: a client that got no answer signs in again. After wrong \
        passwords the next try must wait (429, with `retry_after`)."),
    name("get", "/v1/sessions", "list_sessions", "All of them at once: their number is bounded."),
    name("delete", "/v1/sessions", "end_sessions", "For a rider who has lost a phone."),
    name("delete", "/v1/sessions/current", "sign_out", "The token is refused from then on."),
    name("delete", "/v1/sessions/{id}", "end_session", "The id is one of `list_sessions`."),
    name("post", "/v1/sessions/current/confirmation", "confirm_password", "An act that moves money by hand, or hands an account \
        over, answers 403 `003092` until the password was given within the last minutes. So does a first pay password."),

    name("get", "/v1/wallet", "get_wallet", "The balance is that of the last ledger entry."),
    name("get", "/v1/wallet/entries", "list_wallet_entries", "Each entry has the balance after it."),

    name("get", "/v1/trips", "list_trips", "Times are in UTC, and beside them by the clock of the stop. A trip that has a \
        route of the network has its names and stops, in a language of `Accept-Language` if the network has it. The list may \
        be some seconds old; a booking never is."),
    name("get", "/v1/trips/{id}", "get_trip", "The bus as it is, each seat with its state. With a token the caller's own seats \
        are `mine`, and the driver is shown to riders with a paid seat."),
    name("get", "/v1/trips/{id}/seats/events", "follow_seats", "For `EventSource`, or any reader of `text/event-stream`. \
        It needs no token. Read the stream to draw the seats; the answer to `book_seats` alone says whose a seat is."),

    name("get", "/v1/orders", "list_orders", "But for `all`, each order is on exactly one list at a time."),
    name("post", "/v1/orders", "book_seats", "All of the seats or none. They are held until `expires_at`; then the order is \
        closed by itself. A lost seat answers 409 `004000` with `seats`, those that others have. A failed step answers 500 with \
        `order_id`, and what was done is undone: repeat with the same key."),
    name("get", "/v1/orders/{id}", "get_order", "With its states so far. The state `paying` shows while money is debited and \
        the order is not paid yet."),
    name("post", "/v1/orders/{id}/pay", "pay_order", "With the pay password, or with an authorization that was made \
        beforehand: exactly one of the two. Always send a key: with it a repeat never pays twice. A payment that comes too late \
        answers 409 and its money is given back."),
    name("post", "/v1/payment-authorizations", "authorize_payment", "For an app that asks for the pay password before its user \
        pays. It holds for some minutes, for one payment of this order. It takes no key, because the answer is a secret: ask \
        again, and the new one replaces the first."),
    name("post", "/v1/orders/{id}/cancel", "cancel_order", "Frees the seats. A paid order is refunded instead."),
    name("post", "/v1/orders/{id}/refund", "refund_order", "Gives back what the trip's rules say (`refund_percent`), until \
        `refundable_until`. Frees the seats."),
    name("post", "/v1/orders/{id}/evaluation", "evaluate_trip", "For a paid order, once."),

    name("post", "/v1/ops/trips", "add_trip", "Beside the timetable, with any bus that is free then."),
    name("post", "/v1/ops/trips/{id}/seats/block", "block_seats", "All of them or none. A seat that an order has is not blocked."),
    name("post", "/v1/ops/trips/{id}/seats/release", "release_seats", "They can be booked again."),
    name("get", "/v1/ops/trips/{id}/manifest", "get_manifest", "Each reading is in the audit log."),
    name("post", "/v1/ops/trips/{id}/cancel", "cancel_trip", "Nothing more is booked or paid at once. A job then closes unpaid \
        orders and refunds paid ones. To repeat it is harmless. Followers of the seats get the event `cancelled`."),
    name("get", "/v1/ops/trips/{id}/cancellation", "get_cancellation", "Ask until `finished_at` is there."),
    name("post", "/v1/ops/trips/{id}/change-previews", "preview_trip_change", "Changes nothing. Its `digest` applies it."),
    name("post", "/v1/ops/trips/{id}/changes", "change_trip", "Refused if anything has changed since the preview."),
    name("get", "/v1/ops/departures-not-made", "list_departures_not_made", "Their buses are on other trips, or a value is wrong."),
    name("post", "/v1/ops/riders/{id}/password-reset", "make_reset_code", "Hand the code over in person. It is not stored \
        under a key, because it is a secret."),

    name("get", "/v1/ops/jobs", "list_jobs", "Every given condition must hold."),
    name("get", "/v1/ops/jobs/{id}", "get_job", "Also of a job that has ended, while it is kept."),
    name("get", "/v1/ops/jobs/{id}/impact", "get_job_impact", "Changes nothing."),
    name("post", "/v1/ops/jobs/{id}/snooze", "snooze_job", "It is due then, and not before."),
    name("post", "/v1/ops/jobs/{id}/retry", "retry_job", "A dead letter gets fresh attempts."),
    name("post", "/v1/ops/jobs/{id}/cancel", "cancel_job", "A job that owes seats or money comes back, or is reported."),
    name("post", "/v1/ops/jobs/{id}/discard", "discard_job", "One that owes something is refused: redrive it."),
    name("get", "/v1/ops/errors", "list_errors", "Errors that differ only in ids, numbers and times have one fingerprint."),
    name("get", "/v1/ops/bulk", "list_bulk_operations", "Those that run come first."),
    name("post", "/v1/ops/bulk", "start_bulk_operation", "With `preview` it changes nothing. Start with the `digest` or the \
        number of the preview, so that it covers what was seen."),
    name("get", "/v1/ops/bulk/{id}", "get_bulk_operation", "It goes on if no client asks."),
    name("get", "/v1/ops/bulk/{id}/items", "list_bulk_items", "In the order in which they are processed."),
    name("post", "/v1/ops/bulk/{id}/stop", "stop_bulk_operation", "What is done stays done."),
    name("get", "/v1/ops/queues", "list_queues", "One item a tag."),
    name("post", "/v1/ops/queues/{tag}/pause", "pause_queue", "Jobs are still enqueued. Attempts that run go on."),
    name("post", "/v1/ops/queues/{tag}/resume", "resume_queue", "Its due jobs are claimed again."),
    name("post", "/v1/ops/queues/{tag}/drain", "drain_queue", "Answers when none runs, or after `wait_secs`."),
    name("post", "/v1/ops/queues/{tag}/cancel", "cancel_job_by_key", "Of the live jobs of a tag at most one has a key."),
    name("post", "/v1/ops/queues/{tag}/redrive", "redrive_queue", "They get fresh attempts."),
    name("get", "/v1/ops/queues/{tag}/minutes", "list_queue_minutes", "Histograms by the bounds in `bounds_secs`."),
    name("post", "/v1/ops/dead-letters/redrive", "redrive_dead_letters", "Of one tag or of all; every given condition must hold."),
    name("get", "/v1/ops/workers", "list_workers", "A worker reports every few seconds."),
    name("get", "/v1/ops/orders/{id}/timeline", "get_order_timeline", "Requests, steps, states, money, jobs and acts, in the \
        order in which they happened, and what the order is still owed."),
    name("get", "/v1/ops/orders/{id}/acts", "get_order_acts", "Changes nothing. Its `digest` in an act refuses the act if \
        anything has changed since."),
    name("post", "/v1/ops/orders/{id}/close", "close_order", "No money was taken, so none moves."),
    name("post", "/v1/ops/orders/{id}/refund", "refund_order_by_hand", "`late` and `without_fee` are exceptions, which a second \
        operator approves."),
    name("post", "/v1/ops/orders/{id}/redrive", "redrive_order", "All of them at once."),
    name("post", "/v1/ops/orders/{id}/notes", "add_order_note", "It is part of the order's timeline, and no rider reads it."),
    name("get", "/v1/ops/audit", "list_audit_entries", "Every given condition must hold."),
    name("get", "/v1/ops/verify", "verify_invariants", "Reads whole tables, on the standby if there is one."),
    name("get", "/v1/ops/network", "get_network", "The files can be changed and imported again."),
    name("post", "/v1/ops/network/previews", "preview_network", "Changes nothing. Its id and `digest` apply it."),
    name("get", "/v1/ops/network/imports", "list_network_imports", "Changes of single trips are among them."),
    name("post", "/v1/ops/network/imports", "import_network", "Refused if anything has changed since the preview."),
    name("get", "/v1/ops/network/imports/{id}", "get_network_import", "Ask until `finished_at` is there."),
    name("post", "/v1/ops/wallets/{rider_id}/top-ups", "top_up_wallet", "A reference tops up once: sent again, also with \
        another key, it answers with the first entry."),
    name("post", "/v1/ops/wallets/{rider_id}/corrections", "correct_wallet", "The wrong entry stays, beside its correction."),
    name("get", "/v1/ops/approvals", "list_approvals", "Of every operator."),
    name("post", "/v1/ops/approvals/{id}/approve", "approve", "By another operator than the one who asked."),
    name("post", "/v1/ops/approvals/{id}/refuse", "refuse_approval", "No money moves."),

    name("get", "/v1/ops/webhooks", "list_webhooks", "All of them at once: there are never more than 32."),
    name("post", "/v1/ops/webhooks", "add_webhook", "Its secret is read by `read_webhook_secret`."),
    name("get", "/v1/ops/webhooks/{id}", "get_webhook", "With its state, and what waits for it."),
    name("post", "/v1/ops/webhooks/{id}/change", "change_webhook", "What is left out stays as it is."),
    name("post", "/v1/ops/webhooks/{id}/secret", "read_webhook_secret", "It takes no key, because the answer is a secret \
        that is not stored."),
    name("post", "/v1/ops/webhooks/{id}/enable", "enable_webhook", "Events of the time when it was disabled are not sent."),
    name("post", "/v1/ops/webhooks/{id}/disable", "disable_webhook", "What waits for it goes on waiting, for three days at most."),
    name("post", "/v1/ops/webhooks/{id}/rotate", "rotate_webhook_secret", "A receiver has a day to take the new one."),
    name("post", "/v1/ops/webhooks/{id}/remove", "remove_webhook", "The answer is the webhook as it was. It cannot be taken back; add another."),
    name("get", "/v1/ops/webhooks/{id}/deliveries", "list_webhook_deliveries", "One item an event."),
    name("post", "/v1/ops/webhooks/{id}/deliveries/{event_id}/redeliver", "redeliver_event", "The receiver knows by the id \
        whether it has done it."),
    name("post", "/v1/ops/webhooks/{id}/redeliver", "redeliver_failed_events", "A call covers a bounded number; repeat it \
        until none is due."),
];

/// The tag of an operation: its resource.
pub(super) fn tag_of(path: &str) -> &'static str {
    let mut parts = path.split('/').skip(1);
    let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if first != "v1" {
        return "service";
    }
    match (second, parts.next().unwrap_or_default()) {
        ("riders" | "password-resets", _) => "riders",
        ("sessions", _) => "sessions",
        ("wallet", _) => "wallet",
        ("trips", _) => "trips",
        ("orders" | "payment-authorizations", _) => "orders",
        ("ops", "trips" | "departures-not-made") => "ops-trips",
        ("ops", "orders") => "ops-orders",
        ("ops", "wallets" | "approvals" | "riders") => "ops-wallets",
        ("ops", "jobs" | "errors" | "bulk" | "dead-letters" | "queues" | "workers") => "ops-jobs",
        ("ops", "network") => "ops-network",
        ("ops", "audit" | "verify") => "ops-reports",
        ("ops", "webhooks") => "ops-webhooks",
        _ => "ops-others",
    }
}

/// Every tag, in the order of the page, with what it holds.
pub(super) const TAGS: [(&str, &str); 14] = [
    ("riders", "Accounts of riders."),
    ("sessions", "Signing in and out."),
    ("trips", "Trips, seat maps, and seats as they change. No account is needed."),
    ("orders", "Booking, paying, cancelling, refunding, evaluating."),
    ("wallet", "The rider's money."),
    ("ops-trips", "For operators: trips and their seats."),
    ("ops-orders", "For operators: orders of riders."),
    ("ops-wallets", "For operators: money by hand, approvals, lost passwords."),
    ("ops-jobs", "For operators: jobs, queues and workers."),
    ("ops-network", "For operators: the network that is sold."),
    ("ops-reports", "For operators: the audit log and the invariants."),
    ("ops-webhooks", "For operators: events that other services are sent."),
    ("ops-others", "For operators: everything else."),
    ("service", "Health, metrics, and this description."),
];
