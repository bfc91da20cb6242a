//! Connections: clients that do not read, hold many, or never finish a head; the limit on open files.

use super::PRODUCTION;
use crate::harness::{Database, Process, Wire, World, command, until};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Newcomers wait some seconds for clients that do not read. On a busy machine they may wait longer,
/// but they get in.
const NEWCOMER: Duration = Duration::from_secs(60);
/// A page of a quarter of a megabyte, for anybody.
const LARGE: &str = "GET /openapi.json HTTP/1.1\r\nhost: farebox\r\n\r\n";

/// Production that clients reach without a proxy.
fn direct<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&PRODUCTION[..3], more].concat()
}

async fn connect(base: &str) -> TcpStream {
    TcpStream::connect(base.strip_prefix("http://").unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_clients_that_never_read_leave_a_place_to_newcomers() {
    let world = World::with(&direct(&[("FAREBOX__HTTP__MAX_CONNECTIONS", "30")])).await;
    let base = world.api.base();
    // The operator's own connections are idle; they may stay.
    let mut deaf = Vec::new();
    for _ in 0..30 {
        let mut stream = connect(&base).await;
        // More than the kernel takes for a client that does not read.
        stream.write_all(LARGE.repeat(60).as_bytes()).await.unwrap();
        deaf.push(stream);
    }
    let began = Instant::now();
    let newcomers = async {
        for _ in 0..3 {
            let mut newcomer = Wire::to(&base).await;
            assert_eq!(newcomer.ask("GET /health/live", "").await.status, 200);
        }
    };
    tokio::time::timeout(NEWCOMER, newcomers).await.expect("a place for newcomers");
    println!("newcomers waited {:?}", began.elapsed());
    world.api.wait_for_line("connections_full");
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_holds_a_part_of_the_connections() {
    let db = Database::fresh().await;
    let api = Process::api(&db.url, &direct(&[("FAREBOX__HTTP__CONNECTIONS_PER_ADDRESS", "5")]));
    let base = api.base();
    let mut mine = Vec::new();
    for _ in 0..5 {
        let mut wire = Wire::to(&base).await;
        assert_eq!(wire.ask("GET /health/live", "").await.status, 200);
        mine.push(wire);
    }
    for _ in 0..3 {
        let mut refused = Wire::to(&base).await;
        assert!(refused.reply().await.is_none_or(|reply| reply.status == 503), "it is refused");
    }
    api.wait_for_line("connections are refused");
    let metrics = mine[0].ask("GET /metrics", "").await.body;
    assert!(metrics.contains("farebox_http_refused_total{why=\"connections\"} 3"), "{metrics}");
    assert!(metrics.contains("farebox_http_connections 5"), "{metrics}");
    mine.pop();
    until("there is a place again", || async {
        let mut wire = connect(&base).await;
        // A refused connection may already be closed.
        let _ = wire.write_all(b"GET /health/live HTTP/1.1\r\nhost: farebox\r\n\r\n").await;
        let mut first = [0; 12];
        wire.read_exact(&mut first).await.is_ok() && first == *b"HTTP/1.1 200"
    })
    .await;
    // Behind a proxy all clients have its address.
    let behind = Process::api(
        &db.url,
        &[&PRODUCTION[..], &[("FAREBOX__HTTP__CONNECTIONS_PER_ADDRESS", "1")]].concat(),
    );
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut wire = Wire::to(&behind.base()).await;
        assert_eq!(wire.ask("GET /health/live", "").await.status, 200);
        open.push(wire);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_ends_after_its_response() {
    let db = Database::fresh().await;
    let api = Process::api(&db.url, &direct(&[("FAREBOX__HTTP__CONNECTION_SECS", "1")]));
    let mut wire = Wire::to(&api.base()).await;
    let began = Instant::now();
    loop {
        wire.send("GET /health/live HTTP/1.1\r\nhost: farebox\r\n\r\n").await;
        match wire.reply().await {
            // The last one says that it is.
            Some(reply) if reply.head.contains("connection: close") => break,
            Some(reply) => assert_eq!(reply.status, 200),
            None => break,
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it lives for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(wire.reply().await.is_none());
    assert_eq!(Wire::to(&api.base()).await.ask("GET /health/live", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_heads_at_a_worker_are_closed() {
    let db = Database::fresh().await;
    let env =
        [("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0"), ("FAREBOX__HTTP__HEAD_TIMEOUT_MS", "1500")];
    let worker = Process::worker(&db.url, &direct(&env), &[]);
    let base = worker.metrics();
    let mut half = Vec::new();
    // From one address, more than a worker has for all.
    for _ in 0..60 {
        let mut stream = connect(&base).await;
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: fare").await;
        half.push(stream);
    }
    until("somebody else is served", || async {
        let mut wire = connect(&base).await;
        let _ = wire.write_all(b"GET /health/live HTTP/1.1\r\nhost: farebox\r\n\r\n").await;
        let mut first = [0; 12];
        wire.read_exact(&mut first).await.is_ok() && first == *b"HTTP/1.1 200"
    })
    .await;
    for mut stream in half {
        let mut rest = Vec::new();
        // Closed by the server, whatever it said before.
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "a half head is still open");
    }
    let mut large = Wire::to(&base).await;
    assert_eq!(large.ask("GET /metrics", &format!("x-large: {}\r\n", "x".repeat(200_000))).await.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_needs_as_many_files_as_connections() {
    let db = Database::fresh().await;
    let start = |limit: &str| {
        let mut shell = command("sh", &db.url, &direct(&[("FAREBOX__HTTP__MAX_CONNECTIONS", "500")]));
        let api = env!("CARGO_BIN_EXE_farebox-api");
        shell.args(["-c", &format!("{limit} && exec {api}")]);
        Process::start(shell)
    };
    let mut refused = start("ulimit -n 300");
    let line = refused.wait_for_line("open files are needed");
    assert!(!refused.wait().success());
    for number in ["500 connections", "may have 300", "hard limit 300", "http.max_connections"] {
        assert!(line.contains(number), "{line}");
    }
    // It raises a soft limit by itself.
    let raised = start("ulimit -Sn 300");
    raised.wait_for_line("raised the limit on open files");
    assert_eq!(Wire::to(&raised.base()).await.ask("GET /health/live", "").await.status, 200);
}
