//! Lists: each has its next page and an order that its reader needs; a seat is in every list what a
//! booking finds it to be.

mod operations;
mod orders;
mod trips;

use crate::harness::{Client, World, count};
use serde_json::Value;
use std::collections::BTreeSet;

fn field<'a>(page: &'a Value, name: &str) -> Vec<&'a str> {
    page["items"].as_array().unwrap().iter().map(|item| item[name].as_str().unwrap()).collect()
}

/// The pages of a list one after the other, as they come.
async fn walk(client: &Client, path: &str, limit: u16) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}limit={limit}{after}")).await;
        let items = page.expect(200)["items"].as_array().unwrap().clone();
        assert!(items.len() <= usize::from(limit));
        all.extend(items);
        match page.body["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_description_has_the_pages_of_each_list() {
    /// One item a tag, and at most 32 webhooks: all of them on one page.
    const WHOLE: [&str; 2] = ["/v1/ops/queues", "/v1/ops/webhooks"];
    let world = World::new().await;
    let document = Client::stranger(&world.api.base()).get("/openapi.json").await;
    let (mut paged, mut lists) = (BTreeSet::new(), BTreeSet::new());
    for (path, methods) in document.expect(200)["paths"].as_object().unwrap() {
        let names: Vec<&str> = methods["get"]["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        if names.contains(&"after") && names.contains(&"limit") {
            paged.insert(path.as_str());
        }
        let schema = &methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        let schema = schema.as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let fields = &document.body["components"]["schemas"][schema]["properties"];
        if schema.starts_with("PageOf") || (fields.get("items").is_some() && fields.get("next").is_some()) {
            lists.insert(path.as_str());
        }
    }
    assert!(lists.len() >= 12, "{lists:?}");
    lists.retain(|path| !WHOLE.contains(path));
    assert_eq!(lists, paged, "each list has its next page, and nothing else");
    for path in WHOLE {
        let whole = &document.body["paths"][path]["get"]["responses"]["200"]["description"];
        assert!(whole.as_str().unwrap().contains("`next` is always null"), "{whole}");
    }
    for path in lists {
        let path = path.replace("{id}", &uuid::Uuid::now_v7().to_string());
        for (asked, at_fault) in [
            ("limit=0", "limit"),
            ("limit=10001", "limit"),
            ("limit=x", "limit"),
            ("after=zzz", "after"),
            ("after=", "after"),
        ] {
            let refused = world.ops.get(&format!("{path}?{asked}")).await;
            assert_eq!(refused.problem(422, "003074")["field"], at_fault, "{path}?{asked}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_queries_may_run_in_parallel() {
    let world = World::new().await;
    // One with settings of its own cannot: no parallel worker may set them.
    let sql = "select p.proname::text from pg_proc p join pg_language l on l.oid = p.prolang
               where p.pronamespace in ('public'::regnamespace, 'queue'::regnamespace) and l.lanname = 'sql'
                 and p.proparallel <> 's' and p.proconfig is null";
    let unsafe_ones: Vec<String> = sqlx::query_scalar(sql).fetch_all(&world.pool).await.unwrap();
    assert_eq!(unsafe_ones, Vec::<String>::new());
    let seat_state = "select count(*) from pg_proc where proname = 'seat_state' and proparallel = 's'";
    assert_eq!(count(&world.pool, seat_state).await, 1);
}
