//! Changes of accounts are security events, and their rows of the audit log name nobody.

use crate::{
    api::second_factor::Authenticator,
    console::ConsoleSession,
    harness::{Client, PASSWORD, World, command, count, production},
};
use serde_json::{Value, json};

/// The security events in the API's log, by name.
async fn events(world: &World) -> Vec<String> {
    let log = world.log().await;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let security = lines.filter(|line| line["target"] == "farebox::security");
    security.map(|line| line["fields"]["event"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_an_account_leaves_a_trace_without_a_name() {
    let world = World::with(&production(&[])).await;
    let rider = world.rider("0").await;
    let base = world.api.base();
    let change = json!({ "current": PASSWORD, "new": "seven green lamps 9" });
    rider.put("/v1/riders/me/password", &change).await.expect(204);
    let ops = ConsoleSession::enter(&world, "ops").await;
    let csrf = ops.hidden(&format!("/console/accounts/{}/disable", rider.id), "csrf").await;
    let form = format!("csrf={csrf}&reason=because");
    for act in ["sessions", "disable", "enable", "reset"] {
        let path = format!("/console/accounts/{}/{act}", rider.id);
        let status = ops.status("POST", &path, Some(&form)).await;
        assert!([200, 303].contains(&status), "{act}: {status}");
    }
    let stranger = Client::stranger(&base);
    let wrong = json!({ "user_name": "rider0", "code": "0000-0000-0000-0000", "new_password": PASSWORD });
    stranger.post("/v1/password-resets", &wrong).await.problem(403, "003008");
    let device = Authenticator::of_ops(&world).await;
    let sign_in = |code: String| json!({ "user_name": "ops", "password": PASSWORD, "code": code });
    stranger.post("/v1/sessions", &sign_in("000000".to_owned())).await.problem(401, "003005");
    stranger.post("/v1/sessions", &sign_in(device.code(0))).await.expect(201);
    let all = events(&world).await;
    for event in [
        "password_changed",
        "sessions_ended",
        "account_disabled",
        "account_enabled",
        "password_reset",
        "reset_code_wrong",
        "second_factor_wrong",
    ] {
        assert_eq!(all.iter().filter(|name| *name == event).count(), 1, "{event}: {all:?}");
    }
    let role = ["operators", "role", "rider0", "viewer", "--reason", "she changes sides"];
    let mut farebox = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &production(&[]));
    assert!(farebox.args(role).status().unwrap().success());
    let named = "select count(*) from audit where act like 'account_%' and audit::text like '%rider0%'";
    assert_eq!(count(&world.pool, named).await, 0);
    assert_eq!(count(&world.pool, "select count(*) from audit where act like 'account_%'").await, 5);
}
