//! The door of the console, as a browser shows it.

use crate::harness::{Browser, Screen, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_page_can_be_used_by_everybody_in_both_languages() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let browser = Browser::at(&world.api.base()).await;
    browser.goto("/console/sign-in?next=/console/jobs").await;
    for screen in [Screen::JobContext, Screen::Phone] {
        browser.screen(screen).await;
        for scheme in ["light", "dark"] {
            browser.prefers(scheme).await;
            assert_eq!(browser.barriers().await, Vec::<String>::new(), "{screen:?}, {scheme}");
        }
        let wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
        assert_eq!(browser.run(wide).await, false, "{screen:?} scrolls sideways");
    }
    let reached = browser.tab_order().await;
    for stop in
        ["A Skip to the content", "INPUT User name", "INPUT Password", "BUTTON Sign in", "BUTTON 中文"]
    {
        assert!(reached.iter().any(|one| one == stop), "Tab does not reach {stop:?}, but {reached:?}");
    }

    browser.click("Dark").await;
    browser.until("it is dark", "document.documentElement.dataset.theme === 'dark'").await;
    browser.click("中文").await;
    browser.until("it is Chinese", "document.documentElement.lang === 'zh'").await;
    browser.sees("用户名").await;
    browser.click("English").await;
    browser.until("it is English", "document.documentElement.lang === 'en'").await;
    assert_eq!(browser.path().await, "/console/sign-in?next=/console/jobs", "the page is the same one");

    // A rider's right password opens nothing here, and is told as a wrong one is.
    let mut told = Vec::new();
    for (name, password) in [("rider0", crate::harness::PASSWORD), ("nobody", "nonsense nonsense")] {
        browser.fill("User name", name).await;
        browser.fill("Password", password).await;
        browser.click("Sign in").await;
        browser.until("it is refused", "document.querySelector('[role=alert]')").await;
        told.push(browser.run("return document.querySelector('[role=alert]').innerText").await);
        browser.goto("/console/sign-in?next=/console/jobs").await;
    }
    assert_eq!(told[0], told[1]);
    assert!(!browser.cookies().await.contains("farebox_console"), "{rider}", rider = rider.id);
    assert!(browser.complaints().await.iter().all(|said| said.contains("401")), "only the refusal");
    browser.check().await;
}
