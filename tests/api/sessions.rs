//! Sessions and replicas.

use crate::harness::{World, until};

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_holds_on_every_replica() {
    let world = World::new().await;
    let replica = world.another_api();
    let rider = world.rider("0").await;
    let there = rider.at(&replica.base());
    there.get("/v1/riders/me").await.expect(200);
    rider.delete("/v1/sessions/current").await.expect(204);
    rider.get("/v1/riders/me").await.problem(401, "003002");
    until("the other replica knows", || async { there.get("/v1/riders/me").await.status == 401 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pay_password_is_set_changed_and_never_shown() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let path = "/v1/riders/me/pay-password";
    rider.put(path, &serde_json::json!({"new": "908172"})).await.problem(422, "003074");
    rider.put(path, &serde_json::json!({"current": "000000", "new": "908172"})).await.problem(403, "004001");
    rider.put(path, &serde_json::json!({"current": "271828", "new": "65432"})).await.problem(422, "003074");
    rider.put(path, &serde_json::json!({"current": "271828", "new": "908172"})).await.expect(204);
    let me = rider.get("/v1/riders/me").await;
    assert_eq!(me.expect(200)["has_pay_password"], true);
    assert!(!me.text.contains("argon2") && !me.text.contains("balance"), "{}", me.text);
    for secret in ["271828", "908172", "argon2"] {
        assert!(!world.api.log().contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_titled_in_the_language_asked_for() {
    let world = World::new().await;
    let url = format!("{}/v1/wallet", world.api.base());
    let answer =
        reqwest::Client::new().get(url).header("accept-language", "zh-CN,zh;q=0.9").send().await.unwrap();
    assert!(answer.text().await.unwrap().contains("令牌无效"));
}
