//! Chinese pages are Chinese, also where the API refuses something.

use super::{
    depart,
    every_page::{MESSAGE, NAME, everything},
    named,
};
use crate::{
    console::{chinese::english, session::ConsoleSession},
    harness::{PASSWORD, World},
};

/// What a rider types.
const TYPED: &str = "a seat by the window";

/// A rider's session without a browser, in Chinese.
pub async fn in_chinese(world: &World, name: &str) -> ConsoleSession {
    reading(world, name, "zh").await
}

/// The same in English.
pub async fn in_english(world: &World, name: &str) -> ConsoleSession {
    reading(world, name, "en").await
}

async fn reading(world: &World, name: &str, language: &str) -> ConsoleSession {
    let session = ConsoleSession::stranger(world);
    let form = format!("user_name={name}&password={}&next=", PASSWORD.replace(' ', "+"));
    let answer = session.send("POST", "/ride/sign-in", Some(form)).await;
    assert_eq!(answer.status().as_u16(), 303);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap();
    ConsoleSession { cookie: format!("{cookie}; farebox_lang={language}"), ..session }
}

/// The page's English sentences, but for what the test wrote.
pub fn sentences(page: &str, text: &str) -> Vec<String> {
    assert!(text.contains("lang=\"zh\""), "{page}: {text}");
    english(&text.replace(MESSAGE, "")).into_iter().map(|one| format!("{page}: {one}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_chinese_page_has_an_english_sentence() {
    let (world, pages) = everything().await;
    let session = in_chinese(&world, NAME).await;
    let mut wrong = Vec::new();
    for page in &pages {
        let text = session.send("GET", page, None).await.text().await.unwrap();
        wrong.extend(sentences(page, &text));
    }
    assert!(wrong.is_empty(), "{} texts:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_on_chinese_pages_are_chinese() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let rider = named(&world, "rider", "8.00").await;
    let order = rider.booked(&trip, &["1", "2"]).await;
    let left = world.trip(8).await;
    let over = rider.booked(&left, &["1"]).await;
    rider.pay(&over).await.expect(200);
    depart(&world, &left).await;
    let session = in_chinese(&world, "rider").await;
    let csrf = session.hidden("/ride/account", "csrf").await;
    let (trip, pay) = (format!("/ride/trips/{trip}"), format!("/ride/orders/{order}/pay"));
    let refund = format!("/ride/orders/{order}/refund");
    let (too_late, evaluate) =
        (format!("/ride/orders/{over}/refund"), format!("/ride/orders/{over}/evaluate"));
    let mut wrong = Vec::new();
    for (path, form) in [
        (trip.as_str(), "key=a"),
        (&trip, "key=b&seats=1"),
        (&trip, "key=c&seats=99"),
        (&pay, "key=d&pay_password=111111"),
        (&pay, "key=e&pay_password=271828"),
        (&pay, "key=f&pay_password=x"),
        (&refund, "key=g"),
        (&too_late, "key=m"),
        (&evaluate, "key=n&rating=9&comment=a+seat+by+the+window"),
        ("/ride/account/pay-password", "key=h&new=111111&current=271828"),
        ("/ride/account/pay-password", "key=i&new=314159&current=111111"),
        ("/ride/sign-in", "user_name=rider&password=wrong"),
        ("/ride/register", "key=j&user_name=x&password=1&pay_password=1"),
        ("/ride/register", "key=k&user_name=rider&password=correct+battery+staple&pay_password=271828"),
        ("/ride/orders/none/pay", "key=l"),
    ] {
        let answer = session.send("POST", path, Some(format!("csrf={csrf}&{form}"))).await;
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert!((400..500).contains(&status), "{path} {form}: {status} {text}");
        assert!(path != evaluate || text.contains(TYPED), "what was typed is there again: {text}");
        wrong.extend(sentences(&format!("{path} {form}"), &text.replace(TYPED, "")));
    }
    let of_before =
        session.send("POST", &pay, Some("csrf=of+another+session&pay_password=1".to_owned())).await;
    let (status, text) = (of_before.status().as_u16(), of_before.text().await.unwrap());
    assert!(status == 403 && text.contains("页面已过期"), "{status} {text}");
    assert!(text.contains(&format!("href=\"/ride/orders/{order}\"")), "it leads to the form's page: {text}");
    wrong.extend(sentences("a form of another session", &text));
    assert!(wrong.is_empty(), "{} texts:\n{}", wrong.len(), wrong.join("\n"));
}
