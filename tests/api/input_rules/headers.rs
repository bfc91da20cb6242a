//! Headers: their syntax, their number, and the language that they ask for.

use super::ME;
use crate::harness::{Wire, World};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_read_as_rfc_9110_says() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let trip = world.trip(20).await;
    let mut wire = Wire::to(&world.api.base()).await;
    let token = rider.token();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  ", "bearer   "] {
        let reply = wire.ask("GET /v1/riders/me", &format!("authorization: {scheme} {token}\r\n")).await;
        assert_eq!(reply.status, 200, "{scheme}: {}", reply.body);
    }
    for odd in [
        token.to_owned(),
        format!("Basic {token}"),
        format!("Bearer{token}"),
        "Bearer".to_owned(),
        String::new(),
    ] {
        let reply = wire.ask("GET /v1/riders/me", &format!("authorization: {odd}\r\n")).await;
        assert_eq!(reply.status, 401, "{odd}: {}", reply.body);
    }
    let body = json!({"trip_id": trip, "seats": ["1"]}).to_string();
    let book = |headers: &str| {
        format!(
            "POST /v1/orders HTTP/1.1\r\nhost: farebox\r\ncontent-length: {}\r\nauthorization: Bearer {token}\r\n{headers}\r\n{body}",
            body.len()
        )
    };
    for (twice, name) in [
        ("idempotency-key: a\r\nidempotency-key: b\r\n".to_owned(), "idempotency-key"),
        ("idempotency-key: a\r\nidempotency-key: a\r\n".to_owned(), "idempotency-key"),
        (format!("authorization: Bearer {token}\r\n"), "authorization"),
        ("content-type: application/json\r\ncontent-type: text/plain\r\n".to_owned(), "content-type"),
        ("host: elsewhere\r\n".to_owned(), "host"),
        ("farebox-fault: \r\nfarebox-fault: order_seats_cancel.after=error\r\n".to_owned(), "farebox-fault"),
    ] {
        wire.send(&book(&twice)).await;
        let reply = wire.reply().await.unwrap();
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((reply.status, &body["field"]), (400, &json!(name)), "{}", reply.body);
    }
    for key in ["a\tb", "\u{e9}", "\u{738b}", &*"k".repeat(201)] {
        wire.send(&book(&format!("idempotency-key: {key}\r\n"))).await;
        let reply = wire.reply().await.unwrap();
        assert_eq!(reply.status, 422, "{key:?}: {}", reply.body);
        assert!(reply.body.contains("Idempotency-Key: "), "{}", reply.body);
    }
    assert_eq!(world.free_seats(&trip).await, 20, "nothing was booked");
    wire.send(&book("idempotency-key: ~ key!\"1\"\r\n")).await;
    assert_eq!(wire.reply().await.unwrap().status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn languages_are_negotiated_by_weight() {
    let world = World::new().await;
    let http = reqwest::Client::new();
    for (accepted, chinese) in [
        ("zh;q=0, en", false),
        ("zh;q=0", false),
        ("en;q=0.5, zh-CN;q=0.9", true),
        ("*", false),
        ("zh-Hant;q=0.1, en;q=0", true),
        ("zh, en", true),
        ("en, zh", false),
        ("fr", false),
        ("EN;Q=0.2, ZH", true),
        ("en;q=0, *", true),
    ] {
        let (language, title) = if chinese { ("zh", "令牌无效") } else { ("en", "Token invalid") };
        let ask =
            |path: &str| http.get(format!("{}{path}", world.api.base())).header("accept-language", accepted);
        let answer = ask(ME).send().await.unwrap();
        assert_eq!(answer.headers()["content-language"], language, "{accepted}");
        assert!(answer.text().await.unwrap().contains(title), "{accepted}");
        for path in ["/console/sign-in", "/console/sign-in?odd=1"] {
            let page = ask(path).send().await.unwrap();
            assert_eq!(page.headers()["content-language"], language, "{accepted} {path}");
            assert!(page.text().await.unwrap().contains(&format!("<html lang=\"{language}\"")), "{accepted}");
        }
        // What the operator chose wins, in the header as well.
        let chosen = ask("/console/sign-in").header("cookie", "farebox_lang=zh").send().await.unwrap();
        assert_eq!(chosen.headers()["content-language"], "zh");
    }
    assert_eq!(
        http.get(format!("{}/docs", world.api.base())).send().await.unwrap().headers()["content-language"],
        "en"
    );
    // A stored refusal is replayed in its first language.
    let rider = world.rider("0").await;
    let order = rider.booked(&world.trip(20).await, &["1"]).await;
    for asked in ["zh", "en"] {
        let request =
            http.post(format!("{}/v1/orders/{order}/pay", world.api.base())).bearer_auth(rider.token());
        let request = request.header("idempotency-key", "poor").header("accept-language", asked);
        let answer = request.body(r#"{"pay_password": "271828"}"#).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-language"]),
            (402, &"zh".parse().unwrap())
        );
        assert!(answer.text().await.unwrap().contains("余额不足"));
    }
}
