//! Profiles, one login at a time, adding operators.

use crate::harness::{Client, PASSWORD, Process, World, command, count, until};
use serde_json::json;
use std::{
    io::Write,
    process::{Output, Stdio},
};

const ME: &str = "/v1/riders/me";

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_changed_field_by_field_and_holds_nothing_else() {
    let world = World::new().await;
    let rider = world.rider("50.00").await;
    let all =
        json!({"nick_name": "小林", "sex": "female", "email": "lin@example.org", "phone": "028-5550-0199"});
    let changed = rider.patch(ME, &all).await;
    for (field, value) in all.as_object().unwrap() {
        assert_eq!(&changed.expect(200)[field], value);
    }
    // Left out: as it was. Null: gone.
    let cleared = rider.patch(ME, &json!({"phone": null, "nick_name": "Lin"})).await;
    assert_eq!(cleared.expect(200)["nick_name"], "Lin");
    assert_eq!(cleared.body.get("phone"), None, "{}", cleared.text);
    assert_eq!(cleared.body["email"], "lin@example.org");
    assert_eq!(rider.patch(ME, &json!({})).await.expect(200), &cleared.body);
    for (body, field) in [
        (json!({"balance": "1000.00"}), "/balance"),
        (json!({"role": "admin"}), "/role"),
        (json!({"password": "another password"}), "/password"),
        (json!({"user_name": "somebody"}), "/user_name"),
        (json!({"id": rider.id}), "/id"),
        (json!({"nick_name": ""}), "/nick_name"),
        (json!({"nick_name": "a\u{0}b"}), "/nick_name"),
        (json!({"nick_name": "长".repeat(201)}), "/nick_name"),
        (json!({"nick_name": 5}), "/nick_name"),
        (json!({"sex": "F"}), "/sex"),
        (json!({"sex": 1}), "/sex"),
        (json!({"email": "nobody"}), "/email"),
        (json!({"nick_name": "New", "phone": "\u{7}"}), "/phone"),
    ] {
        assert_eq!(rider.patch(ME, &body).await.problem(422, "003074")["field"], field);
    }
    assert_eq!(rider.get(ME).await.expect(200), &cleared.body, "a refused change changes nothing");
    assert_eq!(rider.balance().await, "50.00");
    assert!(!cleared.text.contains("balance") && !cleared.text.contains("argon2"), "{}", cleared.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_session_a_new_sign_in_ends_the_others_on_every_replica() {
    // More sign-ins at once than the lockout lets through before they are found right.
    let policy = [("FAREBOX__ACCOUNTS__ONE_SESSION", "true"), ("FAREBOX__LOCKOUT__TRIES", "50")];
    let world = World::with(&policy).await;
    let replica = Process::api(&world.db.url, &policy);
    let (first, other) = (world.rider("0").await, world.rider("0").await);
    let first_there = first.at(&replica.base());
    first_there.get(ME).await.expect(200);
    let second = Client::sign_in(&world.api.base(), "rider0").await;
    first.get(ME).await.problem(401, "003002");
    until("the replica knows", || async { first_there.get(ME).await.status == 401 }).await;
    second.get(ME).await.expect(200);
    second.at(&replica.base()).get(ME).await.expect(200);
    other.get(ME).await.expect(200);
    // Ten at once, on both: one is left.
    let bases = [world.api.base(), replica.base()];
    let signing: Vec<_> = (0..10)
        .map(|n| {
            let base = bases[n % 2].clone();
            tokio::spawn(async move { Client::sign_in(&base, "rider0").await })
        })
        .collect();
    let mut clients = vec![second];
    for one in signing {
        clients.push(one.await.unwrap());
    }
    for base in &bases {
        until("one is left", || async {
            let mut alive = 0;
            for client in &clients {
                alive += usize::from(client.at(base).get(ME).await.status == 200);
            }
            alive == 1
        })
        .await;
    }
    let alive = "select count(*) from session where revoked_at is null";
    assert_eq!(count(&world.pool, alive).await, 3, "the rider's, the other's and the operator's");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_sessions_live_side_by_side() {
    let world = World::new().await;
    let first = world.rider("0").await;
    let second = Client::sign_in(&world.api.base(), "rider0").await;
    second.delete("/v1/sessions/current").await.expect(204);
    first.get(ME).await.expect(200);
    second.get(ME).await.problem(401, "003002");
}

/// `farebox operators add …`, with this on its standard input.
fn add_operator(world: &World, args: &[&str], env: &[(&str, &str)], input: &str) -> Output {
    let mut command = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, env);
    command.args(["operators", "add"]).args(args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_added_with_a_password_that_is_no_argument() {
    let world = World::new().await;
    let typed = format!("{PASSWORD}\n");
    let added = add_operator(&world, &["--user-name", "watcher", "--role", "viewer"], &[], &typed);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let named = [("FAREBOX_OPERATOR_PASSWORD", "from the environment")];
    let added = add_operator(&world, &["--user-name", "chief", "--role", "admin"], &named, "");
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    assert!(add_operator(&world, &["plain"], &[], &typed).status.success(), "the name alone, as ever");
    let watcher = Client::sign_in(&world.api.base(), "watcher").await;
    watcher.get("/v1/ops/queues").await.expect(200);
    let chief = Client::with_password(&world.api.base(), "chief", "from the environment").await;
    assert_eq!(chief.get(ME).await.expect(200)["role"], "admin");
    let plain = Client::sign_in(&world.api.base(), "plain").await;
    assert_eq!(plain.get(ME).await.expect(200)["role"], "operator");
    for (args, input, why) in [
        (vec!["--user-name", "Watcher"], typed.as_str(), "taken"),
        (vec!["--user-name", "rider", "--role", "rider"], &typed, "viewer, operator or admin"),
        (vec!["--user-name", "king", "--role", "king"], &typed, "no role"),
        (vec!["--user-name", "short"], "short\n", "8 to 200 characters"),
        (vec!["--user-name", "silent"], "", "8 to 200 characters"),
        (vec!["--user-name", "given", "--password", PASSWORD], "", "--password"),
        (vec![], &typed, "--user-name"),
    ] {
        let refused = add_operator(&world, &args, &[], input);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(why), "{args:?}: {said}");
        assert!(!said.contains(PASSWORD) || args.contains(&"--password"), "{said}");
    }
    assert_eq!(count(&world.pool, "select count(*) from rider where role <> 'rider'").await, 4);
}
