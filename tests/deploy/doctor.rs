//! `farebox doctor`: each check is made to fail, with the line and the exit code that belong to it.

use super::{
    database_tls::{localhost_before, server_with_tls},
    tls::certificates,
};
use crate::harness::{
    Clock, Database, PRODUCTION, Process, World, command, folder, grant, migrate, mount, production,
    restricted, settings, until,
};
use farebox::embedded;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

const FAREBOX: &str = env!("CARGO_BIN_EXE_farebox");

/// What a run found.
struct Report {
    code: i32,
    json: Value,
}

impl Report {
    fn of(mut command: Command) -> Self {
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let json = serde_json::from_str(&said)
            .unwrap_or_else(|error| panic!("{error}: {said}{}", String::from_utf8_lossy(&done.stderr)));
        Self { code: done.status.code().unwrap(), json }
    }

    fn checks(&self) -> &Vec<Value> {
        self.json["checks"].as_array().unwrap()
    }

    /// The status of a check, and what it found.
    #[track_caller]
    fn check(&self, name: &str) -> (&str, &str) {
        let found = self.checks().iter().find(|check| check["check"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {}", self.json));
        (found["status"].as_str().unwrap(), found["found"].as_str().unwrap())
    }

    /// A check has this status, and says this; what is wrong is never without a rule and a remedy.
    #[track_caller]
    fn has(&self, name: &str, status: &str, part: &str) {
        let (is, found) = self.check(name);
        assert!(is == status && found.contains(part), "{name}: {is}, {found}; wanted {status}, {part}");
        let least = match status {
            "ok" => 0,
            "warn" => 1,
            _ => 2,
        };
        assert!(self.code >= least, "{name} is {status}, but the exit code is {}", self.code);
        for wrong in self.checks().iter().filter(|check| check["status"] != "ok") {
            assert!(!wrong["do"].as_str().unwrap().is_empty() && !wrong["rule"].as_str().unwrap().is_empty());
        }
    }
}

fn doctor(url: &str, env: &[(&str, &str)], args: &[&str]) -> Report {
    let mut farebox = command(FAREBOX, url, env);
    farebox.args(["doctor", "--json"]).args(args);
    Report::of(farebox)
}

/// Settings under which nothing of production is to be said.
const SOUND: [(&str, &str); 2] =
    [("FAREBOX__HTTP__HOSTS", "rides.example"), ("FAREBOX__HTTP__TRUSTED_PROXIES", "1")];

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

/// A server of the test's own, whose commits survive.
async fn own_server(data: &Path, settings: &'static [&'static str]) -> (embedded::Server, String, PgPool) {
    let options = embedded::Options { data: data.to_owned(), durable: true, max_connections: 120, settings };
    let server = embedded::start(&options).await.unwrap();
    embedded::ensure_database(&server, "farebox").await.unwrap();
    let url = server.url("farebox");
    let pool = farebox::storage::pool(&url, &crate::harness::settings().database, "test").unwrap();
    (server, url, pool)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_where_nothing_is_wrong_and_the_book_lists_the_checks() {
    let data = folder("doctor-sound");
    let (server, url, pool) = own_server(&data, &[]).await;
    migrate(&pool).await;
    let worker = Process::worker(&url, &PRODUCTION, &[]);
    worker.wait_for_line("working");
    let env = production(&SOUND);
    let report = doctor(&url, &env, &["--disk", "/dev/shm"]);
    for check in report.checks() {
        assert_eq!(check["status"], "ok", "{check}");
    }
    assert_eq!((report.code, report.json["status"].as_str()), (0, Some("ok")));
    let mut text = command(FAREBOX, &url, &env);
    let done = text.args(["doctor", "--disk", "/dev/shm"]).output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    assert_eq!(said.lines().count(), report.checks().len());
    assert!(said.lines().all(|line| line.starts_with("ok    ")) && done.status.success(), "{said}");

    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operators/doctor.md");
    let book = fs::read_to_string(book).unwrap();
    let rows: BTreeSet<&str> = book
        .split("## Checks")
        .nth(1)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let names: BTreeSet<&str> =
        report.checks().iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(rows, names, "docs/operators/doctor.md and the checks");
    drop((worker, server));
    let _ = embedded::remove(&data);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_secrets_that_do_not_fit_are_named() {
    let world = World::new().await;
    let url = &world.db.url;
    let with = |env: &[(&str, &str)]| doctor(url, env, &[]);
    let unknown = with(&[("FAREBOX__BOOKING__HOLD_SEC", "1")]);
    unknown.has("settings", "fail", "did you mean `booking.hold_secs`");
    assert_eq!((unknown.code, unknown.checks().len()), (2, 1), "nothing else can be checked");
    with(&[("FAREBOX__HTTP__TIMEOUT_MS", "30000")]).has("settings", "fail", "undo_after_ms");
    let never = [("FAREBOX__WALLETS__MAX_CHANGE", "10.00"), ("FAREBOX__WALLETS__APPROVAL_ABOVE", "11.00")];
    with(&never).has("settings", "warn", "approval_above");
    with(&PRODUCTION).has("settings", "warn", "http.hosts");
    with(&production(&SOUND[..1])).has("settings", "warn", "trusted_proxies");
    with(&production(&SOUND)).has("settings", "ok", "production");

    let pepper = ("FAREBOX__SECRETS__PEPPER", "short");
    with(&[pepper]).has("secrets", "fail", "FAREBOX__SECRETS__PEPPER");
    let same = [("FAREBOX__SECRETS__PEPPER", "abababababababababababababababababab")];
    with(&production(&same)).has("secrets", "fail", "random");
    with(&[]).has("secrets", "ok", "those of the database");
    let other = [("FAREBOX__SECRETS__PEPPER", "another pepper 42e9a7c1f0b86d35 of 36")];
    with(&other).has("secrets", "fail", "secrets.pepper is not the one");
    // Looking has changed nothing.
    with(&other).has("secrets", "fail", "secrets.pepper is not the one");
    let none = [("FAREBOX__SECRETS__PEPPER", ""), ("FAREBOX__SECRETS__TOKEN_KEY", "")];
    let mut worker = command(FAREBOX, &url.replace("://farebox@", "://farebox_worker@"), &none);
    worker.args(["doctor", "--json", "--worker"]);
    Report::of(worker).has("secrets", "ok", "a worker needs none");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_limits_disks_and_redis_are_looked_at() {
    let db = Database::fresh().await;
    let file = folder("doctor-secret");
    fs::write(&file, "test pepper 42e9a7c1f0b86d35 for hashes\n").unwrap();
    let from_file = |mode: u32| {
        fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let mut farebox = command(FAREBOX, &db.url, &[]);
        farebox.env_remove("FAREBOX__SECRETS__PEPPER").env("FAREBOX__SECRETS__PEPPER_FILE", &file);
        farebox.args(["doctor", "--json"]);
        Report::of(farebox)
    };
    from_file(0o644).has("secret_files", "warn", "FAREBOX__SECRETS__PEPPER_FILE");
    from_file(0o640).has("secret_files", "ok", "1 files");

    let many = [("FAREBOX__HTTP__MAX_CONNECTIONS", "2000000000")];
    doctor(&db.url, &many, &[]).has("open_files", "fail", "open files are needed");

    let redis = |url: &'static str, env: &[(&'static str, &'static str)]| {
        let env: Vec<_> = env.iter().copied().chain([("FAREBOX__REDIS__URL", url)]).collect();
        doctor(&db.url, &env, &[])
    };
    redis("redis://127.0.0.1:1/0", &[]).has("redis", "warn", "");
    redis("redis://redis.example/0", &PRODUCTION).has("redis", "fail", "must be encrypted");

    let missing = doctor(&db.url, &[], &["--disk", "/nowhere"]);
    missing.has("disk", "fail", "/nowhere");
    let disk = folder("doctor-disk");
    fs::create_dir(&disk).unwrap();
    // Only root mounts a disk of its own.
    if mount::tmpfs(&disk, "size=16m").is_ok() {
        let at = disk.to_str().unwrap().to_owned();
        let look = || doctor(&db.url, &[], &["--disk", &at]);
        look().has("disk", "ok", "16 MiB free");
        fs::write(disk.join("much"), vec![0; 15 << 20]).unwrap();
        look().has("disk", "warn", "1 of 16 MiB free");
        fs::write(disk.join("more"), vec![0; 1000 << 10]).unwrap();
        look().has("disk", "fail", "0 of 16 MiB free");
        mount::detach(&disk).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_or_of_another_schema_ends_the_checks_of_it() {
    let away = doctor("postgres://farebox@localhost/farebox?host=/nowhere", &[], &[]);
    away.has("database", "fail", "");
    assert_eq!(away.code, 2);
    let unsafe_url = doctor("postgres://farebox:x@db.example/farebox", &PRODUCTION, &[]);
    unsafe_url.has("database", "fail", "must be encrypted");
    let empty = Database::empty().await;
    let report = doctor(&empty.url, &[], &[]);
    report.has("schema", "fail", "migration 0");
    // The server of the tests need not survive a crash.
    report.has("durability", "fail", "fsync is off, full_page_writes is off, synchronous_commit is off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_noticed() {
    let db = Database::fresh().await;
    for (ahead, status, part) in [(0, "ok", " ms "), (20, "warn", "ahead of"), (-3_600, "fail", "behind")] {
        let clock = Clock::ahead(ahead);
        let env = clock.env();
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let env = if ahead == 0 { &[][..] } else { &env };
        doctor(&db.url, env, &[]).has("clock", status, part);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_too_much_or_too_little_is_noticed() {
    let db = Database::fresh().await;
    let pool = farebox::storage::pool(&db.url, &settings().database, "test").unwrap();
    let by = |url: &str, env: &[(&str, &str)], args: &[&str]| {
        let mut farebox = command(FAREBOX, url, env);
        farebox.env("DATABASE_URL", url).args(["doctor", "--json"]).args(args);
        Report::of(farebox)
    };
    by(&db.url, &[], &[]).has("role", "warn", "is a superuser");
    by(&db.url, &production(&SOUND), &[]).has("role", "fail", "is a superuser");
    let (api, worker) = (restricted("farebox-api", &db.url), restricted("farebox-worker", &db.url));
    by(&api, &[], &[]).has("role", "ok", "farebox_api");
    by(&worker, &[], &["--worker"]).has("role", "ok", "farebox_worker");
    by(&worker, &[], &[]).has("role", "fail", "farebox_worker lacks");
    execute(&pool, "revoke update (state) on payment from farebox_api").await;
    by(&api, &[], &[]).has("role", "fail", "update on payment (state)");
    execute(&pool, "revoke execute on function erase_rider(uuid, text) from farebox_api").await;
    by(&api, &[], &[]).has("role", "fail", "execute on erase_rider(uuid, text)");
    grant(&pool).await;
    by(&api, &[], &[]).has("role", "ok", "farebox_api");
    execute(&pool, "alter table ledger_entry owner to farebox_api").await;
    by(&api, &production(&SOUND), &[]).has("role", "fail", "owns the tables");
    execute(&pool, "alter table ledger_entry owner to farebox").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_not_there_are_counted() {
    let db = Database::fresh().await;
    let pool = farebox::storage::pool(&db.url, &settings().database, "test").unwrap();
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&pool).await.unwrap();
    // The tests' processes have a pool of 16: an API takes 22, a worker 20, commands 2.
    doctor(&db.url, &[], &[]).has("connections", "ok", "1 APIs and 1 workers take up to 44; 497 are there");
    let fleet = doctor(&db.url, &[], &["--apis", "20", "--workers", "6"]);
    fleet.has("connections", "fail", "20 APIs and 6 workers take up to 562");
    execute(&pool, &format!("alter database {name} connection limit 43")).await;
    doctor(&db.url, &[], &[]).has("connections", "fail", "take up to 44; 43 are there");
    // Two sessions of the test take the room that is left.
    execute(&pool, &format!("alter database {name} connection limit 45")).await;
    let _sessions = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    doctor(&db.url, &[], &[]).has("connections", "warn", "take up to 44; 45 are there");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_without_a_worker_are_named() {
    let world = World::new().await;
    let look = || doctor(&world.db.url, &[], &[]);
    look().has("workers", "fail", "no worker lives");
    let some = Process::worker(&world.db.url, &[], &["--tags", "order_unpaid,pay_cancle"]);
    let registered = "select count(*) from queue.worker";
    until("it is registered", async || crate::harness::count(&world.pool, registered).await == 1).await;
    look().has("workers", "fail", "no worker is there for order_seats_cancel");
    let _all = world.worker();
    until("it is registered", async || crate::harness::count(&world.pool, registered).await == 2).await;
    look().has("workers", "ok", "2 live");
    drop(some);
    execute(&world.pool, "update queue.worker set build = '0.0.1' where array_length(tags, 1) > 2").await;
    look().has("workers", "warn", "runs build 0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_and_standbys_are_looked_at() {
    let data = folder("doctor-slots");
    let (server, url, pool) =
        own_server(&data, &["max_slot_wal_keep_size=1MB", "min_wal_size=32MB", "max_wal_size=32MB"]).await;
    migrate(&pool).await;
    let look = || doctor(&url, &[], &[]);
    look().has("replication", "ok", "0 standbys");
    execute(&pool, "select pg_create_physical_replication_slot('dead', true)").await;
    look().has("replication", "warn", "nobody reads the slot dead");
    for _ in 0..6 {
        execute(&pool, "create table filler as select generate_series(1, 1000); drop table filler").await;
        execute(&pool, "select pg_switch_wal()").await;
    }
    execute(&pool, "checkpoint").await;
    look().has("replication", "fail", "the slot dead has lost");
    execute(&pool, "select pg_drop_replication_slot('dead')").await;
    execute(&pool, "alter system set synchronous_standby_names = 'other'").await;
    execute(&pool, "select pg_reload_conf()").await;
    until("the server has read it", async || {
        let set: String =
            sqlx::query_scalar("show synchronous_standby_names").fetch_one(&pool).await.unwrap();
        set == "other"
    })
    .await;
    look().has("replication", "fail", "commits wait for other");

    // As a standby that has lost its primary.
    pool.close().await;
    let home = server.folder().to_owned();
    drop(server);
    let lock = fs::File::options().read(true).write(true).open(home.join("server.lock")).unwrap();
    until("the server has stopped", async || lock.try_lock().is_ok()).await;
    drop(lock);
    fs::write(home.join("pg/standby.signal"), "").unwrap();
    let options =
        embedded::Options { data: data.clone(), durable: true, max_connections: 120, settings: &[] };
    let server = embedded::start(&options).await.unwrap();
    look().has("database", "fail", "is a standby");
    drop(server);
    let _ = embedded::remove(&data);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_other_machines_are_encrypted_and_verified() {
    let data = folder("doctor-tls");
    let (server, _pool) = server_with_tls(&data, &["listen_addresses=127.0.85.2"]).await;
    let port = localhost_before("127.0.85.2:5432".parse().unwrap()).await;
    let [ca, ..] = certificates();
    let to = |host: &str, mode: &str| {
        format!("postgres://farebox_api@{host}:{port}/farebox?sslmode={mode}&sslrootcert={ca}")
    };
    let env = production(&SOUND);
    doctor(&to("localhost", "verify-full"), &env, &[]).has("encryption", "ok", "verified");
    // An address that leads to this machine, and does not look like it.
    doctor(&to("0.0.0.0", "require"), &env, &[]).has("encryption", "warn", "any certificate is accepted");
    let in_clear = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = in_clear.local_addr().unwrap().port();
    let db = Database::fresh().await;
    let socket = db.url.split("host=").nth(1).unwrap().split('&').next().unwrap().replace("%2F", "/");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = in_clear.accept().await {
            let mut server =
                tokio::net::UnixStream::connect(format!("{socket}/.s.PGSQL.5432")).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let name = db.url.split('?').next().unwrap().rsplit('/').next().unwrap();
    let url = format!("postgres://farebox_api@0.0.0.0:{port}/{name}?sslmode=disable");
    let env = production(&[SOUND[0], SOUND[1], ("FAREBOX__DATABASE__ALLOW_PLAINTEXT", "true")]);
    doctor(&url, &env, &[]).has("encryption", "warn", "in clear to 0.0.0.0");
    drop(server);
    let _ = embedded::remove(&data);
}
