//! Connections in clear: what a server between the API and its database gets to see.

use crate::harness::{PRODUCTION, Process, World, command, free_port};
use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

/// The request for TLS: eight bytes with this code (PostgreSQL's protocol, SSLRequest).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// How long a client may take to connect.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn api(url: &str, more: &[(&str, &str)]) -> Command {
    let env: Vec<_> = PRODUCTION.iter().chain(more).copied().collect();
    command(env!("CARGO_BIN_EXE_farebox-api"), url, &env)
}

#[track_caller]
fn refused(command: Command, parts: &[&str]) {
    let mut process = Process::start(command);
    assert!(!process.wait().success());
    for part in parts {
        process.wait_for_line(part);
    }
    assert!(!process.log().contains("hunter2"), "the password is printed");
}

#[tokio::test(flavor = "multi_thread")]
async fn production_talks_to_no_database_in_clear() {
    for mode in ["", "?sslmode=prefer", "?sslmode=allow", "?sslmode=disable"] {
        let url = format!("postgres://farebox:hunter2@db.example:5432/farebox{mode}");
        for program in ["farebox-api", "farebox-worker", "farebox"] {
            let binary = match program {
                "farebox-api" => env!("CARGO_BIN_EXE_farebox-api"),
                "farebox-worker" => env!("CARGO_BIN_EXE_farebox-worker"),
                _ => env!("CARGO_BIN_EXE_farebox"),
            };
            let mut command = command(binary, &url, &PRODUCTION);
            if program == "farebox" {
                command.arg("migrate");
            }
            refused(command, &["sslmode=", "FAREBOX__DATABASE__ALLOW_PLAINTEXT"]);
        }
    }
}

/// A server that says that it has no TLS, and hands on what the client sends then.
fn server_without_tls() -> (u16, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut request = [0; 8];
            if client.read_exact(&mut request).is_err() || request != SSL_REQUEST {
                let _ = sender.send(request.to_vec());
                continue;
            }
            let _ = client.write_all(b"N");
            let mut more = Vec::new();
            let _ = client.set_read_timeout(Some(PATIENCE));
            let _ = client.take(1).read_to_end(&mut more);
            if sender.send(more).is_err() {
                break;
            }
        }
    });
    (port, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_without_tls_learns_nothing() {
    let (port, seen) = server_without_tls();
    let url = format!("postgres://farebox:hunter2@localhost:{port}/farebox?sslmode=require");
    let process = Process::start(api(&url, &[]));
    let seen = tokio::task::spawn_blocking(move || seen.recv_timeout(PATIENCE)).await.unwrap().unwrap();
    assert_eq!(seen, b"", "not even the user's name is sent");
    drop(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn production_talks_to_no_redis_in_clear() {
    let world = World::with(&PRODUCTION).await;
    let redis = |url| api(&world.db.url, &[("FAREBOX__REDIS__URL", url)]);
    refused(
        redis("redis://:hunter2@redis.example:6379/0"),
        &["rediss://", "FAREBOX__REDIS__ALLOW_PLAINTEXT"],
    );
    // One that is away is waited for, with TLS or by permission.
    for (url, allowed) in [
        ("rediss://:hunter2@redis.invalid:6379/0", "false"),
        ("redis://:hunter2@redis.invalid:6379/0", "true"),
    ] {
        let env = [("FAREBOX__REDIS__URL", url), ("FAREBOX__REDIS__ALLOW_PLAINTEXT", allowed)];
        let process = Process::start(api(&world.db.url, &env));
        process.wait_for_line("listening");
        process.wait_for_line("cannot connect to Redis");
        assert!(
            !process.log().contains("hunter2") && !process.log().contains("feature"),
            "{}",
            process.log()
        );
    }
}

/// The test's own authority, a certificate of it for localhost, and its key.
pub fn certificates() -> [String; 3] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/harness/tls");
    ["ca.pem", "cert.pem", "key.pem"].map(|file| folder.join(file).to_str().unwrap().to_owned())
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Redis that speaks TLS only; its port.
fn redis_with_tls() -> (Killed, u16) {
    crate::harness::need_redis();
    let port = free_port();
    let [ca, cert, key] = certificates();
    let mut redis = Command::new("redis-server");
    redis.args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    redis.args(["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca]);
    redis.args(["--tls-auth-clients", "no"]).stdin(Stdio::null()).stdout(Stdio::null());
    (Killed(redis.spawn().unwrap()), port)
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_used_over_tls_and_its_certificate_is_verified() {
    let world = World::with(&PRODUCTION).await;
    let (_redis, port) = redis_with_tls();
    let url = format!("rediss://localhost:{port}/0");
    let [ca, ..] = certificates();
    let trusting = [("FAREBOX__REDIS__URL", url.as_str()), ("SSL_CERT_FILE", &ca)];
    let process = Process::start(api(&world.db.url, &trusting));
    process.wait_for_line("connected to Redis");
    // No authority of this machine's list has signed it.
    let process = Process::start(api(&world.db.url, &trusting[..1]));
    process.wait_for_line("cannot connect to Redis");
    assert!(!process.log().contains("connected to Redis"));
}
