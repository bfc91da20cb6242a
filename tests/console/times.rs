//! Times by the viewer's clock and departures by their timetable's, and filters that take local times.

use super::ConsoleSession;
use crate::harness::{Browser, World};
use serde_json::json;

/// The two half past ones of a night in New York, as the database holds them.
const TWICE: [(&str, &str); 2] = [
    ("2026-11-01T05:30:00Z", "2026-11-01 01:30:00 -04:00"),
    ("2026-11-01T06:30:00Z", "2026-11-01 01:30:00 -05:00"),
];

async fn since(world: &World, rider: &str, at: &str) {
    let sql = "update rider set created_at = $2::text::timestamptz where id = $1::text::uuid";
    sqlx::query(sql).bind(rider).bind(at).execute(&world.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn times_follow_the_browser_the_switch_and_the_chosen_zone() {
    let world = World::new().await;
    let (rider, trip) = (world.rider("0").await, world.trip(4).await);
    let page = format!("/console/riders/{}", rider.id);
    let browser = Browser::at(&world.api.base()).await;
    browser.debug("Emulation.setTimezoneOverride", &json!({"timezoneId": "America/New_York"})).await;
    browser.sign_in("ops").await;
    for (at, shown) in TWICE {
        since(&world, &rider.id.to_string(), at).await;
        browser.goto(&page).await;
        browser.sees(shown).await;
    }
    let title = "return document.querySelector('dl.facts time').title";
    assert_eq!(browser.run(title).await, "2026-11-01T06:30:00.000000Z");
    assert!(browser.run("return document.querySelector('dl.facts .ago').textContent").await.is_string());

    browser.click("UTC").await;
    browser.sees("2026-11-01 06:30:00 UTC").await;
    assert_eq!(browser.path().await, page, "the page is the same one");
    browser.click("Local time").await;
    browser.sees(TWICE[1].1).await;
    browser.goto("/console/account").await;
    browser.fill("Zone", "Asia/Tokyo").await;
    browser.click("Choose the zone").await;
    browser.sees("Times are shown in Asia/Tokyo").await;
    browser.goto(&page).await;
    browser.sees("2026-11-01 15:30:00 +09:00").await;
    // A departure is by the timetable's clock for every viewer.
    browser.goto(&format!("/console/trips/{trip}")).await;
    browser.sees("(Asia/Shanghai)").await;
    browser.goto("/console/audit").await;
    browser.click("Last hour").await;
    browser.until("the filter is in the address", "/since=[0-9-]+T[0-9:]+Z$/.test(location.search)").await;
    browser.until("and in the field", "document.getElementById('since').value !== ''").await;
    browser.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_filters_work_without_javascript() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    let page = format!("/console/riders/{}", rider.id);
    since(&world, &rider.id.to_string(), TWICE[0].0).await;
    assert!(ops.page(&page).await.contains("2026-11-01 13:30:00 +08:00"), "the timetable's zone");
    let form = Some(format!("zone=America%2FNew_York&next={page}"));
    let answer = ops.send("POST", "/console/preferences", form).await;
    let chosen = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let there = ConsoleSession { cookie: format!("{}; {chosen}", ops.cookie), ..ops };
    assert!(there.page(&page).await.contains(TWICE[0].1));
    for (path, asked, answered) in [
        (
            "/console/audit",
            "act=&since=2026-11-01T01%3A30&before=2026-11-01T01%3A30",
            "since=2026-11-01T05:30:00Z&before=2026-11-01T06:30:00Z",
        ),
        ("/console/jobs", "tag=&since=2026-03-08T02:30", "since=2026-03-08T07:00:00Z"),
    ] {
        let answer = there.send("GET", &format!("{path}?{asked}"), None).await;
        assert_eq!(answer.status().as_u16(), 303, "{path}");
        assert_eq!(answer.headers()["location"], format!("{path}?{answered}"));
    }
    let filtered = there.page("/console/audit?since=2026-11-01T05:30:00Z").await;
    assert!(filtered.contains(r#"value="2026-11-01T01:30:00""#), "{filtered}");
    assert_eq!(there.status("GET", "/console/jobs?since=yesterday", None).await, 422);
    let unknown = there.send("POST", "/console/preferences", Some("zone=Nowhere".to_owned())).await;
    assert!(unknown.headers().get("set-cookie").is_none(), "no such zone");
}
