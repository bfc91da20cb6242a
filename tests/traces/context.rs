//! The trace context of requests: what callers name, and what answers, logs, job history and console
//! show.

use super::traced;
use crate::{
    console::ConsoleSession,
    harness::{Client, Collector, Process, World, count, until},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(super) const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_id_is_one_in_answer_log_history_and_console() {
    let collector = Collector::start().await;
    let world = traced(&collector).await;
    let (trip, rider) = (world.trip(20).await, world.rider("0").await);
    let failing = rider.fault("order_add_seats_cancle.after=error").traceparent(SAMPLED);
    let failed = failing.book(&trip, &["1"]).await;
    assert_eq!(failed.problem(500, "003099")["trace_id"], TRACE);
    assert_eq!(failed.headers["x-trace-id"], TRACE);
    assert!(failed.headers["traceresponse"].to_str().unwrap().starts_with(&format!("00-{TRACE}-")));
    let log = world.log().await;
    let lines = |what: &str| log.lines().any(|line| line.contains(what) && line.contains(TRACE));
    assert!(lines("step failed") && lines("status=500"), "{log}");

    let worker = Process::worker(
        &world.db.url,
        &[("FAREBOX_FAULTS", "undo.order_add_seats_cancle.before=error:1")],
        &[],
    );
    world.drained().await;
    until("the worker's line is there", || async {
        worker.log().lines().any(|line| line.contains("job done") && line.contains(TRACE))
    })
    .await;
    let jobs = world.ops.get("/v1/ops/jobs?tag=order_add_seats_cancle&state=done").await;
    let job = &jobs.expect(200)["items"][0];
    assert_eq!(
        (&job["trace_id"], &job["attempts"][0]["trace_id"]),
        (&TRACE.into(), &TRACE.into()),
        "{}",
        jobs.text
    );
    let console = ConsoleSession::enter(&world, "ops").await;
    let page = console.page(&format!("/console/jobs/{}", job["id"].as_str().unwrap())).await;
    assert!(page.matches(TRACE).count() >= 2, "{page}");

    // The collector has the caller's span as the request's parent.
    let spans = collector.trace(TRACE).await;
    let request = spans.iter().find(|span| span.name == "POST /v1/orders").unwrap();
    assert_eq!(request.parent, "00f067aa0ba902b7");
    assert_eq!(failed.headers["traceresponse"], format!("00-{TRACE}-{}-01", request.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_traceparent_is_ignored() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    for wrong in [
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "x",
    ] {
        let answer = rider.traceparent(wrong).get("/v1/wallet").await;
        answer.expect(200);
        assert_ne!(answer.headers["x-trace-id"], TRACE, "{wrong}");
        assert_eq!(answer.headers["x-trace-id"].len(), 32);
        assert!(!answer.headers.contains_key("traceresponse"), "{wrong}");
    }
    // Two of them are none.
    let twice = reqwest::Client::new().get(format!("{}/v1/trips", world.api.base()));
    let twice = twice.header("traceparent", SAMPLED).header("traceparent", SAMPLED).send().await.unwrap();
    assert_ne!(twice.headers()["x-trace-id"], TRACE);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_endpoint_a_trace_id_is_carried_and_nothing_is_recorded() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("0").await);
    let answer = rider.traceparent(SAMPLED).book(&trip, &["1"]).await;
    answer.expect(201);
    assert_eq!(answer.headers["x-trace-id"], TRACE);
    let response = answer.headers["traceresponse"].to_str().unwrap();
    assert!(response.starts_with(&format!("00-{TRACE}-")) && response.ends_with("-00"), "{response}");
    let carried =
        "select count(*) from queue.job where payload->>'trace' = '4bf92f3577b34da6a3ce929d0e0e4736'";
    assert_eq!(count(&world.pool, carried).await, 1, "the timer");
    assert_eq!(count(&world.pool, "select count(*) from queue.job where payload ? 'traceparent'").await, 0);
    let page = reqwest::get(format!("{}/metrics", world.api.base())).await.unwrap().text().await.unwrap();
    let spans: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("farebox_trace_spans_total{")).collect();
    assert!(spans.len() == 3 && spans.iter().all(|counted| counted.ends_with(" 0")), "{spans:?}");
    // Two requests have two ids, at random: their first halves differ, which hold no time.
    let ids = [rider.get("/v1/wallet").await, rider.get("/v1/wallet").await];
    let halves = ids.map(|answer| answer.headers["x-trace-id"].to_str().unwrap()[..8].to_owned());
    assert_ne!(halves[0], halves[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_flag_decides_only_where_callers_are_followed() {
    let collector = Collector::start().await;
    let url = collector.url();
    let settings = |percent: &'static str, follows: &'static str| {
        [
            ("FAREBOX__OTEL__ENDPOINT", url.clone()),
            ("FAREBOX__OTEL__SAMPLE_PERCENT", percent.to_owned()),
            ("FAREBOX__OTEL__FOLLOW_CALLERS", follows.to_owned()),
        ]
    };
    let world = World::new().await;
    let unsampled = SAMPLED.replace("-01", "-00");
    for (percent, follows, traceparent, recorded) in [
        ("0", "false", Some(SAMPLED), false),
        ("0", "true", Some(SAMPLED), true),
        ("100", "false", Some(&*unsampled), true),
        ("100", "true", Some(&*unsampled), false),
        ("0", "true", None, false),
        ("100", "true", None, true),
    ] {
        let settings = settings(percent, follows);
        let env = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
        let api = Process::api(&world.db.url, &env);
        let client = Client::stranger(&api.base());
        let client = traceparent.map_or_else(|| client.clone(), |parent| client.traceparent(parent));
        let answer = client.get("/v1/trips").await;
        let response = answer.headers["traceresponse"].to_str().unwrap();
        let case = format!("{percent} % {follows} {traceparent:?}: {response}");
        assert_eq!(response.ends_with("-01"), recorded, "{case}");
        assert_eq!(response[3..35], answer.headers["x-trace-id"], "{case}");
    }
}
