//! The list of the imports that were applied: over HTTP, by the command and in the console.

use super::{
    import::{farebox, preview, trip_of, world},
    over_http::{IMPORTS, import_of, previewed},
    sold::{selling, sold_network},
    written,
};
use crate::{
    console::session::ConsoleSession,
    harness::{Client, World, new_rider},
};
use farebox::accounts::{self, Role};
use serde_json::{Value, json};

const SEATS: &str = "d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n";

/// Imports this by the command, for this reason.
fn import_because(world: &World, name: &str, departures: &str, reason: &str) {
    let path = written(name, &sold_network(departures));
    let (_, digest) = preview(&world.db, &path);
    let args = ["network", "import", path.to_str().unwrap(), "--preview", &digest, "--reason", reason];
    farebox(&world.db, &args).succeeded();
}

/// Four imports; the newest touches a rider, and no worker carries it on.
async fn imported(name: &str) -> World {
    let world = selling(name, world().await).await;
    import_because(&world, name, &format!("{SEATS}f,r,0,2,k,10:00,10 5\n"), "one more");
    import_because(&world, name, SEATS, "and not");
    world.rider("100.00").await.booked(&trip_of(&world.pool, "d").await, &["1A"]).await;
    let preview = previewed(&world, &sold_network(&SEATS.replace("8:00", "8:30"))).await;
    world.ops.post(IMPORTS, &import_of(&preview)).await.expect(202);
    world
}

fn texts<'a>(items: &'a [Value], field: &str) -> Vec<&'a str> {
    items.iter().map(|item| item[field].as_str().unwrap()).collect()
}

/// All items, in pages of `limit`.
async fn walk(client: &Client, limit: usize) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{IMPORTS}?limit={limit}{after}")).await;
        let items = page.expect(200)["items"].as_array().unwrap();
        assert!((1..=limit).contains(&items.len()), "{}", page.text);
        all.extend_from_slice(items);
        match page.body["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_listed_newest_first_with_their_progress() {
    let world = imported("list").await;
    let listed = world.ops.get(IMPORTS).await;
    let items = listed.expect(200)["items"].as_array().unwrap().clone();
    assert_eq!(listed.body["next"], Value::Null);
    let reasons = ["the summer's timetable", "and not", "one more", "another timetable was imported"];
    assert_eq!(texts(&items, "reason"), reasons);
    let of = |item: &Value| ["trips", "done", "finished_at"].map(|field| item[field].clone());
    assert_eq!(of(&items[0]), [json!(1), json!(0), Value::Null], "it waits for a worker");
    assert_eq!(items[0]["operator"], "ops");
    assert_eq!(of(&items[1])[..2], [json!(0), json!(0)]);
    assert!(items[1]["finished_at"].is_string() && items[1]["started_at"].is_string(), "{}", items[1]);
    for item in &items {
        let one = world.ops.get(&format!("{IMPORTS}/{}", item["id"].as_str().unwrap())).await;
        assert_eq!(one.expect(200), item);
    }
    for limit in [1, 2, 3, 4, 100] {
        assert_eq!(walk(&world.ops, limit).await, items, "{limit} a page");
    }

    let watcher = new_rider("watcher");
    accounts::register(&world.pool, &world.saga.passwords, &watcher, Role::Viewer).await.unwrap();
    let viewer = Client::sign_in(&world.api.base(), "watcher").await;
    assert_eq!(viewer.get(IMPORTS).await.text, listed.text);

    let printed = farebox(&world.db, &["network", "imports", "--last", "3"]).succeeded().out;
    let ids: Vec<&str> = printed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ids, texts(&items, "id")[..3], "{printed}");
    let page = ConsoleSession::enter(&world, "ops").await.page("/console/network").await;
    let places = reasons.map(|reason| page.find(&reason.replace('\'', "&#39;")).or(page.find(reason)));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {page}");
}
