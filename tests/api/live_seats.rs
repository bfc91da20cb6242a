//! Live seats as server-sent events.

use crate::{
    console::session::ConsoleSession,
    harness::{Client, Process, World, count, new_rider, until},
};
use farebox::accounts::{self, Role};
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

    /// The next event with data, with its id if it has one.
    async fn any_event(&mut self) -> (String, Option<String>, Value) {
        loop {
            let block = self.block().await.expect("the stream goes on");
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            if let (Some(name), Some(data)) = (field("event"), field("data")) {
                let data = serde_json::from_str(data).unwrap();
                return (name.to_owned(), field("id").map(str::to_owned), data);
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

    // Events were missed: the stream starts with all seats. A server sends its last state, so it must have
    // read the change by now.
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
    api.signal(libc::SIGTERM);
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
async fn a_client_that_reads_nothing_is_disconnected() {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_hold_is_sent_though_no_row_changes() {
    let world = World::new().await;
    let trip = world.trip(2).await;
    let rider = world.rider("0").await;
    let mut reader = Reader::open(&reqwest::Client::new(), &world.api.base(), &trip, None).await;
    reader.event().await;
    let order = rider.booked(&trip, &["1"]).await;
    reader.changed("1", "held").await;
    // No worker runs, so nothing closes the order: its seat becomes free by the clock alone.
    sqlx::query("update seat set held_until = now() + interval '1 s' where order_id = $1::uuid")
        .bind(&order)
        .execute(&world.pool)
        .await
        .unwrap();
    reader.changed("1", "free").await;
    assert_eq!(world.order(&order).await["status"], "unpaid");
}

/// What is answered to an `EventSource` at this address, and the answer itself if it is a problem.
async fn event_source(base: &str, trip: &str, address: &str) -> Response {
    let request = reqwest::Client::new().get(format!("{base}/v1/trips/{trip}/seats/events"));
    let request = request.header("accept", "text/event-stream").header("x-forwarded-for", address);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "an EventSource gives up at anything else");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

async fn first_block(response: Response) -> (String, Reader) {
    let mut reader = Reader { response, text: String::new() };
    (reader.block().await.unwrap(), reader)
}

/// The value of the `retry` line, milliseconds.
fn retry(block: &str) -> Option<u64> {
    block.lines().find_map(|line| line.strip_prefix("retry:")?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_does_not_take_all_streams_and_a_refused_browser_comes_back() {
    let world = World::new().await;
    let env = [
        ("FAREBOX__LIMITS__ENABLED", "true"),
        ("FAREBOX__HTTP__TRUSTED_PROXIES", "1"),
        ("FAREBOX__TRIPS__LIVE_STREAMS", "5"),
        ("FAREBOX__TRIPS__LIVE_STREAMS_PER_ADDRESS", "2"),
    ];
    let api = Process::api(&world.db.url, &env);
    let (base, trip) = (api.base(), world.trip(2).await);
    let mut open = Vec::new();
    // Two of one network, two of another, of which each is counted by itself.
    for address in ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "198.51.100.7", "198.51.100.7"] {
        let (block, mut reader) = first_block(event_source(&base, &trip, address).await).await;
        assert_eq!(retry(&block), Some(3_000), "{block}");
        assert_eq!(reader.event().await.name, "snapshot");
        open.push(reader);
    }
    for address in ["2001:db8:1:2::77", "198.51.100.7"] {
        let response = event_source(&base, &trip, address).await;
        let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        let (block, mut reader) = first_block(response).await;
        let millis = retry(&block).unwrap();
        assert!((5_000..10_000).contains(&millis) && wait == millis.div_ceil(1_000), "{block}");
        assert!(block.lines().any(|line| line.starts_with("event:") && line.ends_with("busy")), "{block}");
        assert_eq!(reader.block().await, None, "the stream ends, so that the browser comes back");
        let plain = reqwest::Client::new().get(format!("{base}/v1/trips/{trip}/seats/events"));
        let refused = plain.header("x-forwarded-for", address).send().await.unwrap();
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["code"], "006021");
    }
    // Somebody else finds a place, and it is the last.
    let (_, mut else_where) = first_block(event_source(&base, &trip, "198.51.100.8").await).await;
    assert_eq!(else_where.event().await.name, "snapshot");
    let (block, _) = first_block(event_source(&base, &trip, "198.51.100.9").await).await;
    assert!(retry(&block).unwrap() >= 5_000, "the server is full");
    drop(open);
    until("the address has a place again", async || {
        let (block, _) = first_block(event_source(&base, &trip, "198.51.100.7").await).await;
        retry(&block) == Some(3_000)
    })
    .await;
    // A wrong trip is no reason to come back.
    let nowhere = format!("{base}/v1/trips/{}/seats/events", uuid::Uuid::now_v7());
    let request = reqwest::Client::new().get(nowhere).header("accept", "text/event-stream");
    assert_eq!(request.send().await.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_operators_tabs_leave_live_pages_to_the_others() {
    let world = World::new().await;
    let session = ConsoleSession::enter(&world, "ops").await;
    let open = async |session: &ConsoleSession| {
        let request = session.http.get(format!("{}/console/jobs?live=1", session.base));
        let request = request.header("cookie", &session.cookie).header("accept", "text/event-stream");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        first_block(response).await
    };
    let mut tabs = Vec::new();
    for _ in 0..10 {
        let (block, reader) = open(&session).await;
        assert_eq!(retry(&block), Some(3_000), "{block}");
        tabs.push(reader);
    }
    let (block, _) = open(&session).await;
    assert!(block.contains("busy") && retry(&block).unwrap() >= 5_000, "{block}");
    let account = new_rider("another");
    accounts::register(&world.pool, &world.saga.passwords, &account, Role::Viewer).await.unwrap();
    let another = ConsoleSession::enter(&world, "another").await;
    let (block, _) = open(&another).await;
    assert_eq!(retry(&block), Some(3_000));
    drop(tabs);
    until("there is a place again", async || retry(&open(&session).await.0) == Some(3_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_learn_that_the_trip_is_cancelled_also_when_they_come_late() {
    let world = World::new().await;
    let http = reqwest::Client::new();
    let (trip, other) = (world.trip(4).await, world.trip(4).await);
    let base = world.api.base();
    let mut reader = Reader::open(&http, &base, &trip, None).await;
    let first = reader.event().await;
    let cancel = json!({"reason": "snow", "message": "The pass is closed."});
    world.ops.post(&format!("/v1/ops/trips/{trip}/cancel"), &cancel).await.expect(202);
    let (name, id, data) = reader.any_event().await;
    assert_eq!((name.as_str(), id), ("cancelled", None));
    assert_eq!(data["message"], "The pass is closed.");
    let at = data["cancelled_at"].as_str().unwrap().to_owned();
    assert!(at.ends_with('Z'), "{at}");
    // No worker runs, so no seat is blocked: one that comes back without the event's state learns it at once.
    let mut late = Reader::open(&http, &base, &trip, Some(&first.id)).await;
    let (name, id, seats) = late.any_event().await;
    assert_eq!(name, "snapshot");
    assert_ne!(id.as_deref(), Some(first.id.as_str()), "another state than before");
    assert_eq!(seats["seats"].as_array().unwrap().len(), 4);
    let (name, _, again) = late.any_event().await;
    assert_eq!((name.as_str(), &again), ("cancelled", &data));
    // One that comes back with the present state as well, though it gets no snapshot.
    let mut resumed = Reader::open(&http, &base, &trip, id.as_deref()).await;
    assert_eq!(resumed.any_event().await.0, "cancelled");
    // Without a message, and only the trip's own followers.
    let mut still = Reader::open(&http, &base, &other, None).await;
    still.event().await;
    world.ops.post(&format!("/v1/ops/trips/{other}/cancel"), &json!({"reason": "snow"})).await.expect(202);
    let (name, _, data) = still.any_event().await;
    assert_eq!((name.as_str(), &data["message"]), ("cancelled", &Value::Null));
}
