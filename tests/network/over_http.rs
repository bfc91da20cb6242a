//! The network over HTTP and in the console: read, previewed, imported.

use super::{Files, currencies::network, small, written};
use crate::harness::{Browser, Client, Process, World, count, new_rider, until};
use farebox::{
    accounts::{self, Role},
    network::{bounds::MAX_ZIP_BYTES, read_zip},
};
use serde_json::{Value, json};
use std::{io::Write as _, path::PathBuf};
use zip::{ZipWriter, write::SimpleFileOptions};

pub(super) const PREVIEWS: &str = "/v1/ops/network/previews";
pub(super) const IMPORTS: &str = "/v1/ops/network/imports";

pub(super) fn zip(files: &Files) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A world without departures.
async fn world() -> World {
    let world = World::new().await;
    sqlx::raw_sql("delete from timetable; delete from bus").execute(&world.pool).await.unwrap();
    world
}

/// The small network with these departures.
fn with(departures: &str) -> Files {
    let mut files = network("EUR", "1.50");
    let head = "code,route,direction,bus,calendar,departs,legs\n";
    files.insert("departures.csv", format!("{head}{departures}").into_bytes());
    files
}

/// Uploads this; the status and the body.
pub(super) async fn upload(world: &World, by: &Client, body: Vec<u8>) -> (u16, Value) {
    let request = reqwest::Client::new().post(format!("{}{PREVIEWS}", world.api.base()));
    let answer = request.bearer_auth(by.token()).header("content-type", "application/zip").body(body);
    let answer = answer.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

pub(super) async fn previewed(world: &World, files: &Files) -> Value {
    let (status, preview) = upload(world, &world.ops, zip(files)).await;
    assert_eq!(status, 201, "{preview}");
    preview
}

pub(super) fn import_of(preview: &Value) -> Value {
    json!({ "preview_id": preview["id"], "digest": preview["digest"], "reason": "the summer's timetable" })
}

/// Everything that an import writes.
async fn tables(world: &World) -> String {
    let sql = "select jsonb_build_array((select jsonb_agg(n) from network n), (select count(*) from stop),
        (select jsonb_agg(t order by t.id) from timetable t), (select jsonb_agg(t order by t.id) from trip t),
        (select jsonb_agg(s order by s.trip_id, s.seat) from seat s), (select count(*) from audit))::text";
    sqlx::query_scalar(sql).fetch_one(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_previewed_imported_and_read_again() {
    let world = world().await;
    world.ops.get("/v1/ops/network").await.problem(404, "003070");
    let files = with("d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n");
    let before = tables(&world).await;
    let preview = previewed(&world, &files).await;
    assert_eq!(tables(&world).await, before, "a preview changes nothing");
    assert_eq!((&preview["added"]["count"], &preview["added"]["first"]), (&json!(2), &json!(["d", "e"])));
    assert_eq!(
        (&preview["network"]["departures"], &preview["network"]["currency"]),
        (&json!(2), &json!("EUR"))
    );
    assert_eq!((&preview["changes"], &preview["of_riders"]["trips"]), (&json!(true), &json!(0)));

    // A digest of another preview, a preview that nobody made.
    let mut stale = import_of(&preview);
    stale["digest"] = json!("0".repeat(32));
    world.ops.post(IMPORTS, &stale).await.problem(409, "006071");
    let mut unknown = import_of(&preview);
    unknown["preview_id"] = json!(uuid::Uuid::now_v7());
    world.ops.post(IMPORTS, &unknown).await.problem(404, "003070");
    let mut mute = import_of(&preview);
    mute.as_object_mut().unwrap().remove("reason");
    world.ops.post(IMPORTS, &mute).await.problem(422, "003073");
    assert_eq!(tables(&world).await, before, "nothing was imported");

    let ops = world.ops.key("one import");
    let imported = ops.post(IMPORTS, &import_of(&preview)).await;
    let fields = imported.expect(200);
    assert_eq!(
        (&fields["changes"], &fields["added"], &fields["ended"]),
        (&json!(true), &json!(2), &json!(0))
    );
    let again = ops.post(IMPORTS, &import_of(&preview)).await;
    assert_eq!(
        (again.expect(200), &again.headers["idempotent-replayed"]),
        (fields, &"true".parse().unwrap())
    );
    let audited =
        "select count(*) from audit where act = 'network_import' and reason = 'the summer''s timetable'
                   and through = 'api' and actor_id is not null";
    assert_eq!(count(&world.pool, audited).await, 1);

    let sold = world.ops.get("/v1/ops/network").await;
    let sold = sold.expect(200);
    let shown = ["name", "currency", "departures", "routes", "buses"].map(|field| sold[field].clone());
    assert_eq!(shown, [json!("Small"), json!("EUR"), json!(2), json!(1), json!(2)]);
    assert!(sold["imported_at"].is_string() && sold["digest"].as_str().unwrap().len() == 64, "{sold}");
    for (path, accept) in [("/v1/ops/network?format=zip", "*/*"), ("/v1/ops/network", "application/zip")] {
        let url = format!("{}{path}", world.api.base());
        let request = reqwest::Client::new().get(url).bearer_auth(world.ops.token()).header("accept", accept);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/zip");
        let bytes = answer.bytes().await.unwrap().to_vec();
        let network = farebox::network::read(&written("over-http", &files)).unwrap().network;
        assert_eq!(read_zip(bytes.into()).unwrap().network, network, "what was imported");
    }
    // The same network again changes nothing, and its digest is stale for what came after.
    let same = previewed(&world, &files).await;
    assert_eq!((&same["changes"], &same["added"]["count"]), (&json!(false), &json!(0)));
    // So does the digest of the import that was applied last; one of before is stale.
    let found = world.ops.post(IMPORTS, &import_of(&preview)).await;
    assert_eq!(found.expect(200)["changes"], json!(false));
    let other = previewed(&world, &with("d,r,0,1,k,8:05,10 5\n")).await;
    world.ops.post(IMPORTS, &import_of(&other)).await.expect(200);
    world.ops.post(IMPORTS, &import_of(&preview)).await.problem(409, "006071");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_upload_is_told_and_nothing_is_kept() {
    let world = world().await;
    let mut files = small();
    files.insert("stops.csv", b"code,nam\na,A\n".to_vec());
    files.insert("fares.csv", b"route,class,amount\nr,standard,1.505\n".to_vec());
    let (status, problem) = upload(&world, &world.ops, zip(&files)).await;
    assert_eq!((status, &problem["code"]), (422, &json!("006070")), "{problem}");
    let faults = problem["faults"].as_array().unwrap();
    assert_eq!(problem["fault_count"], faults.len());
    let column = json!({ "file": "stops.csv", "line": 1, "rule": "no column \"nam\" is known here; the nearest is name" });
    assert!(faults.contains(&column), "{problem}");
    let amount = faults.iter().find(|fault| fault["file"] == "fares.csv").unwrap();
    assert_eq!((&amount["line"], &amount["column"]), (&json!(2), &json!("amount")), "{problem}");

    for none in [Vec::new(), b"{}".to_vec(), b"PK\x03\x04 and then nothing".to_vec()] {
        let (status, problem) = upload(&world, &world.ops, none).await;
        assert_eq!((status, &problem["faults"][0]["file"]), (422, &json!("the zip")), "{problem}");
    }
    let (status, problem) = upload(&world, &world.ops, vec![0; MAX_ZIP_BYTES + 1]).await;
    assert_eq!((status, &problem["code"]), (413, &json!("003074")), "{problem}");
    // 60 MB of zeros, zipped.
    let mut zeros = small();
    zeros.insert("stops.csv", vec![0; 60_000_000]);
    let (status, problem) = upload(&world, &world.ops, zip(&zeros)).await;
    let first = (&problem["faults"][0]["file"], &problem["faults"][0]["line"]);
    assert_eq!((status, first), (422, (&json!("stops.csv"), &json!(1))), "{problem}");
    let rider = world.rider("0").await;
    let watcher = new_rider("watcher");
    accounts::register(&world.pool, &world.saga.passwords, &watcher, Role::Viewer).await.unwrap();
    let viewer = Client::sign_in(&world.api.base(), "watcher").await;
    for by in [&rider, &viewer] {
        assert_eq!(upload(&world, by, zip(&small())).await.0, 403);
    }
    assert_eq!(count(&world.pool, "select count(*) from network_preview").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trips_that_riders_have_are_named_and_their_riders_are_moved() {
    let world = world().await;
    let first = previewed(&world, &with("d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n")).await;
    world.ops.post(IMPORTS, &import_of(&first)).await.expect(200);
    let _worker = Process::worker(&world.db.url, &[("FAREBOX__TRIPS__HORIZON_DAYS", "4")], &[]);
    let made = "select count(*) from trip t join timetable d on d.id = t.timetable_id where d.code = 'd'
                and t.departs_at > now() + interval '2 days'";
    until("trips are made", async || count(&world.pool, made).await > 0).await;
    let trip: String = sqlx::query_scalar(
        "select t.id::text from trip t join timetable d on d.id = t.timetable_id where d.code = 'd'
         order by t.departs_at desc limit 1",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    let rider = world.rider("10.00").await;
    let order = rider.booked(&trip, &["1", "2"]).await;
    rider.pay(&order).await.expect(200);
    let preview = previewed(&world, &with("d,r,0,1,k,8:05,10 5\n")).await;
    assert_eq!(preview["ended"]["first"], json!(["e"]));
    assert_eq!(preview["changed"], json!([{ "code": "d", "what": ["time"] }]));
    let touched = &preview["touched"][0];
    let shown = ["trip_id", "departure", "kind", "seats_sold", "seats_held", "riders", "money"];
    let values = [json!(trip), json!("d"), json!("changes"), json!(2), json!(0), json!(1), json!("3.00")];
    assert_eq!(shown.map(|field| touched[field].clone()), values, "{touched}");
    let of_riders = json!({ "trips": 1, "seats_sold": 2, "seats_held": 0, "money": "3.00", "currency": "EUR",
                "orders_moved": 1, "orders_ended": 0, "refunded": "0.00" });
    assert_eq!(preview["of_riders"], of_riders);
    assert_eq!(preview["trips"]["returned"], 0);
    // A zip that was previewed before the trip had riders is refused, and changes nothing.
    let before = tables(&world).await;
    let mut stale = import_of(&preview);
    stale["digest"] = first["digest"].clone();
    world.ops.post(IMPORTS, &stale).await.problem(409, "006071");
    assert_eq!(tables(&world).await, before, "nothing was changed");
    world.ops.post(IMPORTS, &import_of(&preview)).await.expect(202);
    until("the import is finished", async || {
        count(&world.pool, "select count(*) from network_import where finished_at is null").await == 0
    })
    .await;
    let changes = rider.get(&format!("/v1/orders/{order}")).await.expect(200)["changes"].clone();
    assert_eq!(changes.as_array().map(Vec::len), Some(1), "{changes}");
    // A currency that wallets are not in.
    let (status, problem) = upload(&world, &world.ops, zip(&network("JPY", "150"))).await;
    assert_eq!((status, &problem["code"]), (409, &json!("006072")), "{problem}");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_are_bounded_and_end_after_a_day() {
    let world = world().await;
    let mut ids = Vec::new();
    for _ in 0..22 {
        ids.push(previewed(&world, &with("d,r,0,1,k,8:00,10 5\n")).await);
    }
    let kept: Vec<String> = sqlx::query_scalar("select id::text from network_preview order by id")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    let newest: Vec<&str> = ids[2..].iter().map(|preview| preview["id"].as_str().unwrap()).collect();
    assert_eq!(kept, newest);
    world.ops.post(IMPORTS, &import_of(&ids[1])).await.problem(404, "003070");
    let old = "update network_preview set at = at - interval '1 day' where id <> $1::uuid";
    sqlx::query(old).bind(kept.last()).execute(&world.pool).await.unwrap();
    world.ops.post(IMPORTS, &import_of(&ids[5])).await.problem(404, "003070");
    sqlx::query("update queue.maintenance_task set next_at = now()").execute(&world.pool).await.unwrap();
    let _worker = world.worker();
    until("old previews are deleted", async || {
        count(&world.pool, "select count(*) from network_preview").await == 1
    })
    .await;
    world.ops.post(IMPORTS, &import_of(&ids[21])).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_asks_for_the_password_again() {
    let world = World::with(&[("FAREBOX__ACCOUNTS__CONFIRM_SECS", "300")]).await;
    sqlx::raw_sql("delete from timetable; delete from bus").execute(&world.pool).await.unwrap();
    let preview = previewed(&world, &with("d,r,0,1,k,8:00,10 5\n")).await;
    sqlx::query("update session set confirmed_at = now() - interval '6 minutes'")
        .execute(&world.pool)
        .await
        .unwrap();
    world.ops.post(IMPORTS, &import_of(&preview)).await.problem(403, "003092");
    assert_eq!(count(&world.pool, "select count(*) from network").await, 0);
    let password = json!({ "password": crate::harness::PASSWORD });
    world.ops.post("/v1/sessions/current/confirmation", &password).await.expect(204);
    world.ops.post(IMPORTS, &import_of(&preview)).await.expect(200);
}

/// A zip on the disk, for a browser.
fn file(name: &str, files: &Files) -> PathBuf {
    let path = crate::harness::folder(&format!("network-{name}.zip"));
    std::fs::write(&path, zip(files)).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_imports_a_network_in_the_console() {
    let world = world().await;
    let good = file("console-good", &with("d,r,0,1,k,8:00,10 5\n"));
    let mut wrong = small();
    wrong.insert("stops.csv", b"code,nam\na,A\n".to_vec());
    let bad = file("console-bad", &wrong);
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto("/console/network").await;
    browser.sees("No network was imported.").await;
    browser.click("Upload another").await;
    browser.fill("Zip of the network", bad.to_str().unwrap()).await;
    browser.click("Preview").await;
    browser.sees("stops.csv:1: no column \"nam\" is known here").await;
    browser.click("Upload again").await;
    browser.fill("Zip of the network", good.to_str().unwrap()).await;
    browser.click("Preview").await;
    browser.sees("Read without faults.").await;
    browser.sees("1: d").await;
    assert_eq!(count(&world.pool, "select count(*) from network").await, 0, "a preview changes nothing");
    browser.fill("Reason", "the first timetable").await;
    browser.click("Apply").await;
    browser.sees("The network is imported").await;
    browser.sees("EUR").await;
    let audited = "select count(*) from audit where act = 'network_import' and reason = 'the first timetable'
                   and through = 'console'";
    assert_eq!(count(&world.pool, audited).await, 1);
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|one| one.contains("422")), "only the refusal: {complaints:?}");
    browser.click("中文").await;
    browser.sees("下载文件").await;
    browser.check().await;

    // A page that was open while the network changed.
    let second = file("console-second", &with("d,r,0,1,k,8:30,10 5\n"));
    browser.goto("/console/network/upload").await;
    browser.fill("线网文件的", second.to_str().unwrap()).await;
    browser.click("预览").await;
    browser.sees("变更班次时刻").await;
    let third = previewed(&world, &with("d,r,0,1,k,8:40,10 5\n")).await;
    world.ops.post(IMPORTS, &import_of(&third)).await.expect(200);
    browser.fill("原因", "夏季时刻表").await;
    browser.click("应用").await;
    browser.sees("预览已过期").await;
    world.verify().await;
}
