//! The database goes away and comes back; schemas that do not fit; processes that refuse to start.

use crate::harness::{Client, Process, World, command, new_rider, settings, until};
use farebox::{embedded, process as parts, riders, schema};
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn the_database_goes_away_and_comes_back() {
    // A server of its own, since it is to be killed; durable, since its data must survive.
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("outage-{}", std::process::id()));
    let options = embedded::Options { data: data.clone(), durable: true, max_connections: 50 };
    let server = embedded::start(&options).await.unwrap();
    embedded::ensure_database(&server, "farebox").await.unwrap();
    let (url, settings) = (server.url("farebox"), settings());
    let pool = schema::pool(&url, &settings.database, "test").unwrap();
    schema::migrate(&pool).await.unwrap();
    let flow = parts::flow(&settings, pool.clone()).unwrap();
    riders::register(&pool, &flow.passwords, &new_rider("rider"), riders::Role::Operator).await.unwrap();
    let api = Process::api(&url, &[("FAREBOX__DATABASE__ACQUIRE_TIMEOUT_MS", "500")]);
    let _worker = Process::worker(&url, &[], &[]);
    let rider = Client::sign_in(&api.base(), "rider").await;
    let departs = chrono::Utc::now() + chrono::Duration::days(1);
    let trip = serde_json::json!({"bus_id": 1, "direction": 0, "departs_at": departs,
        "arrives_at": departs + chrono::Duration::hours(1), "price": "4.00"});
    let trip = rider.post("/v1/ops/trips", &trip).await.expect(201)["id"].as_str().unwrap().to_owned();
    let order = rider.booked(&trip, &["1"]).await;

    let postmaster = std::fs::read_to_string(server.folder().join("pg/postmaster.pid")).unwrap();
    let pid = postmaster.lines().next().unwrap().to_owned();
    let kill = |signal: &str| std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(kill("-QUIT").success());
    until("the API says 503", || async { rider.get("/health/ready").await.status == 503 }).await;
    let away = rider.book(&trip, &["2"]).await;
    away.problem(503, "003097");
    assert!(away.headers.contains_key("retry-after"), "{:?}", away.headers);
    rider.get("/health/live").await.expect(200);

    drop(server);
    let server = embedded::start(&options).await.unwrap();
    until("the API is back", || async { rider.get("/health/ready").await.status == 200 }).await;
    assert_eq!(rider.get(&format!("/v1/orders/{order}")).await.expect(200)["status"], "unpaid");
    rider.booked(&trip, &["2"]).await;
    rider.fault("order_add_seats_cancle.after=error").book(&trip, &["3"]).await.problem(500, "003099");
    until("the worker is back", || async {
        rider.get(&format!("/v1/trips/{trip}")).await.body["free_seats"] == 18
    })
    .await;
    drop((pool, flow, server));
    let _ = std::fs::remove_dir_all(&data);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_refuse_what_they_do_not_know() {
    let world = World::new().await;
    let worker = env!("CARGO_BIN_EXE_farebox-worker");
    let api = env!("CARGO_BIN_EXE_farebox-api");
    let refuses = |command: std::process::Command, text: &str| {
        let mut process = Process::start(command);
        assert!(!process.wait().success());
        process.wait_for_line(text);
    };
    let mut odd = command(worker, &world.db.url, &[]);
    odd.args(["--tags", "order_add_cancel"]);
    refuses(odd, "unknown tag");
    refuses(
        command(api, &world.db.url, &[("FAREBOX__BOOKING__HOLD_SEC", "3")]),
        "did you mean `booking.hold_secs`",
    );
    refuses(command(api, &world.db.url, &[("FAREBOX__SECRETS__PEPPER", "")]), "FAREBOX__SECRETS__PEPPER");
    refuses(command(api, &world.db.url, &[("FAREBOX_ENV", "production")]), "refused in production");
    sqlx::query("update _sqlx_migrations set version = 9999 where version = (select max(version) from _sqlx_migrations)")
        .execute(&world.pool).await.unwrap();
    refuses(command(worker, &world.db.url, &[]), "9999");
}
