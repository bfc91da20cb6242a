//! What is there before a session: `/`, and the sign-in page through an outage. And what comes back
//! from a form with a file, or with a reason of blanks.

use super::ConsoleSession;
use crate::harness::{Browser, Frozen, OwnServer, PRODUCTION, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_led_to_the_pages_and_a_client_is_not() {
    let world = World::new().await;
    let at_root = async |method: &str, accept: &str| {
        let nobody = ConsoleSession::stranger(&world);
        let request = nobody.http.request(method.parse().unwrap(), format!("{}/", nobody.base));
        request.header("accept", accept).send().await.unwrap()
    };
    let browser = at_root("GET", "text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert_eq!(browser.status().as_u16(), 303);
    assert_eq!(browser.headers()["location"], "/ride");
    assert_eq!(browser.headers()["vary"], "accept");
    for (method, accept) in [("GET", "*/*"), ("GET", "application/json"), ("POST", "text/html")] {
        let client = at_root(method, accept).await;
        assert_eq!(client.status().as_u16(), 404, "{method} {accept}");
        assert_eq!(client.headers()["content-type"], "application/problem+json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_page_says_what_does_not_answer_and_heals_by_itself() {
    let server = OwnServer::start("sign-in", &[]).await;
    let browser = Browser::at(&server.base()).await;
    browser.goto("/console/sign-in?next=%2Fconsole%2Fjobs").await;
    browser.run("window.untouched = true; document.getElementById('user_name').value = 'rider'").await;
    browser.until("it has asked", "heard > opened && !document.documentElement.dataset.stale").await;
    let frozen = Frozen::server(&server);
    let stale = "document.documentElement.dataset.stale === 'database'";
    browser.until("the page says so", stale).await;
    browser.sees("The database does not answer. Nothing can be sent just now.").await;
    drop(frozen);
    browser.until("it is fresh again", "!document.documentElement.dataset.stale").await;
    let kept = "window.untouched && document.getElementById('user_name').value === 'rider'";
    browser.until("what was typed is there", kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_of_blanks_and_a_refused_file_bring_their_forms_back() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let path = format!("/console/riders/{}/top-up", rider.id);
    let csrf = ops.hidden(&path, "csrf").await;
    let form = format!("csrf={csrf}&reference=slip+7&amount=12.50&reason=+%E3%80%80+");
    let refused = ops.send("POST", &path, Some(form)).await;
    assert_eq!(refused.status().as_u16(), 422);
    let page = refused.text().await.unwrap();
    for part in ["value=\"12.50\"", "value=\"slip 7\"", "1 to 500 characters, this has 0"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(rider.balance().await, "0.00");

    let upload = "/console/network/upload";
    let body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n--x\r\n\
         Content-Disposition: form-data; name=\"other\"\r\n\r\n1\r\n--x--\r\n"
    );
    let request = ops.http.post(format!("{}{upload}", ops.base)).header("cookie", &ops.cookie).body(body);
    let refused = request.header("content-type", "multipart/form-data; boundary=x").send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 422);
    let page = refused.text().await.unwrap();
    for part in
        ["type=\"file\"", "Choose the file again", "Nothing was done.", "enctype=\"multipart/form-data\""]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_styleguide_is_for_those_who_sign_in_and_not_in_production() {
    let world = World::new().await;
    let page = "/console/styleguide";
    assert_eq!(ConsoleSession::stranger(&world).status("GET", page, None).await, 303);
    let shown = ConsoleSession::enter(&world, "ops").await.page(page).await;
    for part in [
        "class=\"fault\"",
        "badge wait",
        "figure class=\"chart\"",
        "class=\"flow\"",
        "1,234,567",
        "data-copy=",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let sold = World::with(&PRODUCTION).await;
    assert_eq!(ConsoleSession::enter(&sold, "ops").await.status("GET", page, None).await, 404);
}
