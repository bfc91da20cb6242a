//! Forms that come too late, twice or broken, and addresses that no page is at: each is answered with a
//! page that leads on, and what was chosen stays.

use super::{
    chinese::{in_chinese, in_english, sentences},
    named,
};
use crate::{
    console::session::ConsoleSession,
    harness::{PASSWORD, PAY_PASSWORD, World, until},
};
use reqwest::header::HeaderValue;
use serde_json::json;

/// A number of bytes that no form may have.
const TOO_LONG: usize = 70_000;

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

fn holds(text: &str, words: &str) {
    assert!(text.contains(words), "{words:?} in {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_out_of_date_leads_on_with_what_was_chosen() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    named(&world, "rider", "8.00").await;
    let (english, chinese) = (in_english(&world, "rider").await, in_chinese(&world, "rider").await);
    let page = format!("/ride/trips/{trip}");
    let kept = format!("{page}?seats=3%2C4");
    let mut wrong = Vec::new();
    for (path, form, leads_to) in [
        (page.as_str(), "key=a&seats=3&seats=4", kept.as_str()),
        (&page, "key=a&seats=3&seats=4&csrf=of+another+session", &kept),
        ("/ride/sign-in", "user_name=rider&password=x&next=%2Fride%2Forders", "/ride/orders"),
        ("/ride/register", "key=b&user_name=rider&next=%2Fride%2Forders", "/ride/orders"),
        ("/ride/preferences", "theme=dark&next=%2Fride%2Fwallet", "/ride/wallet"),
        ("/ride/sign-out", "", "/ride"),
        ("/ride/account/pay-password", "new=1", "/ride/account"),
    ] {
        let (status, _, text) = sent(&english, path, form).await;
        assert_eq!(status, 403, "{path} {form}: {text}");
        holds(&text, "You are signed in now as rider");
        holds(&text, &format!("href=\"{leads_to}\">Go on<"));
        let (_, _, text) = sent(&chinese, path, form).await;
        wrong.extend(sentences(path, &text));
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    let chosen = english.page(&kept).await;
    assert_eq!(chosen.matches(" checked").count(), 2, "both seats are chosen: {chosen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_and_no_form_is_answered_without_a_page() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let rider = named(&world, "rider", "8.00").await;
    let order = format!("/ride/orders/{}", rider.booked(&trip, &["1"]).await);
    let (english, chinese) = (in_english(&world, "rider").await, in_chinese(&world, "rider").await);
    let long = "a".repeat(TOO_LONG);
    let mut wrong = Vec::new();
    for session in [&english, &chinese] {
        let csrf = session.hidden("/ride/account", "csrf").await;
        for (form, status) in [
            ("comment=%00", 422),
            ("key=a&key=b", 422),
            ("comment=%ff", 422),
            ("key=&rating=3", 422),
            (format!("comment={long}").as_str(), 413),
        ] {
            let (got, _, text) =
                sent(session, &format!("{order}/evaluate"), &format!("csrf={csrf}&{form}")).await;
            assert_eq!(got, status, "{form:.20}: {text}");
            holds(&text, &format!("\"{order}"));
            wrong.extend(if session.cookie.ends_with("zh") { sentences(form, &text) } else { Vec::new() });
        }
        for nowhere in
            ["/ride/nowhere", "/ride/orders/", "/ride/wallet/", "/ride/orders/1/nothing", "/ride/a/b"]
        {
            let (status, _, text) = answer(session, nowhere, None).await;
            assert_eq!(status, 404, "{nowhere}: {text}");
            holds(&text, "href=\"/ride\"");
            wrong.extend(if session.cookie.ends_with("zh") { sentences(nowhere, &text) } else { Vec::new() });
        }
        assert_eq!(answer(session, "/ride/orders/%ff", None).await.0, 400);
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    // After a refusal, a browser's address bar holds the address of the form.
    for (form, page) in [
        (format!("{order}/pay"), order.as_str()),
        (format!("{order}/evaluate"), &order),
        ("/ride/sign-out".to_owned(), "/ride"),
        ("/ride/preferences".to_owned(), "/ride"),
        ("/ride/account/pay-password".to_owned(), "/ride/account"),
        ("/ride/".to_owned(), "/ride"),
    ] {
        let (status, to, _) = answer(&english, &form, None).await;
        assert_eq!((status, to.as_str()), (303, page), "{form}");
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_learns_why_the_seats_are_not_held() {
    let world = World::new().await;
    let trip = world.trip(40).await;
    named(&world, "rider", "8.00").await;
    let seats: Vec<String> = (1..=21).map(|seat| seat.to_string()).collect();
    let next = format!("/ride/trips/{trip}?seats={}&hold=key", seats.join(","));
    let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    // A blank that a phone's keyboard leaves behind the name is not part of it.
    let form = format!("user_name=rider+&password={}&next={next}", PASSWORD.replace(' ', "+"));
    for (language, words) in [("en", "at most 20 seats"), ("zh", "一次最多 20 个座位。")] {
        let cookie = format!("farebox_lang={language}");
        let session = ConsoleSession { cookie, ..ConsoleSession::stranger(&world) };
        let entered = session.send("POST", "/ride/sign-in", Some(form.clone())).await;
        let status = entered.status().as_u16();
        let cookie = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
        let text = entered.text().await.unwrap();
        assert!(status == 422 && cookie.contains("farebox_ride="), "{status} {cookie} {text}");
        holds(&text, words);
        assert_eq!(text.matches(" checked").count(), seats.len(), "the choice is kept: {text}");
        assert!(text.contains("name=\"csrf\""), "its form is of the new session");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_seats_that_somebody_else_has_are_lost() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let (rider, other) = (named(&world, "rider", "8.00").await, named(&world, "other", "8.00").await);
    rider.booked(&trip, &["3"]).await;
    other.booked(&trip, &["5"]).await;
    let session = in_english(&world, "rider").await;
    let lost = "Taken in the meantime: ";
    holds(&session.page(&format!("/ride/trips/{trip}?seats=5,6")).await, &format!("{lost}5<"));
    let own = session.page(&format!("/ride/trips/{trip}?seats=3")).await;
    assert!(own.contains("Yours already: 3") && !own.contains(lost), "{own}");
    let none = session.page(&format!("/ride/trips/{trip}?seats=99,%3Cb%3E")).await;
    assert!(!none.contains(lost) && !none.contains("role=\"alert\" tabindex=\"-1\" autofocus"), "{none}");
    let csrf = session.hidden("/ride/account", "csrf").await;
    let (status, _, again) =
        sent(&session, &format!("/ride/trips/{trip}"), &format!("csrf={csrf}&key=a&seats=3")).await;
    assert!(status == 409 && again.contains("Yours already: 3") && !again.contains(lost), "{again}");
    let cancelling = json!({ "reason": "snow", "message": "no road" });
    world.ops.post(&format!("/v1/ops/trips/{trip}/cancel"), &cancelling).await.expect(202);
    let cancelled = session.page(&format!("/ride/trips/{trip}?seats=5")).await;
    assert!(cancelled.contains("This bus is cancelled.") && !cancelled.contains(lost), "{cancelled}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_to_do() {
    let world = World::with(&[("FAREBOX__BOOKING__MAX_OPEN_HOLDS", "5")]).await;
    let trip = world.trip(20).await;
    let rider = named(&world, "rider", "8.00").await;
    let mut orders = Vec::new();
    for seat in ["1", "2", "3", "4", "5"] {
        orders.push(rider.booked(&trip, &[seat]).await);
    }
    let session = in_english(&world, "rider").await;
    let csrf = session.hidden("/ride/account", "csrf").await;
    let form = |fields: &str| format!("csrf={csrf}&{fields}");
    let (_, _, full) = sent(&session, &format!("/ride/trips/{trip}"), &form("key=a&seats=6")).await;
    holds(&full, "href=\"/ride/orders?list=unpaid\"");
    let pay = format!("/ride/orders/{}/pay", orders[0]);
    let mut last = String::new();
    for number in 0..5 {
        last = sent(&session, &pay, &form(&format!("key={number}&pay_password=111111"))).await.2;
    }
    holds(&last, "No more try is left. Paying is locked for 15 min: nothing was charged.");
    holds(&session.page("/ride?date=2036-01-01").await, "No bus is on sale for this day yet.");
    // A press in a session that has ended.
    rider.delete("/v1/sessions").await.expect(204);
    let press = form("key=b&pay_password=x");
    until("the session has ended", || async { sent(&session, &pay, &press).await.0 == 303 }).await;
    let (_, to, _) = sent(&session, &pay, &press).await;
    holds(&session.page(&to).await, "Nothing was paid or changed.");
    // A page that needs the session ends it in the browser, with the tickets that are kept there.
    let page = session.send("GET", "/ride/orders", None).await;
    assert_eq!(
        (page.status(), &page.headers()["clear-site-data"]),
        (303.try_into().unwrap(), &HeaderValue::from_static("\"storage\""))
    );
    assert!(page.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"), "{:?}", page.headers());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_press_while_a_payment_runs_is_no_fault() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let rider = named(&world, "rider", "8.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let session = in_english(&world, "rider").await;
    let csrf = session.hidden("/ride/account", "csrf").await;
    let path = format!("/ride/orders/{order}/pay");
    let form = format!("csrf={csrf}&key=a&pay_password={PAY_PASSWORD}");
    // The first press is at work for longer than the second takes.
    let first = session.http.post(format!("{}{path}", session.base)).header("cookie", &session.cookie);
    let first = first.header("content-type", "application/x-www-form-urlencoded").body(form.clone());
    let first = tokio::spawn(first.header("farebox-fault", "pay_money_cancle.after=sleep:30000").send());
    let read = format!("/v1/orders/{order}");
    until("money is on its way", || async { rider.get(&read).await.expect(200)["status"] == "paying" }).await;
    let (status, _, text) = sent(&session, &path, &form).await;
    assert_eq!(status, 409, "{text}");
    holds(&text, "<div class=\"notice\" role=\"alert\"");
    holds(&text, "It is under way");
    holds(&text, "Your payment is under way: ");
    first.abort();
}
