//! A real Prometheus scrapes an API and a worker, with config/alerts.yml as it is.

use super::{dashboard, promtool::unique_folder};
use crate::harness::{Process, World, free_port, tools, until};
use serde_json::{Value, json};
use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

/// What an undo that keeps failing may take until it pages.
const TWO_MINUTES: Duration = Duration::from_secs(120);

struct Prometheus {
    base: String,
    _process: Process,
}

impl Prometheus {
    /// Scrapes and evaluates as often as this says.
    fn start(interval: &str, api: &str, worker: &str) -> Self {
        tools::need(&["prometheus"]);
        let at = unique_folder("prometheus");
        let target = |job: &str, base: &str| {
            let targets = [base.trim_start_matches("http://")];
            json!({ "job_name": job, "static_configs": [{ "targets": targets }] })
        };
        let config = json!({
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
                "external_labels": { "farebox_docs": "https://docs", "farebox_console": "https://console" },
            },
            "rule_files": [concat!(env!("CARGO_MANIFEST_DIR"), "/config/alerts.yml")],
            "scrape_configs": [target("farebox-api", api), target("farebox-worker", worker)],
        });
        // JSON is YAML.
        fs::write(at.join("prometheus.yml"), config.to_string()).unwrap();
        let port = free_port();
        let mut command = Command::new("prometheus");
        command.args([
            format!("--config.file={}", at.join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", at.join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ]);
        Self { base: format!("http://127.0.0.1:{port}"), _process: Process::start(command) }
    }

    /// The answer to a question, once it listens.
    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let query = serde_urlencoded::to_string(query).unwrap();
        let Ok(answer) = reqwest::get(format!("{}/api/v1/{path}?{query}", self.base)).await else {
            return Value::Null;
        };
        answer.json().await.unwrap_or_default()
    }

    async fn query(&self, query: &str) -> Value {
        self.ask("query", &[("query", query)]).await
    }

    /// How many series a query has now.
    async fn series(&self, query: &str) -> usize {
        self.query(query).await["data"]["result"].as_array().map_or(0, Vec::len)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_both_programs_and_the_dashboard_has_its_figures() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(8).await, world.rider("50.00").await);
    let metrics = [("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0")];
    let worker = Process::worker(&world.db.url, &metrics, &[]);
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let prometheus = Prometheus::start("1s", &world.api.base(), &worker.metrics());
    until("both are scraped", async || prometheus.series("up == 1").await == 2).await;
    until("the payment is counted", async || {
        prometheus.series("farebox_payments_total{outcome=\"done\"} == 1").await == 1
    })
    .await;
    for (title, query) in dashboard::all_queries() {
        let answer = prometheus.query(&query).await;
        assert_eq!(answer["status"], "success", "{title}: {query}: {answer}");
    }
    let rules = prometheus.ask("rules", &[]).await;
    let groups = rules["data"]["groups"].as_array().unwrap().clone();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 30, "{rules:?}");
    until("every rule was evaluated", async || {
        let rules = prometheus.ask("rules", &[]).await;
        let groups = rules["data"]["groups"].as_array().unwrap();
        let mut rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        rules.all(|rule| rule["health"] == "ok")
    })
    .await;
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").await;
    assert_eq!(firing["data"]["result"], json!([]), "nothing is wrong");
}

/// Takes two minutes, so it is run by hand.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "two minutes of waiting"]
async fn prometheus_pages_for_a_failing_undo_within_two_minutes() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(8).await, world.rider("50.00").await);
    let failing = [
        ("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0"),
        ("FAREBOX_FAULTS", "undo.pay_money_cancle.before=error"),
    ];
    let worker = Process::worker(&world.db.url, &failing, &[]);
    // As docs/operators/metrics.md says.
    let prometheus = Prometheus::start("15s", &world.api.base(), &worker.metrics());
    until("both are scraped", async || prometheus.series("up == 1").await == 2).await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.fault("pay_money_cancle.after=error").pay(&order).await.problem(500, "003099");
    let failed = Instant::now();
    let page = "ALERTS{alertstate=\"firing\",severity=\"page\",tag=\"pay_money_cancle\"}";
    while prometheus.series(page).await == 0 {
        assert!(failed.elapsed() < TWO_MINUTES, "no page");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("paged after {:.0} s", failed.elapsed().as_secs_f64());
    let alerts = prometheus.ask("alerts", &[]).await;
    let links = alerts["data"]["alerts"][0]["annotations"]["runbook_url"].as_str().unwrap().to_owned();
    assert!(links.starts_with("https://docs/operators/runbook.md#"), "{links}");
}
