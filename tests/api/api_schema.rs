//! The API against its own description: schemathesis makes up requests, and no answer may be a 5xx or
//! differ from what /openapi.json says.

use crate::harness::{Client, World, tools};
use serde_json::json;
use std::process::Command;

/// Requests made up for each operation in each phase, at most.
const EXAMPLES: &str = "10";
/// What is checked. Not checked: whether a made-up body that fits its schema is accepted (a seat
/// may be taken).
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      response_headers_conformance,unsupported_method,negative_data_rejection,ignored_auth,\
                      missing_required_header,use_after_free,ensure_resource_availability";

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_outside_the_description() {
    tools::need(&["python3-venv"]);
    let world = World::new().await;
    let program = tokio::task::spawn_blocking(|| tools::fetched("python/bin/schemathesis")).await.unwrap();
    let trip = world.trip(20).await;
    let till = Client::operator(&world, "till").await;
    let money = json!({"amount": "1000.00", "reference": "for the tests"});
    till.post(&format!("/v1/ops/wallets/{}/top-ups", world.ops.id), &money).await.expect(201);
    let order = world.ops.booked(&trip, &["1"]).await;
    world.ops.pay(&order).await.expect(200);
    let token = world.ops.token().to_owned();
    let url = format!("{}/openapi.json", world.api.base());
    // Signing out ends the token of all requests after it: last, and alone.
    let everything: &[&str] = &["--exclude-path", "/v1/sessions/current", "--exclude-path", "/v1/sessions"];
    let signing_out: &[&str] = &["--include-path", "/v1/sessions/current", "--include-path", "/v1/sessions"];
    for which in [everything, signing_out] {
        let mut command = Command::new(&program);
        command
            .args(["--config-file", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/schemathesis.toml")])
            .args(["run", &url, "--no-color", "--seed", "1", "--workers", "1", "--continue-on-failure"])
            .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--checks", CHECKS])
            .args(["--generation-database", "none", "--request-timeout", "30", "--warnings", "off"])
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .args(which)
            .current_dir(env!("CARGO_TARGET_TMPDIR"));
        let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    }
    // No `verify`: an operator may call off the very job that a debt waits for, and the made-up requests do.
}
