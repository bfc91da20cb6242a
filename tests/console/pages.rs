//! The console's pages over HTTP: closed by default, signed forms, what each page shows, actions
//! that are done once.

use super::session::ConsoleSession;
use crate::harness::{Client, Process, World, count, new_rider, until};
use farebox::accounts::{self, Role};
use serde_json::Value;

/// Every route of the console, as its source names them.
fn routes() -> Vec<(String, bool)> {
    let source = include_str!("../../src/console/mod.rs");
    let lines = source.lines().filter_map(|line| line.trim().strip_prefix(".route(\""));
    lines.map(|line| (line.split('"').next().unwrap().to_owned(), line.contains("post("))).collect()
}

const OPEN: [&str; 7] = [
    "/console/sign-in",
    "/console/sign-in/beat",
    "/console/sign-in/code",
    "/console/sign-in/enrol",
    "/console/sign-in/reset",
    "/console/preferences",
    "/console/assets/{name}",
];
/// Forms upon the sender's own account.
const OWN: [&str; 3] = ["/console/confirm", "/console/account/password", "/console/account/sessions"];

async fn viewer(world: &World) -> ConsoleSession {
    accounts::register(&world.pool, &world.saga.passwords, &new_rider("viewer"), Role::Viewer).await.unwrap();
    ConsoleSession::enter(world, "viewer").await
}

async fn job_of(world: &World, state: &str) -> String {
    let jobs = world.ops.get(&format!("/v1/ops/jobs?state={state}")).await;
    jobs.expect(200)["items"][0]["id"].as_str().unwrap().to_owned()
}

/// The address of a route with things that are there.
async fn filled(world: &World, route: &str, rider: &Client, trip: &str, order: &str) -> String {
    let job = job_of(world, "delayed").await;
    let id = match route {
        _ if route.starts_with("/console/jobs") => job,
        _ if route.starts_with("/console/trips") => trip.to_owned(),
        _ if route.starts_with("/console/riders") => rider.id.to_string(),
        _ => order.to_owned(),
    };
    let act = if route.starts_with("/console/jobs") {
        "retry"
    } else if route.contains("trips") {
        "cancel"
    } else {
        "pause"
    };
    let entry = uuid::Uuid::nil().to_string();
    route
        .replace("{id}", &id)
        .replace("{entry}", &entry)
        .replace("{tag}", "order_unpaid")
        .replace("{act}", act)
}

fn is_kept_and_framed_by_nobody(answer: &reqwest::Response) {
    for (header, value) in
        [("cache-control", "no-store"), ("x-frame-options", "DENY"), ("x-content-type-options", "nosniff")]
    {
        assert_eq!(answer.headers()[header], value, "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_requires_a_session_and_viewers_change_nothing() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(4).await, world.rider("20.00").await);
    let order = rider.booked(&trip, &["1"]).await;
    let (stranger, viewer) = (ConsoleSession::stranger(&world), viewer(&world).await);
    let mine = ConsoleSession {
        cookie: format!("farebox_console={}", rider.token()),
        ..ConsoleSession::stranger(&world)
    };
    let csrf = viewer.hidden(&format!("/console/riders/{}/top-up", rider.id), "csrf").await;
    let everything = "select count(*) from queue.paused union all select 0 order by 1 desc limit 1";
    assert!(routes().len() >= 20, "the routes are read from the source");
    for (route, acts) in routes() {
        let own_rule = ["/console/sign-out", "/console/beat"].contains(&route.as_str());
        if OPEN.contains(&route.as_str()) || own_rule {
            continue;
        }
        let address = filled(&world, &route, &rider, &trip, &order).await;
        if OWN.contains(&route.as_str()) {
            for nobody in [&stranger, &mine] {
                assert_eq!(nobody.status("POST", &address, Some("password=x")).await, 303, "{route}");
            }
            continue;
        }
        for nobody in [&stranger, &mine] {
            let answer = nobody.send("GET", &address, None).await;
            assert_eq!(answer.status().as_u16(), 303, "{route}");
            assert!(
                answer.headers()["location"].to_str().unwrap().starts_with("/console/sign-in?next="),
                "{route}"
            );
            assert_eq!(
                nobody.status("GET", &format!("{address}?live=1"), None).await,
                if nobody.cookie.is_empty() { 401 } else { 303 },
                "{route}"
            );
        }
        if acts {
            let form = format!(
                "csrf={csrf}&reason=because&amount=5.00&reference=r&seats=2&minutes=5&act=retry&id={}",
                uuid::Uuid::now_v7()
            );
            assert_eq!(viewer.status("POST", &address, Some(&form)).await, 403, "a viewer, {route}");
            assert_eq!(stranger.status("POST", &address, Some(&form)).await, 303, "a stranger, {route}");
            assert_eq!(mine.status("POST", &address, Some(&form)).await, 303, "a rider, {route}");
        }
    }
    assert_eq!(mine.status("GET", "/console/beat", None).await, 401, "a rider has no heartbeat");
    assert_eq!(stranger.status("GET", "/console/sign-in?live=1", None).await, 401, "no stream for strangers");
    assert_eq!(count(&world.pool, everything).await, 0, "nothing is paused");
    let acts = "select count(*) from audit where through = 'console' and act !~ '_read$|^operator_sign_in$'";
    assert_eq!(count(&world.pool, acts).await, 0, "a viewer signs in and reads");
    assert_eq!(rider.balance().await, "20.00");
    assert_eq!(world.order(&order).await["status"], "unpaid");
    let answer = viewer.send("GET", "/console", None).await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.contains("script-src 'self'")
            && policy.contains("default-src 'none'")
            && !policy.contains("unsafe"),
        "{policy}"
    );
    is_kept_and_framed_by_nobody(&answer);
    let page = answer.text().await.unwrap();
    assert!(
        !page.contains("<script>") && !page.contains(" style=") && !page.contains(" onclick"),
        "nothing inline"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_need_a_token_and_a_reason_and_run_once() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let address = format!("/console/riders/{}/top-up", rider.id);
    let (csrf, reference) = (ops.hidden(&address, "csrf").await, ops.hidden(&address, "reference").await);
    let form = |csrf: &str, reason: &str, amount: &str| {
        format!("csrf={csrf}&reason={reason}&amount={amount}&reference={reference}")
    };
    assert_eq!(ops.status("POST", &address, Some(&form("forged", "refund+at+the+desk", "5.00"))).await, 403);
    assert_eq!(ops.status("POST", &address, Some(&form(&csrf, "", "5.00"))).await, 422, "without a reason");
    assert_eq!(
        ops.status("POST", &address, Some(&form(&csrf, "x", "-5.00"))).await,
        422,
        "less than nothing"
    );
    let elsewhere = ops.http.post(format!("{}{address}", ops.base)).header("cookie", &ops.cookie);
    let elsewhere = elsewhere
        .header("sec-fetch-site", "cross-site")
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = elsewhere.body(form(&csrf, "x", "5.00")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 403, "from another site's page");
    assert_eq!(rider.balance().await, "0.00");
    for _ in 0..2 {
        assert_eq!(ops.status("POST", &address, Some(&form(&csrf, "refund+at+the+desk", "5.00"))).await, 303);
    }
    assert_eq!(rider.balance().await, "5.00", "sent twice, done once");
    let audit = ops.page("/console/audit").await;
    assert!(
        audit.contains("wallet_top_up") && audit.contains("refund at the desk") && audit.contains("ops"),
        "{audit}"
    );
    let page = ops.page(&format!("/console/riders/{}", rider.id)).await;
    assert!(page.contains("top_up") && page.contains("5.00"));
    for missing in ["orders", "jobs", "trips", "riders", "bulk"] {
        assert_eq!(
            ops.status("GET", &format!("/console/{missing}/{}", uuid::Uuid::now_v7()), None).await,
            404,
            "{missing}"
        );
        assert_eq!(ops.status("GET", &format!("/console/{missing}/nonsense"), None).await, 404, "{missing}");
    }
    for bad in [
        "/console/jobs?tag=nonsense",
        "/console/jobs?order=nonsense",
        "/console/jobs?since=yesterday",
        "/console/trips?day=today",
        "/console/audit?order=1",
    ] {
        assert_eq!(ops.status("GET", bad, None).await, 422, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_page_shows_pending_work() {
    let world = World::new().await;
    let (trip, rider, ops) =
        (world.trip(8).await, world.rider("50.00").await, ConsoleSession::enter(&world, "ops").await);
    let order_page = async |order: &str| ops.page(&format!("/console/orders/{order}")).await;
    let held = rider.booked(&trip, &["1"]).await;
    assert!(order_page(&held).await.contains("Seats 1 are held until"));
    let paid = rider.booked(&trip, &["2"]).await;
    rider.pay(&paid).await.expect(200);
    assert!(order_page(&paid).await.contains("Nothing is owed."));
    let failed = async |fault: &str, seat: &str| {
        let failed = rider.fault(fault).book(&trip, &[seat]).await;
        failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned()
    };
    let price = failed("order_calc_money_cancle.after=error", "3").await;
    let page = order_page(&price).await;
    assert!(page.contains("Seats 3 that were claimed are to be given back: its job is"), "{page}");
    assert!(page.contains("never added"));
    let added = failed("order_add_cancle.after=error", "4").await;
    assert!(
        order_page(&added).await.contains("The order is to be closed and its seats given back: its job is")
    );
    let debited = rider.booked(&trip, &["5"]).await;
    rider.fault("pay_money_cancle.after=error").pay(&debited).await.problem(500, "003099");
    let page = order_page(&debited).await;
    assert!(page.contains("A debit of 4.00\u{a0}CNY is to be given back or settled: its job is"), "{page}");
    // Made dead by the test: no worker processes it until it is redriven.
    sqlx::query(
        "with gone as (delete from queue.job where tag = 'pay_money_cancle' returning *)
         insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at)
         select id, tag, key, payload, max_attempts, 1, 'exhausted', '[{\"attempt\": 1, \"error\": \"the bank is closed\"}]', run_at, created_at
         from gone",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let page = order_page(&debited).await;
    assert!(page.contains("its job is dead since") && page.contains("the bank is closed"), "{page}");
    let timeline = world.ops.get(&format!("/v1/ops/orders/{debited}/timeline")).await;
    let debt: &Value = &timeline.expect(200)["owed"][0];
    assert_eq!(
        (&debt["what"], &debt["amount"], &debt["job_state"]),
        (&"debit".into(), &"4.00".into(), &"dead".into())
    );
    let dead = job_of(&world, "dead").await;
    assert!(ops.page("/console").await.contains("the bank is closed"), "home shows it");
    let job = ops.page(&format!("/console/jobs/{dead}")).await;
    assert!(job.contains("the bank is closed") && job.contains("4.00") && job.contains("Redrive"), "{job}");
    let address = format!("/console/jobs/{dead}/redrive");
    let form = format!("csrf={}&reason=the+bank+is+open", ops.hidden(&address, "csrf").await);
    assert_eq!(ops.status("POST", &address, Some(&form)).await, 303);
    let worker = world.worker();
    until("the debit is given back", || async { rider.balance().await == "46.00" }).await;
    world.drained().await;
    assert!(!order_page(&debited).await.contains("A debit"));
    assert!(order_page(&price).await.contains("Nothing is owed."));
    assert!(order_page(&added).await.contains("Nothing is owed."));
    assert!(order_page(&debited).await.contains("the bank is open"), "the operator's act is in its story");
    // Home has a verdict that a worker reached.
    until("home says that everything is safe", || async {
        ops.page("/console").await.contains("Seats and money are safe")
    })
    .await;
    drop(worker);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_is_cancelled_with_a_preview_and_the_search_finds_everything() {
    let world = World::new().await;
    let (trip, rider, ops) =
        (world.trip(4).await, world.rider("20.00").await, ConsoleSession::enter(&world, "ops").await);
    let paid = rider.booked(&trip, &["1"]).await;
    rider.pay(&paid).await.expect(200);
    let unpaid = rider.booked(&trip, &["2"]).await;
    let job = job_of(&world, "delayed").await;
    let found = async |q: &str| {
        let answer = ops.send("GET", &format!("/console/search?q={q}"), None).await;
        answer.headers().get("location").map(|place| place.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    for (room, id) in [("orders", &paid), ("trips", &trip), ("riders", &rider.id.to_string()), ("jobs", &job)]
    {
        assert_eq!(found(id).await, format!("/console/{room}/{id}"));
    }
    assert_eq!(found("rider0").await, format!("/console/riders/{}", rider.id));
    assert_eq!(found(&uuid::Uuid::now_v7().to_string()).await, "", "nothing");
    let seat = ops.send("GET", &format!("/console/orders?trip={trip}&seat=2"), None).await;
    assert_eq!(seat.headers()["location"].to_str().unwrap(), format!("/console/orders/{unpaid}"));
    let page = ops.page(&format!("/console/trips/{trip}")).await;
    assert!(
        page.contains(&format!("/console/orders/{paid}")) && page.contains("rider0"),
        "the seat map names owners"
    );
    let block = format!("/console/trips/{trip}/block");
    let csrf = ops.hidden(&block, "csrf").await;
    assert_eq!(ops.status("POST", &block, Some(&format!("csrf={csrf}&reason=broken&seats=4"))).await, 303);
    assert!(ops.page(&format!("/console/trips/{trip}")).await.contains("blocked"));
    let cancel = format!("/console/trips/{trip}/cancel");
    let preview = ops.page(&cancel).await;
    assert!(preview.contains("2 orders of 1 rider end") && preview.contains("4.00"), "{preview}");
    let departure = preview.split("Type the departure: <strong>").nth(1).unwrap().split('<').next().unwrap();
    let form = |departure: &str| format!("csrf={csrf}&reason=snow&departure={}", departure.replace(' ', "+"));
    assert_eq!(ops.status("POST", &cancel, Some(&form("another"))).await, 422, "the wrong bus");
    for _ in 0..2 {
        assert_eq!(ops.status("POST", &cancel, Some(&form(departure))).await, 303);
    }
    let acts = "select count(*) from audit where act = 'trip_cancel'";
    assert_eq!(count(&world.pool, acts).await, 1, "cancelled twice, done and recorded once");
    let _worker = Process::worker(&world.db.url, &[], &RETRY_NOTHING);
    until("its orders have ended", || async {
        ops.page(&format!("/console/trips/{trip}")).await.contains("2 / 2 orders ended")
    })
    .await;
    assert_eq!(rider.balance().await, "20.00");
    for page in [
        "/console/queues",
        "/console/jobs?state=done",
        "/console/trips",
        "/console/riders?who=rider0x",
        "/console/orders",
        "/console/bulk",
    ] {
        ops.page(page).await;
    }
    let pause = "/console/queues/order_unpaid/pause";
    assert_eq!(ops.status("POST", pause, Some(&format!("csrf={csrf}&reason=to+look"))).await, 303);
    assert_eq!(count(&world.pool, "select count(*) from queue.paused").await, 1);
    assert_eq!(
        ops.status("POST", "/console/queues/order_unpaid/resume", Some(&format!("csrf={csrf}&reason=seen")))
            .await,
        303
    );
    assert_eq!(count(&world.pool, "select count(*) from queue.paused").await, 0);
    let out = ops.send("POST", "/console/sign-out", Some(String::new())).await;
    assert_eq!(out.status().as_u16(), 303);
    assert_eq!(ops.status("GET", "/console", None).await, 303, "signed out");
}

const RETRY_NOTHING: [&str; 0] = [];
