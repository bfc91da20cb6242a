//! The rules of what comes in, whichever way it comes: JSON, forms, queries, paths, headers, options.

mod forms;
mod headers;
mod values;

use crate::harness::{Answer, World};

const ME: &str = "/v1/riders/me";
const NOBODY: &str = "0190b5a0-0000-7000-8000-000000000000";

#[track_caller]
fn refused(answer: &Answer, field: &str) {
    assert_eq!(answer.problem(422, "003074")["field"], field, "{}", answer.text);
    assert!(!answer.body["rule"].as_str().unwrap().is_empty(), "{}", answer.text);
}

/// A form of the console, sent with this cookie.
async fn form(world: &World, path: &str, body: String) -> (u16, String) {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = http.post(format!("{}{path}", world.api.base())).body(body);
    let request = request.header("cookie", format!("farebox_console={}", world.ops.token()));
    let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// A page of the console.
async fn page(world: &World, path: &str) -> (u16, String) {
    let request = reqwest::Client::new().get(format!("{}{path}", world.api.base()));
    let request = request.header("cookie", format!("farebox_console={}", world.ops.token()));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn csrf(world: &World) -> String {
    let (_, page) = page(world, &format!("/console/riders/{}/top-up", world.ops.id)).await;
    page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}
