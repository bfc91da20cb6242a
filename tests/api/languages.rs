//! Problem bodies in English and in Chinese, word for word: clients show them to people.

use crate::harness::{Client, World};
use reqwest::Method;
use serde_json::{Value, json};
use std::{fmt::Write, path::Path};

const SNAPSHOT: &str = include_str!("../snapshots/problems.txt");

struct Case {
    name: &'static str,
    method: Method,
    path: String,
    body: &'static str,
    token: String,
    key: Option<&'static str>,
}

fn case(name: &'static str, method: Method, path: &str, body: &'static str, who: Option<&Client>) -> Case {
    let token = who.map(|who| who.token().to_owned()).unwrap_or_default();
    Case { name, method, path: path.to_owned(), body, token, key: None }
}

/// The body as it is kept: what differs from run to run is left out.
async fn problem_body(http: &reqwest::Client, base: &str, case: &Case, language: &str) -> String {
    let mut request = http
        .request(case.method.clone(), format!("{base}{}", case.path))
        .header("accept-language", language)
        .header("content-type", "application/json")
        .bearer_auth(&case.token);
    if !case.body.is_empty() {
        request = request.body(case.body);
    }
    if let Some(key) = case.key {
        request = request.header("idempotency-key", key);
    }
    let answer = request.send().await.unwrap();
    let (status, kind) = (answer.status(), answer.headers()["content-type"].to_str().unwrap().to_owned());
    let mut body: Value = answer.json().await.unwrap();
    assert_eq!(kind, "application/problem+json", "{}", case.name);
    assert_eq!(body["status"], status.as_u16());
    assert_eq!(body["trace_id"].as_str().unwrap().len(), 32);
    body["trace_id"] = json!("…");
    serde_json::to_string_pretty(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn problem_bodies_match_the_snapshot_in_both_languages() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let gone = world.trip_in(chrono::Duration::seconds(30), 20).await;
    let (poor, rich) = (world.rider("1.00").await, world.rider("100.00").await);
    let (unpaid, paid) = (poor.booked(&trip, &["1"]).await, rich.key("once").booked(&trip, &["2"]).await);
    rich.pay(&paid).await.expect(200);
    let seats = |trip: &str, seats: &str| -> &'static str {
        Box::leak(format!(r#"{{"trip_id": "{trip}", "seats": {seats}}}"#).into_boxed_str())
    };
    let nil = "00000000-0000-0000-0000-000000000000";
    let pay = |order: &str| format!("/v1/orders/{order}/pay");
    let (right, wrong) = (r#"{"pay_password": "271828"}"#, r#"{"pay_password": "000000"}"#);
    let cases = [
        case(
            "wrong password",
            Method::POST,
            "/v1/sessions",
            r#"{"user_name": "nobody", "password": "wrong horse"}"#,
            None,
        ),
        case("no token", Method::GET, "/v1/riders/me", "", None),
        case(
            "user name taken",
            Method::POST,
            "/v1/riders",
            r#"{"user_name": "OPS", "password": "correct horse"}"#,
            None,
        ),
        case("not a rider's", Method::GET, "/v1/ops/verify", "", Some(&rich)),
        case("unknown trip", Method::GET, &format!("/v1/trips/{nil}"), "", None),
        case("another's order", Method::GET, &format!("/v1/orders/{unpaid}"), "", Some(&rich)),
        case("no such address", Method::GET, "/v2", "", None),
        case("no such method", Method::PUT, "/v1/trips", "", None),
        case("a field is missing", Method::POST, "/v1/orders", "{}", Some(&rich)),
        case("a field is unknown", Method::POST, "/v1/sessions", r#"{"name": "x"}"#, None),
        case("a field is wrong", Method::POST, "/v1/orders", seats(&trip, r#"["3", "0 3"]"#), Some(&rich)),
        case("no JSON", Method::POST, "/v1/orders", "{", Some(&rich)),
        case("no object", Method::POST, "/v1/orders", "[]", Some(&rich)),
        case("U+0000", Method::POST, "/v1/sessions", r#"{"user_name": "a\u0000b", "password": "x"}"#, None),
        case("seats taken", Method::POST, "/v1/orders", seats(&trip, r#"["1", "2", "3"]"#), Some(&rich)),
        case("trip closed", Method::POST, "/v1/orders", seats(&gone, r#"["1"]"#), Some(&rich)),
        case("balance too low", Method::POST, &pay(&unpaid), right, Some(&poor)),
        case("wrong pay password", Method::POST, &pay(&unpaid), wrong, Some(&poor)),
        case("paid already", Method::POST, &pay(&paid), right, Some(&rich)),
        case(
            "not departed",
            Method::POST,
            &format!("/v1/orders/{paid}/evaluation"),
            r#"{"rating": 5}"#,
            Some(&rich),
        ),
        Case {
            key: Some("once"),
            ..case("another body", Method::POST, "/v1/orders", seats(&trip, r#"["9"]"#), Some(&rich))
        },
    ];
    matches_the_snapshot(&world.api.base(), &cases).await;
}

async fn matches_the_snapshot(base: &str, cases: &[Case]) {
    let http = reqwest::Client::new();
    let mut text = String::new();
    for case in cases {
        for language in ["en", "zh-CN,zh;q=0.9"] {
            let body = problem_body(&http, base, case, language).await;
            writeln!(text, "# {} ({})\n{body}\n", case.name, &language[..2]).unwrap();
        }
    }
    if text != SNAPSHOT {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("problems.txt");
        std::fs::write(&made, &text).unwrap();
        let line = text.lines().zip(SNAPSHOT.lines()).find(|(new, old)| new != old);
        panic!(
            "differs from tests/snapshots/problems.txt, first at {line:?}; the new text is {}",
            made.display()
        );
    }
}

/// What is answered on a task of its own is in the client's language, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_pay_password_is_answered_in_the_clients_language() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let (http, url) = (reqwest::Client::new(), format!("{}/v1/riders/me/pay-password", world.api.base()));
    for (language, title) in [("zh-CN", "支付密码错误"), ("en", "Pay password wrong")] {
        let request = http.put(&url).bearer_auth(rider.token()).header("accept-language", language);
        let answer = request.json(&json!({"current": "000000", "new": "654319"})).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 403);
        assert!(answer.headers()["content-language"].to_str().unwrap().starts_with(&language[..2]));
        assert_eq!(answer.json::<Value>().await.unwrap()["title"], title);
    }
}
