//! Every route with every role: which may call it, which may not, and that a refused call changes nothing.

use super::{
    role_table::TABLE,
    tokens::{expired, forged},
};
use crate::harness::{Client, PAY_PASSWORD, World, new_rider};
use chrono::TimeDelta;
use farebox::accounts::{self, Role};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Who calls, in the order of the table's columns. `owner` is the rider whose order, wallet and
/// jobs the addresses name.
const ACTORS: [&str; 6] = ["nobody", "other", "owner", "viewer", "operator", "admin"];

/// The routes as the API describes them; a unit test beside the description compares it with the router.
async fn routes_of_the_code(world: &World) -> BTreeSet<String> {
    let described = world.ops.get("/openapi.json").await;
    let paths = described.expect(200)["paths"].as_object().unwrap();
    let of = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_has_every_route_of_the_code_and_no_other() {
    let world = World::new().await;
    let table: BTreeSet<String> = TABLE.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert_eq!(table.len(), TABLE.len(), "a route is in the table twice");
    assert_eq!(table, routes_of_the_code(&world).await);
}

/// A webhook as it is added.
fn a_webhook() -> Value {
    json!({"name": "books", "url": "https://example.com/in", "kinds": ["order.paid"], "reason": "a test"})
}

/// What a route's address and body name, made afresh for each call.
struct Scene<'a> {
    world: &'a World,
    owner: Client,
    names: AtomicUsize,
}

impl Scene<'_> {
    fn fresh(&self) -> usize {
        self.names.fetch_add(1, Ordering::Relaxed)
    }

    /// The address and the body of a call of this route, with an order of the owner's in the state
    /// the route is for.
    async fn call(&self, route: &str) -> (String, Option<Value>) {
        let path = route.split(' ').nth(1).unwrap();
        let trip = self.world.trip(4).await;
        let mut order = String::new();
        if path.contains("/orders/{id}")
            || path.ends_with("authorizations")
            || path.contains("jobs")
            || path.contains("bulk")
            || path.ends_with("{tag}/cancel")
        {
            order = self.owner.booked(&trip, &["1"]).await;
        }
        if path.ends_with("refund") || path.ends_with("evaluation") {
            self.owner.pay(&order).await.expect(200);
        }
        if path.ends_with("evaluation") {
            self.world.departs_in(&trip, TimeDelta::hours(-1)).await;
        }
        if path.ends_with("cancellation") {
            let cancel = format!("/v1/ops/trips/{trip}/cancel");
            self.world.ops.post(&cancel, &json!({"reason": "snow"})).await.expect(202);
        }
        if path == "/v1/password-resets" {
            let rider = self.world.rider("0").await;
            let name = rider.get("/v1/riders/me").await.expect(200)["user_name"].as_str().unwrap().to_owned();
            let reset = format!("/v1/ops/riders/{}/password-reset", rider.id);
            let made = self.world.ops.post(&reset, &json!({"reason": "lost"})).await;
            order = format!("{name} {}", made.expect(201)["code"].as_str().unwrap());
        }
        let id = match path {
            _ if path.ends_with("password-reset") => self.world.rider("0").await.id.to_string(),
            _ if path.starts_with("/v1/sessions") => self.owner.id.to_string(),
            _ if path.ends_with("seats/events") || path.starts_with("/v1/ops/network") => {
                uuid::Uuid::nil().to_string()
            }
            _ if path.starts_with("/v1/ops/trips") || path.starts_with("/v1/trips") => trip.clone(),
            _ if path.starts_with("/v1/ops/jobs") => self.timer(&order).await,
            _ if path.starts_with("/v1/ops/bulk/") => self.bulk(&order).await,
            _ if path.starts_with("/v1/ops/approvals/") => self.approval().await,
            _ if path.starts_with("/v1/ops/webhooks/") => self.webhook(path).await,
            _ => order.clone(),
        };
        let address = path
            .replace("{id}", &id)
            .replace("{rider_id}", &self.owner.id.to_string())
            .replace("{event_id}", "evt_00000000000000000000000000000000")
            .replace("{tag}", "order_unpaid");
        (address, self.body(route, &trip, &order).await)
    }

    /// The id of the job that closes the order when it is not paid.
    async fn timer(&self, order: &str) -> String {
        let sql = "select id::text from queue.job where tag = 'order_unpaid' and key = $1";
        sqlx::query_scalar(sql).bind(order).fetch_one(&self.world.pool).await.unwrap()
    }

    /// An operation upon that job, which no worker carries on.
    async fn bulk(&self, order: &str) -> String {
        let body = json!({"act": "retry", "filter": {"key": order}, "reason": "to be looked at"});
        let begun = self.world.ops.post("/v1/ops/bulk", &body).await;
        begun.expect(202)["id"].as_str().unwrap().to_owned()
    }

    /// A top-up by the world's operator that waits for a second one.
    async fn approval(&self) -> String {
        let reference = format!("large {}", self.fresh());
        let waits = self.world.top_up(self.owner.id, "600.00", &reference).await;
        waits.expect(202)["id"].as_str().unwrap().to_owned()
    }

    /// An enabled webhook that nothing was sent to: one of its own, if it is to be removed.
    async fn webhook(&self, path: &str) -> String {
        let all = self.world.ops.get("/v1/ops/webhooks").await;
        let enabled =
            all.expect(200)["items"].as_array().unwrap().iter().find(|one| one["state"] == "enabled");
        if let Some(one) = enabled.filter(|_| !path.ends_with("remove")) {
            return one["id"].as_str().unwrap().to_owned();
        }
        let added = self.world.ops.post("/v1/ops/webhooks", &a_webhook()).await;
        added.expect(201)["id"].as_str().unwrap().to_owned()
    }

    /// The first entry of the owner's ledger.
    async fn entry(&self) -> String {
        let sql = "select id::text from ledger_entry where rider_id = $1 and seq = 1";
        sqlx::query_scalar(sql).bind(self.owner.id.0).fetch_one(&self.world.pool).await.unwrap()
    }

    async fn body(&self, route: &str, trip: &str, order: &str) -> Option<Value> {
        let departs = chrono::Utc::now() + chrono::Duration::days(1);
        Some(match route {
            "POST /v1/riders" => {
                json!({"user_name": format!("new{}", self.fresh()), "password": crate::harness::PASSWORD})
            }
            "POST /v1/sessions" => json!({"user_name": "owner", "password": crate::harness::PASSWORD}),
            "POST /v1/sessions/current/confirmation" => json!({"password": crate::harness::PASSWORD}),
            "PUT /v1/riders/me/password" => {
                json!({"current": crate::harness::PASSWORD, "new": "another tram to the harbour"})
            }
            "POST /v1/password-resets" => {
                let (name, code) = order.split_once(' ').unwrap();
                json!({"user_name": name, "code": code, "new_password": crate::harness::PASSWORD})
            }
            "POST /v1/ops/riders/{id}/password-reset" => json!({"reason": "lost"}),
            "PATCH /v1/riders/me" => json!({"nick_name": format!("nick {}", self.fresh())}),
            "PUT /v1/riders/me/pay-password" => json!({"current": PAY_PASSWORD, "new": PAY_PASSWORD}),
            "POST /v1/orders" => json!({"trip_id": trip, "seats": ["2"]}),
            "POST /v1/orders/{id}/pay" => json!({"pay_password": PAY_PASSWORD}),
            "POST /v1/payment-authorizations" => json!({"order_id": order, "pay_password": PAY_PASSWORD}),
            "POST /v1/orders/{id}/evaluation" => json!({"rating": 5}),
            "POST /v1/ops/trips" => {
                // One bus, one trip after the other.
                let departs = departs + chrono::Duration::hours(2 * i64::try_from(self.fresh()).unwrap());
                json!({
                    "bus_id": 1, "direction": 0, "departs_at": departs,
                    "arrives_at": departs + chrono::Duration::hours(1), "price": "4.00", "capacity": 4,
                })
            }
            "POST /v1/ops/wallets/{rider_id}/top-ups" => {
                json!({"amount": "1.00", "reference": format!("reference {}", self.fresh())})
            }
            "POST /v1/ops/wallets/{rider_id}/corrections" => {
                json!({"amount": "-0.01", "entry_id": self.entry().await, "reason": "a cent too much",
                    "reference": format!("correction {}", self.fresh())})
            }
            "POST /v1/ops/orders/{id}/notes" => json!({"note": "the rider called"}),
            _ if route.starts_with("POST /v1/ops/orders/") => json!({"reason": "no answer"}),
            "POST /v1/ops/approvals/{id}/refuse" => json!({"reason": "no receipt"}),
            "POST /v1/ops/trips/{id}/seats/block" | "POST /v1/ops/trips/{id}/seats/release" => {
                json!({"seats": ["2"], "reason": "broken"})
            }
            "POST /v1/ops/trips/{id}/cancel" => json!({"reason": "snow"}),
            "POST /v1/ops/trips/{id}/change-previews" => json!({"price": "5.00"}),
            "POST /v1/ops/trips/{id}/changes" => {
                json!({"price": "5.00", "digest": "none", "reason": "dearer"})
            }
            "POST /v1/ops/jobs/{id}/snooze" => {
                json!({"until": chrono::Utc::now() + chrono::Duration::minutes(1)})
            }
            "POST /v1/ops/network/imports" => {
                json!({"preview_id": uuid::Uuid::now_v7(), "digest": "none", "reason": "summer"})
            }
            "POST /v1/ops/bulk" => json!({"act": "retry", "filter": {"key": order}, "reason": "try"}),
            "POST /v1/ops/queues/{tag}/cancel" => json!({"key": order}),
            "POST /v1/ops/webhooks" => a_webhook(),
            _ if route.starts_with("POST /v1/ops/webhooks/") => json!({"reason": "a test"}),
            _ if route.starts_with("POST") => json!({}),
            _ => return None,
        })
    }

    /// Everything there is, as one text to compare.
    async fn state(&self) -> String {
        let tables = [
            "rider",
            "pay_password",
            "session",
            "trip",
            "seat",
            "trip_event",
            "trip_cancellation",
            "network_preview",
            "network_import",
            "orders",
            "order_event",
            "evaluation",
            "open_hold",
            "wallet",
            "ledger_entry",
            "wallet_change",
            "wallet_approval",
            "payment",
            "payment_authorization",
            "barrier",
            "idempotency",
            "queue.job",
            "queue.finished",
            "queue.dead_letter",
            "queue.paused",
            "audit",
            "bulk",
            "bulk_item",
            "webhook_endpoint",
            "webhook_delivery",
        ];
        let each = tables.map(|table| {
            format!("coalesce((select string_agg(t::text, E'\\n' order by t::text) from {table} t), '')")
        });
        let sql = format!("select md5(concat_ws('|', {}))", each.join(", "));
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.world.pool).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_gets_the_status_of_the_table_on_every_route() {
    let world = World::with(&[("FAREBOX__WALLETS__APPROVAL_ABOVE", "500.00")]).await;
    let base = world.api.base();
    for (name, role) in [
        ("owner", Role::Rider),
        ("other", Role::Rider),
        ("viewer", Role::Viewer),
        ("operator", Role::Operator),
        ("admin", Role::Admin),
    ] {
        let rider =
            accounts::register(&world.pool, &world.saga.passwords, &new_rider(name), role).await.unwrap();
        world.top_up(rider.id, "500.00", "first").await.expect(201);
    }
    let owner = Client::sign_in(&base, "owner").await;
    let revoked = Client::sign_in(&base, "owner").await;
    revoked.delete("/v1/sessions/current").await.expect(204);
    let nobody = Client::stranger(&base);
    let scene = Scene { world: &world, owner: owner.clone(), names: AtomicUsize::new(0) };
    let mut wrong = Vec::new();
    for (route, expected) in TABLE {
        let mut calls: Vec<(&str, Client, u16)> = Vec::new();
        for (actor, status) in ACTORS.into_iter().zip(expected) {
            // A fresh session each: one of the routes ends it.
            let client = if actor == "nobody" { nobody.clone() } else { Client::sign_in(&base, actor).await };
            calls.push((actor, client, *status));
        }
        calls.push(("revoked", revoked.clone(), expected[0]));
        calls.push(("expired", nobody.with_token(&expired(owner.token())), expected[0]));
        calls.push(("forged", nobody.with_token(&forged(owner.token())), expected[0]));
        calls.push(("nonsense", nobody.with_token("nonsense"), expected[0]));
        for (actor, client, status) in calls {
            let (path, body) = scene.call(route).await;
            let before = scene.state().await;
            let answer = client.call(route.split(' ').next().unwrap(), &path, body.as_ref()).await;
            if answer.status.as_u16() != status {
                wrong.push(format!(
                    "{route} as {actor}: {} instead of {status}: {}",
                    answer.status, answer.text
                ));
            }
            if answer.status.is_client_error() {
                let code = match answer.status.as_u16() {
                    401 => "003002",
                    403 => "003091",
                    409 => "006071",
                    422 => "006070",
                    _ => "003070",
                };
                if answer.body["code"] != code {
                    wrong.push(format!("{route} as {actor}: code {} instead of {code}", answer.body["code"]));
                }
                if scene.state().await != before {
                    wrong.push(format!("{route} as {actor}: refused, and yet something changed"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_keys_show_no_rider_the_data_of_another() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let (mine, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let booked = mine.key("the-same").book(&trip, &["1"]).await;
    let order = booked.expect(201)["id"].as_str().unwrap().to_owned();
    mine.pay(&order).await.expect(200);
    // The very request of another rider under the same key is another request.
    let same = other.key("the-same").book(&trip, &["1"]).await;
    assert_eq!(same.problem(409, "004000")["seats"], json!(["1"]));
    for path in ["/v1/orders", "/v1/orders?list=upcoming", &format!("/v1/orders?after={order}")] {
        assert_eq!(other.get(path).await.expect(200)["items"], json!([]), "{path}");
    }
    let entries = other.get("/v1/wallet/entries").await;
    assert!(!entries.expect(200).to_string().contains(&order), "{}", entries.text);
    let seats = other.get(&format!("/v1/trips/{trip}")).await;
    assert_eq!(seats.expect(200)["seats"][0]["state"], "sold");
    assert!(!seats.text.contains(&order) && !seats.text.contains(&mine.id.to_string()), "{}", seats.text);
}
