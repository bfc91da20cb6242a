//! A headless Chromium of a test's own, driven over WebDriver as a person would: by labels and words.
//!
//! What a page says on its console is an error here, and so is a request to another host: [`Browser::check`].

use super::World;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};
use thirtyfour::{BrowserLogEntry, By, Capabilities, WebDriver, WebElement};
use tokio::sync::OnceCell;

/// Tab stops of one page, at most.
const TAB_STOPS: usize = 400;
/// How long a script may take that waits for something.
const SCRIPT: Duration = Duration::from_secs(60);

/// What a person sees a page on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// 1280 by 900.
    Desktop,
    /// 380 by 780, by touch.
    Phone,
}

/// How often chromedriver is started at most: it picks a port of IPv4 and exits if the port of IPv6 with
/// that number is in use.
const MAX_STARTS: usize = 5;

pub struct Browser {
    // Dropped before the processes: its end stops them.
    driver: WebDriver,
    base: String,
    /// Addresses of the requests that were made, as far as they have been looked at.
    requests: Mutex<Vec<String>>,
    _chromium: Chromium,
}

/// The processes and their folder. Both end with it.
struct Chromium {
    driver: Child,
    profile: PathBuf,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Its lock is a link whose text ends in the browser's process id.
        let lock = std::fs::read_link(self.profile.join("SingletonLock"));
        let pid = lock.ok().and_then(|text| text.to_str()?.rsplit('-').next()?.parse::<i32>().ok());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        if let Some(pid) = pid {
            super::signal::send(pid, libc::SIGKILL);
        }
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

impl Browser {
    /// A new one with nothing in it, for the API at this address.
    pub async fn at(base: &str) -> Self {
        super::tools::need(&["chromium", "chromium-driver"]);
        let profile = super::folder(&format!("chromium-{}", uuid::Uuid::new_v4()));
        let (chromium, port) = tokio::task::spawn_blocking(move || start_driver(profile)).await.unwrap();
        let mut options = vec![
            "--headless",
            "--no-sandbox", // as root, which CI is
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
        ];
        let profile = format!("--user-data-dir={}", chromium.profile.display());
        options.push(&profile);
        let wishes = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"args": options, "binary": program("chromium")},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let wishes: Capabilities = serde_json::from_value(wishes).unwrap();
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), wishes).await.unwrap();
        driver.set_script_timeout(SCRIPT).await.unwrap();
        Self { driver, base: base.to_owned(), requests: Mutex::default(), _chromium: chromium }
    }

    /// One for the world's API, signed in under this name.
    pub async fn signed_in(world: &World, user_name: &str) -> Self {
        let browser = Self::at(&world.api.base()).await;
        browser.sign_in(user_name).await;
        browser
    }

    pub async fn sign_in(&self, user_name: &str) {
        self.goto("/console").await;
        self.fill("User name", user_name).await;
        self.fill("Password", super::PASSWORD).await;
        self.click("Sign in").await;
        self.until("somebody is signed in", "!location.pathname.includes('sign-in')").await;
    }

    pub async fn goto(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.base)).await.unwrap();
    }

    /// Goes on in another tab; those before stay open.
    pub async fn another_tab(&self) {
        let tab = self.driver.new_tab().await.unwrap();
        self.driver.switch_to_window(tab).await.unwrap();
    }

    /// Goes on in the tab that was opened as the `nr`th, from 0.
    pub async fn tab(&self, nr: usize) {
        let tabs = self.driver.windows().await.unwrap();
        self.driver.switch_to_window(tabs[nr].clone()).await.unwrap();
    }

    /// The page's path and query.
    pub async fn path(&self) -> String {
        let url = self.driver.current_url().await.unwrap();
        url.as_str().trim_start_matches(&self.base).to_owned()
    }

    /// Everything that is to be read on the page.
    pub async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// What a script gives back. For looking, and for what no button does: acts are a person's.
    pub async fn run(&self, script: &str) -> Value {
        let done = self.driver.execute(script, Vec::new()).await;
        done.unwrap_or_else(|error| panic!("{error} in {script}")).json().clone()
    }

    /// Waits until an expression of JavaScript holds.
    pub async fn until(&self, what: &str, expression: &str) {
        let script = format!("return Boolean({expression})");
        // A page that is being left answers with an error: try again.
        let holds = || async {
            self.driver
                .execute(script.as_str(), Vec::new())
                .await
                .is_ok_and(|held| *held.json() == json!(true))
        };
        self.waits(what, holds).await;
    }

    /// Waits until the page says this. To a reader, a no-break space is a space.
    pub async fn sees(&self, text: &str) {
        let text = text.replace('\u{a0}', " ");
        self.until(
            &format!("the page says {text:?}"),
            &format!("document.body.innerText.replaceAll('\u{a0}', ' ').includes({})", json!(text)),
        )
        .await;
    }

    /// Waits for a condition; a page that never comes to it is shown in the failure.
    async fn waits<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let began = Instant::now();
        while !holds().await {
            if began.elapsed() > super::PATIENCE {
                let (path, text, said) = (self.path().await, self.text().await, self.complaints().await);
                panic!(
                    "waited in vain until {what}, on {path}; complaints: {said:?}; the page says:\n{text}"
                );
            }
            tokio::time::sleep(super::LOOK).await;
        }
    }

    /// The link, button or switch with these words (all of them, or its label), once it can be used.
    pub async fn control(&self, words: &str) -> WebElement {
        self.element(&format!(
            "[...document.querySelectorAll('a[href],button,summary,[role=button]')].filter(e => \
             (e.innerText.trim() === {0} || e.getAttribute('aria-label') === {0}) && !e.disabled)",
            json!(words)
        ))
        .await
    }

    pub async fn click(&self, words: &str) {
        // A live part may be swapped between finding and clicking: then it is looked for again.
        self.waits(&format!("{words:?} is clicked"), || async {
            self.control(words).await.click().await.is_ok()
        })
        .await;
    }

    /// The field that this label is of.
    pub async fn field(&self, label: &str) -> WebElement {
        self.element(&format!(
            "[...[...document.querySelectorAll('label')].filter(l => l.innerText.trim().startsWith({0})).map(l => l.control), \
              ...document.querySelectorAll('[aria-label=' + JSON.stringify({0}) + ']')].filter(e => e && !e.disabled && 'value' in e)",
            json!(label)
        ))
        .await
    }

    /// Writes into the field, or chooses in it.
    pub async fn fill(&self, label: &str, value: &str) {
        let field = self.field(label).await;
        match field.tag_name().await.unwrap().as_str() {
            "select" => {
                let option = format!("option[normalize-space(.)='{value}']");
                field.find(By::XPath(option)).await.unwrap().click().await.unwrap();
            }
            _ => {
                field.clear().await.unwrap();
                field.send_keys(value).await.unwrap();
            }
        }
    }

    /// The first visible one of a list of elements, once there is one.
    async fn element(&self, list: &str) -> WebElement {
        let script = format!("return ({list}).find(e => e.checkVisibility()) ?? null");
        let what = format!("there is one of {list}");
        self.waits(&what, || async {
            self.driver.execute(script.as_str(), Vec::new()).await.is_ok_and(|found| !found.json().is_null())
        })
        .await;
        self.driver.execute(script.as_str(), Vec::new()).await.unwrap().element().unwrap()
    }

    /// Presses keys one after the other, as a keyboard does.
    pub async fn press(&self, keys: &str) {
        let mut actions = self.driver.action_chain();
        for key in keys.chars() {
            actions = actions.key_down(key).key_up(key);
        }
        actions.perform().await.unwrap();
    }

    /// What the Tab key reaches from the top of the page, in its order: `A Jobs`, `INPUT Search` …
    pub async fn tab_order(&self) -> Vec<String> {
        const FOCUSED: &str = "const e = document.activeElement; if (e === document.body || !e) return null; \
            e.dataset.reached = '1'; \
            return (e.tagName + ' ' + (e.innerText || e.getAttribute('aria-label') || e.labels?.[0]?.innerText || '').trim()).trim()";
        // Where the focus last was is where Tab goes on from: put that at the very top.
        self.run("const top = document.createElement('i'); top.tabIndex = -1; document.body.prepend(top); top.focus(); top.remove()")
            .await;
        let mut reached = Vec::new();
        while reached.len() < TAB_STOPS {
            self.press("\u{e004}").await;
            match self.run(FOCUSED).await.as_str() {
                Some(element) => reached.push(element.to_owned()),
                None => break,
            }
        }
        reached
    }

    /// A command of Chromium's debugging protocol.
    pub async fn debug(&self, command: &str, parameters: &Value) -> Value {
        self.driver.cdp().send_raw(command, parameters).await.unwrap()
    }

    pub async fn screen(&self, screen: Screen) {
        let (width, height, phone) = match screen {
            Screen::Desktop => (1280, 900, false),
            Screen::Phone => (380, 780, true),
        };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.debug("Emulation.setDeviceMetricsOverride", &metrics).await;
    }

    /// A screen this many CSS pixels wide.
    pub async fn wide(&self, width: u32) {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.debug("Emulation.setDeviceMetricsOverride", &metrics).await;
    }

    /// Pages run no script of theirs from now on; the test's still do.
    pub async fn without_scripts(&self) {
        self.debug("Emulation.setScriptExecutionDisabled", &json!({ "value": true })).await;
    }

    /// What the machine would say it prefers: `light` or `dark`.
    pub async fn prefers(&self, scheme: &str) {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.debug("Emulation.setEmulatedMedia", &media).await;
    }

    /// The page as a picture.
    pub async fn picture(&self) -> Vec<u8> {
        self.driver.screenshot_as_png().await.unwrap()
    }

    pub async fn cookies(&self) -> String {
        let all = self.driver.get_all_cookies().await.unwrap();
        all.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
    }

    /// What axe-core finds on this page: rule, impact, where.
    pub async fn barriers(&self) -> Vec<String> {
        let axe = axe().await;
        self.run(&format!("{axe}; return null")).await;
        let run = "const done = arguments[arguments.length - 1]; \
            axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations.flatMap(v => \
            v.nodes.map(n => `${v.impact} ${v.id} at ${n.target.join(' ')}: ${n.failureSummary}`))), \
            error => done([String(error)]))";
        let found = self.driver.execute_async(run, Vec::new()).await.unwrap();
        found.json().as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    /// What the browser complained about since it was last asked: errors of scripts and policies,
    /// what did not load.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.log("browser").await;
        log.iter().filter(|entry| entry.level == "SEVERE").map(|entry| entry.message.clone()).collect()
    }

    /// The requests that went to another host than the API's.
    pub async fn strangers(&self) -> Vec<String> {
        let seen = self.requests().await;
        seen.into_iter().filter(|url| url.starts_with("http") && !url.starts_with(&self.base)).collect()
    }

    /// The addresses of all requests so far.
    pub async fn requests(&self) -> Vec<String> {
        let log = self.log("performance").await;
        let sent = log.iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(&entry.message).ok()?;
            let event = &event["message"];
            let sent = event["method"] == "Network.requestWillBeSent"
                || event["method"] == "Network.webSocketCreated";
            let url = event["params"]["request"]["url"].as_str().or(event["params"]["url"].as_str())?;
            sent.then(|| url.to_owned())
        });
        let mut requests = self.requests.lock().unwrap();
        requests.extend(sent);
        requests.clone()
    }

    async fn log(&self, of: &str) -> Vec<BrowserLogEntry> {
        self.driver.get_log(of).await.unwrap()
    }

    /// No complaint, and no request to another host.
    pub async fn check(&self) {
        assert_eq!(self.complaints().await, Vec::<String>::new(), "the browser complained");
        assert_eq!(self.strangers().await, Vec::<String>::new(), "a request went to another host");
        assert!(!self.requests.lock().unwrap().is_empty(), "no request was seen at all: the log is not kept");
    }
}

/// chromedriver with a port of its choice.
fn start_driver(profile: PathBuf) -> (Chromium, u16) {
    std::fs::create_dir_all(&profile).unwrap();
    let mut said = String::new();
    for _ in 0..MAX_STARTS {
        let mut command = Command::new(program("chromedriver"));
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            said = format!("{said}{line}\n");
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        if let Some(port) = port {
            // Read on, or it would stand still when the pipe is full.
            std::thread::spawn(move || lines.for_each(drop));
            return (Chromium { driver, profile }, port);
        }
        driver.wait().unwrap();
    }
    panic!("chromedriver opened no port: {said}")
}

/// `CHROMIUM` and `CHROMEDRIVER` name others than those of the path.
fn program(name: &str) -> String {
    std::env::var(name.to_uppercase()).unwrap_or_else(|_| {
        let here = format!("/usr/bin/{name}");
        if Path::new(&here).exists() { here } else { name.to_owned() }
    })
}

/// axe-core's text.
async fn axe() -> &'static str {
    super::tools::need(&["npm"]);
    static TEXT: OnceCell<String> = OnceCell::const_new();
    let read =
        || std::fs::read_to_string(super::tools::fetched("npm/node_modules/axe-core/axe.min.js")).unwrap();
    TEXT.get_or_init(|| async { tokio::task::spawn_blocking(read).await.unwrap() }).await
}
