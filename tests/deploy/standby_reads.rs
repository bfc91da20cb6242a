//! Reads from a standby: they are really made there, never older than allowed, and made on the primary
//! whenever the standby cannot answer. Riders and operators see what they did.

use crate::console::ConsoleSession;
use crate::harness::{Client, Database, OwnServer, Process, Standby, command, restricted, settings, until};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

const MANY_SECONDS: &str = "60000";
const SHORT: &str = "1000";

/// Another API of this server's, which may read from there.
fn reading_api(own: &OwnServer, url: &str, max_lag_ms: &str) -> Process {
    let url = restricted("farebox-api", url);
    Process::api(
        &own.url,
        &[("FAREBOX__DATABASE__REPLICA_URL", &url), ("FAREBOX__DATABASE__REPLICA_MAX_LAG_MS", max_lag_ms)],
    )
}

/// A metric's value; none if it is not there.
async fn metric(base: &str, name: &str) -> Option<f64> {
    let text = reqwest::get(format!("{base}/metrics")).await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

/// How many reads this server has answered.
async fn reads(base: &str, server: &str) -> f64 {
    metric(base, &format!("farebox_replica_reads_total{{server=\"{server}\"}}")).await.unwrap_or_default()
}

/// What the list of its day says of a trip.
async fn listed(client: &Client, trip: &str) -> Value {
    let shown = client.get(&format!("/v1/trips/{trip}")).await;
    let departs: DateTime<Utc> = shown.expect(200)["departs_at"].as_str().unwrap().parse().unwrap();
    let day = departs.with_timezone(&settings().trips.zone).date_naive();
    let list = client.get(&format!("/v1/trips?date={day}")).await;
    let items = list.expect(200)["items"].as_array().unwrap().clone();
    items.into_iter().find(|item| item["id"] == trip).unwrap()
}

/// Waits until this process reads from its standby.
async fn is_read(client: &Client, base: &str, trip: &str) {
    let before = reads(base, "standby").await;
    until("the standby is read", async || {
        listed(client, trip).await;
        reads(base, "standby").await > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_may_be_old_and_nobody_misses_what_they_did() {
    let own = OwnServer::start("reads", &[]).await;
    let trip = own.another_trip().await;
    let standby = Standby::of(&own, "reads-standby").await;
    let api = reading_api(&own, &standby.url, MANY_SECONDS);
    let (base, rider) = (api.base(), own.rider.at(&api.base()));
    own.top_up(&rider, "100.00").await;
    is_read(&rider, &base, &trip).await;

    standby.pause(true).await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let from_standby = reads(&base, "standby").await;
    assert_eq!(listed(&rider, &trip).await["free_seats"], 40, "the standby stands still");
    assert!(reads(&base, "standby").await > from_standby);
    assert_eq!(rider.get(&format!("/v1/trips/{trip}")).await.expect(200)["free_seats"], 39);
    assert_eq!(rider.get("/v1/orders").await.expect(200)["items"][0]["id"], order.as_str());
    assert_eq!(rider.balance().await, "96.00");

    let from_primary = reads(&base, "primary").await;
    let console = ConsoleSession::enter_at(&base, "rider").await;
    assert!(console.page("/console/orders").await.contains(&order));
    let manifest = rider.get(&format!("/v1/ops/trips/{trip}/manifest")).await;
    assert_eq!(manifest.expect(200)["seats"][0]["order_id"], order.as_str());
    assert_eq!(rider.get("/v1/ops/verify").await.expect(200)["holds"], true);
    assert!(reads(&base, "primary").await >= from_primary + 3.0, "the standby does not have it");

    standby.pause(false).await;
    until("the list is new", async || listed(&rider, &trip).await["free_seats"] == 39).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_each_change_at_once_on_pages_that_the_standby_answers() {
    let own = OwnServer::start("own-writes", &[]).await;
    let standby = Standby::of(&own, "own-writes-standby").await;
    let api = reading_api(&own, &standby.url, MANY_SECONDS);
    let (base, ops) = (api.base(), own.rider.at(&api.base()));
    let trip = own.another_trip().await;
    is_read(&ops, &base, &trip).await;
    let console = ConsoleSession::enter_at(&base, "rider").await;
    let before = reads(&base, "standby").await;
    let seats = std::cell::Cell::new(0);
    // At load the standby may be late for one, and the primary answers.
    until("the standby has answered ten of them", async || {
        let seat = seats.get() % 40 + 1;
        seats.set(seat);
        let reason = format!("seat {seat} at {}", Utc::now().to_rfc3339());
        let body = json!({"seats": [seat.to_string()], "reason": reason});
        ops.post(&format!("/v1/ops/trips/{trip}/seats/block"), &body).await.expect(200);
        let page = console.page("/console/audit").await;
        assert!(page.contains(reason.split('+').next().unwrap()), "{reason}: {page}");
        reads(&base, "standby").await >= before + 10.0
    })
    .await;
    let pages = ["/console/trips", "/console/jobs", "/console/riders?who=nobody-of-this-name"];
    for page in pages.map(str::to_owned).into_iter().chain([format!("/console/trips/{trip}/manifest.csv")]) {
        let before = reads(&base, "standby").await;
        until("the standby answers it", async || {
            console.page(&page).await;
            reads(&base, "standby").await > before
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_beyond_the_bound_is_not_read_and_its_lag_is_shown() {
    let own = OwnServer::start("bound", &[]).await;
    let trip = own.another_trip().await;
    let standby = Standby::of(&own, "bound-standby").await;
    let api = reading_api(&own, &standby.url, SHORT);
    let (base, rider) = (api.base(), own.rider.at(&api.base()));
    is_read(&rider, &base, &trip).await;
    standby.pause(true).await;
    rider.booked(&trip, &["1"]).await;
    until("the list is the primary's", async || listed(&rider, &trip).await["free_seats"] == 39).await;
    until("the lag is shown", async || {
        metric(&base, "farebox_replica_lag_seconds").await.unwrap_or_default() >= 1.0
    })
    .await;
    let console = ConsoleSession::enter_at(&base, "rider").await;
    assert!(console.page("/console").await.contains("lists are read from the primary: behind by more than"));
    let from_standby = reads(&base, "standby").await;
    listed(&rider, &trip).await;
    assert!((reads(&base, "standby").await - from_standby).abs() < f64::EPSILON, "it is not read");
    standby.pause(false).await;
    is_read(&rider, &base, &trip).await;
    assert_eq!(listed(&rider, &trip).await["free_seats"], 39);
    until("the lag is small again", async || {
        metric(&base, "farebox_replica_lag_seconds").await.is_some_and(|lag| lag < 1.0)
    })
    .await;
    until("home says so", async || !console.page("/console").await.contains("read from the primary")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_is_gone_costs_no_answer_and_one_that_is_back_is_read() {
    let own = OwnServer::start("gone", &[]).await;
    let trip = own.another_trip().await;
    let mut standby = Standby::of(&own, "gone-standby").await;
    let api = reading_api(&own, &standby.url, MANY_SECONDS);
    let (base, rider) = (api.base(), own.rider.at(&api.base()));
    is_read(&rider, &base, &trip).await;
    standby.kill();
    // The bound is far away: each of these meets a broken connection, or a standby known to be away.
    for _ in 0..50 {
        listed(&rider, &trip).await;
    }
    api.wait_for_line("the standby is away");
    rider.booked(&trip, &["1"]).await;
    assert_eq!(listed(&rider, &trip).await["free_seats"], 39);

    let late = reading_api(&own, &standby.url, MANY_SECONDS);
    let other = own.rider.at(&late.base());
    assert_eq!(listed(&other, &trip).await["free_seats"], 39, "it starts without its standby");
    standby.restart().await;
    is_read(&rider, &base, &trip).await;
    is_read(&other, &late.base(), &trip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_is_not_read_and_another_cluster_or_database_is_refused() {
    let own = OwnServer::start("promoted", &[]).await;
    let trip = own.another_trip().await;
    let standby = Standby::of(&own, "promoted-standby").await;
    let elsewhere = Database::fresh().await;
    for (url, rule) in [
        (&elsewhere.url, "database.replica_url: of another cluster"),
        (&standby.url_of("postgres"), "database.replica_url: another database of the cluster"),
    ] {
        for program in [env!("CARGO_BIN_EXE_farebox-api"), env!("CARGO_BIN_EXE_farebox-worker")] {
            let url = restricted(program, url);
            let env = [("FAREBOX__DATABASE__REPLICA_URL", url.as_str())];
            let mut process = Process::start(command(program, &own.url, &env));
            assert!(!process.wait().success(), "{program}");
            process.wait_for_line(rule);
        }
    }
    let api = reading_api(&own, &standby.url, MANY_SECONDS);
    let (base, rider) = (api.base(), own.rider.at(&api.base()));
    is_read(&rider, &base, &trip).await;
    assert!(standby.ask::<bool>("select pg_promote()").await);
    api.wait_for_line("not a standby");
    rider.booked(&trip, &["1"]).await;
    assert_eq!(listed(&rider, &trip).await["free_seats"], 39, "what it has is another history now");
    // As after a failover, when the URL's server has become the primary.
    let at_primary = reading_api(&own, &own.url, MANY_SECONDS);
    at_primary.wait_for_line("not a standby");
    assert_eq!(listed(&own.rider.at(&at_primary.base()), &trip).await["free_seats"], 39);
    assert!(reads(&at_primary.base(), "standby").await < 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_invariants_are_checked_on_the_standby() {
    let own = OwnServer::start("checked", &[]).await;
    let standby = Standby::of(&own, "checked-standby").await;
    let url = restricted("farebox-worker", &standby.url);
    let env = [
        ("FAREBOX__DATABASE__REPLICA_URL", url.as_str()),
        ("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0"),
    ];
    let worker = Process::worker(&own.url, &env, &[]);
    let base = worker.metrics();
    until("a check was made there", async || reads(&base, "standby").await >= 1.0).await;
    until("its verdict is stored on the primary", async || {
        metric(&base, "farebox_invariants_age_seconds").await.is_some()
    })
    .await;
    let url = restricted("farebox", &standby.url);
    let mut verify =
        command(env!("CARGO_BIN_EXE_farebox"), &own.url, &[("FAREBOX__DATABASE__REPLICA_URL", url.as_str())]);
    let output = verify.arg("verify").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
