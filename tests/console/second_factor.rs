//! Signing in with a second factor, as a browser shows it.

use crate::{
    api::{account_state::PRODUCTION, second_factor::Authenticator},
    harness::{Browser, PASSWORD, Process, Screen, World},
};

async fn with_password(browser: &Browser) {
    browser.goto("/console/sign-in?next=/console/queues").await;
    browser.fill("User name", "ops").await;
    browser.fill("Password", PASSWORD).await;
    browser.click("Sign in").await;
}

async fn text_of(browser: &Browser, selector: &str) -> String {
    let script = format!("return document.querySelector('{selector}').innerText");
    browser.run(&script).await.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sets_a_second_factor_up_and_signs_in_with_it() {
    let world = World::with(&PRODUCTION).await;
    let required = [PRODUCTION[0], PRODUCTION[1], ("FAREBOX__ACCOUNTS__OPERATORS_SECOND_FACTOR", "required")];
    let api = Process::api(&world.db.url, &required);
    let browser = Browser::at(&api.base()).await;
    with_password(&browser).await;
    browser.sees("Set up your second factor").await;
    assert!(!browser.cookies().await.contains("farebox_console"), "there is no session yet");
    for screen in [Screen::Desktop, Screen::Phone] {
        browser.screen(screen).await;
        assert_eq!(browser.barriers().await, Vec::<String>::new(), "{screen:?}");
    }
    browser.until("the picture is drawn", "document.querySelector('main img').naturalWidth > 0").await;
    let secret = text_of(&browser, "#secret").await;
    let secret =
        totp_rs::Totp::from_url(format!("otpauth://totp/Farebox:ops?secret={secret}&issuer=Farebox"))
            .unwrap();
    let device = Authenticator { codes: secret, recovery: Vec::new() };
    browser.fill("Code", "000000").await;
    browser.click("Set up").await;
    browser.sees("Second factor wrong").await;
    browser.fill("Code", &device.code(0)).await;
    browser.click("Set up").await;
    browser.sees("Recovery codes").await;
    let recovery = text_of(&browser, "#recovery").await;
    assert_eq!(recovery.lines().count(), 10, "{recovery}");
    browser.click("Go on").await;
    browser.until("the page is there", "location.pathname === '/console/queues'").await;

    browser.click("Sign out").await;
    // Else its redirect may come after the next page, and replace it.
    browser.until("the session has ended", "location.pathname === '/console/sign-in'").await;
    with_password(&browser).await;
    browser.sees("Code of your authenticator").await;
    browser.fill("Code of your authenticator, or a recovery code", "000000").await;
    browser.click("Sign in").await;
    browser.sees("Second factor wrong").await;
    assert_eq!(browser.barriers().await, Vec::<String>::new());
    browser.fill("Code of your authenticator, or a recovery code", &device.code(1)).await;
    browser.click("Sign in").await;
    browser.until("the page is there", "location.pathname === '/console/queues'").await;
    let acts = world.ops.get("/v1/ops/audit?act=second_factor_enrol").await;
    assert_eq!(acts.expect(200)["items"].as_array().unwrap().len(), 1);
    let page = recovery.lines().next().unwrap().to_owned();
    assert!(!api.log().contains(&page), "no code is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_after_the_password_cannot_be_forged_or_kept() {
    use super::session::ConsoleSession;
    let world = World::with(&PRODUCTION).await;
    let device = Authenticator::of_ops(&world).await;
    let stranger = ConsoleSession::stranger(&world);
    let form = format!("user_name=ops&password={}&next=%2Fconsole", PASSWORD.replace(' ', "+"));
    let page = stranger.send("POST", "/console/sign-in", Some(form)).await.text().await.unwrap();
    let ticket = page.split("name=\"ticket\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let send = async |path: &str, ticket: &str, code: &str| {
        let form = format!("ticket={ticket}&code={code}&next=%2Fconsole");
        stranger.send("POST", path, Some(form)).await.status().as_u16()
    };
    let mut forged = ticket.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.insert(20, last);
    for other in [forged.as_str(), "", "AAAA"] {
        assert_eq!(send("/console/sign-in/code", other, &device.code(0)).await, 401);
    }
    // It is for one step: it sets up no other device.
    assert_eq!(send("/console/sign-in/enrol", &ticket, &device.code(0)).await, 401);
    // It ends when the account's sessions are ended, and with the password.
    let before =
        "update rider set sessions_from = clock_timestamp() where user_name = 'ops' returning password_hash";
    let _: String = sqlx::query_scalar(before).fetch_one(&world.pool).await.unwrap();
    assert_eq!(send("/console/sign-in/code", &ticket, &device.code(0)).await, 401);
    sqlx::query("update rider set sessions_from = null where user_name = 'ops'")
        .execute(&world.pool)
        .await
        .unwrap();
    let hash = world.saga.passwords.hash(PASSWORD).await.unwrap();
    sqlx::query("update rider set password_hash = $1 where user_name = 'ops'")
        .bind(hash)
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(send("/console/sign-in/code", &ticket, &device.code(0)).await, 401);
}
