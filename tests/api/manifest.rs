//! Who was on the bus: the manifest of a trip that was cancelled, and cells that spreadsheets take
//! for what they are.

use crate::{
    console::session::ConsoleSession,
    harness::{Client, World, new_rider, until},
};
use farebox::accounts::{self, Role};
use serde_json::{Value, json};

async fn contact(world: &World, rider: &Client, nick_name: &str, phone: &str, email: &str) {
    sqlx::query("update rider set nick_name = $2, phone = $3, email = $4 where id = $1")
        .bind(rider.id.0)
        .bind(nick_name)
        .bind(phone)
        .bind(email)
        .execute(&world.pool)
        .await
        .unwrap();
}

async fn viewer(world: &World) -> Client {
    let account = new_rider("viewer");
    accounts::register(&world.pool, &world.saga.passwords, &account, Role::Viewer).await.unwrap();
    Client::sign_in(&world.api.base(), "viewer").await
}

fn lines(manifest: &Value) -> Vec<[&str; 3]> {
    manifest["seats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| ["seat", "user_name", "status"].map(|name| line[name].as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_trip_still_has_its_manifest() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let path = format!("/v1/ops/trips/{trip}/manifest");
    let (mei, bo, gone) =
        (world.rider("100.00").await, world.rider("100.00").await, world.rider("100.00").await);
    contact(&world, &mei, "王小明", "+8613800138000", "mei@example.org").await;
    contact(&world, &bo, "=1+1", "0012", "@bo").await;
    let paid = mei.booked(&trip, &["2", "5"]).await;
    mei.pay(&paid).await.expect(200);
    let own_way = bo.booked(&trip, &["3"]).await;
    bo.pay(&own_way).await.expect(200);
    bo.booked(&trip, &["4"]).await;
    let cancelled = gone.booked(&trip, &["1"]).await;
    gone.cancel(&cancelled).await.expect(200);
    let before = world.ops.get(&path).await;
    assert_eq!(lines(before.expect(200)), on_the_bus("paid", "paid", "unpaid"));
    assert_eq!(before.body["seats"][0]["phone"], "+8613800138000");
    assert!(before.body.get("cancelled_at").is_none());

    let cancel = format!("/v1/ops/trips/{trip}/cancel");
    world.ops.post(&cancel, &json!({"reason": "the bus broke down"})).await.expect(202);
    // This rider refunds the order before any worker does, so the cancelling does not end it.
    bo.refund(&own_way).await.expect(200);
    let meanwhile = world.ops.get(&path).await;
    assert_eq!(lines(meanwhile.expect(200)), on_the_bus("refunded", "paid", "unpaid"));
    let _worker = world.worker();
    until("the cancelling has ended", async || {
        let progress = world.ops.get(&format!("/v1/ops/trips/{trip}/cancellation")).await;
        progress.expect(200)["finished_at"].is_string()
    })
    .await;
    world.drained().await;

    it_says_how_each_order_ended(&world, &path).await;
    let csv = it_is_a_table_as_well(&world, &trip, &path).await;
    let viewer = viewer(&world).await;
    a_viewer_reads_no_contacts(&world, &viewer, &path).await;
    mei.get(&path).await.problem(403, "003091");
    the_console_shows_the_same(&world, &trip, &paid, &csv).await;
}

/// The lines of the trip: the status of the second rider's paid order, of the first rider's, and of
/// the unpaid one.
fn on_the_bus<'a>(second: &'a str, first: &'a str, unpaid: &'a str) -> Vec<[&'a str; 3]> {
    vec![["2", "rider0", first], ["3", "rider1", second], ["4", "rider1", unpaid], ["5", "rider0", first]]
}

async fn it_says_how_each_order_ended(world: &World, path: &str) {
    let after = world.ops.get(path).await;
    assert_eq!(lines(after.expect(200)), on_the_bus("refunded", "refunded", "closed"));
    let seats = &after.body["seats"];
    assert!(after.body["cancelled_at"].is_string());
    assert_eq!(after.body["cancelled_reason"], "the bus broke down");
    assert_eq!(seats[0]["phone"], "+8613800138000");
    assert_eq!((&seats[0]["nick_name"], &seats[0]["email"]), (&json!("王小明"), &json!("mei@example.org")));
    assert_eq!((&seats[0]["payment"], &seats[0]["paid"]), (&json!("refunded"), &json!(false)));
    assert!(seats[0]["paid_at"].is_string() && seats[2].get("paid_at").is_none());
    assert_eq!(seats[2]["closed_reason"], "cancelled_by_system");
}

/// Returns the text of the table.
async fn it_is_a_table_as_well(world: &World, trip: &str, path: &str) -> String {
    let csv = world.ops.get(&format!("{path}?format=csv")).await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8; header=present");
    assert!(csv.headers["content-disposition"].to_str().unwrap().contains(&format!("manifest-{trip}.csv")));
    let mut reader = csv::Reader::from_reader(csv.text.as_bytes());
    let columns = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, column: &str| {
        let at = columns.iter().position(|name| name == column).unwrap();
        rows[row][at].to_owned()
    };
    assert_eq!(rows.len(), 4);
    assert_eq!((cell(0, "nick_name"), cell(0, "phone")), ("王小明".to_owned(), "'+8613800138000".to_owned()));
    assert_eq!(
        (cell(1, "nick_name"), cell(1, "phone"), cell(1, "email")),
        ("'=1+1".to_owned(), "'0012".to_owned(), "'@bo".to_owned())
    );
    assert_eq!(csv.text.matches("\r\n").count(), csv.text.matches('\n').count(), "RFC 4180");
    csv.text
}

/// A viewer sees the riders' names, and not how to reach them.
async fn a_viewer_reads_no_contacts(world: &World, viewer: &Client, path: &str) {
    let (whole, seen) = (world.ops.get(path).await, viewer.get(path).await);
    assert_eq!(lines(seen.expect(200)), lines(whole.expect(200)));
    let as_csv = viewer.get(&format!("{path}?format=csv")).await;
    for text in [&seen.text, &as_csv.text] {
        assert!(!text.contains("13800138000") && !text.contains("example.org"), "{text}");
    }
}

async fn the_console_shows_the_same(world: &World, trip: &str, paid: &str, csv: &str) {
    let (operator, looker) =
        (ConsoleSession::enter(world, "ops").await, ConsoleSession::enter(world, "viewer").await);
    let address = format!("/console/trips/{trip}/manifest");
    assert!(
        operator.page(&format!("/console/trips/{trip}")).await.contains(&address),
        "the trip's page leads there"
    );
    let page = operator.page(&address).await;
    for text in ["rider0", "王小明", "+8613800138000", "mei@example.org", paid, "the bus broke down"] {
        assert!(page.contains(text), "{text}");
    }
    let page = looker.page(&address).await;
    assert!(page.contains("rider0") && !page.contains("13800138000") && !page.contains("example.org"));
    let sheet = operator.page(&format!("{address}.csv")).await;
    // reqwest leaves the byte order mark out of the text.
    assert_eq!(sheet.trim_start_matches('\u{feff}'), csv);
    let sheet = looker.page(&format!("{address}.csv")).await;
    assert!(!sheet.contains("13800138000"));
    assert_eq!(
        looker.status("GET", &format!("/console/trips/{}/manifest", uuid::Uuid::now_v7()), None).await,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_no_formulas_numbers_or_dates_to_a_spreadsheet() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let names = ["-1-1", "1e5", "0012", "2026-01-02", "Mar-1", ".5e3", "TRUE", "mary"];
    for (seat, name) in (1..).zip(names) {
        let rider = world.rider("0.01").await;
        rider.booked(&trip, &[&seat.to_string()]).await;
        // Some of them are refused today; an account of before keeps its name.
        let renamed =
            sqlx::query("update rider set user_name = $1 where id = $2").bind(name).bind(rider.id.0);
        renamed.execute(&world.pool).await.unwrap();
    }
    let csv = world.ops.get_as(&format!("/v1/ops/trips/{trip}/manifest"), "text/csv").await;
    let seen: Vec<&str> = csv.text.lines().skip(1).map(|line| line.split(',').nth(3).unwrap()).collect();
    assert_eq!(seen, ["'-1-1", "'1e5", "'0012", "'2026-01-02", "'Mar-1", "'.5e3", "'TRUE", "mary"]);
    // A program gets back what it was.
    let back: Vec<&str> = seen.iter().map(|cell| cell.strip_prefix('\'').unwrap_or(cell)).collect();
    assert_eq!(back, names);
}
