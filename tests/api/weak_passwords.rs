//! Passwords and names that are refused for new accounts, and how the old ones go on.

use super::account_state::{PRODUCTION, operators};
use crate::harness::{Client, PASSWORD, PAY_PASSWORD, World};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn weak_passwords_are_refused_and_old_ones_go_on() {
    let world = World::with(&PRODUCTION).await;
    let anybody = Client::stranger(&world.api.base());
    let weak = [
        "password",
        "12345678",
        "mei.zhang",
        "        ",
        "meizhang1",
        "qwertyuiop",
        "panda@post.example",
        "13800138000",
    ];
    for password in weak {
        let new = json!({
            "user_name": "mei.zhang", "password": password, "email": "panda@post.example", "phone": "138 0013 8000",
        });
        let refused = anybody.post("/v1/riders", &new).await;
        assert_eq!(refused.problem(422, "003074")["field"], "/password", "{password}");
    }
    for pay in ["000000", "123456", "654321", "121212", "112233"] {
        let new = json!({ "user_name": "mei.zhang", "password": PASSWORD, "pay_password": pay });
        let refused = anybody.post("/v1/riders", &new).await;
        assert_eq!(refused.problem(422, "003074")["field"], "/pay_password", "{pay}");
    }
    let new = json!({ "user_name": "mei.zhang", "password": PASSWORD, "pay_password": PAY_PASSWORD });
    anybody.post("/v1/riders", &new).await.expect(201);

    // An account from before.
    let rider = world.rider("0").await;
    for (table, column, weak) in [("rider", "password_hash", "12345678"), ("pay_password", "hash", "123456")]
    {
        let hash = world.saga.passwords.hash(weak).await.unwrap();
        let id = if table == "rider" { "id" } else { "rider_id" };
        let sql = sqlx::AssertSqlSafe(format!("update {table} set {column} = $1 where {id} = $2"));
        sqlx::query(sql).bind(hash).bind(rider.id.0).execute(&world.pool).await.unwrap();
    }
    let old = Client::with_password(&world.api.base(), "rider0", "12345678").await;
    let path = "/v1/riders/me/pay-password";
    let trivial = json!({ "current": "123456", "new": "111111" });
    assert_eq!(old.put(path, &trivial).await.problem(422, "003074")["field"], "/new");
    old.put(path, &json!({ "current": "123456", "new": PAY_PASSWORD })).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_user_names_are_names() {
    let world = World::with(&PRODUCTION).await;
    let anybody = Client::stranger(&world.api.base());
    for name in ["-1-1", "...", "admin-", ".mei", "4711", "1.5"] {
        let refused = anybody.post("/v1/riders", &json!({ "user_name": name, "password": PASSWORD })).await;
        assert_eq!(refused.problem(422, "003074")["field"], "/user_name", "{name}");
    }
    world.rider("0").await;
    sqlx::query("update rider set user_name = '-1-1' where user_name = 'rider0'")
        .execute(&world.pool)
        .await
        .unwrap();
    Client::sign_in(&world.api.base(), "-1-1").await.get("/v1/riders/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_needs_a_good_password_too() {
    let world = World::new().await;
    let mut adding = crate::harness::command(
        env!("CARGO_BIN_EXE_farebox"),
        &world.db.url,
        &[("FAREBOX_OPERATOR_PASSWORD", "12345678"), PRODUCTION[0], PRODUCTION[1]],
    );
    let refused = adding.args(["operators", "add", "boss", "--role", "admin"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("too easy to guess"), "{said}");
    assert!(!String::from_utf8_lossy(&operators(&world, &["list"]).stdout).contains("boss"));
}
