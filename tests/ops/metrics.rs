//! `/metrics` of the API and of a worker, beside the table of docs/operators/metrics.md.

use super::promtool::{Described, described, promtool};
use crate::harness::{Frozen, OwnServer, Process, World, until};
use std::collections::{BTreeMap, BTreeSet};

const LISTEN: &str = "127.0.0.1:0";

/// The page at this address, in Prometheus's text format.
async fn page(base: &str) -> String {
    let request = reqwest::Client::new().get(format!("{base}/metrics")).header("accept", "text/plain");
    request.send().await.unwrap().text().await.unwrap()
}

/// The value of a series, by the start of its line; `None` without one.
fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

/// The metrics of a page with their types and labels.
fn shown(page: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut metrics: BTreeMap<String, (String, BTreeSet<String>)> =
        types.map(|(name, kind)| (name.to_owned(), (kind.to_owned(), BTreeSet::new()))).collect();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let base = ["", "_bucket", "_sum", "_count"].into_iter().find_map(|part| {
            name.strip_suffix(part).filter(|base| metrics.contains_key(*base)).map(str::to_owned)
        });
        let base = base.unwrap_or_else(|| panic!("{name} has no type"));
        let labels = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
        let names = labels.split("=\"").map(|part| part.rsplit(['"', ',']).next().unwrap());
        // What follows the last `="` is a value.
        let count = labels.matches("=\"").count();
        let names = names.take(count).filter(|name| *name != "le").map(str::to_owned);
        metrics.get_mut(&base).unwrap().1.extend(names);
    }
    metrics
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_metrics_is_what_the_programs_show() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(8).await, world.rider("50.00").await);
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let worker = Process::worker(&world.db.url, &[("FAREBOX__WORKER__METRICS_LISTEN", LISTEN)], &[]);
    let (api, worker) = (world.api.base(), worker.metrics());
    until("both show the last check and their requests", async || {
        let pages = [page(&api).await, page(&worker).await];
        pages.iter().all(|page| {
            page.contains("\nfarebox_invariants_age_seconds ") && page.contains("route=\"/metrics\"")
        })
    })
    .await;
    let pages = [page(&api).await, page(&worker).await];
    for page in &pages {
        promtool(&["check", "metrics"], page).unwrap_or_else(|said| panic!("{said}"));
    }
    let [by_api, by_worker] = pages.map(|page| shown(&page));
    let mut all = by_api.clone();
    for (name, (kind, labels)) in &by_worker {
        let (known, union) = all.entry(name.clone()).or_insert_with(|| (kind.clone(), BTreeSet::new()));
        assert_eq!(known, kind, "{name}");
        union.extend(labels.iter().cloned());
    }
    let programs = all.into_iter().map(|(name, (kind, labels))| {
        let shown_by = match (by_api.contains_key(&name), by_worker.contains_key(&name)) {
            (true, true) => "both",
            (true, false) => "API",
            _ => "worker",
        };
        (name, Described { kind, labels, shown_by: shown_by.to_owned() })
    });
    let programs: BTreeMap<String, Described> = programs.collect();
    let table = described();
    for (name, metric) in &programs {
        assert_eq!(table.get(name), Some(metric), "{name} in docs/operators/metrics.md");
    }
    // deploy::standby_reads holds those of a standby.
    let here = table.iter().filter(|(_, metric)| !metric.shown_by.ends_with("with a standby"));
    let lost: Vec<&String> =
        here.map(|(name, _)| name).filter(|name| !programs.contains_key(*name)).collect();
    assert_eq!(lost, Vec::<&String>::new(), "in docs/operators/metrics.md, and not shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_and_rollbacks_are_counted_by_outcome() {
    let world = World::new().await;
    let (trip, rider, api) = (world.trip(8).await, world.rider("50.00").await, world.api.base());
    let count = |page: &str, flow: &str, outcome: &str| {
        value(page, &format!("farebox_{flow}_total{{outcome=\"{outcome}\"}}")).unwrap()
    };
    let before = page(&api).await;
    for flow in ["bookings", "payments", "cancellations", "refunds"] {
        for outcome in ["done", "refused", "repeated", "failed"] {
            assert_eq!(count(&before, flow, outcome), 0.0, "{flow} {outcome} is there from the start");
        }
    }
    let (paid, cancelled) = (rider.booked(&trip, &["1"]).await, rider.booked(&trip, &["2"]).await);
    rider.book(&trip, &["1"]).await.problem(409, "004000");
    rider.pay(&paid).await.expect(200);
    rider.pay(&paid).await.problem(409, "006002");
    rider.cancel(&cancelled).await.expect(200);
    rider.post(&format!("/v1/orders/{paid}/refund"), &serde_json::json!({})).await.expect(200);
    rider.fault("order_add_cancle.after=error").book(&trip, &["3"]).await.problem(500, "003099");
    let after = page(&api).await;
    for (flow, done, refused, failed) in [
        ("bookings", 2.0, 1.0, 1.0),
        ("payments", 1.0, 1.0, 0.0),
        ("cancellations", 1.0, 0.0, 0.0),
        ("refunds", 1.0, 0.0, 0.0),
    ] {
        let counted = ["done", "refused", "failed"].map(|outcome| count(&after, flow, outcome));
        assert_eq!(counted, [done, refused, failed], "{flow}");
    }
    let raised = "farebox_rollbacks_total{tag=\"order_add_cancle\",outcome=\"queued\"}";
    assert_eq!((value(&before, raised), value(&after, raised)), (Some(0.0), Some(1.0)));
    let request = |status: u16| {
        let series = "farebox_http_requests_total{route=\"/v1/orders\",method=\"POST\",status=";
        value(&after, &format!("{series}\"{status}\"}}"))
    };
    assert_eq!((request(201), request(409), request(500)), (Some(2.0), Some(1.0), Some(1.0)));
    let took = "farebox_http_request_duration_seconds_count{route=\"/v1/orders\",method=\"POST\"}";
    assert_eq!(value(&after, took), Some(4.0));
    let claims = "farebox_batch_size_sum{statement=\"claim_seats\"}";
    assert!(value(&after, claims).is_some_and(|requests| requests >= 3.0), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_the_routers_pattern_whatever_a_client_asks_for() {
    let world = World::new().await;
    let api = world.api.base();
    for path in ["/v1/trips/1", "/v1/trips/2", "/nothing/3", "/nothing/4?a={b}", "/v1/orders/\"x\""] {
        let _ = reqwest::get(format!("{api}{path}")).await.unwrap();
    }
    let made_up = reqwest::Method::from_bytes(b"BREW").unwrap();
    let _ = reqwest::Client::new().request(made_up, format!("{api}/v1/trips")).send().await.unwrap();
    let page = page(&api).await;
    let count = |route: &str, method: &str| {
        let series = format!("farebox_http_requests_total{{route=\"{route}\",method=\"{method}\",");
        page.lines().filter(|line| line.starts_with(&series)).count()
    };
    assert!(count("/v1/trips/{id}", "GET") > 0 && count("other", "GET") > 0, "{page}");
    assert!(count("/v1/trips", "other") > 0, "{page}");
    for leaked in ["/v1/trips/1", "nothing", "BREW", "\\\"x"] {
        assert!(!page.contains(leaked), "{leaked} in {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_the_process_is_still_seen() {
    let own = OwnServer::start("unseen", &[]).await;
    let api = own.base();
    assert_eq!(value(&page(&api).await, "farebox_database_up"), Some(1.0));
    let frozen = Frozen::server(&own);
    let away = page(&api).await;
    assert_eq!(value(&away, "farebox_database_up"), Some(0.0), "{away}");
    assert!(value(&away, "process_open_fds").is_some(), "{away}");
    assert!(!away.contains("farebox_jobs"), "the state of before would look like that of now: {away}");
    drop(frozen);
    until("the state is shown again", async || page(&api).await.contains("farebox_jobs{")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_workers_are_counted_by_tag() {
    let world = World::new().await;
    let api = world.api.base();
    let workers = async |tag: &str| {
        value(&page(&api).await, &format!("farebox_queue_workers{{tag=\"{tag}\"}}")).unwrap()
    };
    assert_eq!(workers("order_unpaid").await, 0.0);
    let mut worker = Process::worker(&world.db.url, &[], &["--tags", "order_unpaid"]);
    until("the worker is counted", async || workers("order_unpaid").await == 1.0).await;
    assert_eq!(workers("pay_cancle").await, 0.0, "it does not work for this tag");
    worker.signal(libc::SIGTERM);
    assert!(worker.wait().success());
    until("nobody works any more", async || workers("order_unpaid").await == 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_pool_is_seen() {
    let tight = [
        ("FAREBOX__DATABASE__MAX_CONNECTIONS", "1"),
        ("FAREBOX__DATABASE__ACQUIRE_TIMEOUT_MS", "500"),
        ("FAREBOX__DATABASE__LOCK_TIMEOUT_MS", "60000"),
        ("FAREBOX__DATABASE__STATEMENT_TIMEOUT_MS", "60000"),
    ];
    let world = World::with(&tight).await;
    let (trip, rider, api) = (world.trip(8).await, world.rider("0").await, world.api.base());
    let lock = sqlx::query("lock table seat in access exclusive mode");
    let mut tx = world.pool.begin().await.unwrap();
    sqlx::query("set local idle_in_transaction_session_timeout = 0").execute(&mut *tx).await.unwrap();
    lock.execute(&mut *tx).await.unwrap();
    let (own, of) = (rider.clone(), trip.clone());
    let first = tokio::spawn(async move { own.book(&of, &["1"]).await });
    until("it waits for the lock", async || world.waiting_for_locks().await == 1).await;
    // The only connection is in use, so this one finds none in time.
    rider.book(&trip, &["2"]).await.problem(503, "003097");
    let shown = page(&api).await;
    let of_pool = |metric: &str, labels: &str| value(&shown, &format!("farebox_{metric}{{{labels}}}"));
    assert_eq!(of_pool("pool_connections", "pool=\"main\",state=\"used\""), Some(1.0), "{shown}");
    assert_eq!(of_pool("pool_limit", "pool=\"main\""), Some(1.0));
    assert!(value(&shown, "farebox_pool_timeouts_total").is_some_and(|times| times > 0.0), "{shown}");
    assert_eq!(of_pool("admission_in_flight", "class=\"changes\""), Some(1.0), "{shown}");
    assert_eq!(of_pool("admission_limit", "class=\"changes\""), Some(1024.0));
    tx.commit().await.unwrap();
    first.await.unwrap().expect(201);
    assert_eq!(value(&page(&api).await, "farebox_pool_waiting"), Some(0.0));
    world.verify().await;
}
