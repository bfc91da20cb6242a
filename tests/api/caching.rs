//! Validators of trips and seat maps, and the links between pages.

use crate::harness::{Client, World};
use reqwest::{Response, header::HeaderMap};

async fn get(base: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = reqwest::Client::new().get(format!("{base}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_the_seats_gets_304_until_they_change() {
    let world = World::new().await;
    let (base, trip) = (world.api.base(), world.trip(4).await);
    let path = format!("/v1/trips/{trip}");
    let first = get(&base, &path, &[]).await;
    let tag = text(first.headers(), "etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(text(first.headers(), "cache-control"), "no-cache");
    assert_eq!(text(first.headers(), "vary"), "accept-language, authorization");
    let again = get(&base, &path, &[("if-none-match", &tag)]).await;
    assert_eq!(again.status(), 304);
    assert_eq!(text(again.headers(), "etag"), tag);
    assert_eq!(again.bytes().await.unwrap().len(), 0);
    // Another process has the same validator.
    let far = world.another_api();
    assert_eq!(get(&far.base(), &path, &[("if-none-match", &tag)]).await.status(), 304);
    let rider = world.rider("100.00").await;
    rider.booked(&trip, &["1"]).await;
    let changed = get(&base, &path, &[("if-none-match", &tag)]).await;
    assert_eq!(changed.status(), 200);
    let now = text(changed.headers(), "etag").to_owned();
    assert_ne!(now, tag);
    // The rider's own seats are another body, which no cache keeps.
    let own = [("if-none-match", now.as_str()), ("authorization", &rider.authorization())];
    let own = get(&base, &path, &own).await;
    assert_eq!((own.status().as_u16(), text(own.headers(), "cache-control")), (200, "private, no-store"));
    // What is not there has no validator.
    let nowhere = format!("/v1/trips/{}", uuid::Uuid::now_v7());
    let missing = get(&base, &nowhere, &[("if-none-match", "*")]).await;
    assert_eq!(missing.status(), 404);
    assert!(!missing.headers().contains_key("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_trips_has_a_validator() {
    let world = World::new().await;
    let base = world.api.base();
    let trip = get(&base, &format!("/v1/trips/{}", world.trip(4).await), &[]).await;
    let trip: serde_json::Value = trip.json().await.unwrap();
    let day = format!("/v1/trips?date={}", &trip["departs_local"].as_str().unwrap()[..10]);
    let first = get(&base, &day, &[]).await;
    let tag = text(first.headers(), "etag").to_owned();
    assert_eq!(text(first.headers(), "vary"), "accept-language");
    let again = get(&base, &day, &[("if-none-match", &format!("\"x\", {tag}"))]).await;
    assert_eq!(again.status(), 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_through_all_pages() {
    let world = World::new().await;
    let trip = world.trip(10).await;
    let rider = world.rider("100.00").await;
    for seat in ["1", "2", "3"] {
        rider.booked(&trip, &[seat]).await;
    }
    let (mut path, mut seen) = ("/v1/orders?list=unpaid&limit=1".to_owned(), 0);
    loop {
        let page = rider.get(&path).await;
        seen += page.expect(200)["items"].as_array().unwrap().len();
        let Some(link) = page.headers.get("link") else { break };
        let target = link.to_str().unwrap().strip_prefix('<').unwrap();
        let target = target.strip_suffix(">; rel=\"next\"").unwrap();
        assert!(target.starts_with("?list=unpaid&limit=1&after="), "{target}");
        path = format!("/v1/orders{target}");
        assert!(seen < 3, "no link after the last page");
    }
    assert_eq!(seen, 3);
    for list in ["/v1/trips?limit=1", "/v1/wallet/entries?limit=1"] {
        let page = rider.get(list).await;
        assert_eq!(page.headers.contains_key("link"), page.expect(200)["next"].is_string(), "{list}");
    }
    let jobs = world.ops.get("/v1/ops/jobs?limit=1").await;
    assert!(jobs.expect(200)["next"].is_string() && jobs.headers.contains_key("link"), "{jobs:?}");
    let order = rider.get("/v1/orders?limit=1").await.expect(200)["items"][0]["id"].clone();
    let timeline = format!("/v1/ops/orders/{}/timeline?limit=1", order.as_str().unwrap());
    assert!(world.ops.get(&timeline).await.headers.contains_key("link"));
    assert!(!Client::stranger(&world.api.base()).get("/v1/orders").await.headers.contains_key("link"));
}
