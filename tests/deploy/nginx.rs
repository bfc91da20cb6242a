//! nginx with the example of config/nginx, and Caddy's: what they pass on, close, and send again.

use super::tls::certificates;
use crate::harness::{
    Client, PEPPER, Process, TOKEN_KEY, World, command, folder, free_port, production, tools, until,
};
use serde_json::json;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

const API: &str = env!("CARGO_BIN_EXE_farebox-api");
/// Where an operator sits, and where riders do.
const OPERATOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const RIDER: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// How long an event may take that is passed on at once; one that is held back takes minutes.
const AT_ONCE: Duration = Duration::from_secs(10);

pub fn example(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(path)).unwrap()
}

/// The text with each of these in the place of what the example has.
pub fn filled(mut text: String, places: &[(&str, String)]) -> String {
    for (place, value) in places {
        assert!(text.contains(place), "the example has no {place}");
        text = text.replace(place, value);
    }
    text
}

/// nginx with an example of config/nginx.
pub struct Nginx {
    _process: Process,
    tls: SocketAddr,
    plain: String,
}

impl Nginx {
    /// In front of two APIs.
    async fn start(apis: [u16; 2]) -> Self {
        let text = filled(
            example("nginx/farebox.conf"),
            &[
                ("127.0.0.1:8087", format!("127.0.0.1:{}", apis[0])),
                ("127.0.0.1:8088", format!("127.0.0.1:{}", apis[1])),
                ("rides.example", "localhost".to_owned()),
                ("10.20.0.0/16", format!("{OPERATOR}/32")),
            ],
        );
        Self::with(text).await
    }

    /// With this text, on ports and with a certificate of its own.
    pub async fn with(text: String) -> Self {
        tools::need(&["nginx"]);
        let home = folder(&format!("nginx-{}", free_port()));
        fs::create_dir(&home).unwrap();
        let (tls, plain) = (free_port(), free_port());
        let [_, certificate, key] = certificates();
        let text = filled(
            text,
            &[
                ("    listen [::]:80;\n", String::new()),
                ("    listen [::]:443 ssl http2;\n", String::new()),
                ("listen 80;", format!("listen 127.0.0.1:{plain};")),
                ("listen 443 ssl http2;", format!("listen 127.0.0.1:{tls} ssl http2;")),
                ("/etc/farebox/tls/fullchain.pem", certificate),
                ("/etc/farebox/tls/privkey.pem", key),
            ],
        );
        fs::write(home.join("farebox.conf"), text).unwrap();
        let at = home.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        // One process: workers would outlive a master that is killed.
        let around = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr notice;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}include {at}/farebox.conf;\n}}\n"
        );
        fs::write(home.join("nginx.conf"), around).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.arg("-e").arg("stderr").arg("-p").arg(&home).arg("-c").arg(home.join("nginx.conf"));
        let process = Process::start(nginx);
        let tls = SocketAddr::from((Ipv4Addr::LOCALHOST, tls));
        until("nginx listens", async || tokio::net::TcpStream::connect(tls).await.is_ok()).await;
        Self { _process: process, tls, plain: format!("http://127.0.0.1:{plain}") }
    }

    /// An address in clear whose connections go to nginx over TLS, from this address.
    pub async fn from(&self, address: Ipv4Addr) -> String {
        let mut roots = RootCertStore::empty();
        let [authority, ..] = certificates();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let tls = self.tls;
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind(SocketAddr::from((address, 0)))?;
                    let stream = socket.connect(tls).await?;
                    let name = ServerName::try_from("localhost").unwrap();
                    let mut server = connector.connect(name, stream).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        base
    }
}

/// An API in production behind one proxy, on this port.
pub fn api(world: &World, port: u16, more: &[(&str, &str)]) -> Process {
    let listen = format!("127.0.0.1:{port}");
    let own = [
        ("FAREBOX__HTTP__LISTEN", listen.as_str()),
        ("FAREBOX__HTTP__TRUSTED_PROXIES", "1"),
        ("FAREBOX__SECRETS__TOKEN_KEY", TOKEN_KEY),
        ("FAREBOX__SECRETS__PEPPER", PEPPER),
    ];
    // What is said last holds.
    let env = production(&[&own, more].concat());
    let process = Process::start(command(API, &world.db.url, &env));
    process.wait_for_line("listening");
    process
}

async fn status(base: &str, path: &str) -> u16 {
    reqwest::get(format!("{base}{path}")).await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn riders_book_over_tls_and_see_seats_live_and_nothing_internal() {
    let world = World::new().await;
    let ports = [free_port(), free_port()];
    let _apis = ports.map(|port| api(&world, port, &[]));
    let nginx = Nginx::start(ports).await;
    let (outside, office) = (nginx.from(RIDER).await, nginx.from(OPERATOR).await);

    let moved = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let moved =
        moved.get(format!("{}/v1/trips?a=1", nginx.plain)).header("host", "localhost").send().await.unwrap();
    assert_eq!(moved.status(), 308);
    assert_eq!(moved.headers()["location"], "https://localhost/v1/trips?a=1");

    let (rider, trip) = (world.rider("100.00").await, world.trip(20).await);
    let mut stream = reqwest::get(format!("{outside}/v1/trips/{trip}/seats/events")).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("event: snapshot") {
        seen += std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap();
    }
    let (rider, began) = (rider.at(&outside), Instant::now());
    let order = rider.key("book").booked(&trip, &["1"]).await;
    let answered = began.elapsed();
    while !seen.contains("event: seats") {
        let chunk = tokio::time::timeout(AT_ONCE, stream.chunk()).await.expect("an event at once");
        seen += std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap();
    }
    println!("booked in {answered:?}, seen live after {:?}", began.elapsed());
    rider.pay(&order).await.expect(200);

    for closed in ["/metrics", "/health/ready", "/health/live"] {
        assert_eq!((status(&outside, closed).await, status(&office, closed).await), (404, 404), "{closed}");
    }
    for inner in ["/console", "/console/sign-in", "/v1/ops/jobs"] {
        assert_eq!(status(&outside, inner).await, 403, "{inner}");
        assert_ne!(status(&office, inner).await, 403, "{inner}");
    }
    world.ops.at(&office).get("/v1/ops/jobs").await.expect(200);
    let large = "x".repeat(70_000);
    let refused = rider.patch("/v1/riders/me", &json!({ "nick_name": large })).await;
    assert_eq!(refused.status.as_u16(), 413);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_that_counts_is_the_one_that_nginx_saw() {
    let world = World::new().await;
    let ports = [free_port(), free_port()];
    // Both ports lead to one API, which counts for itself.
    let limits =
        [("FAREBOX__LIMITS__ENABLED", "true"), ("FAREBOX__LIMITS__REGISTERING_PER_ADDRESS", "2/3600")];
    let _api = api(&world, ports[0], &limits);
    let nginx = Nginx::start([ports[0], ports[0]]).await;
    let (one, other) = (nginx.from(RIDER).await, nginx.from(OPERATOR).await);
    let register = async |base: &str, n: usize| {
        let account = json!({"user_name": format!("rider-{n}"), "password": "a most secret horse"});
        let request = reqwest::Client::new().post(format!("{base}/v1/riders"));
        let forged = format!("198.51.100.{n}");
        let request = request.header("x-forwarded-for", &forged).header("content-type", "application/json");
        request.body(account.to_string()).send().await.unwrap().status().as_u16()
    };
    assert_eq!([register(&one, 1).await, register(&one, 2).await, register(&one, 3).await], [201, 201, 429]);
    assert_eq!(register(&other, 4).await, 201, "another address has its own share");
}

/// Requests of one rider until each API was restarted; how many were answered otherwise than with success.
async fn requests(base: String, rider: Client, trip: String, stop: Arc<AtomicBool>) -> (u32, Vec<String>) {
    let (rider, mut made, mut failed) = (rider.at(&base), 0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let key = uuid::Uuid::new_v4().to_string();
        let booked = rider.key(&key).book(&trip, &["5"]).await;
        let mut answers = vec![booked.status.as_u16()];
        if let Some(order) = booked.body["id"].as_str() {
            let key = uuid::Uuid::new_v4().to_string();
            answers.push(rider.key(&key).cancel(order).await.status.as_u16());
        }
        answers.push(rider.get("/v1/wallet").await.status.as_u16());
        made += u32::try_from(answers.len()).unwrap();
        let wrong = |status: &u16| *status >= 400;
        failed.extend(
            answers.iter().filter(|status| wrong(status)).map(|status| format!("{status} {}", booked.text)),
        );
    }
    (made, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_api_is_restarted_and_no_request_fails() {
    let world = World::new().await;
    let ports = [free_port(), free_port()];
    let mut apis = ports.map(|port| api(&world, port, &[]));
    let nginx = Nginx::start(ports).await;
    let base = nginx.from(RIDER).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut riders = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (rider, trip) = (world.rider("100.00").await, world.trip(20).await);
        riders.spawn(requests(base.clone(), rider, trip, Arc::clone(&stop)));
    }
    for _ in 0..2 {
        for (api, port) in apis.iter_mut().zip(ports) {
            api.signal(libc::SIGTERM);
            assert!(api.wait().success());
            *api = self::api(&world, port, &[]);
            let served = || api.log().matches("request").count();
            until("it has requests again", async || served() > 3).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let (mut made, mut failed) = (0, Vec::new());
    while let Some(done) = riders.join_next().await {
        let (some, wrong) = done.unwrap();
        made += some;
        failed.extend(wrong);
    }
    println!("{made} requests over four restarts, {} failed", failed.len());
    assert!(made > 20 && failed.is_empty(), "{made} requests: {failed:?}");
    world.verify().await;
}

/// An upstream that takes each request, counts it, and hangs up without an answer.
async fn hanging_up() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = [0; 4096];
            if tokio::io::AsyncReadExt::read(&mut client, &mut request).await.is_ok_and(|length| length > 0) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (port, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_safe_to_repeat_is_sent_again() {
    let (first, second) = (hanging_up().await, hanging_up().await);
    let nginx = Nginx::start([first.0, second.0]).await;
    let base = nginx.from(RIDER).await;
    let http = reqwest::Client::new();
    for (method, path, key, times) in [
        ("GET", "/v1/wallet", "", 2),
        ("POST", "/v1/orders", "", 1),
        ("POST", "/v1/orders", "a key", 2),
        ("PUT", "/v1/riders/me/password", "", 1),
        ("PUT", "/v1/riders/me/pay-password", "a key", 1),
        ("POST", "/v1/ops/bulk", "a key", 0),
    ] {
        let mut request = http.request(method.parse().unwrap(), format!("{base}{path}"));
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        let status = request.body("{}").send().await.unwrap().status().as_u16();
        let sent = first.1.swap(0, Ordering::SeqCst) + second.1.swap(0, Ordering::SeqCst);
        assert_eq!((sent, status), (times, if times == 0 { 403 } else { 502 }), "{method} {path} {key}");
    }
}

#[test]
fn caddy_accepts_its_example() {
    tools::need(&["caddy"]);
    let validate = |file: PathBuf| {
        let mut caddy = Command::new("caddy");
        caddy.args(["validate", "--adapter", "caddyfile", "--config"]).arg(file);
        // It makes folders for certificates in its home.
        let home = folder(&format!("caddy-{}", free_port()));
        fs::create_dir(&home).unwrap();
        let done =
            caddy.env("HOME", &home).env("XDG_DATA_HOME", &home).env("XDG_CONFIG_HOME", &home).output();
        let done = done.unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (valid, said) = validate(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/caddy/Caddyfile"));
    assert!(valid, "{said}");
    let wrong = folder("Caddyfile-wrong");
    fs::write(
        &wrong,
        filled(example("caddy/Caddyfile"), &[("flush_interval", "flush_intervall".to_owned())]),
    )
    .unwrap();
    assert!(!validate(wrong).0);
}
