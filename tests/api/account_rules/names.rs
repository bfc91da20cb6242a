//! User names are folded in one way, and passwords are normalized before they are hashed.

use crate::harness::{Answer, Client, Database, PASSWORD, World, command};
use serde_json::json;
use std::{io::Write, process::Stdio};

async fn sign_in(world: &World, name: &str, password: &str) -> Answer {
    let body = json!({ "user_name": name, "password": password });
    Client::stranger(&world.api.base()).post("/v1/sessions", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn user_names_are_folded_in_one_way_on_a_database_that_folds_more() {
    let world = World::on(Database::that_folds().await, &[]).await;
    let folds: String = sqlx::query_scalar("select lower('RİDER')").fetch_one(&world.pool).await.unwrap();
    assert!(!folds.contains('İ'), "{folds}");
    let rider = world.rider("0").await;
    for same in ["rider0", "RIDER0", "rIdEr0"] {
        assert_eq!(sign_in(&world, same, PASSWORD).await.expect(201)["rider"]["id"], json!(rider.id));
    }
    // Texts that are no user names are nobody's, however they fold; their tries are counted as one name's.
    for round in 0..5 {
        let none = if round % 2 == 0 { "rİder0" } else { "RİDER0" };
        sign_in(&world, none, PASSWORD).await.problem(401, "003001");
    }
    sign_in(&world, "rİder0", PASSWORD).await.problem(429, "005001");
    for none in
        ["r\u{131}der0", "ｒider0", "rider0\u{200b}", "rider0 ", "ri\u{307}der0", "rider\u{660}", "r", ""]
    {
        let answer = sign_in(&world, none, PASSWORD).await;
        assert!([401, 422].contains(&answer.status.as_u16()), "{none:?}: {}", answer.text);
    }
    assert_eq!(sign_in(&world, "rider0", PASSWORD).await.status, 201, "nobody delayed its owner");
    // The Kelvin sign folds to k.
    let anybody = Client::stranger(&world.api.base());
    let new = |name: &str| json!({ "user_name": name, "password": PASSWORD });
    anybody.post("/v1/riders", &new("kim")).await.expect(201);
    sign_in(&world, "\u{212a}im", PASSWORD).await.problem(401, "003001");
    anybody.post("/v1/riders", &new("KIM")).await.problem(409, "003003");
    for none in ["rİder0", "\u{212a}im", "rider\u{660}"] {
        assert_eq!(
            anybody.post("/v1/riders", &new(none)).await.problem(422, "003074")["field"],
            "/user_name"
        );
        let write = "update rider set user_name = $1 where user_name = 'kim'";
        let refused = sqlx::query(write).bind(none).execute(&world.pool).await.unwrap_err();
        let constraint = refused.as_database_error().and_then(|error| error.constraint());
        assert_eq!(constraint, Some("rider_user_name_is_plain"));
    }
    let write = "update rider set user_name = 'Rider0' where user_name = 'kim'";
    let refused = sqlx::query(write).execute(&world.pool).await.unwrap_err();
    let constraint = refused.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("rider_user_name_is_taken_once"));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_the_same_however_its_letters_are_put_together() {
    let world = World::new().await;
    let anybody = Client::stranger(&world.api.base());
    let (composed, decomposed) = ("caf\u{e9} au lait", "cafe\u{301}\u{3000}au\u{a0}lait");
    for (name, registered, typed) in [("anna", composed, decomposed), ("bert", decomposed, composed)] {
        let new = json!({ "user_name": name, "password": registered });
        anybody.post("/v1/riders", &new).await.expect(201);
        sign_in(&world, name, typed).await.expect(201);
        sign_in(&world, name, registered).await.expect(201);
        // Only that: neither case nor accents nor blanks are dropped.
        for other in ["cafe au lait", "Caf\u{e9} au lait", "caf\u{e9} aulait"] {
            sign_in(&world, name, other).await.problem(401, "003001");
        }
    }
    for password in ["a\tpassword", "a\u{0}password", "a password\u{85}"] {
        let new = json!({ "user_name": "carl", "password": password });
        assert_eq!(anybody.post("/v1/riders", &new).await.problem(422, "003074")["field"], "/password");
    }
    let mut adding = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &[]);
    let piped = adding.args(["operators", "add", "boss"]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut adding = piped.stdout(Stdio::null()).spawn().unwrap();
    adding.stdin.take().unwrap().write_all(format!("{decomposed}\n").as_bytes()).unwrap();
    assert!(adding.wait().unwrap().success());
    sign_in(&world, "boss", composed).await.expect(201);
}
