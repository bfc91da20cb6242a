//! What must never leave the process: passwords, tokens and personal data, in logs, answers or errors.

use crate::harness::{Client, Process, World};
use serde_json::json;

const PASSWORD: &str = "a most secret horse";
const PAY_PASSWORD: &str = "918273";
const WRONG: &str = "564738";
const PERSONAL: [&str; 3] = ["mei.lin@example.org", "13800138000", "Meimei"];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_or_personal_is_logged_or_returned() {
    // Everything is logged that can be, and the statements of the database with it.
    let loud = [("FAREBOX__LOG__FILTER", "debug,sqlx=debug"), ("FAREBOX__LOG__JSON", "true")];
    let world = World::with(&loud).await;
    let worker = Process::worker(&world.db.url, &loud, &[]);
    let stranger = Client::stranger(&world.api.base());
    let account = json!({"user_name": "mei", "password": PASSWORD, "pay_password": PAY_PASSWORD,
        "email": PERSONAL[0], "phone": PERSONAL[1]});
    let mut texts = vec![stranger.post("/v1/riders", &account).await.text];
    stranger.post("/v1/riders", &account).await.problem(409, "003003");
    let rider = Client::with_password(&world.api.base(), "mei", PASSWORD).await;
    rider.patch("/v1/riders/me", &json!({"nick_name": PERSONAL[2]})).await.expect(200);
    world.top_up(rider.id, "100.00", "first").await.expect(201);
    let trip = world.trip(20).await;
    let order = rider.booked(&trip, &["1"]).await;
    let pay = format!("/v1/orders/{order}/pay");
    texts.push(rider.pay_with(&order, WRONG).await.problem(403, "004001").to_string());
    texts.push(rider.post_text(&pay, &format!(r#"{{"pay_password": "{PAY_PASSWORD}""#)).await.text);
    texts.push(rider.post(&pay, &json!({"pay_passwrd": PAY_PASSWORD})).await.text);
    let failing = rider.fault("pay_money_cancle.after=error").key("k").pay_with(&order, PAY_PASSWORD).await;
    texts.push(failing.problem(500, "003099").to_string());
    world.drained().await;
    let authorize = json!({"order_id": order, "pay_password": PAY_PASSWORD});
    let leave = rider.post("/v1/payment-authorizations", &authorize).await;
    let leave = leave.expect(201)["authorization"].as_str().unwrap().to_owned();
    texts.push(rider.post(&pay, &json!({"authorization": leave})).await.text);
    let change = json!({"current": PAY_PASSWORD, "new": WRONG});
    rider.put("/v1/riders/me/pay-password", &change).await.expect(204);
    texts.push(world.ops.get(&format!("/v1/ops/orders/{order}/timeline")).await.text);
    texts.push(world.ops.get("/v1/ops/jobs").await.text);

    let secrets = [PASSWORD, PAY_PASSWORD, WRONG, rider.token(), &leave, crate::harness::PEPPER, "argon2"];
    for text in &texts {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    for log in [world.api.log(), worker.log()] {
        assert!(log.contains(r#""level":"DEBUG""#), "nothing was logged");
        for secret in secrets.iter().chain(&PERSONAL) {
            let line = log.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{secret} in {line:?}");
        }
    }
}
