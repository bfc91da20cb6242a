//! The second factor of operators over the API, in production.

use super::account_state::{PRODUCTION, done, operators};
use crate::harness::{Answer, Client, PASSWORD, Process, World, until};
use farebox::accounts::second_factor::{self, Nonce};
use serde_json::json;

const REQUIRED: [(&str, &str); 4] = [
    PRODUCTION[0],
    PRODUCTION[1],
    ("FAREBOX__ACCOUNTS__OPERATORS_SECOND_FACTOR", "required"),
    ("FAREBOX__ACCOUNTS__CONFIRM_SECS", "300"),
];

/// An operator's authenticator.
pub struct Authenticator {
    pub codes: totp_rs::Totp,
    pub recovery: Vec<String>,
}

impl Authenticator {
    /// Sets up the second factor of `ops`, with the code of the step before this one.
    pub async fn of_ops(world: &World) -> Self {
        let nonce: Nonce = second_factor::new_nonce().unwrap();
        let codes = second_factor::codes(&world.saga.passwords, world.ops.id, "ops", &nonce).unwrap();
        let mut tx = world.pool.begin().await.unwrap();
        let first = Self { codes, recovery: Vec::new() };
        let code = first.code(-1);
        let recovery =
            second_factor::enrol(&mut tx, &world.saga.passwords, world.ops.id, &nonce, &code).await.unwrap();
        tx.commit().await.unwrap();
        Self { recovery, ..first }
    }

    /// The code of a step from now.
    pub fn code(&self, steps: i64) -> String {
        let at = chrono::Utc::now().timestamp() + steps * 30;
        self.codes.generate(u64::try_from(at).unwrap()).to_string()
    }
}

async fn sign_in(base: &str, code: Option<&str>) -> Answer {
    let mut body = json!({ "user_name": "ops", "password": PASSWORD });
    if let Some(code) = code {
        body["code"] = json!(code);
    }
    Client::stranger(base).post("/v1/sessions", &body).await
}

/// A world whose operator signed in before the second factor was required.
async fn world() -> (World, Process) {
    let world = World::with(&PRODUCTION).await;
    let required = Process::api(&world.db.url, &REQUIRED);
    (world, required)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_alone_opens_nothing() {
    let (world, required) = world().await;
    let base = required.base();
    sign_in(&base, None).await.problem(403, "003006");
    let device = Authenticator::of_ops(&world).await;
    sign_in(&base, None).await.problem(401, "003004");
    sign_in(&base, Some("000000")).await.problem(401, "003005");
    let code = device.code(0);
    sign_in(&base, Some(&code)).await.expect(201);
    // The same code, on the other replica too, which asks those who have a second factor.
    for base in [&base, &world.api.base()] {
        sign_in(base, Some(&code)).await.problem(401, "003005");
    }
    sign_in(&base, Some(&device.code(1))).await.expect(201);
    // The password must be right first: a code is not even looked at.
    let wrong = json!({ "user_name": "ops", "password": "wrong wrong wrong", "code": device.code(1) });
    Client::stranger(&base).post("/v1/sessions", &wrong).await.problem(401, "003001");
    // Riders have none.
    world.rider("0").await.at(&base).get("/v1/riders/me").await.expect(200);
    let stored: i64 =
        sqlx::query_scalar("select count(*) from recovery_code where rider_id = $1 and digest <> ''")
            .bind(world.ops.id.0)
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(stored, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_works_once() {
    let (world, required) = world().await;
    let device = Authenticator::of_ops(&world).await;
    let code = device.recovery[0].to_lowercase();
    sign_in(&required.base(), Some(&code)).await.expect(201);
    sign_in(&required.base(), Some(&code)).await.problem(401, "003005");
    sign_in(&required.base(), Some(&device.recovery[1])).await.expect(201);
    // A lost device: the command line removes it, with the password.
    let printed = done(&operators(&world, &["reset", "ops", "--second-factor"]));
    let body =
        json!({ "user_name": "ops", "code": printed.split(' ').nth(1).unwrap(), "new_password": PASSWORD });
    Client::stranger(&required.base()).post("/v1/password-resets", &body).await.expect(204);
    sign_in(&required.base(), None).await.problem(403, "003006");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_codes_locks_the_second_factor() {
    let (world, required) = world().await;
    let device = Authenticator::of_ops(&world).await;
    let base = required.base();
    let guesses = futures_util::future::join_all((0..12).map(|_| sign_in(&base, Some("000000")))).await;
    let looked_at = guesses.iter().filter(|answer| answer.status == 401).count();
    assert!(looked_at <= 5, "{looked_at} guesses were looked at");
    let locked = sign_in(&world.api.base(), Some(&device.code(0))).await;
    assert!(locked.problem(429, "005001")["retry_after"].as_i64().unwrap() > 60, "{}", locked.text);
    sqlx::query("update second_factor set locked_until = now()").execute(&world.pool).await.unwrap();
    sign_in(&base, Some(&device.code(0))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_is_asked_for_again_too() {
    let (world, required) = world().await;
    let device = Authenticator::of_ops(&world).await;
    let session = sign_in(&required.base(), Some(&device.code(0))).await;
    let token = session.expect(201)["token"].as_str().unwrap().to_owned();
    let ops = world.ops.at(&required.base()).with_token(&token);
    let path = "/v1/sessions/current/confirmation";
    ops.post(path, &json!({ "password": PASSWORD })).await.problem(401, "003004");
    ops.post(path, &json!({ "password": PASSWORD, "code": device.code(1) })).await.expect(204);
    // A new password as well: with it alone, its owner would be kept out.
    let new = json!({ "current": PASSWORD, "new": "seven green lamps 9" });
    ops.put("/v1/riders/me/password", &new).await.problem(401, "003004");
    let same = json!({ "current": PASSWORD, "new": PASSWORD });
    ops.put("/v1/riders/me/password", &same).await.problem(422, "003074");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_of_the_password_alone_gets_a_role() {
    let (world, required) = world().await;
    let rider = world.rider("0").await.at(&required.base());
    rider.get("/v1/riders/me").await.expect(200);
    done(&operators(&world, &["role", "rider0", "operator"]));
    until("its session has ended", || async {
        let answer = rider.get("/v1/ops/jobs").await;
        assert_ne!(answer.status, 200, "{}", answer.text);
        answer.status == 401
    })
    .await;
    rider.get("/v1/riders/me").await.problem(401, "003002");
    let again = json!({ "user_name": "rider0", "password": PASSWORD });
    Client::stranger(&required.base()).post("/v1/sessions", &again).await.problem(403, "003006");
    // Elsewhere, too, the session does not go on as an operator's.
    until("it has ended there", || async {
        rider.at(&world.api.base()).get("/v1/riders/me").await.status == 401
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_before_the_rule_is_no_operators() {
    let (world, required) = world().await;
    let base = required.base();
    // A role that is given in SQL ends no session by itself.
    let rider = world.rider("0").await;
    sqlx::query("update rider set role = 'operator' where id = $1")
        .bind(rider.id.0)
        .execute(&world.pool)
        .await
        .unwrap();
    until("the role is there", || async { rider.get("/v1/ops/jobs").await.status == 200 }).await;
    let before = Client::sign_in(&world.api.base(), "ops").await;
    let never_idle = [REQUIRED.as_slice(), &[("FAREBOX__ACCOUNTS__OPERATOR_IDLE_SECS", "0")]].concat();
    let never_idle = Process::api(&world.db.url, &never_idle);
    let refused = [(&rider, &base), (&world.ops, &base), (&before, &never_idle.base())];
    for (session, base) in refused {
        // A replica knows the new role within a second; until then the account is a rider's.
        until("the role is there", || async { session.at(base).get("/v1/ops/jobs").await.status != 403 })
            .await;
        session.at(base).get("/v1/ops/jobs").await.problem(401, "003002");
        until("it has ended everywhere", || async { session.get("/v1/ops/jobs").await.status == 401 }).await;
    }
    // One that has given a code since goes on, and is never idle there.
    let device = Authenticator::of_ops(&world).await;
    let stale = json!({ "user_name": "ops", "password": PASSWORD, "code": device.code(0) });
    let session = Client::stranger(&world.api.base()).post("/v1/sessions", &stale).await;
    let session = world.ops.with_token(session.expect(201)["token"].as_str().unwrap());
    sqlx::query("update session set second_factor = false").execute(&world.pool).await.unwrap();
    let given = json!({ "password": PASSWORD, "code": device.code(1) });
    session.post("/v1/sessions/current/confirmation", &given).await.expect(204);
    for base in [base, never_idle.base()] {
        session.at(&base).get("/v1/ops/jobs").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_confirms_nothing_for_an_account_without_a_second_factor() {
    let (world, required) = world().await;
    let device = Authenticator::of_ops(&world).await;
    let session = sign_in(&required.base(), Some(&device.code(0))).await;
    let ops = world.ops.with_token(session.expect(201)["token"].as_str().unwrap()).at(&required.base());
    sqlx::query("delete from second_factor").execute(&world.pool).await.unwrap();
    let given = json!({ "password": PASSWORD });
    ops.post("/v1/sessions/current/confirmation", &given).await.problem(403, "003006");
}
