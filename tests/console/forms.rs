//! Forms that are refused come back with their fields: whatever refuses them, and to nobody else.

use super::session::ConsoleSession;
use crate::{
    harness::{Browser, PASSWORD, World, count, new_rider},
    ops::dead_letters::many_dead,
};
use farebox::accounts::{self, Role};

const FORM: &str = "application/x-www-form-urlencoded";

/// What answers: the status, the text, where it leads, and the cookies that it sets.
struct Reply {
    status: u16,
    text: String,
    to: String,
    cookies: Vec<String>,
}

/// Sends a form from a page, as a browser does.
async fn send(session: &ConsoleSession, path: &str, from: &str, form: &str) -> Reply {
    let referer = format!("{}{from}", session.base);
    let request = session.http.post(format!("{}{path}", session.base)).header("cookie", &session.cookie);
    let request = request.header("referer", referer).header("content-type", FORM).body(form.to_owned());
    let answer = request.send().await.unwrap();
    let headers = answer.headers();
    let to = headers.get("location").map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default();
    let cookies = headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let cookies = cookies.map(|cookie| cookie.split(';').next().unwrap().to_owned()).collect();
    Reply { status: answer.status().as_u16(), to, cookies, text: answer.text().await.unwrap() }
}

impl Reply {
    fn shows(&self, status: u16, parts: &[&str]) {
        assert_eq!(self.status, status, "{}", self.text);
        for part in parts {
            assert!(self.text.contains(part), "{part} in {}", self.text);
        }
    }

    /// The cookie of a form that waits.
    fn kept(&self) -> Option<&str> {
        self.cookies.iter().map(String::as_str).find(|cookie| cookie.starts_with("farebox_form="))
    }

    fn hidden(&self, name: &str) -> String {
        let rest = self.text.split(&format!("name=\"{name}\" value=\"")).nth(1);
        rest.unwrap_or_else(|| panic!("{name} in {}", self.text)).split('"').next().unwrap().to_owned()
    }
}

async fn end_sessions(world: &World, ops: &ConsoleSession) {
    let own = "rider_id = (select id from rider where user_name = 'ops')";
    let end = format!("update session set revoked_at = clock_timestamp() where revoked_at is null and {own}");
    sqlx::query(sqlx::AssertSqlSafe(end)).execute(&world.pool).await.unwrap();
    crate::harness::until("the session has ended", || async {
        ops.status("GET", "/console", None).await == 303
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_at_fault_is_named_beside_it_and_nothing_is_lost() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let path = format!("/console/riders/{}/top-up", rider.id);
    let csrf = ops.hidden(&path, "csrf").await;
    let form = format!("csrf={csrf}&reference=slip+7&amount=12%2C5&reason=said+%22so%22+%3Cb%3E");
    let refused = send(&ops, &path, &path, &form).await;
    refused.shows(
        422,
        &[
            "name=\"reference\" value=\"slip 7\"",
            "value=\"12,5\"",
            "value=\"said &quot;so&quot; &lt;b&gt;\"",
            "aria-invalid=\"true\" aria-describedby=\"fault\"",
            "<p class=\"fault\" id=\"fault\">",
            &format!("data-page=\"{path}\""),
        ],
    );
    // Put right, it is sent with the same reference: once.
    let right = form.replace("12%2C5", "12.50");
    assert_eq!(send(&ops, &path, &path, &right).await.status, 303);
    assert_eq!(rider.balance().await, "12.50");
    // A forged token, and one of another account, bring nothing back.
    accounts::register(&world.pool, &world.saga.passwords, &new_rider("other"), Role::Operator)
        .await
        .unwrap();
    let other = ConsoleSession::enter(&world, "other").await;
    for (token, who) in [("forged", &ops), (csrf.as_str(), &other)] {
        let refused = send(who, &path, &path, &right.replace(&csrf, token)).await;
        assert!(refused.status == 403 && !refused.text.contains("slip 7"), "{}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_preview_comes_back_made_anew_with_the_reason() {
    let world = World::new().await;
    many_dead(&world, 3).await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let page = "/console/bulk/new?act=redrive&tag=order_add_seats_cancle";
    let (csrf, id) = (ops.hidden(page, "csrf").await, ops.hidden(page, "id").await);
    let form = format!(
        "csrf={csrf}&id={id}&expected=2&act=redrive&tag=order_add_seats_cancle&reason=the+bank+is+back"
    );
    let refused = send(&ops, "/console/bulk", page, &form).await;
    refused.shows(409, &["value=\"the bank is back\"", "it would cover 3 jobs now", "role=\"alert\""]);
    assert_eq!((refused.hidden("expected"), refused.hidden("id")), ("3".to_owned(), id.clone()));
    assert_eq!(count(&world.pool, "select count(*) from bulk").await, 0);
    // The page that came back names its own address, and is sent as it stands.
    let again = form.replace("expected=2", "expected=3") + "&page=%2Fconsole%2Fbulk%2Fnew%3Fact%3Dredrive";
    assert_eq!(send(&ops, "/console/bulk", "/console/bulk", &again).await.to, format!("/console/bulk/{id}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_an_ended_session_waits_for_its_own_operator() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    accounts::register(&world.pool, &world.saga.passwords, &new_rider("other"), Role::Operator)
        .await
        .unwrap();
    let ops = ConsoleSession::enter(&world, "ops").await;
    let path = format!("/console/riders/{}/top-up", rider.id);
    let csrf = ops.hidden(&path, "csrf").await;
    let form = format!("csrf={csrf}&reference=slip+8&amount=3.00&reason=at+the+desk");
    end_sessions(&world, &ops).await;
    let led = send(&ops, &path, &path, &form).await;
    assert_eq!(
        (led.status, led.to.as_str()),
        (303, &*format!("/console/sign-in?next={}", path.replace('/', "%2F")))
    );
    let kept = led.kept().expect("the form waits");
    assert!(kept.len() < 4_000 && !led.text.contains("slip 8"));
    let back = async |name: &str, cookie: &str| {
        let session = ConsoleSession::enter(&world, name).await;
        let cookie = format!("{}; {cookie}", session.cookie);
        ConsoleSession { cookie, ..session }
    };
    let other = back("other", kept).await.page(&path).await;
    assert!(!other.contains("slip 8") && !other.contains("at the desk"), "{other}");
    let mut forged = kept.to_owned().into_bytes();
    *forged.last_mut().unwrap() ^= 1;
    let forged = back("ops", std::str::from_utf8(&forged).unwrap()).await.page(&path).await;
    assert!(!forged.contains("slip 8"), "{forged}");

    let ops = back("ops", kept).await;
    let home = ops.page("/console").await;
    assert!(!home.contains("slip 8"), "only its own page shows it");
    let answer = ops.send("GET", &path, None).await;
    let gone = answer
        .headers()
        .get_all("set-cookie")
        .iter()
        .any(|value| value.to_str().unwrap().starts_with("farebox_form=;"));
    let text = answer.text().await.unwrap();
    let page = Reply { status: 200, text, to: String::new(), cookies: Vec::new() };
    page.shows(
        200,
        &["value=\"slip 8\"", "value=\"3.00\"", "value=\"at the desk\"", "Your entries are still here"],
    );
    assert!(gone, "it is shown once");
    let csrf = page.hidden("csrf");
    let form = format!("csrf={csrf}&reference=slip+8&amount=3.00&reason=at+the+desk");
    assert_eq!(send(&ops, &path, &path, &form).await.status, 303);
    assert_eq!(rider.balance().await, "3.00");
    assert_eq!(count(&world.pool, "select count(*) from audit where act = 'wallet_top_up'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_an_older_session_comes_back_with_a_new_token() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let path = format!("/console/riders/{}/top-up", rider.id);
    let before = ConsoleSession::enter(&world, "ops").await;
    let old = before.hidden(&path, "csrf").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let form = format!("csrf={old}&reference=slip+9&amount=3.00&reason=at+the+desk");
    let refused = send(&ops, &path, &path, &form).await;
    refused.shows(403, &["of a session that has ended", "value=\"slip 9\"", "value=\"at the desk\""]);
    assert_eq!(rider.balance().await, "0.00");
    assert_eq!(send(&ops, &path, &path, &form.replace(&old, &refused.hidden("csrf"))).await.status, 303);
    assert_eq!(rider.balance().await, "3.00");
    // One that no cookie can hold waits in its page, and comes back like any other.
    end_sessions(&world, &ops).await;
    let long = format!("csrf={old}&reference=slip+10&amount=3.00&reason={}", "x".repeat(4_000));
    let led = send(&ops, &path, &path, &long).await;
    led.shows(401, &["Sign in", "value=\"slip 10\"", "Send again"]);
    let ops = ConsoleSession::enter(&world, "ops").await;
    send(&ops, &path, &path, &long).await.shows(403, &["value=\"slip 10\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_meets_an_outage_is_sent_again_from_the_page_that_says_so() {
    let world = World::with(&[("FAREBOX__HTTP__TIMEOUT_MS", "500")]).await;
    many_dead(&world, 1).await;
    let jobs = world.ops.get("/v1/ops/jobs?state=dead").await;
    let job = jobs.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let ops = ConsoleSession::enter(&world, "ops").await;
    let path = format!("/console/jobs/{job}/redrive");
    let form = format!("csrf={}&reason=the+bank+is+back", ops.hidden(&path, "csrf").await);
    let mut holder = world.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table queue.dead_letter").execute(&mut *holder).await.unwrap();
    let refused = send(&ops, &path, &path, &form).await;
    let action = format!("action=\"{path}\"");
    refused.shows(503, &["Timed out", "value=\"the bank is back\"", &action, "Send again"]);
    holder.rollback().await.unwrap();
    let csrf = refused.hidden("csrf");
    let again = format!("csrf={csrf}&page={}&reason=the+bank+is+back", path.replace('/', "%2F"));
    assert_eq!(send(&ops, &path, &path, &again).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_waits_while_the_password_is_given() {
    let world = World::with(&[("FAREBOX__ACCOUNTS__CONFIRM_SECS", "300")]).await;
    let rider = world.rider("0").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let path = format!("/console/riders/{}/top-up", rider.id);
    let form = format!(
        "csrf={}&reference=slip+11&amount=3.00&reason=at+the+desk&password=never",
        ops.hidden(&path, "csrf").await
    );
    sqlx::query("update session set confirmed_at = confirmed_at - interval '1 hour'")
        .execute(&world.pool)
        .await
        .unwrap();
    let led = send(&ops, &path, &path, &form).await;
    assert!(led.to.starts_with("/console/confirm?next="), "{}", led.to);
    let ops = ConsoleSession { cookie: format!("{}; {}", ops.cookie, led.kept().unwrap()), ..ops };
    let given = format!("password={}&next={}", PASSWORD.replace(' ', "+"), path.replace('/', "%2F"));
    let led = send(&ops, "/console/confirm", "/console/confirm", &given).await;
    assert_eq!((led.status, led.to.as_str()), (303, path.as_str()));
    let page = ops.page(&path).await;
    assert!(page.contains("value=\"slip 11\"") && page.contains("value=\"at the desk\""), "{page}");
    assert!(!page.contains("never"), "a password is not shown again");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_the_field_at_fault_has_the_focus_and_the_page_its_address() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let browser = Browser::signed_in(&world, "ops").await;
    let path = format!("/console/riders/{}/top-up", rider.id);
    browser.goto(&path).await;
    browser.fill("Amount", "12,5").await;
    browser.fill("Reason", "at the desk").await;
    browser.click("Top up").await;
    browser.sees("Nothing was done. Your entries are still here.").await;
    browser.until("the field has the focus", "document.activeElement.name === 'amount'").await;
    assert_eq!(browser.path().await, path);
    browser.fill("Amount", "12.50").await;
    browser.click("Top up").await;
    browser.sees("Topped up").await;
    assert_eq!(rider.balance().await, "12.50");
}
