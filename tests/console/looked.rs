//! Looking at pages: for errors, requests to elsewhere, and what shuts people out.

use crate::harness::{Browser, Screen};

/// What was found on the pages: where, and what shuts whom out.
#[derive(Default)]
pub struct Looked(Vec<String>);

impl Looked {
    /// No error, no request to elsewhere; what axe-core calls serious or critical is kept.
    pub async fn at(&mut self, browser: &Browser, page: &str) {
        browser.check().await;
        self.barriers(browser, page).await;
    }

    /// What axe-core alone finds, where the browser has something to complain about.
    pub async fn barriers(&mut self, browser: &Browser, page: &str) {
        let found = browser.barriers().await.into_iter();
        let grave = found.filter(|one| one.starts_with("serious") || one.starts_with("critical"));
        self.0.extend(grave.map(|one| format!("{page}: {one}")));
    }

    /// The page that is open, on a desk and in a hand, light and dark; nowhere may it scroll sideways.
    pub async fn on_every_screen(&mut self, browser: &Browser, page: &str) {
        for screen in [Screen::JobContext, Screen::Phone] {
            browser.screen(screen).await;
            for scheme in ["light", "dark"] {
                browser.prefers(scheme).await;
                let page = format!("{page}, {screen:?}, {scheme}");
                self.at(browser, &page).await;
                self.does_not_scroll_sideways(browser, &page).await;
            }
        }
        browser.screen(Screen::JobContext).await;
    }

    async fn does_not_scroll_sideways(&mut self, browser: &Browser, page: &str) {
        let (inner, outer) = ("document.documentElement.scrollWidth", "document.documentElement.clientWidth");
        if browser.run(&format!("return {inner} > {outer}")).await == true {
            self.0.push(format!("{page}: scrolls sideways"));
        }
    }

    /// Fails with whatever was found.
    pub fn found_nothing(self) {
        assert_eq!(self.0, Vec::<String>::new());
    }
}
