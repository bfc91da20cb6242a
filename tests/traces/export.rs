//! Exporting: settings, a collector that is slow, refuses or is away, and the end of a process.

use super::{all, traced};
use crate::{
    deploy::tls::certificates,
    harness::{Client, Collector, Mood, PRODUCTION, Process, World, counted_spans, until},
};

/// Waits until the API has counted this many spans of an outcome.
async fn counted(world: &World, outcome: &str, least: u64) {
    let base = world.api.base();
    until("the spans are counted", || async { counted_spans(&base, outcome).await >= least }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_carry_the_service_and_the_settings_headers() {
    let collector = Collector::start().await;
    let url = collector.url();
    let [endpoint, percent] = all(&url);
    let headers = crate::harness::folder("otel-headers");
    std::fs::write(&headers, "api-key=of a collector, x-tenant=farebox\n").unwrap();
    let file = headers.to_str().unwrap();
    let named = ("FAREBOX__OTEL__SERVICE_NAME", "tickets");
    let world = World::with(&[endpoint, percent, named, ("FAREBOX__OTEL__HEADERS_FILE", file)]).await;
    let answer = world.rider("0").await.get("/v1/wallet").await;
    let spans = collector.trace(answer.headers["x-trace-id"].to_str().unwrap()).await;
    let request = spans.iter().find(|span| span.name == "GET /v1/wallet").unwrap();
    assert_eq!((&*request.service, &request.attributes["http.request.method"]), ("tickets", &"GET".into()));
    let sent = collector.headers();
    assert_eq!(
        (&sent["api-key"], &sent["x-tenant"]),
        (&"of a collector".parse().unwrap(), &"farebox".parse().unwrap())
    );
    counted(&world, "sent", 1).await;
    // Probes and scrapes are not traced, and no key is in the log.
    assert!(
        !collector.spans().iter().any(|span| span.name.contains("/health") || span.name.contains("/metrics"))
    );
    assert!(!world.log().await.contains("of a collector"));
    std::fs::remove_file(headers).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sampling_records_none_or_all_or_some() {
    let collector = Collector::start().await;
    let url = collector.url();
    let world = World::new().await;
    let sampled = async |percent: &str, requests: usize| {
        let env = [("FAREBOX__OTEL__ENDPOINT", &*url), ("FAREBOX__OTEL__SAMPLE_PERCENT", percent)];
        let api = Process::api(&world.db.url, &env);
        let client = Client::stranger(&api.base());
        let mut sampled = 0;
        for _ in 0..requests {
            let answer = client.get("/v1/trips").await;
            sampled += usize::from(answer.headers["traceresponse"].to_str().unwrap().ends_with("-01"));
        }
        sampled
    };
    assert_eq!((sampled("0", 50).await, sampled("100", 50).await), (0, 50));
    // Of 200 with 50 %: outside of these bounds once in a million million million runs.
    let some = sampled("50", 200).await;
    assert!((35..=165).contains(&some), "{some}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_or_is_away_costs_spans_and_no_request() {
    let collector = Collector::start().await;
    let world = traced(&collector).await;
    let (trip, rider) = (world.trip(20).await, world.rider("0").await);
    collector.is_now(Mood::Refuses(503));
    rider.booked(&trip, &["1"]).await;
    counted(&world, "failed", 1).await;
    world.api.wait_for_line("the collector answered 503");
    collector.is_now(Mood::Takes);
    let answer = rider.book(&trip, &["2"]).await;
    answer.expect(201);
    collector.trace(answer.headers["x-trace-id"].to_str().unwrap()).await;
    world.api.wait_for_line("traces are exported again");
    collector.is_now(Mood::Rejects(1));
    let failed = counted_spans(&world.api.base(), "failed").await;
    rider.booked(&trip, &["3"]).await;
    counted(&world, "failed", failed + 1).await;

    // Nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let api = Process::api(&world.db.url, &all(&format!("http://{free}")));
    rider.at(&api.base()).booked(&trip, &["4"]).await;
    api.wait_for_line("traces are not exported");
    let base = api.base();
    until("the spans are counted", || async { counted_spans(&base, "failed").await > 0 }).await;
    assert_eq!(world.free_seats(&trip).await, 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_delays_no_request() {
    let collector = Collector::start().await;
    let world = traced(&collector).await;
    let (trip, rider) = (world.trip(20).await, world.rider("4.00").await);
    collector.is_now(Mood::Hangs);
    let before = collector.requests();
    rider.get("/v1/wallet").await.expect(200);
    until("the collector hangs", || async { collector.requests() > before }).await;
    // The exporter waits, and nothing else does.
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    world.api.wait_for_line("no answer within");
    counted(&world, "failed", 1).await;
    collector.is_now(Mood::Takes);
    let answer = rider.get("/v1/wallet").await;
    collector.trace(answer.headers["x-trace-id"].to_str().unwrap()).await;
    assert_eq!(counted_spans(&world.api.base(), "dropped").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_exports_what_is_left_and_waits_for_no_collector_that_hangs() {
    let collector = Collector::start().await;
    let mut world = traced(&collector).await;
    let answer = world.rider("0").await.get("/v1/wallet").await;
    let trace = answer.headers["x-trace-id"].to_str().unwrap().to_owned();
    world.api.signal(libc::SIGTERM);
    assert!(world.api.wait().success());
    assert!(collector.spans().iter().any(|span| span.trace == trace), "before the process ended");

    let hanging = Collector::start().await;
    let mut api = Process::api(&world.db.url, &all(&hanging.url()));
    hanging.is_now(Mood::Hangs);
    Client::stranger(&api.base()).get("/v1/trips").await.expect(200);
    api.signal(libc::SIGTERM);
    assert!(api.wait().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_over_tls_to_a_collector_whose_certificate_is_trusted() {
    let mut collector = Collector::start().await;
    let world = World::new().await;
    let [ca, cert, key] = certificates();
    let url = collector.url_over_tls(&cert, &key).await;
    let [endpoint, percent] = all(&url);
    let api = Process::api(&world.db.url, &[endpoint, percent, ("SSL_CERT_FILE", &ca)]);
    let answer = Client::stranger(&api.base()).get("/v1/trips").await;
    collector.trace(answer.headers["x-trace-id"].to_str().unwrap()).await;
    // What is trusted here is no authority that has signed it.
    let before = collector.requests();
    let api = Process::api(&world.db.url, &[endpoint, percent, ("SSL_CERT_FILE", &cert)]);
    Client::stranger(&api.base()).get("/v1/trips").await.expect(200);
    api.wait_for_line("traces are not exported");
    assert_eq!(collector.requests(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_cannot_be_used_stops_the_start() {
    let world = World::new().await;
    for (env, part) in [
        (vec![("FAREBOX__OTEL__ENDPOINT", "collector:4318")], "otel.endpoint"),
        (vec![("FAREBOX__OTEL__SAMPLE_PERCENT", "101")], "sample_percent"),
        (
            vec![PRODUCTION[0], PRODUCTION[1], ("FAREBOX__OTEL__ENDPOINT", "http://collector.example")],
            "FAREBOX__OTEL__ALLOW_PLAINTEXT",
        ),
        (
            vec![("FAREBOX__OTEL__ENDPOINT", "http://127.0.0.1:1"), ("FAREBOX__OTEL__HEADERS", "secret")],
            "otel.headers",
        ),
    ] {
        let mut refused = Process::worker(&world.db.url, &env, &[]);
        assert!(!refused.wait().success(), "{part}");
        refused.wait_for_line(part);
    }
}
