//! The rules of what comes in, whichever way it comes: JSON, forms, queries, paths, headers, options.

use crate::harness::{Answer, Client, PASSWORD, Process, Wire, World, command, count};
use serde_json::{Value, json};

const ME: &str = "/v1/riders/me";
const NOBODY: &str = "0190b5a0-0000-7000-8000-000000000000";

#[track_caller]
fn refused(answer: &Answer, field: &str) {
    assert_eq!(answer.problem(422, "003074")["field"], field, "{}", answer.text);
    assert!(!answer.body["rule"].as_str().unwrap().is_empty(), "{}", answer.text);
}

/// A form of the console, sent with this cookie.
async fn form(world: &World, path: &str, body: String) -> (u16, String) {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = http.post(format!("{}{path}", world.api.base())).body(body);
    let request = request.header("cookie", format!("farebox_console={}", world.ops.token()));
    let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// A page of the console.
async fn page(world: &World, path: &str) -> (u16, String) {
    let request = reqwest::Client::new().get(format!("{}{path}", world.api.base()));
    let request = request.header("cookie", format!("farebox_console={}", world.ops.token()));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn csrf(world: &World) -> String {
    let (_, page) = page(world, &format!("/console/riders/{}/top-up", world.ops.id)).await;
    page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// A moment of a day within what may be planned.
fn at(time: &str) -> String {
    let day = chrono::Utc::now() + chrono::Duration::days(30);
    format!("{}T{time}", day.format("%Y-%m-%d"))
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_bounded_and_has_one_form() {
    let world = World::new().await;
    let rider = world.rider("1000.00").await;
    let token = csrf(&world).await;
    let path = format!("/console/riders/{}/top-up", rider.id);
    for amount in [
        "999999999999",
        "1000000000.01",
        ".5",
        "5.",
        "+5",
        "-5",
        "1e3",
        " 5",
        "5,00",
        "０５",
        "NaN",
        "0x10",
        "1_0",
        "5.001",
    ] {
        refused(&world.top_up(rider.id, amount, "odd").await, "/amount");
        if amount.trim() == amount {
            let body = [("csrf", &*token), ("reason", "odd"), ("reference", "odd"), ("amount", amount)];
            let (status, text) = form(&world, &path, serde_urlencoded::to_string(body).unwrap()).await;
            assert_eq!(status, 422, "{amount}: {text}");
            assert!(text.contains("amount: "), "{text}");
        }
        let trip = json!({"bus_id": 1, "direction": 0, "departs_at": at("08:00:00Z"),
            "arrives_at": at("09:00:00Z"), "price": amount});
        refused(&world.ops.post("/v1/ops/trips", &trip).await, "/price");
    }
    assert_eq!(rider.balance().await, "1000.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_are_cut_to_microseconds_and_bounded() {
    let world = World::new().await;
    let trip = |departs: &str, arrives: &str| json!({"bus_id": 1, "direction": 0, "departs_at": departs, "arrives_at": arrives, "price": "4.00"});
    let departs = &*at("08:00:00.123456Z");
    for arrives in [&*at("08:00:00.123456001Z"), &*at("08:00:00.123456999Z"), departs] {
        refused(&world.ops.post("/v1/ops/trips", &trip(departs, arrives)).await, "/arrives_at");
    }
    let made = world.ops.post("/v1/ops/trips", &trip(&at("16:00:00.1234569+08:00"), &at("09:00:00Z"))).await;
    assert_eq!(made.expect(201)["departs_at"], departs);
    for odd in [
        "+262142-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2030-01-01",
        "2030-01-01 08:00:00Z",
        "tomorrow",
    ] {
        refused(&world.ops.post("/v1/ops/trips", &trip(odd, "9999-01-01T00:00:00Z")).await, "/departs_at");
        let until = json!({"until": odd});
        refused(&world.ops.post(&format!("/v1/ops/jobs/{NOBODY}/snooze"), &until).await, "/until");
        let since = json!({"since": odd});
        refused(&world.ops.post("/v1/ops/dead-letters/redrive", &since).await, "/since");
        let query = serde_urlencoded::to_string([("since", odd)]).unwrap();
        for list in ["/v1/ops/jobs", "/v1/ops/audit"] {
            refused(&world.ops.get(&format!("{list}?{query}")).await, "since");
        }
        for list in ["/console/jobs", "/console/audit"] {
            let (status, text) = page(&world, &format!("{list}?{query}")).await;
            assert!(status == 422 && text.contains("since: "), "{odd}: {status} {text}");
        }
    }
    for day in ["-4800-01-01", "+2026-01-01", "0000-01-01", "10000-01-01", "2026-1-1", "2026-02-30", ""] {
        refused(&Client::stranger(&world.api.base()).get(&format!("/v1/trips?date={day}")).await, "date");
    }
    for day in ["0001-01-01", "9999-12-31"] {
        world.ops.get(&format!("/v1/trips?date={day}")).await.expect(200);
        assert_eq!(page(&world, &format!("/console/trips?day={day}")).await.0, 200);
    }
    assert_eq!(page(&world, "/console/trips?day=-4800-01-01").await.0, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_hold_no_control_characters_in_any_form() {
    let world = World::new().await;
    let token = csrf(&world).await;
    for (path, body) in [
        ("/console/sign-in".to_owned(), "user_name=a%00b&password=x".to_owned()),
        ("/console/sign-in".to_owned(), "password=x&user_name=a%1bb".to_owned()),
        ("/console/preferences".to_owned(), "next=/console&lang=%00".to_owned()),
        ("/console/sign-out".to_owned(), "x=%00".to_owned()),
        (
            format!("/console/riders/{}/top-up", world.ops.id),
            format!("csrf={token}&reason=x&amount=1&reference=%00"),
        ),
        (
            format!("/console/riders/{}/top-up", world.ops.id),
            format!("csrf={token}&reason=a%00b&amount=1&reference=r"),
        ),
        (
            format!("/console/riders/{}/top-up", world.ops.id),
            format!("csrf={token}&reason=a%FFb&amount=1&reference=r"),
        ),
        ("/console/bulk".to_owned(), format!("csrf={token}&reason=x&act=retry&key=%00")),
    ] {
        let (status, text) = form(&world, &path, body.clone()).await;
        let field = body.split('&').find(|pair| pair.contains('%')).unwrap().split('=').next().unwrap();
        assert!(status == 422 && text.contains(&format!("{field}: ")), "{path} {body}: {status} {text}");
    }
    for query in ["rider=%00", "key=%00", "tag=a%00", "error=%0a", "after=%00"] {
        let name = query.split('=').next().unwrap();
        refused(&world.ops.get(&format!("/v1/ops/jobs?{query}")).await, name);
        assert_eq!(page(&world, &format!("/console/jobs?{query}")).await.0, 422, "{query}");
    }
    refused(&world.ops.get("/v1/ops/audit?actor=%00").await, "actor");
    refused(&world.ops.get("/v1/ops/audit?actor=%ff").await, "actor");
    assert_eq!(page(&world, "/console/search?q=%00").await.0, 422);
    assert!(!world.api.log().contains("database error"), "{}", world.api.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_count_characters_and_names_can_be_seen() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let long = "王".repeat(200);
    for name in ["王".repeat(67), long.clone(), "👩‍🚀".to_owned(), "محمد".to_owned()] {
        assert_eq!(
            rider.patch(ME, &json!({"nick_name": name})).await.expect(200)["nick_name"],
            name.as_str()
        );
    }
    assert_eq!(rider.patch(ME, &json!({"nick_name": " Mei "})).await.expect(200)["nick_name"], "Mei");
    for name in [
        " ",
        "\u{3000}",
        "\u{200b}",
        "a\u{200b}b",
        "\u{202e}nimda",
        "\u{2066}a",
        "\u{feff}a",
        "a\u{ad}b",
        "a\tb",
        "a\nb",
        "\u{7f}",
        "\u{3164}",
        "\u{2800}",
        "\u{301}",
        &*format!("{long}王"),
    ] {
        refused(&rider.patch(ME, &json!({"nick_name": name})).await, "/nick_name");
    }
    let stranger = Client::stranger(&world.api.base());
    let new = |password: &str| json!({"user_name": "somebody", "password": password});
    for password in ["😀😀", "1234567", &*"😀".repeat(300)] {
        refused(&stranger.post("/v1/riders", &new(password)).await, "/password");
    }
    for email in ["@", "a@", "@b", "a@b@c", "nobody", "a b@c", "a@b\u{200b}", " a@b"] {
        let body = json!({"user_name": "somebody", "password": PASSWORD, "email": email});
        refused(&stranger.post("/v1/riders", &body).await, "/email");
        refused(&rider.patch(ME, &json!({"email": email})).await, "/email");
    }
    for phone in ["", "call me", "1", "123\u{202e}", "１２３"] {
        let body = json!({"user_name": "somebody", "password": PASSWORD, "phone": phone});
        refused(&stranger.post("/v1/riders", &body).await, "/phone");
        refused(&rider.patch(ME, &json!({"phone": phone})).await, "/phone");
    }
    let path = format!("/v1/ops/wallets/{}/top-ups", rider.id);
    for reference in [" ", "PAY\u{200b}-77", "\u{202e}", "a\nb", &*"王".repeat(101)] {
        refused(
            &world.ops.post(&path, &json!({"amount": "1.00", "reference": reference})).await,
            "/reference",
        );
    }
    for reason in [" ", "\u{200b}", "a\nb", "a\u{202e}b", &*"王".repeat(501)] {
        let body = json!({"amount": "1.00", "reference": "r", "reason": reason});
        refused(&world.ops.post(&path, &body).await, "/reason");
    }
    for comment in [" ", "\u{8}", "a\u{2067}b", "\u{200b}"] {
        let body = json!({"rating": 5, "comment": comment});
        refused(&rider.post(&format!("/v1/orders/{NOBODY}/evaluation"), &body).await, "/comment");
    }
    assert_eq!(rider.balance().await, "0.00");
    assert_eq!(count(&world.pool, "select count(*) from rider where user_name = 'somebody'").await, 0);
    stranger.post("/v1/riders", &new(&"😀".repeat(8))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_and_cursors_have_one_form() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let trip = world.trip(20).await;
    let simple = trip.replace('-', "");
    for odd in [simple.clone(), format!("{{{trip}}}"), format!("urn:uuid:{trip}"), format!(" {trip}")] {
        let query = serde_urlencoded::to_string([("id", &odd)]).unwrap();
        let encoded = query.strip_prefix("id=").unwrap().replace('+', "%20");
        rider.get(&format!("/v1/trips/{encoded}")).await.problem(404, "003070");
        assert_eq!(page(&world, &format!("/console/trips/{encoded}")).await.0, 404, "{odd}");
        refused(&rider.post("/v1/orders", &json!({"trip_id": odd, "seats": ["1"]})).await, "/trip_id");
        refused(&world.ops.get(&format!("/v1/ops/jobs?trip={encoded}")).await, "trip");
        refused(&world.ops.get(&format!("/v1/ops/audit?order={encoded}")).await, "order");
        let body = json!({"act": "retry", "ids": [odd], "preview": true});
        refused(&world.ops.post("/v1/ops/bulk", &body).await, "/ids/0");
    }
    rider.get(&format!("/v1/trips/{}", trip.to_uppercase())).await.expect(200);
    let lists = [
        "/v1/orders",
        "/v1/wallet/entries",
        "/v1/ops/jobs",
        "/v1/ops/audit",
        "/v1/ops/bulk",
        &format!("/v1/ops/bulk/{NOBODY}/items"),
    ];
    for list in lists {
        let who = if list.contains("/ops/") { &world.ops } else { &rider };
        for after in ["zzz", &*format!("%7B{trip}%7D"), "", "1.5", "99999999999999999999"] {
            refused(&who.get(&format!("{list}?after={after}")).await, "after");
        }
        for limit in ["0", "101", "x", "-1", "1e1", "99999999999"] {
            refused(&who.get(&format!("{list}?limit={limit}")).await, "limit");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_string_or_a_form_holds_is_known_and_there_once() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let slip = rider.get("/v1/trips?data=2026-11-30").await;
    refused(&slip, "data");
    assert!(slip.text.contains("did you mean `date`"), "{}", slip.text);
    refused(&world.ops.get("/v1/ops/audit?unknown=1").await, "unknown");
    refused(&rider.get("/v1/trips?date=2026-11-30&date=2026-12-01").await, "date");
    refused(&rider.get("/v1/orders?limit=1&limit=1").await, "limit");
    // Every address of the description, those without parameters as well.
    let description = rider.get("/openapi.json").await;
    for (path, methods) in description.expect(200)["paths"].as_object().unwrap() {
        let address =
            path.replace("{id}", NOBODY).replace("{rider_id}", NOBODY).replace("{tag}", "pay_money_cancle");
        for method in methods.as_object().unwrap().keys() {
            let body = (method != "get").then(|| json!({}));
            let method = method.to_uppercase();
            refused(&world.ops.call(&method, &format!("{address}?odd=1"), body.as_ref()).await, "odd");
        }
    }
    // A worker's own addresses.
    let worker = Process::worker(&world.db.url, &[("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0")], &[]);
    let of_worker = Client::stranger(&worker.metrics());
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(of_worker.get(path).await.status, 200, "{path}");
        refused(&of_worker.get(&format!("{path}?odd=1")).await, "odd");
    }
    drop(worker);
    for path in [
        "",
        "/jobs",
        "/queues",
        "/bulk",
        "/bulk/new",
        "/orders",
        "/trips",
        "/riders",
        "/audit",
        "/search",
        "/sign-in",
    ] {
        let (status, text) = page(&world, &format!("/console{path}?odd=1")).await;
        assert!(status == 422 && text.contains("odd: "), "{path}: {status} {text}");
        assert_eq!(page(&world, &format!("/console{path}?live=2&live=3")).await.0, 422, "{path}");
    }
    let token = csrf(&world).await;
    let path = format!("/console/riders/{}/top-up", world.rider("0").await.id);
    let good = format!("csrf={token}&reason=x&amount=1&reference=r");
    for odd in ["odd=1", "amount=2", "csrf=x", "reason=y"] {
        let (status, text) = form(&world, &path, format!("{good}&{odd}")).await;
        let name = odd.split('=').next().unwrap();
        assert!(status == 422 && text.contains(&format!("{name}: ")), "{odd}: {status} {text}");
    }
    assert_eq!(form(&world, &format!("{path}?odd=1"), good.clone()).await.0, 422);
    assert_eq!(form(&world, "/console/bulk", format!("csrf={token}&reason=x&act=retry&odd=1")).await.0, 422);
    assert_eq!(form(&world, "/console/preferences", "lang=zh&odd=1".to_owned()).await.0, 422);
    assert_eq!(count(&world.pool, "select count(*) from ledger_entry").await, 0);
    assert_eq!(form(&world, &path, good).await.0, 303);
}

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
        let answer = request.body(r#"{"pay_password": "123456"}"#).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-language"]),
            (402, &"zh".parse().unwrap())
        );
        assert!(answer.text().await.unwrap().contains("余额不足"));
    }
}

/// What no type refuses must not be the database's to answer with a 500: an unknown constraint stands for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_is_bad_input_and_logged_as_an_error() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    for sql in [
        "alter table rider add constraint nick_name_is_not_x check (nick_name <> 'x')",
        "alter table ledger_entry add constraint entry_is_not_4711 check (amount <> 47.11)",
    ] {
        sqlx::query(sql).execute(&world.pool).await.unwrap();
    }
    let answer = rider.patch(ME, &json!({"nick_name": "x"})).await;
    assert_eq!(answer.problem(422, "003074")["rule"], "nick_name_is_not_x");
    let answer = world
        .ops
        .key("once")
        .post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &json!({"amount": "47.11", "reference": "r"}))
        .await;
    assert_eq!(answer.problem(422, "003074")["rule"], "entry_is_not_4711");
    let body = format!("csrf={}&reason=x&amount=47.11&reference=r", csrf(&world).await);
    let (status, text) = form(&world, &format!("/console/riders/{}/top-up", rider.id), body).await;
    assert!(status == 422 && text.contains("entry_is_not_4711"), "{status} {text}");
    assert_eq!(rider.balance().await, "0.00");
    let log = world.api.log();
    let holes: Vec<&str> = log.lines().filter(|line| line.contains("a type should have refused")).collect();
    assert_eq!(holes.len(), 3, "{log}");
    assert!(
        holes[0].contains("ERROR") && holes[0].contains("nick_name_is_not_x") && holes[0].contains(ME),
        "{}",
        holes[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_read_by_the_same_rules() {
    let world = World::new().await;
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let done = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, env).args(args).output().unwrap();
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!text.contains("panicked"), "{args:?}: {text}");
        (done.status.code(), text)
    };
    let braces = format!("{{{NOBODY}}}");
    for args in [
        &["dev", "--hold", "NaN"][..],
        &["dev", "--hold=-1"],
        &["dev", "--hold", "inf"],
        &["dev", "--hold", "1e300"],
        &["jobs", "show", &braces],
        &["jobs", "list", "--order", "0190b5a0000070008000000000000000"],
        &["jobs", "list", "--since", "+262142-01-01T00:00:00Z"],
        &["jobs", "list", "--limit", "0"],
        &["jobs", "snooze", NOBODY, "--until", "yesterday", "--reason", "x"],
        &["trips", "--days", "0"],
        &["queues", "pause", "nonsense", "--reason", "x"],
    ] {
        let (code, text) = run(args, &[]);
        assert_eq!(code, Some(2), "{args:?}: {text}");
        assert!(text.contains("invalid value"), "{args:?}: {text}");
    }
    for reason in ["", " ", "a\nb", "\u{202e}x"] {
        let (code, text) = run(&["jobs", "retry", NOBODY, "--reason", reason], &[]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("reason"), "{reason:?}: {text}");
    }
    for value in ["nan", "inf", "-1", "0", "1e300"] {
        let (code, text) = run(&["verify"], &[("FAREBOX__BOOKING__HOLD_SECS", value)]);
        assert_eq!(code, Some(1), "{value}: {text}");
        assert!(text.contains("hold_secs"), "{value}: {text}");
    }
}
