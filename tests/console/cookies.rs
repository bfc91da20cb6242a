//! The console's cookies, in production mode.

use super::ConsoleSession;
use crate::harness::{Browser, PASSWORD, PRODUCTION, World};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The cookies that an answer sets.
fn set(answer: &reqwest::Response) -> Vec<String> {
    let lines = answer.headers().get_all("set-cookie").iter();
    lines.map(|line| line.to_str().unwrap().to_owned()).collect()
}

fn credentials() -> String {
    format!("user_name=ops&password={}&next=%2Fconsole", PASSWORD.replace(' ', "+"))
}

#[tokio::test(flavor = "multi_thread")]
async fn in_production_every_cookie_is_of_this_host_and_secure_whatever_a_header_says() {
    let world = World::with(&PRODUCTION).await;
    for proto in [None, Some("http"), Some("https")] {
        let stranger = ConsoleSession::stranger(&world);
        let send = async |path: &str, form: String| {
            let mut request = stranger.http.post(format!("{}{path}", stranger.base)).body(form);
            request = request.header("content-type", "application/x-www-form-urlencoded");
            if let Some(proto) = proto {
                request = request.header("x-forwarded-proto", proto);
            }
            request.send().await.unwrap()
        };
        let choice = send("/console/preferences", "lang=zh&theme=dark&next=%2Fconsole".to_owned()).await;
        let mut cookies = set(&choice);
        assert_eq!(cookies.len(), 2);
        cookies.extend(set(&send("/console/sign-in", credentials()).await));
        assert_eq!(cookies.len(), 3);
        for cookie in cookies {
            assert!(cookie.starts_with("__Host-farebox_"), "{cookie}");
            for part in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
                assert!(cookie.contains(part), "{part} is not in {cookie}");
            }
            assert!(!cookie.to_lowercase().contains("domain"), "{cookie}");
        }
    }
    // A cookie without the prefix, as a neighbour could plant it, opens nothing.
    let session = ConsoleSession::enter(&world, "ops").await;
    assert_eq!(session.status("GET", "/console", None).await, 200);
    let planted = session.cookie.trim_start_matches("__Host-").to_owned();
    let planted = ConsoleSession { cookie: planted, ..ConsoleSession::stranger(&world) };
    assert_eq!(planted.status("GET", "/console", None).await, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_browser_keeps_and_removes_them_in_production() {
    let world = World::with(&PRODUCTION).await;
    let browser = Browser::signed_in(&world, "ops").await;
    let cookies = browser.cookies().await;
    assert!(cookies.contains("__Host-farebox_console="), "{cookies}");
    browser.click("Dark").await;
    browser.until("it is dark", "document.documentElement.dataset.theme === 'dark'").await;
    browser.click("Sign out").await;
    browser.until("nobody is signed in", "location.pathname.includes('sign-in')").await;
    assert!(!browser.cookies().await.contains("farebox_console"), "it is gone");
    browser.until("it is dark still", "document.documentElement.dataset.theme === 'dark'").await;
    browser.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_again_ends_the_browsers_session_and_signing_out_clears_it() {
    let world = World::with(&PRODUCTION).await;
    let first = ConsoleSession::enter(&world, "ops").await;
    let other = ConsoleSession::enter(&world, "ops").await;
    let again = first.send("POST", "/console/sign-in", Some(credentials())).await;
    assert_eq!(again.status().as_u16(), 303);
    let fresh = set(&again).remove(0).split(';').next().unwrap().to_owned();
    assert_eq!(first.status("GET", "/console", None).await, 303, "the session before is over");
    assert_eq!(other.status("GET", "/console", None).await, 200, "another browser's is not");
    let second = ConsoleSession { cookie: fresh, ..first };
    assert_eq!(second.status("GET", "/console", None).await, 200);
    let out = second.send("POST", "/console/sign-out", Some(String::new())).await;
    assert_eq!(out.headers()["clear-site-data"], "\"cache\", \"storage\"");
    assert_eq!(second.status("GET", "/console", None).await, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_different_session_cookies_are_none() {
    let world = World::new().await;
    let session = ConsoleSession::enter(&world, "ops").await;
    for both in [
        format!("{}; farebox_console=planted", session.cookie),
        format!("farebox_console=planted; {}", session.cookie),
    ] {
        let confused = ConsoleSession { cookie: both, ..ConsoleSession::stranger(&world) };
        assert_eq!(confused.status("GET", "/console", None).await, 303);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_scheme_is_of_another_origin() {
    let world = World::with(&PRODUCTION).await;
    let stranger = ConsoleSession::stranger(&world);
    let send = async |host: &str, origin: &str| {
        let request = stranger.http.post(format!("{}/console/sign-in", stranger.base)).body(credentials());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.header("host", host).header("origin", origin).send().await.unwrap().status().as_u16()
    };
    assert_eq!(send("console", "https://console").await, 303);
    assert_eq!(send("console", "http://console").await, 403, "production is behind HTTPS");
    assert_eq!(send("console", "https://other").await, 403);
    assert_eq!(send("console", "null").await, 403);
    assert_eq!(send("127.0.0.1:9", "http://127.0.0.1:9").await, 303, "on this machine it may be tried");
    let plain = World::new().await;
    let stranger = ConsoleSession::stranger(&plain);
    let request = stranger.http.post(format!("{}/console/sign-in", stranger.base)).body(credentials());
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let origin = stranger.base.replace("http:", "https:");
    assert_eq!(request.header("origin", origin).send().await.unwrap().status().as_u16(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_writes_a_notice() {
    let world = World::new().await;
    let session = ConsoleSession::enter(&world, "ops").await;
    let words = "Call 555-0101 and tell them your password";
    let unsigned = URL_SAFE_NO_PAD.encode(words);
    let forged = URL_SAFE_NO_PAD.encode([&[7; 32], words.as_bytes()].concat());
    for notice in [unsigned, forged] {
        let cookie = format!("{}; farebox_notice={notice}", session.cookie);
        let planted = ConsoleSession { cookie, ..ConsoleSession::stranger(&world) };
        assert!(!planted.page("/console/queues").await.contains("555-0101"));
    }
    // The console's own is shown, but not in another session.
    let csrf = session.hidden("/console/queues/order_unpaid/pause", "csrf").await;
    let form = format!("csrf={csrf}&reason=a+test");
    let done = session.send("POST", "/console/queues/order_unpaid/pause", Some(form)).await;
    assert_eq!(done.status().as_u16(), 303);
    let notice = set(&done).remove(0).split(';').next().unwrap().to_owned();
    let other = ConsoleSession::enter(&world, "ops").await;
    for (one, is_shown) in [(&session, true), (&other, false)] {
        let cookie = format!("{}; {notice}", one.cookie);
        let page =
            ConsoleSession { cookie, ..ConsoleSession::stranger(&world) }.page("/console/queues").await;
        assert_eq!(page.contains("order_unpaid ✓"), is_shown);
    }
}
