//! An account that was taken is taken back: what is changed holds on every replica, in production.

pub use crate::harness::PRODUCTION;

use crate::harness::{Client, Process, World, command, until};
use farebox::accounts::{self, Role};
use serde_json::json;
use std::process::Output;

/// `farebox operators …`.
pub fn operators(world: &World, args: &[&str]) -> Output {
    let mut command = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &PRODUCTION);
    command.arg("operators").args(args).output().unwrap()
}

pub fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Another account of the operations side.
pub async fn add(world: &World, name: &str, role: Role) {
    let new = crate::harness::new_rider(name);
    accounts::register(&world.pool, &world.saga.passwords, &new, role).await.unwrap();
}

async fn tops_up(ops: &Client, rider: &Client, reference: &str) -> u16 {
    let path = format!("/v1/ops/wallets/{}/top-ups", rider.id);
    let body = json!({ "amount": "1.00", "reference": format!("{reference} {}", rider.id) });
    ops.post(&path, &body).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_changed_in_sql_holds_on_every_replica() {
    let world = World::with(&PRODUCTION).await;
    let replica = Process::api(&world.db.url, &PRODUCTION);
    let rider = world.rider("0").await;
    let there = world.ops.at(&replica.base());
    for (ops, reference) in [(&world.ops, "here"), (&there, "there")] {
        assert_eq!(tops_up(ops, &rider, reference).await, 201);
    }
    sqlx::query("update rider set role = 'rider' where user_name = 'ops'")
        .execute(&world.pool)
        .await
        .unwrap();
    for ops in [&world.ops, &there] {
        until("the replica knows", || async { ops.get("/v1/ops/jobs").await.status == 403 }).await;
        assert_eq!(tops_up(ops, &rider, "too late").await, 403);
        ops.get("/v1/riders/me").await.expect(200);
    }
    assert_eq!(rider.balance().await, "2.00");
    // A replica that starts knows it from its first request on.
    let young = Process::api(&world.db.url, &PRODUCTION);
    world.ops.at(&young.base()).get("/v1/ops/jobs").await.problem(403, "003091");
    sqlx::query("update rider set role = 'viewer' where user_name = 'ops'")
        .execute(&world.pool)
        .await
        .unwrap();
    until("the role is back", || async { there.get("/v1/ops/jobs").await.status == 200 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_commits_late_is_seen() {
    let world = World::with(&PRODUCTION).await;
    let mut slow = world.pool.begin().await.unwrap();
    sqlx::query("update rider set role = 'rider' where user_name = 'ops'").execute(&mut *slow).await.unwrap();
    // Another change, which every reader sees before the first one commits.
    let other = world.rider("0").await;
    sqlx::query("update rider set state = 'disabled' where id = $1")
        .bind(other.id.0)
        .execute(&world.pool)
        .await
        .unwrap();
    until("the other is out", || async { other.get("/v1/riders/me").await.status == 401 }).await;
    world.ops.get("/v1/ops/jobs").await.expect(200);
    slow.commit().await.unwrap();
    until("the slow one is seen", || async { world.ops.get("/v1/ops/jobs").await.status == 403 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_is_out_everywhere_and_comes_back_by_signing_in() {
    let world = World::with(&PRODUCTION).await;
    add(&world, "mallory", Role::Operator).await;
    let replica = Process::api(&world.db.url, &PRODUCTION);
    let here = Client::sign_in(&world.api.base(), "mallory").await;
    let there = Client::sign_in(&replica.base(), "mallory").await;
    assert_eq!(
        done(&operators(&world, &["disable", "mallory", "--reason", "left"])),
        "mallory is disabled\n"
    );
    for session in [&here, &there, &here.at(&replica.base())] {
        until("it is out", || async { session.get("/v1/riders/me").await.status == 401 }).await;
    }
    let credentials = json!({ "user_name": "mallory", "password": crate::harness::PASSWORD });
    let anybody = Client::stranger(&replica.base());
    anybody.post("/v1/sessions", &credentials).await.problem(401, "003001");
    done(&operators(&world, &["enable", "mallory"]));
    anybody.post("/v1/sessions", &credentials).await.expect(201);
    here.get("/v1/riders/me").await.problem(401, "003002");
    // Sign-ins of operators are in the log too, through the API.
    let acts = async || {
        let audit = world.ops.get("/v1/ops/audit?subject_kind=account").await;
        let items = audit.expect(200)["items"].as_array().unwrap().clone();
        let acts = items.iter().filter(|act| act["through"] == "cli").map(|act| act["act"].clone());
        acts.collect::<Vec<_>>()
    };
    assert_eq!(acts().await, ["account_enable", "account_disable"]);
    let nothing = done(&operators(&world, &["enable", "mallory"]));
    assert!(nothing.contains("as before"), "{nothing}");
    assert_eq!(acts().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_ended_from_the_command_line_and_the_last_admin_stays() {
    let world = World::with(&PRODUCTION).await;
    add(&world, "root", Role::Admin).await;
    let session = Client::sign_in(&world.api.base(), "root").await;
    assert_eq!(done(&operators(&world, &["sessions", "root"])), "root: 1 sessions ended\n");
    until("it ended", || async { session.get("/v1/riders/me").await.status == 401 }).await;
    for refused in [&["disable", "root"][..], &["role", "root", "operator"]] {
        let output = operators(&world, refused);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("last active admin"), "{said}");
    }
    done(&operators(&world, &["role", "ops", "admin"]));
    done(&operators(&world, &["role", "root", "operator"]));
    let listed = done(&operators(&world, &["list", "--json"]));
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let of = |name: &str| {
        listed.as_array().unwrap().iter().find(|one| one["user_name"] == name).unwrap()["role"].clone()
    };
    assert_eq!((of("ops"), of("root")), (json!("admin"), json!("operator")));
    let unknown = operators(&world, &["disable", "nobody"]);
    assert!(
        !unknown.status.success() && String::from_utf8_lossy(&unknown.stderr).contains("no such account")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_reads_the_list_before_it_listens() {
    let world = World::with(&PRODUCTION).await;
    let rider = world.rider("0").await;
    rider.delete("/v1/sessions/current").await.expect(204);
    // The list cannot be read just now.
    let mut locked = world.pool.begin().await.unwrap();
    sqlx::query("lock table session in access exclusive mode").execute(&mut *locked).await.unwrap();
    let impatient = [PRODUCTION[0], PRODUCTION[1], ("FAREBOX__DATABASE__LOCK_TIMEOUT_MS", "200")];
    let young = Process::start(command(env!("CARGO_BIN_EXE_farebox-api"), &world.db.url, &impatient));
    young.wait_for_line("waiting for the list of revoked sessions");
    assert!(!young.log().contains("listening"), "{}", young.log());
    locked.rollback().await.unwrap();
    rider.at(&young.base()).get("/v1/riders/me").await.problem(401, "003002");
    Client::stranger(&young.base()).get("/health/ready").await.expect(200);
}
