//! Forms that come too late, twice or broken, and addresses that no page is at: each is answered with a
//! page that leads on, and what was chosen stays.

use super::{chinese::in_english, named};
use crate::{
    console::session::ConsoleSession,
    harness::{PAY_PASSWORD, World},
};

/// The status of an answer, where it leads, and its page.
async fn answer(session: &ConsoleSession, path: &str, form: Option<&str>) -> (u16, String, String) {
    let method = if form.is_some() { "POST" } else { "GET" };
    let answer = session.send(method, path, form.map(str::to_owned)).await;
    let header = |name: &str| {
        answer.headers().get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    };
    let (status, to, kind) = (answer.status().as_u16(), header("location"), header("content-type"));
    let text = answer.text().await.unwrap();
    assert!(status == 303 || kind.starts_with("text/html"), "{path} {form:?}: {status} {kind} {text}");
    (status, to, text)
}

async fn sent(session: &ConsoleSession, path: &str, form: &str) -> (u16, String, String) {
    answer(session, path, Some(form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_again_is_one_change_and_with_other_words_another() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    named(&world, "rider", "20.00").await;
    let session = in_english(&world, "rider").await;
    let csrf = session.hidden("/ride/account", "csrf").await;
    let page = format!("/ride/trips/{trip}");
    let hold = |seat: u8| format!("csrf={csrf}&key=one+page&seats={seat}");
    let (_, first, _) = sent(&session, &page, &hold(1)).await;
    assert!(first.starts_with("/ride/orders/"), "{first}");
    assert_eq!(sent(&session, &page, &hold(1)).await.1, first, "a double tap is one order");
    // The browser goes back to the page, where another seat is chosen.
    let (status, second, text) = sent(&session, &page, &hold(2)).await;
    assert!(status == 303 && second.starts_with("/ride/orders/") && second != first, "{second} {text}");
    let pay = |password: &str| format!("csrf={csrf}&key=another+page&pay_password={password}");
    let (status, _, text) = sent(&session, &format!("{first}/pay"), &pay("111111")).await;
    assert_eq!(status, 403, "{text}");
    for _ in 0..2 {
        let (status, to, text) = sent(&session, &format!("{first}/pay"), &pay(PAY_PASSWORD)).await;
        assert_eq!((status, to.as_str()), (303, first.as_str()), "{text}");
    }
    let without = sent(&session, &page, &format!("csrf={csrf}&seats=3")).await;
    assert_eq!(without.0, 422, "a form without a key is refused: {}", without.2);
    world.verify().await;
}
