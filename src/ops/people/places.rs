//! Every table, and what it holds of a person. A test compares the list with the schema: a new table
//! does not pass until somebody has decided what it holds.

/// What a table holds of a person.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    /// The rows for which the condition holds; `$1` is the account's id. The columns that are hidden
    /// are secrets or digests of secrets, and are not exported.
    Rows {
        /// The condition, for a row `t`.
        which: &'static str,
        /// The columns.
        hidden: &'static [&'static str],
    },
    /// Nothing, and why.
    Nothing(&'static str),
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its name, with the schema unless that is `public`.
    pub table: &'static str,
    /// What it holds.
    pub holds: Holds,
}

const fn rows(table: &'static str, which: &'static str) -> Place {
    Place { table, holds: Holds::Rows { which, hidden: &[] } }
}

const fn without(table: &'static str, which: &'static str, hidden: &'static [&'static str]) -> Place {
    Place { table, holds: Holds::Rows { which, hidden } }
}

const fn nothing(table: &'static str, why: &'static str) -> Place {
    Place { table, holds: Holds::Nothing(why) }
}

/// The rows of the rider's orders, by the column `order_id`.
const OF_ORDERS: &str = "t.order_id in (select o.id from orders o where o.rider_id = $1)";
/// The jobs of the rider's orders, by their key.
const JOBS: &str = "t.key in (select o.id::text from orders o where o.rider_id = $1
    union all select p.id::text from payment p join orders o on o.id = p.order_id where o.rider_id = $1)";

/// All tables.
pub const PLACES: &[Place] = &[
    // The account.
    without("rider", "t.id = $1", &["password_hash"]),
    without("pay_password", "t.rider_id = $1", &["hash", "last_change"]),
    rows("session", "t.rider_id = $1"),
    rows("authority_change", "t.rider_id = $1"),
    without("password_reset", "t.rider_id = $1", &["digest"]),
    without("second_factor", "t.rider_id = $1", &["nonce"]),
    without("recovery_code", "t.rider_id = $1", &["digest"]),
    nothing("known_network", "keyed digests of names and networks, until they are not seen for long"),
    nothing("secret_fingerprint", "digests of the server's secrets"),
    nothing("sign_in_tries", "keyed digests of names and networks, for a day"),
    // Orders.
    rows("orders", "t.rider_id = $1"),
    rows("order_event", OF_ORDERS),
    rows("order_change", OF_ORDERS),
    rows("evaluation", OF_ORDERS),
    rows("open_hold", "t.rider_id = $1"),
    rows(
        "seat",
        "t.trip_id in (select o.trip_id from orders o where o.rider_id = $1)
         and t.order_id in (select o.id from orders o where o.rider_id = $1)",
    ),
    rows("barrier", "t.subject in (select o.id from orders o where o.rider_id = $1)"),
    without("idempotency", "t.actor = $1", &["fingerprint"]),
    rows(
        "trip_cancellation_order",
        "t.trip_id in (select o.trip_id from orders o where o.rider_id = $1)
         and t.order_id in (select o.id from orders o where o.rider_id = $1)",
    ),
    // Money.
    rows("wallet", "t.rider_id = $1"),
    rows("ledger_entry", "t.rider_id = $1"),
    rows("top_up_reference", "t.rider_id = $1"),
    rows("wallet_change", "t.rider_id = $1 or t.operator = $1"),
    rows("wallet_approval", "t.rider_id = $1 or t.asked_by = $1 or t.decided_by = $1"),
    rows("payment", OF_ORDERS),
    without("payment_authorization", OF_ORDERS, &["token_hash"]),
    // What operators did.
    rows("audit", "t.subject = $1::text or t.actor = $1::text"),
    rows("trip_event", "t.operator = $1"),
    without("network_import", "t.operator = $1", &["preview"]),
    nothing("chain_link", "digests of audit rows and events"),
    nothing("chain_seal", "digests of intervals"),
    rows("bulk", "t.actor_id = $1"),
    rows("bulk_item", OF_ORDERS),
    nothing("webhook_endpoint", "addresses of other services"),
    rows("webhook_event", "t.data ->> 'order_id' in (select o.id::text from orders o where o.rider_id = $1)"),
    rows(
        "webhook_delivery",
        "t.event_id in (select v.id from webhook_event v where v.data ->> 'order_id' in
             (select o.id::text from orders o where o.rider_id = $1))",
    ),
    // The queue.
    rows("queue.job", JOBS),
    rows("queue.finished", JOBS),
    rows("queue.dead_letter", JOBS),
    rows("queue.paused", "t.paused_by = $1::text"),
    nothing("queue.concurrency_key", "names of concurrency keys"),
    nothing("queue.depth", "numbers of jobs"),
    nothing("queue.maintenance_task", "times of the queue's own tasks"),
    nothing("queue.tally", "numbers of jobs"),
    nothing("queue.schema_version", "versions"),
    nothing("queue.worker", "processes"),
    // Trips and the service.
    nothing("bus", "drivers, who are no accounts"),
    nothing("driver", "drivers, who are no accounts"),
    nothing("bus_model", "bus models"),
    nothing("model_seat", "seats of bus models"),
    nothing("network", "the operator"),
    nothing("network_import_trip", "trips and numbers of seats"),
    without("network_preview", "t.operator = $1", &["zip"]),
    nothing("stop", "stops"),
    nothing("route", "routes"),
    nothing("direction", "directions of routes"),
    nothing("direction_stop", "stops of directions"),
    nothing("direction_stops_before", "stops of directions until an import changed them"),
    nothing("calendar", "days"),
    nothing("calendar_date", "days"),
    nothing("fare", "kinds of fares"),
    nothing("fare_period", "fares"),
    nothing("timetable", "departures"),
    nothing("trip", "departures"),
    nothing("trip_cancellation", "ids of orders, which are exported with their riders"),
    nothing("departure_not_made", "departures"),
    nothing("minute_tally", "numbers of requests"),
    nothing("verdict", "ids of what does not hold"),
    nothing("recurring_job", "names of jobs"),
    nothing("_sqlx_migrations", "versions"),
    nothing("schema_floor", "a version"),
];
