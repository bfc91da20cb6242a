//! The units of config/systemd: what systemd says of them, and what it does with them.

use super::pid_one::{PidOne, unit_files};
use crate::harness::{self, Client, Database, PEPPER, Proxy, TOKEN_KEY, folder, free_port, tools, until};
use farebox::settings::Settings;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// The greatest exposure that `systemd-analyze security` may find, tenths; it finds 1.4 of 10.
const EXPOSURE: &str = "15";

/// A setting of a unit, as it is last set.
fn setting<'a>(unit: &'a str, name: &str) -> &'a str {
    let mut lines = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    lines.next_back().unwrap_or_else(|| panic!("no {name}"))
}

/// The units in a folder of their own, for programs that are there.
fn copies(name: &str) -> PathBuf {
    let around = folder(name);
    fs::create_dir(&around).unwrap();
    for (file, text) in unit_files() {
        let text: Vec<String> = text
            .lines()
            .map(|line| match line.strip_prefix("ExecStart=/usr/local/bin/farebox") {
                Some(rest) => format!("ExecStart=/bin/true {rest}"),
                None => line.to_owned(),
            })
            .collect();
        fs::write(around.join(file), text.join("\n")).unwrap();
    }
    around
}

#[test]
fn systemd_accepts_the_units_and_finds_them_closed() {
    tools::need(&["systemd"]);
    let around = copies("units-verified");
    let analyze = |args: &[&str]| {
        let done = Command::new("systemd-analyze").args(args).current_dir(&around).output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let units = ["farebox-api@8087.service", "farebox-worker@1.service", "farebox-migrate.service"];
    // Of units alone: it also names those that they only order themselves after.
    let (accepted, said) = analyze(&[&["verify", "--recursive-errors=no"], &units[..]].concat());
    assert!(accepted && said.is_empty(), "{said}");
    for (file, _) in unit_files() {
        let threshold = format!("--threshold={EXPOSURE}");
        let (closed, said) = analyze(&["security", "--offline=true", &threshold, &file]);
        assert!(closed, "{file}: {}", said.lines().last().unwrap_or_default());
    }
    // It is able to find something.
    fs::write(around.join("open.service"), "[Service]\nExecStart=/bin/true\nTypo=1\n").unwrap();
    assert!(!analyze(&["security", "--offline=true", &format!("--threshold={EXPOSURE}"), "open.service"]).0);
    assert!(analyze(&["verify", "open.service"]).1.contains("Typo"));
}

#[test]
fn stops_and_limits_fit_the_settings() {
    let settings = Settings::load("development", &[]).unwrap();
    let secs = |millis: u64| millis / 1_000;
    let units: std::collections::BTreeMap<String, String> = unit_files().into_iter().collect();
    let stop =
        |unit: &str| setting(&units[unit], "TimeoutStopSec").trim_end_matches('s').parse::<u64>().unwrap();
    assert!(stop("farebox-api@.service") > secs(settings.http.grace_ms));
    assert!(stop("farebox-worker@.service") > secs(settings.worker.grace_ms) + 10);
    let files: usize = setting(&units["farebox-api@.service"], "LimitNOFILE").parse().unwrap();
    assert!(files > settings.http.max_connections + 64 + 29);
    for file in ["api.yml", "worker.yml"] {
        let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kubernetes").join(file);
        let text = fs::read_to_string(at).unwrap();
        let grace = text.lines().find_map(|line| line.trim().strip_prefix("terminationGracePeriodSeconds: "));
        assert!(grace.unwrap().parse::<u64>().unwrap() >= 25, "{file}");
    }
    for (file, text) in unit_files() {
        for secret in text.lines().filter(|line| line.contains("_FILE=")) {
            let name = secret.rsplit("%d/").next().unwrap();
            assert!(text.contains(&format!("LoadCredential={name}:")), "{file}: {secret}");
        }
    }
}

/// The settings of an installation in `/etc/farebox`, with its secrets.
fn settings_in(etc: &Path, database: &str, port: u16) {
    let secrets = etc.join("secrets");
    fs::create_dir_all(&secrets).unwrap();
    let url = |role: &str| format!("postgres://{role}@localhost/{database}?host=/run/database");
    for (file, text) in [
        ("owner-database-url", url("farebox")),
        ("api-database-url", url("farebox_api")),
        ("worker-database-url", url("farebox_worker")),
        ("token-key", TOKEN_KEY.to_owned()),
        ("pepper", PEPPER.to_owned()),
    ] {
        fs::write(secrets.join(file), format!("{text}\n")).unwrap();
        fs::set_permissions(secrets.join(file), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let production = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/production.toml");
    fs::copy(production, etc.join("production.toml")).unwrap();
    let cheap = "FAREBOX__PASSWORDS__MEMORY_KIB=64\nFAREBOX__PASSWORDS__PASSES=1\n";
    fs::write(etc.join("api.env"), cheap).unwrap();
    // So that a process that stands still is noticed soon.
    let soon = "[Service]\nWatchdogSec=5s\nTimeoutAbortSec=1s\n";
    fs::write(etc.join("watchdog.conf"), soon).unwrap();
    fs::write(etc.join("drop-in-for"), format!("farebox-api@{port}.service")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_installs_serves_restarts_what_hangs_and_stops() {
    tools::need(&["systemd"]);
    if !PidOne::is_possible() {
        eprintln!("left out: only root, with namespaces of its own, boots a systemd");
        return;
    }
    let db = Database::empty().await;
    let proxy = Proxy::before(&db.url);
    let socket = proxy.folder().join(".s.PGSQL.5432");
    fs::set_permissions(&socket, PermissionsExt::from_mode(0o777)).unwrap();
    let port = free_port();
    let etc = folder("units-etc");
    let name = db.url.split('?').next().unwrap().rsplit('/').next().unwrap();
    settings_in(&etc, name, port);
    let systemd = PidOne::boot(&etc, proxy.folder()).await;

    systemd.expect(&["start", "farebox-migrate.service"]);
    let api = format!("farebox-api@{port}.service");
    let worker = "farebox-worker@1.service";
    // Each command returns when the process has said that it serves.
    systemd.expect(&["start", &api, worker]);
    let base = format!("http://127.0.0.1:{port}");
    let is_ready = async || {
        reqwest::get(format!("{base}/health/ready")).await.is_ok_and(|answer| answer.status() == 200)
    };
    assert!(is_ready().await, "{}", systemd.log());
    let account = serde_json::json!({"user_name": "mei", "password": "a most secret horse"});
    Client::stranger(&base).post("/v1/riders", &account).await.expect(201);

    // No root, no way back to it, and no secret in the environment.
    let pid = systemd.show(&api, "MainPID");
    let status = systemd.run(&["cat", &format!("/proc/{pid}/status")]);
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert!(!field("Uid:").split_whitespace().any(|uid| uid == "0"), "{status}");
    assert_eq!((field("NoNewPrivs:").as_str(), field("CapBnd:").as_str()), ("1", "0000000000000000"));
    let environment = systemd.run(&["cat", &format!("/proc/{pid}/environ")]);
    assert!(environment.contains("_FILE=") && !environment.contains(TOKEN_KEY), "{environment}");

    // It hangs: the watchdog has it started again.
    systemd.expect(&["kill", "--signal=STOP", &api]);
    until("systemd has started it again", async || systemd.show(&api, "NRestarts") != "0").await;
    until("it serves again", is_ready).await;

    systemd.expect(&["stop", &api, worker]);
    for unit in [api.as_str(), worker] {
        assert_eq!(systemd.show(unit, "Result"), "success", "{}", systemd.log());
    }
    let settings = harness::settings();
    let pool = farebox::storage::pool(&db.url, &settings.database, "test").unwrap();
    assert_eq!(harness::count(&pool, "select count(*) from queue.worker").await, 0, "it has signed off");
}
