//! Ten tabs of one browser while the API dies, the database freezes and the session ends: each tab says
//! so in time, and heals in time once all is well.
//!
//! A tab in the background need not ask and is not looked at: its time begins when it is shown. Each
//! tab notes by itself when it says what.

use crate::harness::{Browser, Frozen, OwnServer, Process, World, free_port, until};
use std::time::{Duration, Instant};

/// What is open; accounts and searches have no live part.
pub(super) const TABS: [&str; 10] = [
    "",
    "/jobs",
    "/queues",
    "/bulk",
    "/account",
    "/jobs?state=dead",
    "/queues",
    "/jobs?state=done",
    "/search?q=nobody",
    "/orders",
];
/// What operators are promised, milliseconds.
const PROMISED_MS: f64 = 5_000.0;
/// How often a tab notes its state, milliseconds; the lag of the browser is measured by it.
const NOTE_MS: f64 = 50.0;
/// How long the database is frozen.
const FROZEN: Duration = Duration::from_secs(20);

/// Notes each change of what the page says, with the time, and how late its timers are.
const NOTES: &str = r"
(() => {
  const log = JSON.parse(sessionStorage.said || '[]');
  let last = '', due = performance.now();
  const note = (what) => { log.push([Date.now(), what]); sessionStorage.said = JSON.stringify(log); };
  document.addEventListener('visibilitychange', () => { if (!document.hidden) { sessionStorage.lag = '0'; due = performance.now() + 50; note('shown'); } });
  setInterval(() => {
    const now = performance.now();
    if (!document.hidden) sessionStorage.lag = String(Math.max(Number(sessionStorage.lag || 0), now - due));
    due = now + 50;
    let state = '';
    try {
      const root = document.documentElement.dataset;
      const fresh = isLive ? root.live === 'on' : heard > opened;
      state = root.stale || (fresh ? 'fresh' : '');
    } catch { return; } // the page's script has not run
    if (state === last) return;
    last = state;
    note(state);
  }, 50);
})()";

/// A browser with all tabs open and fresh.
struct Tabs(Browser);

impl Tabs {
    async fn open(base: &str, name: &str) -> Self {
        let browser = Browser::at(base).await;
        browser.sign_in(name).await;
        for (nr, page) in TABS.iter().enumerate() {
            if nr > 0 {
                browser.another_tab().await;
            }
            browser
                .debug("Page.addScriptToEvaluateOnNewDocument", &serde_json::json!({ "source": NOTES }))
                .await;
            browser.goto(&format!("/console{page}")).await;
        }
        let tabs = Self(browser);
        tabs.all_say("fresh", 0.0).await;
        tabs
    }

    /// The browser's clock, milliseconds.
    async fn now(&self) -> f64 {
        self.0.run("sessionStorage.lag = '0'; return Date.now()").await.as_f64().unwrap()
    }

    /// Waits until each tab has said this since then. How long the slowest took, from then or from when
    /// it was shown, and the longest lag of a tab's timers meanwhile, milliseconds.
    async fn all_say(&self, state: &str, since: f64) -> (f64, f64) {
        let (mut slowest, mut lag) = (0.0_f64, 0.0_f64);
        let took = format!(
            "(() => {{
                const log = JSON.parse(sessionStorage.said || '[]');
                const said = log.findIndex(([at, what]) => at >= {since} && what === '{state}');
                if (said < 0) return null;
                const shown = log.slice(0, said).filter(([, what]) => what === 'shown').map(([at]) => at);
                return log[said][0] - Math.max({since}, ...shown);
            }})()"
        );
        for nr in 0..TABS.len() {
            self.0.tab(nr).await;
            self.0.until(&format!("tab {nr} says {state}"), &format!("{took} !== null")).await;
            let said = self.0.run(&format!("return [{took}, Number(sessionStorage.lag)]")).await;
            slowest = slowest.max(said[0].as_f64().unwrap());
            lag = lag.max(said[1].as_f64().unwrap());
        }
        (slowest, lag)
    }

    /// Each tab says so within the time that is promised, plus the lag of the machine.
    async fn all_say_in_time(&self, state: &str, since: f64, slack: f64) {
        let (last, lag) = self.all_say(state, since).await;
        eprintln!("{state}: {last:.0} ms, lag {lag:.0} ms, slack {slack:.0} ms");
        assert!(
            last <= PROMISED_MS + NOTE_MS + lag + slack,
            "{state}: {last} ms, lag {lag} ms, slack {slack} ms"
        );
    }
}

/// How long a page takes now, ten of which a browser asks for when it heals, milliseconds.
async fn ten_pages(tabs: &Tabs) -> f64 {
    let time = "const from = performance.now(); await (await fetch('/console/queues')).text(); return 10 * (performance.now() - from)";
    let script = format!("return (async () => {{ {time} }})()");
    tabs.0.run(&script).await.as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_tell_a_dead_server_from_its_successor() {
    let address = format!("127.0.0.1:{}", free_port());
    let listen = [("FAREBOX__HTTP__LISTEN", address.as_str())];
    let mut world = World::with(&listen).await;
    let tabs = Tabs::open(&world.api.base(), "ops").await;
    let slack = ten_pages(&tabs).await;
    let killed = tabs.now().await;
    world.api.kill();
    tabs.all_say_in_time("server", killed, 0.0).await;
    world.api = Process::api(&world.db.url, &listen);
    let back = tabs.now().await;
    tabs.all_say_in_time("fresh", back, slack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_tell_a_frozen_database_and_its_return() {
    let server = OwnServer::start("ten-tabs", &[]).await;
    let tabs = Tabs::open(&server.base(), "rider").await;
    let slack = ten_pages(&tabs).await;
    let began = Instant::now();
    let frozen_at = tabs.now().await;
    let frozen = Frozen::server(&server);
    tabs.all_say_in_time("database", frozen_at, 0.0).await;
    until("the outage has lasted", || async { began.elapsed() > FROZEN }).await;
    let back = tabs.now().await;
    drop(frozen);
    tabs.all_say_in_time("fresh", back, slack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_tell_that_the_session_ended_and_come_back_when_one_signs_in() {
    let world = World::new().await;
    let tabs = Tabs::open(&world.api.base(), "ops").await;
    let slack = ten_pages(&tabs).await;
    let ended = tabs.now().await;
    tabs.0.run("fetch('/console/sign-out', { method: 'POST' })").await;
    tabs.all_say_in_time("session", ended, 0.0).await;
    // One tab signs in for all of them.
    tabs.0.click("Sign in").await;
    tabs.0.fill("User name", "ops").await;
    tabs.0.fill("Password", crate::harness::PASSWORD).await;
    let back = tabs.now().await;
    let began = Instant::now();
    tabs.0.click("Sign in").await;
    tabs.0.until("somebody is signed in", "!location.pathname.includes('sign-in')").await;
    let signing_in = began.elapsed().as_secs_f64() * 1_000.0;
    tabs.all_say_in_time("fresh", back, slack + signing_in).await;
}
