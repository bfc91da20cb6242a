//! One trace from a rider's request to the undo that repaired it.

use super::{all, traced};
use crate::harness::{Collector, Process, Received, World, until};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

/// The only span of this name.
#[track_caller]
fn named<'a>(spans: &'a [Received], name: &str) -> &'a Received {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {spans:#?}");
    found[0]
}

fn worker(world: &World, collector: &Collector, faults: &str) -> Process {
    let url = collector.url();
    let [endpoint, percent] = all(&url);
    let env = [endpoint, percent, ("FAREBOX_FAULTS", faults)];
    Process::worker(&world.db.url, &env, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_tell_a_failed_booking_from_the_request_to_the_third_attempt_of_its_undo() {
    let collector = Collector::start().await;
    let world = traced(&collector).await;
    let (trip, rider) = (world.trip(20).await, world.rider("0").await);
    let failed = rider.fault("order_add_cancle.before=error").book(&trip, &["3", "4"]).await;
    let body = failed.problem(500, "003099");
    let (trace, order) = (body["trace_id"].as_str().unwrap(), body["order_id"].as_str().unwrap());
    let _worker = worker(&world, &collector, "undo.order_add_cancle.before=error:2");

    // The request, its steps and what they did.
    let spans = collector.trace(trace).await;
    let request = named(&spans, "POST /v1/orders");
    assert_eq!((request.kind, request.failed, &*request.parent), (SpanKind::Server, true, ""));
    assert_eq!(request.attributes["http.response.status_code"], 500);
    assert_eq!(request.attributes["http.route"], "/v1/orders");
    assert_eq!(request.service, "farebox-api");
    let steps =
        ["order_seats_cancel", "order_add_seats_cancle", "order_calc_money_cancle", "order_add_cancle"];
    let steps = steps.map(|tag| named(&spans, &format!("step {tag}")));
    assert!(steps.iter().all(|step| step.parent == request.id), "{steps:#?}");
    assert!(steps.is_sorted_by_key(|step| step.began));
    assert_eq!(steps.map(|step| step.failed), [false, false, false, true]);
    assert_eq!(steps[3].attributes["farebox.outcome"], "failed");
    let batch = named(&spans, "batch claim_seats");
    assert_eq!(batch.parent, steps[1].id);
    assert_eq!(batch.attributes["farebox.batch.size"], 1);
    let statement = named(&spans, "claim_seats");
    assert_eq!((&statement.parent, statement.kind), (&batch.id, SpanKind::Client));
    assert_eq!(statement.attributes["db.system.name"], "postgresql");
    assert!(batch.began <= statement.began && statement.ended <= batch.ended);

    // The rollback that the failed step raised.
    let rollback = named(&spans, "rollback");
    assert_eq!((&rollback.parent, rollback.kind), (&steps[3].id, SpanKind::Producer));
    assert_eq!(rollback.attributes["farebox.rollback"], "queued");
    assert_eq!(rollback.attributes["farebox.tag"], "order_add_cancle");
    assert_eq!(named(&spans, "batch schedule_rollbacks").parent, rollback.id);

    // The undo's attempts: traces of their own, each linked to what raised it.
    let attempts = collector.linked(trace, 3).await;
    assert_eq!(attempts.len(), 3, "{attempts:#?}");
    for (nr, attempt) in attempts.iter().enumerate() {
        assert_eq!((&*attempt.name, attempt.kind), ("undo order_add_cancle", SpanKind::Consumer));
        assert_eq!((&*attempt.parent, &*attempt.service), ("", "farebox-worker"));
        assert_eq!(attempt.links, [(trace.to_owned(), rollback.id.clone())]);
        assert_ne!(attempt.trace, trace);
        let about = &attempt.attributes;
        assert_eq!(about["farebox.attempt"], nr + 1);
        assert_eq!(about["farebox.seats"], json!(["3", "4"]));
        assert_eq!((&about["farebox.amount"], &about["farebox.currency"]), (&json!("8.00"), &json!("CNY")));
        assert_eq!(about["farebox.order_id"], order);
        assert_eq!(about["farebox.tag"], "order_add_cancle");
        assert_eq!(about["farebox.trace_id"], trace);
        assert_eq!(attempt.failed, nr < 2);
        assert_eq!(about["farebox.outcome"], if nr < 2 { "failed" } else { "done" });
    }
    assert_eq!(attempts[2].attributes["farebox.note"], "seats given back");
    let of_third: Vec<_> = collector.spans().into_iter().filter(|s| s.trace == attempts[2].trace).collect();
    assert_eq!(named(&of_third, "batch release_seats").parent, attempts[2].id);
    assert_eq!(named(&of_third, "release_seats").parent, named(&of_third, "batch release_seats").id);
    world.drained().await;
    assert_eq!(world.free_seats(&trip).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_armed_undo_is_linked_to_the_step_that_armed_it() {
    let collector = Collector::start().await;
    let world = traced(&collector).await;
    let (trip, rider) = (world.trip(20).await, world.rider("10.00").await);
    let order = rider.booked(&trip, &["7"]).await;
    let failed = rider.fault("pay_money_cancle.after=error").pay(&order).await;
    let trace = failed.problem(500, "003099")["trace_id"].as_str().unwrap();
    let _worker = worker(&world, &collector, "");
    let attempts = collector.linked(trace, 1).await;
    let spans = collector.trace(trace).await;
    let debit = named(&spans, "step pay_money_cancle");
    assert_eq!(attempts[0].links, [(trace.to_owned(), debit.id.clone())]);
    let about = &attempts[0].attributes;
    assert_eq!((&about["farebox.amount"], &about["farebox.seats"]), (&json!("4.00"), &json!(["7"])));
    assert_eq!(about["farebox.order_id"], order);
    assert_eq!(about["farebox.note"], "money given back");
    let of_attempt: Vec<_> =
        collector.spans().into_iter().filter(|span| span.trace == attempts[0].trace).collect();
    for statement in ["bar", "begin_undo", "give_money_back"] {
        assert_eq!(named(&of_attempt, statement).parent, attempts[0].id);
    }
    // Nothing of the person and no secret is in any span.
    let text = format!("{:?}", collector.spans());
    for secret in [crate::harness::PAY_PASSWORD, crate::harness::PASSWORD, rider.token(), "rider0"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    until("the money is back", || async { rider.balance().await == "10.00" }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_is_recorded_if_its_request_is() {
    let collector = Collector::start().await;
    // The API records nothing.
    let world = World::with(&[
        ("FAREBOX__OTEL__ENDPOINT", &*collector.url()),
        ("FAREBOX__OTEL__SAMPLE_PERCENT", "0"),
        ("FAREBOX__OTEL__FOLLOW_CALLERS", "true"),
    ])
    .await;
    let (trip, rider) = (world.trip(20).await, world.rider("0").await);
    let failing = rider.fault("order_add_cancle.before=error");
    failing.book(&trip, &["1"]).await.problem(500, "003099");
    let recorded = failing.traceparent(super::context::SAMPLED).book(&trip, &["2"]).await;
    let trace = recorded.problem(500, "003099")["trace_id"].as_str().unwrap().to_owned();
    let _worker = worker(&world, &collector, "");
    world.drained().await;
    let attempts = collector.linked(&trace, 1).await;
    let ours = |span: &Received| span.name.starts_with("undo ") || span.kind == SpanKind::Server;
    let seen: Vec<_> = collector.spans().into_iter().filter(ours).map(|span| span.name).collect();
    assert_eq!((attempts.len(), seen.len()), (1, 2), "only the caller's request and its undo: {seen:?}");
}
