//! The operations, by resource. A test compares them with the router.

use super::{
    accounts::{accounts, own_account},
    builder::{
        Access::{Anyone, Operator, SignedIn, Viewer},
        Operation, Schemas, bounded_text, operation, text, time, uuid,
    },
    network, orders as ops_orders, stream, wallets, webhooks,
};
use crate::{
    accounts::password_reset::ResetCode,
    domain::Page,
    http::{
        extract::{EmptyBody, reason::OptionalReason},
        handlers::{
            ops::{self as http_ops, bulk, jobs, queues, riders as ops_riders, trips as ops_trips},
            orders as http_orders,
        },
    },
    ops::{
        audit,
        bulk::{Bulk, Item, Preview},
        impact::Impact,
        search::{ErrorGroup, FAILURES, MAX_GROUPS, STATES},
    },
    orders::{Evaluation, ListedOrder, MOST_EVENTS, NewEvaluation, OrderDetail, OrderView},
    payment::authorization::Authorization,
    trips::{
        self, ListedTrip, NewTrip, NotMade, ShownTrip, TripDetail, cancel::Progress, manifest::Manifest,
        seats::BlockedSeats,
    },
    verify,
};
use serde_json::{Value, json};

/// The description of the manifest.
const MANIFEST: &str = "The manifest. The CSV follows RFC 4180, in UTF-8 without a byte order mark. Texts that people chose \
    begin with an apostrophe where a spreadsheet would read a formula, a number, a date or a truth value; a program takes one \
    leading apostrophe off";

/// Every operation of the router.
pub(super) fn operations(s: &mut Schemas) -> Vec<Operation> {
    let groups = [
        service,
        accounts,
        own_account,
        trips_of_riders,
        orders,
        ops_trips,
        wallets::operations,
        ops_orders::operations,
        network::operations,
        network::trip_changes,
        ops_jobs,
        ops_bulk,
        ops_queues,
        webhooks::operations,
        ops_reports,
    ];
    groups.into_iter().flat_map(|group| group(s)).collect()
}

/// An example of a body with a reason.
fn reason() -> Value {
    json!({ "reason": "the wallet is unlocked again" })
}

/// An example of an extra trip, some months ahead so that it can be added.
fn extra_trip() -> Value {
    let day = (chrono::Utc::now() + chrono::TimeDelta::days(180)).date_naive();
    json!({
        "bus_id": 1, "direction": 0, "departs_at": format!("{day}T08:00:00Z"), "arrives_at": format!("{day}T09:00:00Z"),
        "price": "4.00",
    })
}

/// What a probe gets.
fn health(word: &str) -> Value {
    json!({ "type": "object", "required": ["status"], "properties": { "status": { "type": "string", "enum": [word] } } })
}

/// Health, metrics and this description.
fn service(_: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("get", "/health/live", Anyone, "Whether the process lives").gives(
            200,
            "It does",
            health("alive"),
        ),
        operation("get", "/health/ready", Anyone, "Whether it can serve").gives(
            200,
            "It can",
            health("ready"),
        ),
        operation("get", "/metrics", Anyone, "Metrics for a scraper")
            .gives_text("application/openmetrics-text", "OpenMetrics"),
        operation("get", "/openapi.json", Anyone, "This description").gives(
            200,
            "OpenAPI 3.1",
            json!({ "type": "object" }),
        ),
        operation("get", "/docs", Anyone, "This description as a page").gives_text("text/html", "A page"),
    ]
}

/// Trips and their seats.
fn trips_of_riders(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("get", "/v1/trips", Anyone, "The trips of a day, with free seats")
            .query(
                "date",
                "A date in the zone of the network; today if left out",
                json!({ "type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }),
            )
            .query(
                "direction",
                "The number of a direction; all if left out",
                json!({ "type": "integer", "minimum": 0, "maximum": 999 }),
            )
            .query(
                "route",
                "The code of a route of the network; all if left out",
                json!({ "type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$" }),
            )
            .paged_by(trips::PAGE, trips::PAGE)
            .gives(200, "A page, soonest first", s.gives::<Page<ListedTrip<'static>>>())
            .localized()
            .validated(),
        operation("get", "/v1/trips/{id}", Anyone, "A trip with its bus and each seat")
            .gives(200, "The trip", s.gives::<ShownTrip<'static>>())
            .localized()
            .validated(),
        operation(
            "get",
            "/v1/trips/{id}/seats/events",
            Anyone,
            "Seat changes as they commit, as server-sent events",
        )
        .gives_events(stream::MEANING, stream::events())
        .refuses("006021"),
    ]
}

/// Orders and payments.
fn orders(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("get", "/v1/orders", SignedIn, "One's own orders: unpaid by deadline, upcoming by departure, those that departed the last one first, others newest first")
            .query("list", "Which of them", s.takes::<crate::orders::List>())
            .paged()
            .gives(200, "A page", s.gives::<Page<http_orders::ShownOrder<'static, ListedOrder>>>())
            .localized(),
        operation("post", "/v1/orders", SignedIn, "Book seats")
            .takes(s.takes::<http_orders::NewOrder>(), json!({ "trip_id": "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511", "seats": ["3", "4"] }))
            .gives(201, "The order, unpaid, with its deadline", s.gives::<OrderView>())
            .refuses("004000 006003 006004 006040 003070")
            .keyed(),
        operation("get", "/v1/orders/{id}", SignedIn, "One of one's own orders").gives(200, "The order with its history", s.gives::<http_orders::ShownOrder<'static, OrderDetail>>()).localized(),
        operation("post", "/v1/orders/{id}/pay", SignedIn, "Pay an order from the wallet")
            .takes(s.takes::<http_orders::PayWith>(), json!({ "pay_password": "271828" }))
            .gives(200, "The order, paid", s.gives::<OrderView>())
            .refuses("004001 004002 006001 006002 006004 006007 006008 006010 006043")
            .keyed(),
        operation("post", "/v1/payment-authorizations", SignedIn, "Check the pay password beforehand, for one payment")
            .takes(s.takes::<http_orders::Authorize>(), json!({ "order_id": "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511", "pay_password": "271828" }))
            .gives(201, "Leave to pay this order once", s.gives::<Authorization>())
            .refuses("003070 003091 004001 006001 006002 006004 006007 006008 006010"),
        operation("post", "/v1/orders/{id}/cancel", SignedIn, "Cancel an unpaid order")
            .may_take(s.takes::<EmptyBody>(), json!({}))
            .gives(200, "The order, closed", s.gives::<OrderView>())
            .refuses("006002")
            .keyed(),
        operation("post", "/v1/orders/{id}/refund", SignedIn, "Give a paid order back, before the cut-off; one whose trip an import changed, before departure")
            .may_take(s.takes::<EmptyBody>(), json!({}))
            .gives(200, "The order, refunded", s.gives::<OrderView>())
            .refuses("006002 006009")
            .keyed(),
        operation("post", "/v1/orders/{id}/evaluation", SignedIn, "Say how the trip was, once, after departure")
            .takes(s.takes::<NewEvaluation>(), json!({ "rating": 5, "comment": "on time" }))
            .gives(201, "The evaluation", s.gives::<Evaluation>())
            .refuses("006002 006004 006041 006042")
            .keyed(),
    ]
}

/// Trips, for operators.
fn ops_trips(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("post", "/v1/ops/trips", Operator, "Add an extra trip")
            .takes(
                s.takes::<NewTrip>(),
                extra_trip(),
            )
            .gives(201, "The trip", s.gives::<TripDetail>())
            .refuses("006022")
            .keyed(),
        operation("post", "/v1/ops/trips/{id}/seats/block", Operator, "Block seats")
            .takes(s.takes::<ops_trips::SeatsWithReason>(), json!({ "seats": ["1"], "reason": "broken" }))
            .gives(200, "The seats that are blocked", s.gives::<BlockedSeats>())
            .refuses("004000 006004 006020").keyed(),
        operation("post", "/v1/ops/trips/{id}/seats/release", Operator, "Release blocked seats")
            .takes(s.takes::<ops_trips::SeatsWithReason>(), json!({ "seats": ["1"], "reason": "repaired" }))
            .gives(200, "The seats that are blocked", s.gives::<BlockedSeats>())
            .refuses("006004 006020").keyed(),
        operation("get", "/v1/ops/trips/{id}/manifest", Viewer, "Who rides, or would have ridden if the trip was not cancelled; phone and e-mail for operators and admins")
            .query("format", "`csv` or `json`; by Accept if left out", json!({ "type": "string", "enum": ["json", "csv"] }))
            .gives(200, MANIFEST, s.gives::<Manifest>())
            .or_text("text/csv"),
        operation("post", "/v1/ops/trips/{id}/cancel", Operator, "Cancel a trip: its orders are closed or refunded")
            .takes(s.takes::<ops_trips::CancelTrip>(), json!({ "reason": "snow", "message": "The pass is closed. Please take the bus at noon." }))
            .gives(202, "The progress", s.gives::<Progress>())
            .refuses("003092 006020").keyed(),
        operation("get", "/v1/ops/trips/{id}/cancellation", Viewer, "The progress of a cancellation")
            .gives(200, "The progress", s.gives::<Progress>()),
        operation("get", "/v1/ops/departures-not-made", Viewer, "Departures of the timetable that could not be made, the next ones first")
            .paged()
            .gives(200, "A page", s.gives::<Page<NotMade>>()),
        operation("post", "/v1/ops/riders/{id}/password-reset", Operator, "A one-time code for a new password; the old one and the sessions end")
            .takes(s.takes::<ops_riders::ResetRequest>(), json!({ "reason": "she came to the desk with her card" }))
            .gives(201, "The code, shown once", s.gives::<ResetCode>())
            .refuses("003092"),
    ]
}

/// Jobs and their errors, for operators.
fn ops_jobs(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("get", "/v1/ops/jobs", Viewer, "Jobs, newest first")
            .query("tag", "Of this tag", text())
            .query("state", "In this state", json!({ "type": "string", "enum": STATES }))
            .query("key", "With this key", bounded_text())
            .query("serial", "With this serial key", bounded_text())
            .query("error", "Whose last error has this fingerprint; live and dead jobs", bounded_text())
            .query("order", "About this order", uuid())
            .query("rider", "About this rider's newest 100 orders", uuid())
            .query("trip", "About this trip's newest 100 orders, and its own jobs", uuid())
            .query("since", "Enqueued since then", time())
            .query("before", "Enqueued before then", time())
            .query("failures", "With at least this number of failed attempts; live and dead jobs",
                json!({ "type": "integer", "minimum": FAILURES.start(), "maximum": FAILURES.end() }))
            .paged()
            .gives(200, "A page", s.gives::<Page<jobs::Job>>())
            .refuses("003070"),
        operation("get", "/v1/ops/jobs/{id}", Viewer, "A job with its attempts").gives(200, "The job", s.gives::<jobs::Job>()),
        operation("get", "/v1/ops/jobs/{id}/impact", Viewer, "What running or cancelling a job would change")
            .gives(200, "Seats, money, and whose", s.gives::<Impact>()),
        operation("post", "/v1/ops/jobs/{id}/snooze", Operator, "Snooze a waiting job")
            .takes(s.takes::<jobs::Snooze>(), json!({ "until": "2030-01-01T12:00:00Z", "reason": "the bank is closed until noon" }))
            .gives(200, "The job", s.gives::<jobs::Job>())
            .refuses("006011").keyed(),
        operation("get", "/v1/ops/errors", Viewer, "Errors by fingerprint, the most frequent first: of the newest 500 dead letters and as many live jobs")
            .query("tag", "Of this tag", text())
            .paged_by(MAX_GROUPS, MAX_GROUPS)
            .gives(200, "A page", s.gives::<Page<ErrorGroup>>())
            .refuses("003070"),
        operation("post", "/v1/ops/jobs/{id}/retry", Operator, "Run a waiting or dead job now")
            .may_take(s.takes::<OptionalReason>(), reason())
            .gives(200, "The job", s.gives::<jobs::Job>())
            .refuses("006011").keyed(),
        operation("post", "/v1/ops/jobs/{id}/cancel", Operator, "Cancel a job")
            .may_take(s.takes::<OptionalReason>(), reason())
            .gives(200, "The cancelled job", s.gives::<jobs::Job>())
            .gives(202, "The running job, whose attempt is asked to end", s.gives::<jobs::Job>())
            .refuses("006011").keyed(),
        operation("post", "/v1/ops/jobs/{id}/discard", Operator, "Discard a dead letter that owes nothing")
            .may_take(s.takes::<OptionalReason>(), reason())
            .gives(200, "The cancelled job", s.gives::<jobs::Job>())
            .refuses("006012").keyed(),
    ]
}

/// Bulk operations on jobs, for operators.
fn ops_bulk(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("get", "/v1/ops/bulk", Viewer, "Bulk operations, newest first")
            .paged()
            .gives(200, "A page", s.gives::<Page<Bulk>>()),
        operation("post", "/v1/ops/bulk", Operator, "Start a bulk operation, or preview it")
            .takes(
                s.takes::<bulk::NewBulk>(),
                json!({ "act": "redrive", "filter": { "tag": "pay_money_cancle" }, "expected": 3, "reason": "the bank is back" }),
            )
            .gives(200, "The preview", s.gives::<Preview>())
            .gives(202, "The started operation", s.gives::<Bulk>())
            .refuses("006045").keyed(),
        operation("get", "/v1/ops/bulk/{id}", Viewer, "A bulk operation and its progress")
            .gives(200, "The operation", s.gives::<Bulk>()),
        operation("get", "/v1/ops/bulk/{id}/items", Viewer, "The jobs of a bulk operation and their outcomes")
            .query("outcome", "Of this outcome", json!({ "type": "string", "enum": ["open", "done", "asked", "busy", "gone", "owes"] }))
            .paged()
            .gives(200, "A page", s.gives::<Page<Item>>()),
        operation("post", "/v1/ops/bulk/{id}/stop", Operator, "Stop a bulk operation")
            .may_take(s.takes::<bulk::StopBulk>(), reason())
            .gives(200, "The stopped operation", s.gives::<Bulk>())
            .refuses("006044").keyed(),
    ]
}

/// Queues and workers, for operators.
fn ops_queues(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("get", "/v1/ops/queues", Viewer, "The numbers of every tag").gives(
            200,
            "The tags, all of them: `next` is always null",
            s.gives::<Page<queues::Queue>>(),
        ),
        operation("post", "/v1/ops/queues/{tag}/pause", Operator, "Pause a tag: its jobs are not claimed")
            .may_take(s.takes::<OptionalReason>(), reason())
            .gives(200, "The tag", s.gives::<queues::Queue>())
            .keyed(),
        operation("post", "/v1/ops/queues/{tag}/resume", Operator, "Resume a tag")
            .may_take(s.takes::<OptionalReason>(), reason())
            .gives(200, "The tag", s.gives::<queues::Queue>())
            .keyed(),
        operation(
            "post",
            "/v1/ops/queues/{tag}/drain",
            Operator,
            "Pause a tag and wait for its running attempts",
        )
        .may_take(s.takes::<queues::Drain>(), json!({ "reason": "a new build", "wait_secs": 5 }))
        .gives(200, "The tag", s.gives::<queues::Queue>())
        .keyed(),
        operation("post", "/v1/ops/queues/{tag}/cancel", Operator, "Cancel a live job by its key")
            .takes(
                s.takes::<jobs::ByKey>(),
                json!({ "key": "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511", "reason": "requested by its rider" }),
            )
            .gives(200, "The cancelled job", s.gives::<jobs::Job>())
            .gives(202, "The running job, whose attempt is asked to end", s.gives::<jobs::Job>())
            .refuses("006011")
            .keyed(),
        operation("post", "/v1/ops/queues/{tag}/redrive", Operator, "Redrive a tag's dead letters")
            .may_take(s.takes::<queues::Redrive>(), json!({ "error": "timed out" }))
            .gives(200, "The number of redriven jobs", s.gives::<queues::Redriven>())
            .keyed(),
        operation("get", "/v1/ops/queues/{tag}/minutes", Viewer, "What ended in each minute")
            .query(
                "minutes",
                "How far back, minutes",
                json!({ "type": "integer", "minimum": 1, "maximum": 1440, "default": 60 }),
            )
            .gives(200, "The roll-ups", s.gives::<queues::Minutes>()),
        operation("post", "/v1/ops/dead-letters/redrive", Operator, "Redrive dead letters")
            .may_take(
                s.takes::<queues::Redrive>(),
                json!({ "tag": "pay_money_cancle", "error": "timed out" }),
            )
            .gives(200, "The number of redriven jobs", s.gives::<queues::Redriven>())
            .refuses("003070")
            .keyed(),
        operation(
            "get",
            "/v1/ops/workers",
            Viewer,
            "The workers, those that went missing included; the newest first",
        )
        .paged_by(queues::MAX_WORKERS, queues::MAX_WORKERS)
        .gives(200, "A page", s.gives::<Page<queues::Worker>>()),
    ]
}

/// Timelines, the audit log and the verifier, for operators.
fn ops_reports(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("get", "/v1/ops/orders/{id}/timeline", Viewer, "All that happened to an order")
            .paged_by(MOST_EVENTS, MOST_EVENTS)
            .gives(200, "Events in order", s.gives::<http_ops::Timeline>()),
        operation("get", "/v1/ops/audit", Viewer, "What operators did, newest first")
            .query("actor", "By whom, by name", bounded_text())
            .query(
                "act",
                "Of this kind",
                json!({ "type": "string", "enum": audit::Action::ALL.map(audit::Action::as_str).as_slice() }),
            )
            .query("subject_kind", "Upon this kind of thing", bounded_text())
            .query("subject", "Upon the thing of this id or name", bounded_text())
            .query("order", "About this order", uuid())
            .query("since", "Since then", time())
            .query("before", "Before then", time())
            .paged()
            .gives(200, "A page", s.gives::<Page<audit::Entry>>()),
        operation("get", "/v1/ops/verify", Viewer, "Every invariant with its verdict")
            .query(
                "recent_secs",
                "Only orders and payments of so much time before now, seconds; all if left out",
                json!({ "type": "integer", "minimum": 1, "maximum": verify::MAX_RECENT_SECS }),
            )
            .gives(200, "The verdicts", s.gives::<http_ops::Report>()),
    ]
}
