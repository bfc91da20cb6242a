//! Token keys and peppers are changed while riders sign in, book and pay at processes with the old
//! settings and at processes with the new ones.

use crate::harness::{
    Client, Database, PASSWORD, PAY_PASSWORD, PEPPER, PRODUCTION, Process, TOKEN_KEY, World, command, count,
};
use serde_json::json;
use std::{collections::BTreeSet, process::Command};

const NEW_KEY: &str = "the key after it 71f4c2a90be8d563";
const NEW_PEPPER: &str = "the pepper after it 3ad9150c7f6e28b4";
/// Riders at once, and how often each does everything.
const RIDERS: usize = 6;
const ROUNDS: usize = 6;

const COMING: [(&str, &str); 2] =
    [("FAREBOX__SECRETS__NEXT_TOKEN_KEY", NEW_KEY), ("FAREBOX__SECRETS__NEXT_PEPPER", NEW_PEPPER)];
const ROTATED: [(&str, &str); 4] = [
    ("FAREBOX__SECRETS__TOKEN_KEY", NEW_KEY),
    ("FAREBOX__SECRETS__OLD_TOKEN_KEYS", TOKEN_KEY),
    ("FAREBOX__SECRETS__PEPPER", NEW_PEPPER),
    ("FAREBOX__SECRETS__OLD_PEPPERS", PEPPER),
];
const AFTER: [(&str, &str); 2] =
    [("FAREBOX__SECRETS__TOKEN_KEY", NEW_KEY), ("FAREBOX__SECRETS__PEPPER", NEW_PEPPER)];

fn env<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    PRODUCTION.iter().chain(more).copied().collect()
}

/// One rider's round: signs in at one process, and uses the session, an old session and an
/// idempotency key at both.
async fn round(name: &str, trip: &str, seat: usize, old: &Client, processes: [&str; 2]) {
    let [here, there] = processes;
    let rider = Client::sign_in(here, name).await;
    for base in processes {
        rider.at(base).get("/v1/riders/me").await.expect(200);
        old.at(base).get("/v1/riders/me").await.expect(200);
    }
    let key = format!("{name} {seat} {trip}");
    let seat = seat.to_string();
    let booked = rider.key(&key).book(trip, &[&seat]).await;
    let order = booked.expect(201)["id"].as_str().unwrap().to_owned();
    let repeated = rider.at(there).key(&key).book(trip, &[&seat]).await;
    assert_eq!(repeated.expect(201)["id"], order.as_str(), "a repeat is known at the other process");
    rider.at(there).key(&key).book(trip, &["40"]).await.problem(422, "006005");
    rider.at(there).pay_with(&order, "000000").await.problem(403, "004001");
    rider.at(there).pay(&order).await.expect(200);
}

/// The ids of the peppers of all hashes.
async fn peppers(world: &World) -> BTreeSet<String> {
    let sql = "select distinct coalesce(substring(hash from 'keyid=([^$,]+)'), '')
               from (select password_hash as hash from rider where user_name like 'rider%'
                     union all select hash from pay_password p join rider r on r.id = p.rider_id
                     where user_name like 'rider%') as hashes";
    sqlx::query_scalar(sql).fetch_all(&world.pool).await.unwrap().into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_signed_out_and_no_sign_in_is_refused_while_secrets_change() {
    let world = World::with(&PRODUCTION).await;
    let mut riders = Vec::new();
    for _ in 0..RIDERS {
        riders.push(world.rider("1000.00").await);
    }
    let before = peppers(&world).await;
    assert_eq!(before.len(), 1);
    let coming = Process::api(&world.db.url, &env(&COMING));
    let rotated = Process::api(&world.db.url, &env(&ROTATED));
    let (a, b, c) = (world.api.base(), coming.base(), rotated.base());
    // First the old settings beside those that know the next ones, then those beside the new ones.
    for (step, processes) in [[&a, &b], [&b, &c]].into_iter().enumerate() {
        let trip = world.trip(40).await;
        let load = riders.iter().enumerate().map(|(nr, old)| {
            let (trip, mut pair) = (trip.clone(), processes.map(String::as_str));
            async move {
                for turn in 0..ROUNDS {
                    pair.reverse();
                    round(&format!("rider{nr}"), &trip, 1 + nr * ROUNDS + turn, old, pair).await;
                }
            }
        });
        futures_util::future::join_all(load).await;
        if step == 0 {
            assert_eq!(peppers(&world).await, before, "the next pepper is known and not used");
        }
    }
    // Everybody signed in and paid at a process with the new pepper: no hash has the old one.
    let after = peppers(&world).await;
    assert!(after.len() == 1 && after.is_disjoint(&before), "{after:?}");
    // The old ones can go: passwords are right, and what the old key signed is signed out.
    let alone = Process::api(&world.db.url, &env(&AFTER));
    for (nr, old) in riders.iter().enumerate() {
        let rider = Client::sign_in(&alone.base(), &format!("rider{nr}")).await;
        rider.get("/v1/riders/me").await.expect(200);
        let change = json!({"current": PAY_PASSWORD, "new": "654319"});
        rider.put("/v1/riders/me/pay-password", &change).await.expect(204);
        old.at(&alone.base()).get("/v1/riders/me").await.problem(401, "003002");
    }
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_is_renewed_when_hashing_costs_more() {
    let world = World::new().await;
    world.rider("0").await;
    let cost = async || {
        let sql = "select password_hash from rider where user_name = 'rider0'";
        let hash: String = sqlx::query_scalar(sql).fetch_one(&world.pool).await.unwrap();
        hash.split('$').nth(3).unwrap().split(",keyid").next().unwrap().to_owned()
    };
    assert_eq!(cost().await, "m=64,t=1,p=1");
    let dearer = Process::api(&world.db.url, &[("FAREBOX__PASSWORDS__PASSES", "3")]);
    Client::sign_in(&dearer.base(), "rider0").await;
    assert_eq!(cost().await, "m=64,t=3,p=1");
    Client::sign_in(&world.api.base(), "rider0").await;
    assert_eq!(cost().await, "m=64,t=3,p=1", "it is not made cheaper");
}

/// A hash and a token as version 0.2.0 wrote them.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_version_before_wrote_is_read() {
    let world = World::with(&PRODUCTION).await;
    world.rider("0").await;
    let unnamed = "update rider set password_hash = regexp_replace(password_hash, ',keyid=[^$]+', '')";
    sqlx::query(unnamed).execute(&world.pool).await.unwrap();
    // The oldest pepper is the one that those hashes have.
    let rotated = Process::api(&world.db.url, &env(&ROTATED));
    Client::sign_in(&rotated.base(), "rider0").await;
    let named = "select count(*) from rider where user_name = 'rider0' and password_hash like '%,keyid=%'";
    assert_eq!(count(&world.pool, named).await, 1, "and then it says which pepper it has");
}

fn refused(mut command: Command, parts: &[&str], secrets: &[&str]) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!output.status.success(), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    for secret in secrets.iter().filter(|secret| secret.len() > 3) {
        assert!(!said.contains(secret), "{secret} is printed: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_secrets_than_the_databases_are_refused_until_they_are_accepted() {
    let world = World::with(&PRODUCTION).await;
    let (api, farebox) = (env!("CARGO_BIN_EXE_farebox-api"), env!("CARGO_BIN_EXE_farebox"));
    for (name, value, setting) in [
        ("FAREBOX__SECRETS__TOKEN_KEY", NEW_KEY, "secrets.token_key"),
        ("FAREBOX__SECRETS__PEPPER", NEW_PEPPER, "secrets.pepper"),
    ] {
        let wrong = env(&[(name, value)]);
        refused(command(api, &world.db.url, &wrong), &[setting, "farebox secrets accept"], &[value]);
        let mut add = command(farebox, &world.db.url, &wrong);
        add.args(["operators", "add", "late"]).env("FAREBOX_OPERATOR_PASSWORD", PASSWORD);
        refused(add, &[setting], &[value]);
    }
    assert_eq!(count(&world.pool, "select count(*) from rider where user_name = 'late'").await, 0);
    let lost = env(&AFTER);
    let mut accept = command(farebox, &world.db.url, &lost);
    let accepted = accept.args(["secrets", "accept"]).output().unwrap();
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    Process::api(&world.db.url, &lost);
    let audited = count(&world.pool, "select count(*) from audit where act = 'secrets_accept'").await;
    assert_eq!(audited, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_secrets_are_refused_in_production_and_never_printed() {
    let db = Database::fresh().await;
    let api = env!("CARGO_BIN_EXE_farebox-api");
    let digits = "12345678901234567890123";
    for (name, weak) in [
        ("FAREBOX__SECRETS__TOKEN_KEY", "a".repeat(64)),
        ("FAREBOX__SECRETS__TOKEN_KEY", PEPPER.to_owned()),
        ("FAREBOX__SECRETS__TOKEN_KEY", digits.to_owned()),
        ("FAREBOX__SECRETS__PEPPER", "abcd".repeat(10)),
        ("FAREBOX__SECRETS__PEPPER", NEW_PEPPER[..31].to_owned()),
        ("FAREBOX__SECRETS__OLD_TOKEN_KEYS", "0".repeat(40)),
        ("FAREBOX__SECRETS__NEXT_TOKEN_KEY", TOKEN_KEY.to_owned()),
    ] {
        refused(command(api, &db.url, &env(&[(name, &weak)])), &["FAREBOX__SECRETS__"], &[&weak]);
    }
    // A key of digits is its text: two that are one number are two keys.
    let nearly = "12345678901234567890124";
    let (one, other) = ([("FAREBOX__SECRETS__TOKEN_KEY", digits)], [("FAREBOX__SECRETS__TOKEN_KEY", nearly)]);
    let world = World::with(&one).await;
    refused(command(api, &world.db.url, &other), &["secrets.token_key"], &[digits, nearly]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_may_come_from_files() {
    let folder = crate::harness::folder("secrets");
    std::fs::create_dir(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let world = World::with(&PRODUCTION).await;
    let (key, pepper) = (file("key", &format!("{TOKEN_KEY}\n")), file("pepper", PEPPER));
    let old = file("old", &format!("{NEW_PEPPER}\nanother old pepper 5c1d8e7b9f02a346\n"));
    let url = file("url", &world.db.url);
    let api = |more: &[(&str, &str)]| {
        let from_files = [
            ("FAREBOX__SECRETS__TOKEN_KEY_FILE", key.as_str()),
            ("FAREBOX__SECRETS__PEPPER_FILE", &pepper),
            ("FAREBOX__SECRETS__OLD_PEPPERS_FILE", &old),
            ("DATABASE_URL_FILE", &url),
        ];
        let all: Vec<_> = env(&from_files).into_iter().chain(more.iter().copied()).collect();
        let mut api = command(env!("CARGO_BIN_EXE_farebox-api"), "", &all);
        for name in ["DATABASE_URL", "FAREBOX__SECRETS__TOKEN_KEY", "FAREBOX__SECRETS__PEPPER"] {
            if more.iter().all(|(set, _)| *set != name) {
                api.env_remove(name);
            }
        }
        api
    };
    let process = Process::start(api(&[]));
    world.ops.at(&process.base()).get("/v1/riders/me").await.expect(200);
    refused(api(&[("FAREBOX__SECRETS__PEPPER", PEPPER)]), &["PEPPER", "both set"], &[PEPPER]);
    refused(api(&[("DATABASE_URL", &world.db.url)]), &["DATABASE_URL", "both set"], &[]);
    let (missing, empty) = (folder.join("missing"), file("empty", "\n"));
    for path in [missing.to_str().unwrap(), &empty] {
        refused(api(&[("FAREBOX__SECRETS__PEPPER_FILE", path)]), &["PEPPER_FILE", path], &[]);
    }
}
