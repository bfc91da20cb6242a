//! Changing one's own password, having it reset, and the sessions that end with it, in production.

use super::account_state::{PRODUCTION, add, done, operators};
use crate::harness::{Answer, Client, PASSWORD, Process, World, until};
use farebox::accounts::Role;
use serde_json::{Value, json};

const PATH: &str = "/v1/riders/me/password";
const NEW: &str = "seven green lamps 9";

async fn sign_in(base: &str, name: &str, password: &str) -> Answer {
    let credentials = json!({ "user_name": name, "password": password });
    Client::stranger(base).post("/v1/sessions", &credentials).await
}

fn sessions(answer: &Answer) -> Vec<Value> {
    answer.expect(200)["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_other_sessions_on_every_replica() {
    let world = World::with(&PRODUCTION).await;
    let replica = Process::api(&world.db.url, &PRODUCTION);
    let owner = world.rider("0").await;
    let thief = Client::sign_in(&replica.base(), "rider0").await;
    owner.put(PATH, &json!({ "current": "wrong wrong wrong", "new": NEW })).await.problem(403, "003007");
    let weak = owner.put(PATH, &json!({ "current": PASSWORD, "new": "rider0rider0" })).await;
    assert_eq!(weak.problem(422, "003074")["field"], "/new");
    owner.put(PATH, &json!({ "current": PASSWORD, "new": NEW })).await.expect(204);
    for session in [&thief, &thief.at(&world.api.base())] {
        until("the thief is out", || async { session.get("/v1/riders/me").await.status == 401 }).await;
    }
    owner.get("/v1/riders/me").await.expect(200);
    owner.at(&replica.base()).get("/v1/riders/me").await.expect(200);
    sign_in(&replica.base(), "rider0", PASSWORD).await.problem(401, "003001");
    sign_in(&replica.base(), "rider0", NEW).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_the_present_password_is_delayed() {
    let world = World::with(&PRODUCTION).await;
    let rider = world.rider("0").await;
    let guess = json!({ "current": "wrong wrong wrong", "new": NEW });
    for _ in 0..5 {
        rider.put(PATH, &guess).await.problem(403, "003007");
    }
    rider.put(PATH, &guess).await.problem(429, "005001");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_changes_its_own_password() {
    let world = World::with(&PRODUCTION).await;
    add(&world, "watch", Role::Viewer).await;
    let viewer = Client::sign_in(&world.api.base(), "watch").await;
    viewer.put(PATH, &json!({ "current": PASSWORD, "new": NEW })).await.expect(204);
    sign_in(&world.api.base(), "watch", NEW).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_code_sets_a_password_once() {
    let world = World::with(&PRODUCTION).await;
    let thief = world.rider("0").await;
    let path = format!("/v1/ops/riders/{}/password-reset", thief.id);
    let reason = json!({ "reason": "she came to the desk" });
    thief.post(&path, &reason).await.problem(403, "003091");
    let code = world.ops.post(&path, &reason).await.expect(201)["code"].as_str().unwrap().to_owned();
    until("the thief is out", || async { thief.get("/v1/riders/me").await.status == 401 }).await;
    sign_in(&world.api.base(), "rider0", PASSWORD).await.problem(401, "003001");
    let stored: Vec<u8> =
        sqlx::query_scalar("select digest from password_reset").fetch_one(&world.pool).await.unwrap();
    assert_ne!(stored, code.as_bytes(), "only a digest is kept");

    let anybody = Client::stranger(&world.api.base());
    let redeem = async |name: &str, code: &str, new: &str| {
        anybody
            .post("/v1/password-resets", &json!({ "user_name": name, "code": code, "new_password": new }))
            .await
    };
    redeem("rider0", "0000-0000-0000-0000", NEW).await.problem(403, "003008");
    redeem("nobody", &code, NEW).await.problem(403, "003008");
    redeem("rider0", &code, "12345678").await.problem(422, "003074");
    redeem("RIDER0", &code.to_lowercase().replace('-', " "), NEW).await.expect(204);
    redeem("rider0", &code, "another good one 4").await.problem(403, "003008");
    sign_in(&world.api.base(), "rider0", NEW).await.expect(201);
    let audit = world.ops.get("/v1/ops/audit?act=account_reset").await;
    assert_eq!(audit.expect(200)["items"][0]["reason"], "she came to the desk");
    assert!(!audit.text.contains(&code) && !world.api.log().contains(&code), "the code is in no log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_void_after_its_end_and_strangers_void_none() {
    let world = World::with(&PRODUCTION).await;
    let anybody = Client::stranger(&world.api.base());
    world.rider("0").await;
    let code = || {
        let printed = done(&operators(&world, &["reset", "rider0"]));
        printed.split(' ').nth(1).unwrap().to_owned()
    };
    let redeem = async |code: &str| {
        let body = json!({ "user_name": "rider0", "code": code, "new_password": NEW });
        anybody.post("/v1/password-resets", &body).await
    };
    let late = code();
    sqlx::query("update password_reset set expires_at = now()").execute(&world.pool).await.unwrap();
    redeem(&late).await.problem(403, "003008");
    let first = code();
    let second = code();
    redeem(&first).await.problem(403, "003008");
    // Somebody who knows the name tries others, for as long as tries are looked at.
    for _ in 0..10 {
        let refused = redeem("0000-0000-0000-0000-0000-0000").await.status;
        assert!(refused == 403 || refused == 429, "{refused}");
    }
    sqlx::query("delete from sign_in_tries").execute(&world.pool).await.unwrap();
    redeem(&second).await.expect(204);
    // A code that was made for a rider opens no account of an operator.
    let riders = code();
    done(&operators(&world, &["role", "rider0", "operator"]));
    redeem(&riders).await.problem(403, "003008");
    let disabled = code();
    done(&operators(&world, &["disable", "rider0", "--reason", "left"]));
    done(&operators(&world, &["enable", "rider0"]));
    redeem(&disabled).await.problem(403, "003008");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_resets_riders_only() {
    let world = World::with(&PRODUCTION).await;
    add(&world, "boss", Role::Admin).await;
    let boss = Client::sign_in(&world.api.base(), "boss").await;
    let path = |of: &Client| format!("/v1/ops/riders/{}/password-reset", of.id);
    let reason = json!({ "reason": "lost" });
    world.ops.post(&path(&boss), &reason).await.problem(403, "003091");
    boss.post(&path(&world.ops), &reason).await.expect(201);
    until("the operator is out", || async { world.ops.get("/v1/riders/me").await.status == 401 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sees_and_ends_ones_own_sessions() {
    let world = World::with(&PRODUCTION).await;
    let replica = Process::api(&world.db.url, &PRODUCTION);
    let first = world.rider("0").await;
    let second = Client::sign_in(&replica.base(), "rider0").await;
    let listed = sessions(&second.get("/v1/sessions").await);
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[0]["current"], &listed[1]["current"]), (&json!(true), &json!(false)));
    let older = format!("/v1/sessions/{}", listed[1]["id"].as_str().unwrap());
    world.rider("0").await.delete(&older).await.problem(404, "003070");
    second.delete(&older).await.expect(204);
    until("it ended", || async { first.get("/v1/riders/me").await.status == 401 }).await;
    second.delete(&older).await.problem(404, "003070");
    second.delete("/v1/sessions").await.expect(204);
    until("all ended", || async { second.get("/v1/riders/me").await.status == 401 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_session_ends_beyond_the_bound() {
    let bound = [PRODUCTION[0], PRODUCTION[1], ("FAREBOX__ACCOUNTS__MAX_SESSIONS", "3")];
    let world = World::with(&bound).await;
    let first = world.rider("0").await;
    let base = world.api.base();
    let mut more = Vec::new();
    // More at once would look like guessing: attempts count until their hash is done.
    for _ in 0..2 {
        let at_once = (0..3).map(|_| Client::sign_in(&base, "rider0"));
        more.extend(futures_util::future::join_all(at_once).await);
    }
    until("the first ended", || async { first.get("/v1/riders/me").await.status == 401 }).await;
    let mut alive = 0;
    for session in &more {
        alive += i32::from(session.get("/v1/riders/me").await.status == 200);
    }
    assert_eq!(alive, 3);
}
