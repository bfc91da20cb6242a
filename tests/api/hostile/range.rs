//! The system under fire: the ids of things that exist, one connection, and what a request changed.

use super::{
    NOBODY,
    addresses::{NAMES, Operation, operations, pages},
};
use crate::harness::{Wire, World};
use rand::{rngs::StdRng, seq::IndexedRandom};
use std::collections::HashMap;

/// What a request is made of.
pub struct Shot {
    pub method: String,
    pub target: String,
    pub headers: String,
    pub body: String,
    pub kind: &'static str,
}

pub struct Range {
    pub world: World,
    pub rider: String,
    pub trip: String,
    pub order: String,
    pub job: String,
    pub csrf: String,
    pub operations: Vec<Operation>,
    pub pages: Vec<(String, String)>,
    /// The parameters that each page of the console takes.
    pub taken: HashMap<String, Vec<&'static str>>,
    pub wire: Wire,
}

impl Range {
    pub async fn new() -> Self {
        // Wrong passwords are no matter of this test, and an hour's delay after a few would hide
        // everything behind them.
        let world = World::with(&[
            ("FAREBOX__LOCKOUT__TRIES", "1000000"),
            ("FAREBOX__LOCKOUT__ADDRESS_TRIES", "1000000"),
            ("FAREBOX__LOCKOUT__ACCOUNT_TRIES", "1000000"),
            ("FAREBOX__LOCKOUT__KNOWN_TRIES", "1000000"),
        ])
        .await;
        let rider = world.rider("100.00").await;
        let trip = world.trip(40).await;
        let order = rider.booked(&trip, &["1"]).await;
        let jobs = world.ops.get(&format!("/v1/ops/jobs?order={order}")).await;
        let job = jobs.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
        let document = rider.get("/openapi.json").await;
        let wire = Wire::to(&world.api.base()).await;
        let mut range = Self {
            rider: rider.authorization(),
            trip,
            order,
            job,
            csrf: String::new(),
            operations: operations(document.expect(200)),
            pages: pages(),
            taken: HashMap::new(),
            wire,
            world,
        };
        let headers = format!("cookie: farebox_console={}\r\n", range.world.ops.token());
        let target = format!("GET /console/riders/{}/top-up", range.world.ops.id);
        let page = range.wire.ask(&target, &headers).await.body;
        page.split("name=\"csrf\" value=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .clone_into(&mut range.csrf);
        range
    }

    /// Asks each page for each parameter once: what is not taken would be refused before its value
    /// is looked at.
    pub async fn ask_for_parameters(&mut self, rng: &mut StdRng) {
        for (method, path) in self.pages.clone().into_iter().filter(|(method, _)| method == "GET") {
            let mut taken = Vec::new();
            for name in NAMES {
                let target = format!("{}?{name}=", self.address(rng, &path));
                let headers = format!("cookie: farebox_console={}\r\n", self.world.ops.token());
                let shot = Shot { method: method.clone(), target, headers, body: String::new(), kind: "" };
                let (status, _, body) = self.fire(&shot).await.unwrap();
                if !(status == 422 && body.contains("it is not taken here")) {
                    taken.push(*name);
                }
            }
            self.taken.insert(path, taken);
        }
    }

    /// The address with ids of things that there are, mostly.
    pub fn address(&self, rng: &mut StdRng, path: &str) -> String {
        let mut address = String::new();
        for part in path.split('/').skip(1) {
            address.push('/');
            match part {
                "{id}" if path.contains("/trips/") => address.push_str(&self.trip),
                "{id}" if path.contains("/orders/") => address.push_str(&self.order),
                "{id}" if path.contains("/jobs/") => address.push_str(&self.job),
                "{id}" if path.contains("/riders/") => address.push_str(&self.world.ops.id.to_string()),
                "{id}" => address.push_str(NOBODY),
                "{rider_id}" => address.push_str(&self.world.ops.id.to_string()),
                "{tag}" => address.push_str("pay_money_cancle"),
                "{act}" => {
                    address.push_str(["snooze", "retry", "block", "cancel", "pause"].choose(rng).unwrap());
                }
                part if part.starts_with('{') => address.push('x'),
                part => address.push_str(part),
            }
        }
        address
    }

    /// The answer: status, head and body. None if the server ended the connection without one.
    pub async fn fire(&mut self, shot: &Shot) -> Option<(u16, String, String)> {
        let kind = if shot.kind.is_empty() || shot.headers.contains("content-type") {
            String::new()
        } else {
            format!("content-type: {}\r\n", shot.kind)
        };
        let text = format!(
            "{} {} HTTP/1.1\r\nhost: farebox\r\ncontent-length: {}\r\n{kind}{}\r\n{}",
            shot.method,
            shot.target,
            shot.body.len(),
            shot.headers,
            shot.body
        );
        self.wire.send(&text).await;
        let reply = self.wire.reply().await;
        let is_whole = reply
            .as_ref()
            .is_some_and(|r| r.head.contains("content-length") && !r.head.contains("connection: close"));
        let is_empty = reply.as_ref().is_some_and(|r| r.status == 204 || r.status == 303);
        if !is_whole && !is_empty {
            self.wire = Wire::to(&self.world.api.base()).await;
        }
        reply.map(|reply| (reply.status, reply.head, reply.body))
    }

    /// How much there is of everything that a request could change.
    pub async fn state(&self) -> String {
        let sql = "select concat_ws(' ', (select count(*) from rider), (select count(*) from trip), (select count(*) from orders),
                       (select count(*) from seat where order_id is not null), (select count(*) from seat where blocked),
                       (select count(*) from ledger_entry), (select count(*) from payment), (select count(*) from audit),
                       (select count(*) from bulk), (select count(*) from evaluation), (select sum(balance) from wallet),
                       (select count(*) from queue.job), (select count(*) from queue.paused),
                       (select md5(string_agg(r::text, '' order by id)) from rider r))";
        sqlx::query_scalar(sql).fetch_one(&self.world.pool).await.unwrap()
    }
}
