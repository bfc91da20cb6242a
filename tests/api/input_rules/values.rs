//! Values have one form each: money, moments, texts, names, ids and cursors.

use super::{ME, NOBODY, csrf, form, page, refused};
use crate::harness::{Client, PASSWORD, World, count};
use serde_json::json;

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
            if ["2030-01-01", "2030-01-01 08:00:00Z"].contains(&odd) {
                assert_eq!(status, 200, "a page takes what people write: {odd}");
                continue;
            }
            assert!(status == 422 && text.contains("(<code>since</code>): "), "{odd}: {status} {text}");
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
    let log = world.log().await;
    assert!(!log.contains("database error"), "{log}");
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
    stranger.post("/v1/riders", &new("😀🚲🎫🌧🐼🍵🎻🗻")).await.expect(201);
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
async fn a_body_is_one_object() {
    let world = World::new().await;
    let rider = world.rider("1.00").await;
    for body in ["null", "1", "true", "\"x\"", "[]", " \n[{}]", "x", "\u{feff}{}"] {
        let refused = rider.post_text("/v1/orders", body).await;
        assert_eq!(refused.problem(400, "003074")["detail"], "the body must be a JSON object", "{body}");
    }
    rider.post_text("/v1/orders", " {}").await.problem(422, "003073");
}
