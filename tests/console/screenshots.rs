//! Makes the pictures of the documentation, of a busy hour:
//!
//! ```console
//! $ cargo test --test farebox-tests screenshots -- --ignored
//! ```

use crate::harness::{Browser, Client, Process, Receiver, Screen, World, new_rider, until, with_palette};
use farebox::accounts::{self, Role};
use serde_json::json;
use std::{fs, path::Path};

/// The largest picture, bytes.
const LARGEST: usize = 150_000;
/// All pictures together, bytes.
const MOST: usize = 3_000_000;
const RIDERS: [&str; 8] = ["amara", "bao", "chen", "dilys", "emil", "fatima", "goran", "hanne"];
/// The undos of claims fail for good, those of debits until the fault is removed.
const BROKEN: &str = "undo.order_add_seats_cancle.before=error,undo.pay_money_cancle.before=error";
const HALF_FIXED: &str = "undo.order_add_seats_cancle.before=error";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/screenshots"]
async fn screenshots() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let webhook = webhook(&world, &receiver).await;
    let trip = world.trip(40).await;
    let people = people(&world).await;
    orders_in_every_state(&world, &trip, &people).await;
    for (rider, seat) in [(&people[1], "35"), (&people[5], "36")] {
        rider.fault("order_add_seats_cancle.after=error").book(&trip, &[seat]).await.problem(500, "003099");
    }
    let ticket = people[3].booked(&trip, &["27", "28"]).await;
    people[3].pay(&ticket).await.expect(200);
    let order = people[3].booked(&trip, &["37", "38"]).await;
    people[3].fault("pay_money_cancle.after=error").pay(&order).await.problem(500, "003099");
    let (dead, _worker) = dead_letters(&world).await;
    until("the debit is given back", || async { people[3].balance().await == "52.00" }).await;
    receiver.has_taken(1).await;
    // The name of a receiver of the world outside, which is sent nothing: the worker reads it later.
    let outside = "update webhook_endpoint set url = 'https://books.example.com/farebox'";
    sqlx::query(outside).execute(&world.pool).await.unwrap();
    tallies_of_the_hour_before(&world).await;
    let bulk =
        sqlx::query_scalar::<_, String>("select id::text from bulk").fetch_one(&world.pool).await.unwrap();
    let paid = sqlx::query_scalar::<_, String>(
        "select id::text from orders where status = 'paid' order by id limit 1",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    accounts::register(&world.pool, &world.saga.passwords, &new_rider("ines"), Role::Admin).await.unwrap();
    pictures(
        &world,
        &pages(
            &world,
            &Shown {
                dead: &dead[0],
                bulk: &bulk,
                order: &order,
                paid: &paid,
                trip: &trip,
                webhook: &webhook,
            },
        ),
        &rides(&people[3], &trip, &ticket, &order).await,
    )
    .await;
}

/// The pages of a rider with a ticket, an order to be paid, and one whose payment failed.
async fn rides(rider: &Client, trip: &str, ticket: &str, failed: &str) -> Vec<(&'static str, String)> {
    let unpaid = rider.get("/v1/orders?list=unpaid").await.expect(200)["items"].clone();
    let mut ids = unpaid.as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap());
    let open = ids.rfind(|id| *id != failed).unwrap();
    let day = rider.get(&format!("/v1/orders/{ticket}")).await.expect(200)["departs_local"].clone();
    vec![
        ("ride", format!("/ride?date={}", &day.as_str().unwrap()[..10])),
        ("ride-trip", format!("/ride/trips/{trip}?seats=31,32")),
        ("ride-pay", format!("/ride/orders/{open}")),
        ("ride-ticket", format!("/ride/orders/{ticket}")),
        ("ride-owed", format!("/ride/orders/{failed}")),
        ("ride-wallet", "/ride/wallet".to_owned()),
    ]
}

/// What the pages are of.
struct Shown<'a> {
    dead: &'a str,
    bulk: &'a str,
    order: &'a str,
    paid: &'a str,
    trip: &'a str,
    webhook: &'a str,
}

/// Every page, by the name of its pictures.
fn pages(world: &World, shown: &Shown<'_>) -> Vec<(&'static str, String)> {
    let Shown { dead, bulk, order, paid, trip, webhook } = shown;
    let rider = world.ops.id;
    let day = (chrono::Utc::now() + chrono::Duration::hours(24 + 8)).date_naive();
    let console = |path: &str| format!("/console{path}");
    vec![
        ("home", console("")),
        ("jobs", console("/jobs")),
        ("job", console(&format!("/jobs/{dead}"))),
        ("job-redrive", console(&format!("/jobs/{dead}/redrive"))),
        ("queues", console("/queues")),
        ("queue-pause", console("/queues/pay_money_cancle/pause")),
        ("bulk", console("/bulk")),
        ("bulk-preview", console("/bulk/new?act=redrive&tag=order_add_seats_cancle&state=dead")),
        ("bulk-operation", console(&format!("/bulk/{bulk}"))),
        ("orders", console("/orders")),
        ("order", console(&format!("/orders/{order}"))),
        ("order-refund", console(&format!("/orders/{paid}/refund"))),
        ("trips", console(&format!("/trips?day={day}"))),
        ("trip", console(&format!("/trips/{trip}"))),
        ("trip-cancel", console(&format!("/trips/{trip}/cancel"))),
        ("trip-manifest", console(&format!("/trips/{trip}/manifest"))),
        ("network", console("/network")),
        ("riders", console("/riders?who=hen")),
        ("rider", console(&format!("/riders/{rider}"))),
        ("top-up", console(&format!("/riders/{rider}/top-up"))),
        ("approvals", console("/approvals")),
        ("audit", console("/audit")),
        ("operators", console("/accounts")),
        ("account", console("/account")),
        ("search", console("/search?q=simulated")),
        ("webhooks", console("/webhooks")),
        ("webhook", console(&format!("/webhooks/{webhook}"))),
        ("webhook-change", console(&format!("/webhooks/{webhook}/change"))),
    ]
}

/// A webhook that takes all that has to do with money.
async fn webhook(world: &World, receiver: &Receiver) -> String {
    let body = json!({
        "name": "bookkeeping", "url": receiver.url(), "reason": "the books",
        "kinds": ["order.paid", "order.refunded", "rollback.failed"],
    });
    let added = world.ops.post("/v1/ops/webhooks", &body).await;
    added.expect(201)["id"].as_str().unwrap().to_owned()
}

/// Riders who can pay.
async fn people(world: &World) -> Vec<Client> {
    let mut people = Vec::new();
    for name in RIDERS {
        let rider = accounts::register(&world.pool, &world.saga.passwords, &new_rider(name), Role::Rider)
            .await
            .unwrap();
        world.top_up(rider.id, "60.00", "first").await.expect(201);
        people.push(Client::sign_in(&world.api.base(), name).await);
    }
    people
}

/// Orders in every state, and seats that nobody may book.
async fn orders_in_every_state(world: &World, trip: &str, people: &[Client]) {
    for (nr, rider) in people.iter().enumerate() {
        let seats = [(4 * nr + 1).to_string(), (4 * nr + 2).to_string()];
        let order = rider.booked(trip, &[&seats[0], &seats[1]]).await;
        if nr % 3 != 0 {
            rider.pay(&order).await.expect(200);
        }
        if nr == 4 {
            rider.refund(&order).await.expect(200);
        }
    }
    let broken = json!({"seats": ["39", "40"], "reason": "the belts are worn"});
    world.ops.post(&format!("/v1/ops/trips/{trip}/seats/block"), &broken).await.expect(200);
}

/// The undos of the failed requests fail until they are dead, and one of them is redriven. Returns
/// the jobs, by tag, and the worker that runs on.
async fn dead_letters(world: &World) -> (Vec<String>, Process) {
    sqlx::query("update queue.job set max_attempts = 2 where tag <> 'order_unpaid'")
        .execute(&world.pool)
        .await
        .unwrap();
    let mut first = Process::worker(&world.db.url, &[("FAREBOX_FAULTS", BROKEN)], &[]);
    let letters = "select id::text from queue.dead_letter order by tag";
    let dead = async || sqlx::query_scalar::<_, String>(letters).fetch_all(&world.pool).await.unwrap();
    until("three are dead", || async { dead().await.len() == 3 }).await;
    first.kill();
    let second = Process::worker(&world.db.url, &[("FAREBOX_FAULTS", HALF_FIXED)], &[]);
    let dead = dead().await;
    let again = json!({"act": "redrive", "ids": [dead[2]], "reason": "the bank answers again"});
    world.ops.post("/v1/ops/bulk", &again).await.expect(202);
    (dead, second)
}

async fn tallies_of_the_hour_before(world: &World) {
    sqlx::raw_sql(
        "insert into minute_tally (minute, booked, paid, refused, failed)
         select m, 40 + 25 * sin(n / 6.0) + n % 7, 30 + 20 * sin(n / 6.0) + n % 5, 3 + n % 4, (n % 17 = 0)::int
         from generate_series(1, 58) as n, lateral (select date_trunc('minute', now()) - n * interval '1 minute' as m) as at
         on conflict do nothing;
         insert into queue.tally (tag, minute, done, failed, pickup, lateness)
         select tag, date_trunc('minute', now()) - n * interval '1 minute', 2 + (n + length(tag)) % 5, (n % 13 = 0)::int,
                array[0, 0, 20 + n % 9, 6, n % 3], array[0, 0, 9, 3 + n % 2]
         from generate_series(1, 58) as n,
              unnest(array['order_unpaid', 'order_add_seats_cancle', 'pay_money_cancle', 'order_cancel']) as tag
         on conflict do nothing;",
    )
    .execute(&world.pool)
    .await
    .unwrap();
}

async fn pictures(world: &World, pages: &[(&str, String)], rides: &[(&str, String)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let browser = Browser::signed_in(world, "ines").await;
    browser.sees("jobs have given up.").await;
    browser.sees("invariants, checked").await;
    let mut bytes = crate::web::pictures::take(world, &folder, RIDERS[3], rides).await;
    for (look, screen, scheme) in [
        ("light", Screen::Desktop, "light"),
        ("dark", Screen::Desktop, "dark"),
        ("phone", Screen::Phone, "light"),
    ] {
        browser.screen(screen).await;
        if screen == Screen::Desktop {
            // Less high than a desk's: a picture is to be small.
            let size = json!({"width": 1200, "height": 720, "deviceScaleFactor": 1, "mobile": false});
            browser.debug("Emulation.setDeviceMetricsOverride", &size).await;
        }
        browser.prefers(scheme).await;
        for (page, address) in pages {
            browser.goto(address).await;
            let settled = "!isLive || document.documentElement.dataset.live === 'on'";
            browser.until("it is live, if it has a live part", settled).await;
            let picture = with_palette(&browser.picture().await);
            assert!(picture.len() < LARGEST, "{page}-{look} has {} bytes", picture.len());
            bytes += picture.len();
            fs::write(folder.join(format!("{page}-{look}.png")), picture).unwrap();
        }
    }
    assert!(bytes < MOST, "{bytes} bytes");
    browser.check().await;
}
