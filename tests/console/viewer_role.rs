//! The viewer's role: every page is shown whole, no button acts, and no forged form does.

use crate::{
    harness::{Browser, Client, World, new_rider},
    ops::dead_letters::dead_bookings,
};
use farebox::{
    accounts::{self, Role},
    network,
};
use serde_json::json;
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;

/// The console's route table.
const ROUTES: &str = include_str!("../../src/console/mod.rs");
/// Forms that change nothing but the sender's own session or cookies.
const HARMLESS: [&str; 9] = [
    "/console/sign-in",
    "/console/sign-in/code",
    "/console/sign-in/enrol",
    "/console/sign-in/reset",
    "/console/preferences",
    "/console/sign-out",
    "/console/confirm",
    "/console/account/password",
    "/console/account/sessions",
];
/// What can be used on a page and acts: buttons, but for the pause and for forms that look
/// something up; links to acts.
const USABLE: &str = "return [...document.querySelectorAll('main button, main input[type=submit], main a[href]')].filter(e => \
    e.tagName === 'A' ? /\\/(retry|snooze|cancel|redrive|pause|resume|drain|block|release|top-up|approve|refuse|export|forget|verify-email|stop|disable|enable|reset|sessions|change|close|refund|note)$|\\/correct\\/|bulk\\/new|network\\/upload/.test(e.pathname) \
    : !e.matches(':disabled') && e.id !== 'pause' && !e.matches('[data-copy]') && !(e.form?.method === 'get' && !e.form.action.includes('bulk/new'))).map(e => e.innerText)";
/// The forms that act, and of these the fields and buttons that can be used.
const FORMS: &str = "const forms = [...document.querySelectorAll('main form[method=post]')]; \
    return [forms.length, forms.flatMap(f => [...f.elements]).filter(e => !e.matches(':disabled, [data-copy]')).length]";

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_reads_every_page_and_changes_nothing() {
    let world = World::with(&[("FAREBOX__WALLETS__APPROVAL_ABOVE", "50.00")]).await;
    let viewer = new_rider("watcher");
    accounts::register(&world.pool, &world.saga.passwords, &viewer, Role::Viewer).await.unwrap();
    let trip = world.trip(20).await;
    let rider = world.rider("10.00").await;
    let failed = dead_bookings(&world, &rider, &trip, &["1", "2"]).await;
    let (order, paid) = (rider.booked(&trip, &["3"]).await, rider.booked(&trip, &["4"]).await);
    rider.pay(&paid).await.expect(200);
    let job = async |of: &str, state: &str| {
        let found = world.ops.get(&format!("/v1/ops/jobs?order={of}&state={state}")).await;
        found.expect(200)["items"][0]["id"].as_str().unwrap().to_owned()
    };
    let (dead, waiting) = (job(&failed[0], "dead").await, job(&order, "delayed").await);
    let some = json!({"act": "redrive", "ids": [job(&failed[1], "dead").await], "reason": "no worker runs"});
    let bulk = world.ops.post("/v1/ops/bulk", &some).await.expect(202)["id"].as_str().unwrap().to_owned();
    let till = Client::operator(&world, "till").await;
    let large = json!({"amount": "60.00", "reference": "a large one"});
    let waits = till.post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &large).await;
    let approval = waits.expect(202)["id"].as_str().unwrap().to_owned();
    let entries = rider.get("/v1/wallet/entries").await;
    let entry = entries.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();

    let preview = uploaded(&world).await;
    let rider = rider.id.to_string();
    let failed = failed[0].clone();
    let things = Things { trip, rider, order, paid, failed, dead, waiting, bulk, entry, approval, preview };
    let (acts, pages) = (acts(&things), pages(&things));
    assert_eq!(acts.len(), 29, "{acts:?}");

    let browser = Browser::signed_in(&world, "watcher").await;
    browser.sees("watcher · viewer").await;
    nothing_can_be_used(&browser, &pages, &acts).await;
    let forger = Forger::of(&world);
    let before = contents(&world).await;
    for act in &acts {
        assert_eq!(forger.post(&browser, act).await, 403, "{act}");
    }
    assert_eq!(contents(&world).await, before, "what is refused changes nothing");
    browser.check().await;

    // The same pages and forms, for an operator.
    let operator = Browser::signed_in(&world, "ops").await;
    operator.goto(&pages[2]).await;
    assert_eq!(operator.run(USABLE).await, json!(["Redrive"]));
    operator.goto(&acts[0].replace("/console/bulk", &format!("/console/jobs/{}/redrive", things.dead))).await;
    for act in &acts {
        assert_ne!(forger.post(&operator, act).await, 403, "{act}");
    }
    assert_ne!(contents(&world).await, before, "these would have changed something");
}

/// Ids of what there is to act upon.
struct Things {
    trip: String,
    rider: String,
    order: String,
    /// A paid order.
    paid: String,
    /// An order that was never added, with a dead job.
    failed: String,
    /// A dead job.
    dead: String,
    /// A job that is put off.
    waiting: String,
    /// An operation on many jobs.
    bulk: String,
    /// A ledger entry of the rider.
    entry: String,
    /// A change of a wallet that waits for a second operator.
    approval: String,
    /// A network that was uploaded.
    preview: String,
}

/// The id of a preview of the demo's network, which changes something.
pub async fn uploaded(world: &World) -> String {
    let demo = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo-network"));
    let network = network::read(demo).unwrap().network;
    let zip = network::zipped(&network::write::files(&network)).unwrap();
    let request = reqwest::Client::new().post(format!("{}/v1/ops/network/previews", world.api.base()));
    let answer = request.bearer_auth(world.ops.token()).body(zip).send().await.unwrap();
    let preview: serde_json::Value = answer.json().await.unwrap();
    preview["id"].as_str().unwrap_or_else(|| panic!("{preview}")).to_owned()
}

/// An address for each way in which a route acts.
fn acts(things: &Things) -> Vec<String> {
    let mut acts = Vec::new();
    for route in ROUTES.split(".route(\"").skip(1).filter(|text| text.contains("post(")) {
        let route = route.split('"').next().unwrap();
        if HARMLESS.contains(&route) {
            continue;
        }
        let each = |room: &str, names: &[(&str, &str)]| {
            names.iter().map(|(id, act)| format!("/console/{room}/{id}/{act}")).collect::<Vec<_>>()
        };
        acts.extend(match route {
            "/console/bulk" => vec![route.to_owned()],
            "/console/bulk/{id}/stop" => each("bulk", &[(&things.bulk, "stop")]),
            "/console/jobs/{id}/{act}" => each(
                "jobs",
                &[
                    (&things.dead, "redrive"),
                    (&things.waiting, "retry"),
                    (&things.waiting, "snooze"),
                    (&things.waiting, "cancel"),
                ],
            ),
            "/console/queues/{tag}/{act}" => {
                each("queues", &["pause", "drain", "resume"].map(|act| ("order_unpaid", act)))
            }
            "/console/orders/{id}/{act}" => {
                let Things { order, paid, failed, .. } = things;
                each("orders", &[(order, "close"), (order, "note"), (failed, "redrive"), (paid, "refund")])
            }
            "/console/trips/{id}/{act}" => {
                each("trips", &["block", "release", "cancel"].map(|act| (things.trip.as_str(), act)))
            }
            "/console/trips/{id}/change" => each("trips", &[(&things.trip, "change")]),
            "/console/network/upload" => vec![route.to_owned()],
            "/console/network/previews/{id}" => vec![format!("/console/network/previews/{}", things.preview)],
            "/console/riders/{id}/top-up" => each("riders", &[(&things.rider, "top-up")]),
            "/console/riders/{id}/correct/{entry}" => {
                each("riders", &[(&things.rider, &format!("correct/{}", things.entry))])
            }
            "/console/riders/{id}/{act}" => {
                each("riders", &["export", "forget", "verify-email"].map(|act| (things.rider.as_str(), act)))
            }
            "/console/approvals/{id}/{act}" => {
                each("approvals", &["approve", "refuse"].map(|act| (things.approval.as_str(), act)))
            }
            "/console/accounts/{id}/{act}" => {
                each("accounts", &["reset", "sessions", "disable"].map(|act| (things.rider.as_str(), act)))
            }
            other => panic!("{other} acts: say here how"),
        });
    }
    acts
}

fn pages(things: &Things) -> [String; 16] {
    let Things { trip, rider, order, dead, waiting, bulk, .. } = things;
    let day = (chrono::Utc::now() + chrono::Duration::hours(24 + 8)).date_naive();
    [
        "/console".to_owned(),
        "/console/jobs".to_owned(),
        format!("/console/jobs/{dead}"),
        format!("/console/jobs/{waiting}"),
        "/console/queues".to_owned(),
        "/console/bulk".to_owned(),
        format!("/console/bulk/{bulk}"),
        "/console/orders".to_owned(),
        format!("/console/orders/{order}"),
        format!("/console/trips?day={day}"),
        format!("/console/trips/{trip}"),
        "/console/network".to_owned(),
        "/console/riders".to_owned(),
        format!("/console/riders/{rider}"),
        "/console/approvals".to_owned(),
        "/console/audit".to_owned(),
    ]
}

/// Every page is shown, and neither a link nor a button nor a form of the pages acts.
async fn nothing_can_be_used(browser: &Browser, pages: &[String], acts: &[String]) {
    for page in pages {
        browser.goto(page).await;
        assert_eq!(browser.path().await, *page, "a viewer sees {page}");
        assert_eq!(browser.run(USABLE).await, json!([]), "{page}");
    }
    for act in acts {
        let page = match act.as_str() {
            "/console/bulk" => "/console/bulk/new?act=redrive&tag=order_add_seats_cancle".to_owned(),
            // The form that acts stands below the preview.
            change if change.ends_with("/change") => format!("{change}?price=5.00"),
            other => other.to_owned(),
        };
        browser.goto(&page).await;
        browser.sees("For operators only.").await;
        assert_eq!(browser.run(FORMS).await, json!([1, 0]), "{page}: a form, and nothing in it can be used");
    }
}

/// Sends the forms that a page does not let its reader send.
struct Forger {
    http: reqwest::Client,
    base: String,
}

impl Forger {
    fn of(world: &World) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, base: world.api.base() }
    }

    /// Sends a form that fits every act, with the session and the token of the browser's page.
    async fn post(&self, browser: &Browser, act: &str) -> u16 {
        const TOKEN: &str = "return document.querySelector('main input[name=csrf]').value";
        let Self { http, base } = self;
        let csrf = browser.run(TOKEN).await.as_str().unwrap().to_owned();
        let form = format!(
            "csrf={csrf}&reason=forged&id={}&expected=1&act=redrive&tag=order_add_seats_cancle&minutes=10&seats=9&amount=1.00&reference=forged",
            uuid::Uuid::now_v7()
        );
        let request = http.post(format!("{base}{act}")).header("cookie", browser.cookies().await);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        request.header("origin", base).send().await.unwrap().status().as_u16()
    }
}

/// Every table's contents in brief, but for the counts of what was answered.
async fn contents(world: &World) -> BTreeMap<String, String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables
         where schemaname in ('public', 'queue') and tablename <> 'minute_tally'",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let mut all = BTreeMap::new();
    for table in tables {
        let sql =
            format!("select coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {table} t");
        let brief = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&world.pool).await.unwrap();
        all.insert(table, brief);
    }
    all
}
