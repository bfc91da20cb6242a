//! Which environment a process is in, and what may happen in it: the commands on a real database.

use crate::harness::{Client, Database, PRODUCTION, Process, World, command, count, folder, settings, until};
use std::{
    path::Path,
    process::{Command, Output},
};

const FAREBOX: &str = env!("CARGO_BIN_EXE_farebox");
const API: &str = env!("CARGO_BIN_EXE_farebox-api");
const WORKER: &str = env!("CARGO_BIN_EXE_farebox-worker");

fn output(mut command: Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = [stdout, stderr].concat();
    (status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[track_caller]
fn refused(command: Command, parts: &[&str]) {
    let (succeeded, said) = output(command);
    assert!(!succeeded, "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

/// How many rows anything has that demo data would add.
async fn rows(pool: &sqlx::PgPool) -> i64 {
    count(
        pool,
        "select (select count(*) from rider) + (select count(*) from wallet) + (select count(*) from trip)",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_environment_is_refused_by_every_program() {
    let world = World::new().await;
    let before = rows(&world.pool).await;
    for wrong in ["Production", "PRODUCTION", "prod", "production ", "staging", ""] {
        let env = [("FAREBOX_ENV", wrong)];
        let names = ["FAREBOX_ENV", "development", "test", "production"];
        for program in [API, WORKER] {
            refused(command(program, &world.db.url, &env), &names);
        }
        for args in
            [&["--port", "0"][..], &["migrate"], &["verify"], &["jobs", "list"], &["url"], &["hashes"]]
        {
            let mut farebox = command(FAREBOX, &world.db.url, &env);
            farebox.args(args);
            refused(farebox, &names);
        }
    }
    // A process that is given a database says what the database is.
    for program in [API, WORKER, FAREBOX] {
        let mut unsaid = command(program, &world.db.url, &[]);
        unsaid.env_remove("FAREBOX_ENV");
        refused(unsaid, &["FAREBOX_ENV must be set", "production"]);
    }
    assert_eq!(rows(&world.pool).await, before, "nothing was added");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_a_variable_names_gets_no_demo_data() {
    let db = Database::fresh().await;
    let pool = farebox::storage::pool(&db.url, &settings().database, "test").unwrap();
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let mut farebox = command(FAREBOX, &db.url, env);
        // It applies the migrations.
        farebox.env("DATABASE_URL", &db.url).args(["--port", "0"]).args(args);
        farebox
    };
    let plain = Process::start(run(&[], &[]));
    plain.wait_for_line("listening");
    assert_eq!(rows(&pool).await, 0);
    drop(plain);
    refused(run(&["--demo-data"], &PRODUCTION), &["not for production"]);

    // Into an empty one on request, once, with a row in the audit log.
    let asked = Process::start(run(&["--demo-data"], &[("FAREBOX_ENV", "test")]));
    Client::with_password(&asked.base(), "rider1", "farebox-demo").await;
    drop(asked);
    let audited = count(&pool, "select count(*) from audit where act = 'demo_data' and role = 'shell'").await;
    assert_eq!(audited, 1);
    let seeded = rows(&pool).await;
    refused(run(&["--demo-data"], &[]), &["--demo-data", "not empty"]);
    assert_eq!(rows(&pool).await, seeded);

    // One that holds anything is not empty.
    let world = World::new().await;
    let before = rows(&world.pool).await;
    let mut farebox = command(FAREBOX, &world.db.url, &[]);
    farebox.env("DATABASE_URL", &world.db.url).args(["--port", "0", "--demo-data"]);
    refused(farebox, &["--demo-data", "not empty"]);
    assert_eq!(rows(&world.pool).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_production_no_command_starts_a_server_of_its_own() {
    let home = folder("no-server");
    std::fs::create_dir(&home).unwrap();
    for args in [
        &["migrate"][..],
        &["verify"],
        &["trips"],
        &["jobs", "list"],
        &["queues", "list"],
        &["operators", "add", "ops"],
        &["secrets", "accept"],
        &["url"],
    ] {
        let mut farebox = command(FAREBOX, "", &PRODUCTION);
        farebox.env_remove("DATABASE_URL").env_remove("FAREBOX_DATA");
        farebox.env("HOME", &home).env("XDG_DATA_HOME", &home).args(args);
        refused(farebox, &["DATABASE_URL", "--data"]);
    }
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_verified() {
    let empty = Database::empty().await;
    let verify = |url: &str, env: &[(&str, &str)]| {
        let mut farebox = command(FAREBOX, url, env);
        farebox.arg("verify");
        farebox
    };
    for env in [&PRODUCTION[..], &[]] {
        refused(verify(&empty.url, env), &["migration 0"]);
    }
    refused(verify(&Database::fresh().await.url, &PRODUCTION), &["nothing to verify", "DATABASE_URL"]);
    // Nor is a private database made in order to be verified, or to print its URL.
    let data = folder("nothing-there");
    for name in ["verify", "url"] {
        let mut farebox = command(FAREBOX, "", &[]);
        farebox.env_remove("DATABASE_URL").args([name, "--data"]).arg(&data);
        refused(farebox, &["there is no database in"]);
    }
    assert!(!data.exists(), "nothing was made");

    let world = World::with(&PRODUCTION).await;
    let (succeeded, said) = output(verify(&world.db.url, &PRODUCTION));
    assert!(succeeded, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expected_configuration_file_must_be_there() {
    let world = World::new().await;
    let elsewhere = folder("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let api = |env: &[(&str, &str)]| {
        let mut api = command(API, &world.db.url, env);
        api.current_dir(&elsewhere);
        api
    };
    refused(api(&PRODUCTION), &["config/production.toml", "FAREBOX_CONFIG"]);
    refused(api(&[("FAREBOX_CONFIG", "missing.toml")]), &["missing.toml"]);
    std::fs::write(elsewhere.join("own.toml"), "[booking]\nhold_sec = 3\n").unwrap();
    refused(api(&[("FAREBOX_CONFIG", "own.toml")]), &["did you mean `booking.hold_secs`"]);
    for config in ["/dev/null", concat!(env!("CARGO_MANIFEST_DIR"), "/config/production.toml")] {
        let env: Vec<_> = PRODUCTION.into_iter().chain([("FAREBOX_CONFIG", config)]).collect();
        drop(listening(api(&env)));
    }
}

fn listening(command: Command) -> Process {
    let process = Process::start(command);
    process.wait_for_line("listening");
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_parse_their_arguments() {
    let world = World::new().await;
    for program in [API, WORKER] {
        for (argument, part) in [("--help", "Usage: farebox-"), ("--version", env!("CARGO_PKG_VERSION"))] {
            let mut asked = Command::new(program);
            asked.arg(argument);
            let (succeeded, said) = output(asked);
            assert!(succeeded && said.contains(part), "{said}");
        }
        let mut unknown = command(program, &world.db.url, &[]);
        unknown.arg("--prot=1");
        refused(unknown, &["--prot"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_refused_in_production_however_they_are_asked_for() {
    let world = World::with(&PRODUCTION).await;
    for fault in [("FAREBOX__FAULTS__ENABLED", "true"), ("FAREBOX_FAULTS", "order_add_cancle.after=error")] {
        for program in [API, WORKER] {
            let env: Vec<_> = PRODUCTION.into_iter().chain([fault]).collect();
            refused(command(program, &world.db.url, &env), &["faults are refused in production"]);
        }
    }
    let rider = world.rider("0").await;
    let trip = world.trip(4).await;
    rider.fault("order_add_cancle.before=abort").book(&trip, &["1"]).await.problem(422, "003074");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_a_process_is_not_dumped() {
    let world = World::with(&PRODUCTION).await;
    let mut worker = Process::worker(&world.db.url, &PRODUCTION, &[]);
    for pid in [world.api.pid(), worker.pid()] {
        let limits = async || std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        until("core dumps are off", || async {
            let limits = limits().await;
            let core = limits.lines().find(|line| line.starts_with("Max core file size"));
            core.is_some_and(|line| line.split_whitespace().filter(|word| *word == "0").count() == 2)
        })
        .await;
    }
    // Aborted, as a process that a signal would dump.
    worker.signal(libc::SIGABRT);
    let status = worker.wait();
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&status), "{status}");
    assert!(!Path::new("core").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_actor_of_a_command_is_the_user_who_runs_it() {
    let world = World::new().await;
    let fake = folder("fake-id");
    std::fs::create_dir(&fake).unwrap();
    std::fs::write(fake.join("id"), "#!/bin/sh\necho ceo@example.org\n").unwrap();
    std::fs::set_permissions(fake.join("id"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut pause = command(FAREBOX, &world.db.url, &[]);
    pause.args(["queues", "pause", "order_unpaid", "--reason", "a test"]);
    pause.env("PATH", format!("{}:{}", fake.display(), std::env::var("PATH").unwrap()));
    pause.env("USER", "ceo@example.org").env("LOGNAME", "ceo@example.org");
    let (succeeded, said) = output(pause);
    assert!(succeeded, "{said}");
    let actor: String = sqlx::query_scalar("select actor from audit where act = 'queue_pause'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let by_id = Command::new("/usr/bin/id").arg("-run").output().unwrap();
    assert_eq!(actor, String::from_utf8_lossy(&by_id.stdout).trim());
}
