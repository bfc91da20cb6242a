//! Live seats as server-sent events.

use crate::harness::{Client, Process, World, count, until};
use reqwest::Response;
use serde_json::{Value, json};
use std::time::Duration;

/// Streams of one process that the issue asks for.
const MANY: usize = 1_000;
/// How long a stream may be silent before its test fails. Never a measure of speed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A reader of one stream.
struct Reader {
    response: Response,
    text: String,
}

/// An event as it came.
#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Reader {
    async fn open(http: &reqwest::Client, base: &str, trip: &str, last_id: Option<&str>) -> Self {
        let mut request = http.get(format!("{base}/v1/trips/{trip}/seats/events"));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next block of lines; none when the stream ends.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            self.text += std::str::from_utf8(&chunk.expect("neither news nor an end").ok()??).unwrap();
        }
    }

    async fn event(&mut self) -> Event {
        loop {
            let block = self.block().await.expect("the stream goes on");
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            if let (Some(name), Some(id), Some(data)) = (field("event"), field("id"), field("data")) {
                let data = serde_json::from_str(data).unwrap();
                return Event { name: name.to_owned(), id: id.to_owned(), data };
            }
        }
    }

    /// The next event, which says exactly this.
    async fn changed(&mut self, seat: &str, state: &str) -> Event {
        let event = self.event().await;
        assert_eq!(event.name, "seats");
        assert_eq!(event.data, json!({"changed": [{"seat": seat, "state": state}]}));
        event
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_at_one_server_is_seen_at_the_other_and_a_reader_resumes() {
    let world = World::new().await;
    let far = world.another_api();
    let http = reqwest::Client::new();
    let trip = world.trip(4).await;
    let rider = world.rider("100.00").await;
    let mut reader = Reader::open(&http, &far.base(), &trip, None).await;
    let first = reader.event().await;
    assert_eq!(first.name, "snapshot");
    assert_eq!(first.data["seats"].as_array().unwrap().len(), 4);
    assert_eq!(first.data["seats"][3], json!({"seat": "4", "state": "free"}));

    let order = rider.booked(&trip, &["1"]).await;
    reader.changed("1", "held").await;
    rider.pay(&order).await.expect(200);
    let sold = reader.changed("1", "sold").await;
    drop(reader);

    // Nothing was missed: whichever server it comes back to goes on with what changes.
    let mut resumed = Reader::open(&http, &world.api.base(), &trip, Some(&sold.id)).await;
    let block = json!({"seats": ["2"], "reason": "a broken belt"});
    world.ops.post(&format!("/v1/ops/trips/{trip}/seats/block"), &block).await.expect(200);
    resumed.changed("2", "blocked").await;
    rider.refund(&order).await.expect(200);
    let free = resumed.changed("1", "free").await;
    drop(resumed);

    // Something was: it is told all that is. (A server tells what it saw last, so it must have seen that by now.)
    let mut fresh = Reader::open(&http, &far.base(), &trip, None).await;
    while fresh.event().await.id != free.id {}
    let mut late = Reader::open(&http, &far.base(), &trip, Some(&sold.id)).await;
    let whole = late.event().await;
    assert_eq!((whole.name.as_str(), &whole.id), ("snapshot", &free.id));
    assert_eq!(whole.data["seats"][0], json!({"seat": "1", "state": "free"}));
    assert_eq!(whole.data["seats"][1], json!({"seat": "2", "state": "blocked"}));
    let nowhere = format!("/v1/trips/{}/seats/events", uuid::Uuid::now_v7());
    Client::stranger(&far.base()).get(&nowhere).await.problem(404, "003070");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_show_that_they_live_and_end_with_their_server() {
    let world = World::new().await;
    let env = [
        ("FAREBOX__TRIPS__LIVE_STREAMS", "1"),
        ("FAREBOX__TRIPS__LIVE_HEARTBEAT_MS", "50"),
        // Longer than this test has patience: the stop must not need it.
        ("FAREBOX__HTTP__GRACE_MS", "600000"),
    ];
    let mut api = Process::api(&world.db.url, &env);
    let trip = world.trip(4).await;
    let http = reqwest::Client::new();
    let mut reader = Reader::open(&http, &api.base(), &trip, None).await;
    reader.event().await;
    assert_eq!(reader.block().await.as_deref(), Some(":"), "a comment, as a heartbeat");
    let path = format!("/v1/trips/{trip}/seats/events");
    let full = Client::stranger(&api.base()).get(&path).await;
    full.problem(503, "006021");
    assert!(full.headers.contains_key("retry-after"));
    api.signal("-TERM");
    while reader.block().await.is_some() {}
    assert!(api.wait().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_need_no_connection_of_their_own() {
    let world = World::new().await;
    // The server of the streams has two connections for everything.
    let api = Process::api(&world.db.url, &[("FAREBOX__DATABASE__MAX_CONNECTIONS", "2")]);
    let trip = world.trip(4).await;
    let rider = world.rider("0").await;
    let http = reqwest::Client::new();
    let base = api.base();
    let mut readers = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        let mut reader = Reader::open(&http, &base, &trip, None).await;
        assert_eq!(reader.event().await.name, "snapshot");
        readers.push(reader);
    }
    rider.booked(&trip, &["3"]).await;
    for reader in &mut readers {
        reader.changed("3", "held").await;
    }
    let listening = "select count(*) from pg_stat_activity
         where datname = current_database() and query ilike 'listen%' and application_name = 'farebox-api'";
    assert_eq!(count(&world.pool, listening).await, 0);
    let health = Client::stranger(&base).get("/health/ready").await;
    health.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_reads_nothing_loses_its_place() {
    let world = World::new().await;
    let env = [("FAREBOX__TRIPS__LIVE_STREAMS", "1"), ("FAREBOX__TRIPS__LIVE_STREAM_SECS", "1")];
    let api = Process::api(&world.db.url, &env);
    let (trip, http, base) = (world.trip(4).await, reqwest::Client::new(), api.base());
    let silent = Reader::open(&http, &base, &trip, None).await;
    until("its place is free", || async {
        let answer = http.get(format!("{base}/v1/trips/{trip}/seats/events")).send().await.unwrap();
        answer.status() == 200
    })
    .await;
    drop(silent);
}
