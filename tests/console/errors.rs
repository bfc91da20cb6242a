//! Errors are pages like others: with the operator's navigation, in the chosen language.

use super::session::ConsoleSession;
use crate::harness::{Wire, World};

/// A form's body that is too large.
const TOO_LARGE: usize = 70_000;

/// The page that answers, which must have this status.
async fn asked(
    session: &ConsoleSession,
    method: &str,
    path: &str,
    form: Option<String>,
    status: u16,
) -> String {
    let answer = session.send(method, path, form).await;
    let (said, kind) =
        (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap().to_owned());
    assert!(answer.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
    let text = answer.text().await.unwrap();
    assert_eq!((said, kind.as_str()), (status, "text/html; charset=utf-8"), "{method} {path}: {text}");
    text
}

fn preferring(session: &ConsoleSession, language: &str, chosen: &str) -> ConsoleSession {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("accept-language", language.parse().unwrap());
    let http = reqwest::Client::builder().default_headers(headers).build().unwrap();
    let cookie = format!("{}; farebox_lang={chosen}", session.cookie);
    ConsoleSession { http, base: session.base.clone(), cookie }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_pages_with_the_navigation_in_the_chosen_language() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let missing = format!("/console/jobs/{}", uuid::Uuid::now_v7());
    let top_up = format!("/console/riders/{}/top-up", rider.id);
    let large = "x".repeat(TOO_LARGE);
    for (method, path, form, status, title) in [
        ("GET", missing.as_str(), None, 404, "Does not exist"),
        ("GET", "/console/nowhere/at/all", None, 404, "Does not exist"),
        ("GET", "/console/trips?day=today", None, 422, "Parameter wrong"),
        ("POST", "/console/audit", Some(String::new()), 405, "Method not allowed"),
        ("POST", top_up.as_str(), Some("csrf=forged&reason=x".to_owned()), 403, "Permission denied"),
        ("POST", top_up.as_str(), Some(large), 413, "Body too large"),
    ] {
        let page = asked(&ops, method, path, form, status).await;
        for part in [title, "ops · operator", "href=\"/console/queues\"", "lang=\"en\""] {
            assert!(page.contains(part), "{method} {path} lacks {part}: {page}");
        }
    }
    // What was chosen counts, not what the browser prefers.
    let page = asked(&preferring(&ops, "en", "zh"), "GET", &missing, None, 404).await;
    assert!(page.contains("不存在") && page.contains("lang=\"zh\"") && page.contains("队列"), "{page}");
    let page = asked(&preferring(&ops, "zh-CN", "en"), "GET", &missing, None, 404).await;
    assert!(
        page.contains("Does not exist") && page.contains("lang=\"en\"") && !page.contains("队列"),
        "{page}"
    );
    // A page that was asked for is asked for again in another language; a form is not sent again.
    assert!(page.contains(&format!("name=\"next\" value=\"{missing}\"")), "{page}");
    let page = asked(&ops, "POST", &top_up, Some("csrf=forged".to_owned()), 403).await;
    assert!(page.contains("name=\"next\" value=\"/console\""), "{page}");

    let stranger = ConsoleSession::stranger(&world);
    let large = Some("x".repeat(TOO_LARGE));
    let page = asked(&stranger, "POST", "/console/sign-in", large, 413).await;
    assert!(page.contains("Body too large") && !page.contains("/console/queues"), "no navigation: {page}");
    let page = asked(&stranger, "GET", "/console/nowhere", None, 404).await;
    assert!(page.contains("Does not exist") && !page.contains("/console/queues"), "no navigation: {page}");
    let api = stranger.send("GET", "/v1/nowhere", None).await;
    assert_eq!(api.headers()["content-type"], "application/problem+json", "the API's stay what they are");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_a_broken_database_are_answered_with_pages() {
    let limit = [("FAREBOX__LIMITS__ENABLED", "true"), ("FAREBOX__LIMITS__SIGNING_IN_PER_ADDRESS", "2/1000")];
    let world = World::with(&limit).await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let again = Some("user_name=ops&password=wrong".to_owned());
    let chinese = preferring(&ConsoleSession::stranger(&world), "en", "zh");
    let page = asked(&chinese, "POST", "/console/sign-in", again, 429).await;
    assert!(page.contains("lang=\"zh\"") && page.contains("已限流"), "{page}");

    sqlx::raw_sql("alter table rider rename to gone").execute(&world.pool).await.unwrap();
    let page = asked(&ops, "GET", "/console/jobs", None, 500).await;
    assert!(page.contains("<span>operator</span>") && page.contains("href=\"/console/queues\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_form_is_answered_with_a_page() {
    let world = World::with(&[("FAREBOX__HTTP__BODY_TIMEOUT_MS", "300")]).await;
    let rider = world.rider("0").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let mut wire = Wire::to(&world.api.base()).await;
    let (path, cookie) = (format!("/console/riders/{}/top-up", rider.id), &ops.cookie);
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: farebox\r\ncookie: {cookie}\r\ncontent-length: 100\r\n");
    wire.send(&format!("{head}content-type: application/x-www-form-urlencoded\r\n\r\ncsrf=")).await;
    let reply = wire.reply().await.unwrap();
    assert_eq!(reply.status, 408, "{}", reply.body);
    assert!(reply.head.contains("content-type: text/html"), "{}", reply.head);
    for part in ["Body sent too slowly", "ops · operator"] {
        assert!(reply.body.contains(part), "{}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_timeout_is_answered_with_a_page() {
    let world = World::with(&[("FAREBOX__HTTP__TIMEOUT_MS", "500")]).await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let mut holder = world.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table queue.dead_letter").execute(&mut *holder).await.unwrap();
    let page = asked(&ops, "GET", "/console/jobs?state=dead", None, 503).await;
    for part in ["Timed out", "003098", "ops · operator", "href=\"/console/queues\""] {
        assert!(page.contains(part), "{page}");
    }
}
